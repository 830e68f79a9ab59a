"""Two or more models beside one another: what became of each matrix, and what that comes to."""
