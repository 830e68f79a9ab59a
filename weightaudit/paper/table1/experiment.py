"""Table 1: layers, model dimension and FF dimension of the six models, read from each model's own config.json."""

from __future__ import annotations

import time
from dataclasses import dataclass

import pandas as pd

from weightaudit.architecture import family
from weightaudit.architecture.dimensions import resolve
from weightaudit.audit import Progress
from weightaudit.checkpoint.config import read_config
from weightaudit.errors import ConfigError, ModelError, UsageError
from weightaudit.paper.charts import Chart, Series
from weightaudit.paper.results import Claim, Result, judged
from weightaudit.paper.settings import setting
from weightaudit.source import open_repository
from weightaudit.text import printable

Sizes = tuple[int, int, int]
SIZES = ("layers", "model dimension", "FF dimension")
NAMES_IN_SPECS = ("layers", "hidden", "ff")
"""What the architecture specs call them."""


@dataclass(frozen=True)
class Stated:
    """A row of the paper's table; ``field`` is the setting that says which model it is."""

    field: str
    name: str
    sizes: Sizes


# Source: Table 1, Appendix C.1.
TABLE = (
    Stated("bert", "BERT", (12, 768, 3072)),
    Stated("roberta", "RoBERTa", (12, 768, 3072)),
    Stated("gpt2_large", "GPT2-Large", (36, 1280, 5120)),
    Stated("gpt2_xl", "GPT2-XL", (48, 1600, 6400)),
    Stated("phi_2", "Phi-2", (32, 2560, 10240)),
    Stated("gpt_j", "GPT-J", (28, 4096, 16384)),
)
_WHERE = "Hub id or path of {}; the paper names the model, the id is ours"


@dataclass(frozen=True)
class Table1Config:
    """Where the six models are."""

    bert: str = setting("google-bert/bert-base-uncased", origin="ours", about=_WHERE.format("BERT"))
    roberta: str = setting("FacebookAI/roberta-base", origin="ours", about=_WHERE.format("RoBERTa"))
    gpt2_large: str = setting("openai-community/gpt2-large", origin="ours", about=_WHERE.format("GPT2-Large"))
    gpt2_xl: str = setting("openai-community/gpt2-xl", origin="ours", about=_WHERE.format("GPT2-XL"))
    phi_2: str = setting("microsoft/phi-2", origin="ours", about=_WHERE.format("Phi-2"))
    gpt_j: str = setting("EleutherAI/gpt-j-6b", origin="ours", about=_WHERE.format("GPT-J"))
    offline: bool = setting(False, origin="ours", about="use only local paths and the local Hugging Face cache")
    max_wait: float = setting(
        10.0, origin="ours", unit="s", above=0, about="how long an absent network may keep all six waiting together"
    )


SIX = tuple(getattr(Table1Config(), row.field) for row in TABLE)
"""The paper's models, in the order of its table."""


def run(config: Table1Config, progress: Progress) -> Result:
    """Compare the six models with the table. A model that is not at hand is inconclusive, and said so."""
    progress.start("config.json of each model", len(TABLE))
    rows, claims, lacking = [], [], []
    patience = config.max_wait
    for stated in TABLE:
        model = getattr(config, stated.field)
        began = time.monotonic()
        found, why = _sizes(model, offline=config.offline, max_wait=max(1.0, float(int(patience))))
        if found is None:
            lacking.append(model)
            patience -= time.monotonic() - began  # six waits for one network that is not there would be five too many
        rows += _rows(stated, model, found)
        claims.append(_claim(stated, model, found, why))
        progress.advance(1)
    points = pd.DataFrame(rows)
    notes = (f"{len(lacking)} of {len(TABLE)} models are not at hand: {', '.join(map(printable, lacking))}",)
    return Result(points, tuple(claims), _charts(points), notes if lacking else (), tuple(lacking))


def _sizes(model: str, *, offline: bool, max_wait: float) -> tuple[Sizes | None, str]:
    """What the model's config.json says (None where it cannot be read), and why not."""
    shown = printable(model)
    try:
        config = read_config(open_repository(model, offline=offline, max_wait=max_wait))
        if config is None:
            raise ConfigError(shown, "a single weight file has no config.json beside it", "Name its directory")
        model_type = str(config.get("model_type"))
        values = resolve(family(model_type), model_type, config).values
        if not set(NAMES_IN_SPECS) <= set(values):
            raise ConfigError(shown, f"models of type {printable(model_type)} have no such sizes", "")
    except (ModelError, UsageError) as error:
        return None, f"not at hand: {error.thing}: {error.cause}"
    layers, hidden, ff = (values[name] for name in NAMES_IN_SPECS)
    return (layers, hidden, ff), ""


def _rows(stated: Stated, model: str, found: Sizes | None) -> list[dict[str, object]]:
    where = {"row": TABLE.index(stated) + 1, "name": stated.name, "model": printable(model)}
    sizes = zip(SIZES, stated.sizes, found or (None, None, None), strict=True)
    return [{**where, "size": size, "stated": a, "read": b} for size, a, b in sizes]


def _claim(stated: Stated, model: str, found: Sizes | None, why_not: str) -> Claim:
    described = ", ".join(f"{size} {value}" for size, value in zip(SIZES, stated.sizes, strict=True))
    holds = None if found is None else found == stated.sizes
    if holds is None:
        why = why_not
    elif holds:
        why = f"{printable(model)} has the stated sizes"
    else:
        read = zip(SIZES, found or (), stated.sizes, strict=True)
        why = f"{printable(model)} has " + ", ".join(f"{size} {b}, not {a}" for size, b, a in read if a != b)
    return Claim(
        id=stated.field.replace("_", "-"),
        text=f"{stated.name}: {described}",
        source="Table 1",
        numbers={
            **{f"{size}, stated": value for size, value in zip(SIZES, stated.sizes, strict=True)},
            **{f"{size}, read": value for size, value in zip(SIZES, found or (None,) * 3, strict=True)},
        },
        tolerance="exactly equal",
        outcome=judged(holds),
        why=why,
    )


def _charts(points: pd.DataFrame) -> tuple[Chart, ...]:
    """A panel for each size: stated and read, by row of the table."""
    legend = ", ".join(f"{i} {row.name}" for i, row in enumerate(TABLE, 1))
    charts = []
    for column, size in enumerate(SIZES):
        of_size = points[points["size"] == size]
        places = of_size["row"].tolist()
        series = tuple(
            Series(name, places, of_size[name].astype(float).tolist(), style="points") for name in ("stated", "read")
        )
        charts.append(Chart(size, "row of the table", size, series, caption=legend, panel=(0, column)))
    return tuple(charts)
