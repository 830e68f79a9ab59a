"""Appendix C.2: merging on Fashion-MNIST. Padded on different sides, the images of two tasks are orthogonal."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from weightaudit.audit import Progress
from weightaudit.errors import DataError
from weightaudit.paper.data import Task, generator_for
from weightaudit.paper.fashion_mnist.images import Images, Split, from_directory
from weightaudit.paper.figure3 import charts, claims
from weightaudit.paper.figure3.merging import MergingConfig, Pair, merge_all
from weightaudit.paper.results import Result
from weightaudit.paper.settings import setting
from weightaudit.paper.training import single_threaded

PAIRS = (
    Pair(claims.ORTHOGONAL, "first", "second"),
    Pair(claims.OTHER_LABELS, "first", "relabelled"),
    Pair(claims.SAME_TASK, "first", "again"),
)
POSITIVE_FROM = 5
"""Classes 0–4 are labelled −1, 5–9 are labelled +1 (the source has 0 and 1)."""


@dataclass(frozen=True)
class FashionMnistConfig(MergingConfig):
    """The images, besides the networks and their training."""

    data_dir: str | None = setting(
        None, origin="ours", about="directory of Fashion-MNIST's IDX files; without one, the Hub's copy is taken"
    )
    split: Literal["test", "train"] = setting(
        "test", origin="ours", about="which of the data set's files; test is the smaller download"
    )
    offline: bool = setting(False, origin="ours", about="use only local files and the local Hugging Face cache")
    inputs: int = setting(100, origin="ours", least=1, about="images of a task, scaled to the unit sphere")
    draws: int = setting(8, origin="ours", least=1, about="independent repetitions")
    lambdas: tuple[float, ...] = setting(
        (0.0, 1e-4, 1e-3), origin="ours", least=0, about="weight decay λ where it varies; 0 is always among them"
    )


def run(config: FashionMnistConfig, progress: Progress) -> Result:
    """Train on padded images, merge, and judge the source's claims. DataError where there are no images."""
    images = load(config.data_dir, config.split, offline=config.offline)
    if len(images.classes) < 2 * config.inputs:
        raise DataError(
            images.origin,
            f"it has {len(images.classes)} images, and two tasks need {2 * config.inputs}",
            f"Take fewer: --inputs {len(images.classes) // 2}",
        )
    with single_threaded() as workers:
        draws = [_tasks(images, config, draw) for draw in range(config.draws)]
        points = merge_all(draws, PAIRS, config, progress, workers)
    dimension = 2 * images.pixels.shape[1]
    found = claims.claims(points, config, dimension=dimension, source="Appendix C.2")
    drawn = charts.charts(points, config)
    return Result(points, found, drawn, (*_about(images, config), *claims.notes(points, config)))


def load(data_dir: str | None, split: Split, *, offline: bool) -> Images:
    """The images of a split: from the IDX files in ``data_dir``, or without one from the Hub or its local cache.

    DataError where they are not to be had, or not what they should be.
    """
    if data_dir:
        return from_directory(Path(data_dir), split)
    from weightaudit.paper.fashion_mnist.hub_images import from_hub  # loads pyarrow and the Hub's client

    return from_hub(split, offline=offline)


def _tasks(images: Images, config: FashionMnistConfig, draw: int) -> dict[str, Task]:
    """The tasks of a draw: no image is in both. "relabelled" is the first with the labels inverted."""
    order = torch.randperm(len(images.classes), generator=generator_for(config.seed, draw, "images"))
    x, y = _scaled(images, order[: config.inputs])
    other, labels = _scaled(images, order[config.inputs : 2 * config.inputs])
    nothing = torch.zeros_like(x)
    first = Task(torch.cat([x, nothing], dim=1), y)
    return {
        "first": first,
        "second": Task(torch.cat([nothing, other], dim=1), -labels),
        "relabelled": replace(first, y=-y),
        "again": first,
    }


def _scaled(images: Images, index: Tensor) -> tuple[Tensor, Tensor]:
    """Images on the unit sphere, (n, 784), and labels ±1, (n,)."""
    pixels = torch.from_numpy(images.pixels[index.numpy()]).double()
    lengths = pixels.norm(dim=1, keepdim=True)
    if not (lengths > 0).all():
        blank = index[lengths[:, 0] == 0][0].item()
        raise DataError(images.origin, f"image {blank} is blank, and has no place on the unit sphere")
    classes = torch.from_numpy(images.classes[index.numpy()].astype("int64"))
    return (pixels / lengths).float(), torch.where(classes >= POSITIVE_FROM, 1.0, -1.0)


def _about(images: Images, config: FashionMnistConfig) -> tuple[str, ...]:
    """Where the images are from, and whether draws have to share them."""
    origin = f"images: {len(images.classes)}, from {images.origin}"
    used = 2 * config.inputs * config.draws
    if used <= len(images.classes):
        return (origin,)
    return (
        origin,
        f"{config.draws} draws of {2 * config.inputs} images share images, as there are only {len(images.classes)}: "
        "standard deviations and intervals are those of these images, not of Fashion-MNIST as a whole",
    )
