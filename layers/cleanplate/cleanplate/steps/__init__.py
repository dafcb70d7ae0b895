"""The steps of one photo's walk, one module each; a function's handler calls exactly one of them."""
