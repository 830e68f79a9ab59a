"""The theory of sections 4 and 5, checked numerically: a file for each family of statements."""
