"""What stands out among the rows of a table of tokens."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TableFacts:
    """Rows of an embedding or an output head, by number, each list ascending; rows of zeros are in none.

    Attributes
    ----------
    equal
        Groups of rows with the same bytes, in the order of their first; without `mean` and `random`, and without those
        of which every row is known to have no training.
    mean
        Rows that are the mean of all.
    random
        Last rows that are random numbers, in a table whose others are not.
    unused
        Rows that are known to have no training, by the name of their token or since they are in `equal`, and that point
        one way.
    alike
        Other rows that point the same way.
    likeness
        Least cosine, to the direction of `unused`, of `alike`; each taken from the mean of all rows.
    """

    equal: tuple[tuple[int, ...], ...] = ()
    mean: tuple[int, ...] = ()
    random: tuple[int, ...] = ()
    unused: tuple[int, ...] = ()
    alike: tuple[int, ...] = ()
    likeness: float = 0.0
