"""Where the images come from."""

from __future__ import annotations

from pathlib import Path

from weightaudit.paper.fashion_mnist.images import Images, Split, from_directory


def load(data_dir: str | None, split: Split, *, offline: bool) -> Images:
    """The images of a split: from the IDX files in ``data_dir``, or without one from the Hub or its local cache.

    DataError where they are not to be had, or not what they should be.
    """
    if data_dir:
        return from_directory(Path(data_dir), split)
    from weightaudit.paper.fashion_mnist.hub_images import from_hub  # loads pyarrow and the Hub's client

    return from_hub(split, offline=offline)
