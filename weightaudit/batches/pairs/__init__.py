"""Every pair of a list, checked for a merge: one folder a pair, one page for all."""
