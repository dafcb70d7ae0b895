"""The steps of one photo, one module each; a function's handler calls exactly one of them."""
