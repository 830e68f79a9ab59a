"""The checks of the theory, a short file each. `weightaudit.paper.lemmas.experiment` runs them."""
