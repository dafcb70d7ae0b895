"""Adobe's imaging API: routes, token, client. Adobe's spelling stops here."""
