"""A linear merge of models, streamed tensor by tensor into a folder that is there when it is whole."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from weightaudit.arrays import Array, Product
from weightaudit.audit.groups import ReadGroup
from weightaudit.audit.held import Held
from weightaudit.audit.opening import adopt_names, open_named, saying_so
from weightaudit.audit.progress import Progress, check_progress, reporting
from weightaudit.audit.reading import read_groups
from weightaudit.checkpoint import Checkpoint
from weightaudit.config import AuditConfig
from weightaudit.errors import CheckpointError, MappingError, UsageError
from weightaudit.merging.asked import check_models
from weightaudit.merging.linear.beside import copy_beside
from weightaudit.merging.linear.folder import becoming, check_new
from weightaudit.merging.linear.plan import MOST_NAMED, Term, plan
from weightaudit.merging.linear.shards import ShardWriter, shard_names, sharded
from weightaudit.merging.linear.sums import ARITHMETIC, merged_pieces
from weightaudit.model_files import ModelFiles, parted
from weightaudit.parse import parse_weights
from weightaudit.records import ModelIdentity, TensorInfo
from weightaudit.redact import without_secrets
from weightaudit.spectral.threads import one_blas_thread
from weightaudit.text import listed, plural, printable
from weightaudit.version import __version__

SHARD = 5 * 10**9
"""Bytes of a file of weights, at most, where nothing else is asked: as transformers cuts them."""
DTYPES = ("float32", "bfloat16", "float16", "float64")
"""What floats may be written as."""


@dataclass(frozen=True)
class LinearMerge:
    """A merge that was written: its ``folder``, files of weights and others, how many tensors they have, the
    ``weights`` of the models, and sentences for the reader.
    """

    folder: Path
    files: tuple[str, ...]
    copied: tuple[str, ...]
    tensors: int
    nbytes: int
    weights: tuple[float, ...]
    notes: tuple[str, ...] = ()


def merge_models(
    models: Sequence[str],
    out: str | os.PathLike[str],
    config: AuditConfig,
    *,
    base: str | None = None,
    weights: Sequence[float] | None = None,
    dtype: str | None = None,
    shard_size: int = SHARD,
    progress: bool | Progress = False,
) -> LinearMerge:
    """Write W₀ + Σ wᵢ(Wᵢ − W₀) of ``models`` and their ``base``, or Σ wᵢWᵢ without one, as a model in the new folder
    ``out``. Weights are 1 each where none are given.

    Tensor by tensor: of each model one is in memory, and the folder has its name when all is in it. UsageError,
    OutputError, and ModelError for what cannot be added up.
    """
    check_progress(progress)
    check_models(len(models))
    at = parse_weights(weights, len(models))
    if dtype is not None and dtype not in DTYPES:
        raise UsageError(f"dtype {printable(dtype)}", "floats are not written as that", f"Choose {listed(DTYPES)}")
    if shard_size < 1:
        raise UsageError("shard-size", "it is no size", "Write for example 5GB")
    target = Path(out)
    named = [*([base] if base is not None else []), *models]
    ModelFiles.of([parted(one)[0] for one in named]).check_directory(target)
    check_new(target)
    with ExitStack() as opened:
        called = [f"base {printable(without_secrets(base))}"] if base is not None else []
        called += [f"model {printable(without_secrets(one))}" for one in models]
        with saying_so(called[0].partition(" ")[0]):
            ground = opened.enter_context(open_named(named[0], config))
        if ground.identity.adapter is not None:
            hint = "Name with --base the model that it changes"
            raise MappingError(called[0], "it is an adapter, which changes a model and is none", hint)
        others: list[tuple[str, Checkpoint]] = []
        for what, name in zip(called[1:], named[1:], strict=True):
            with saying_so(what.partition(" ")[0]):
                other = opened.enter_context(open_named(name, config))
            if other.identity.adapter is not None and base is None:
                hint = "Name with --base the model that it changes"
                raise MappingError(what, "it is an adapter, which changes a model and is none", hint)
            adopt_names(other, ground)
            others.append((what, other))
        terms, notes = plan(ground, others, called=called[0], dtype=dtype)
        if not terms:
            raise MappingError(called[0], "it has no tensors", "Name a model with weights")
        recipe = _recipe([ground, *(other for _, other in others)], at, has_base=base is not None)
        shards = sharded([term.planned for term in terms], shard_size)
        with becoming(target) as folder, reporting(progress) as display:
            copied, more = copy_beside(named[0], ground.identity.revision, folder, config, dtype)
            with ShardWriter(folder, shards, {"format": "pt", "weightaudit": json.dumps(recipe)}) as writer:
                lost = _write(writer, terms, ground, others, at, config, display, has_base=base is not None)
            ground.check_unchanged()
            for _, other in others:
                other.check_unchanged()
    return LinearMerge(
        folder=target,
        files=tuple(shard_names(len(shards))),
        copied=copied,
        tensors=len(terms),
        nbytes=sum(term.planned.nbytes for term in terms),
        weights=at,
        notes=(*notes, *more, *lost),
    )


def _write(
    writer: ShardWriter,
    terms: Sequence[Term],
    ground: Checkpoint,
    others: Sequence[tuple[str, Checkpoint]],
    weights: Sequence[float],
    config: AuditConfig,
    display: Progress,
    *,
    has_base: bool,
) -> list[str]:
    """Sentences on what the dtypes asked for do not hold."""
    too_large: dict[str, int] = {}
    groups = [
        ReadGroup((term.ground,), (), tuple(() if info is None else (info,) for info in term.others)) for term in terms
    ]
    display.start(others[-1][1].identity.name, sum(group.nbytes for group in groups))
    beside = [(what.partition(" ")[0], other) for what, other in others]
    with closing(read_groups(ground, groups, beside=beside, memory=config.memory)) as coming, one_blas_thread:
        for term, future in zip(terms, coming, strict=True):
            held = future.result()
            with held:
                display.tensor(term.ground.name)
                writer.begin(term.planned)
                own = held.own.arrays[term.ground.name]
                found = [_of(held, i, info, turned=term.turned) for i, info in enumerate(term.others)]
                lost = 0
                for piece, overflown in _pieces(term, own, found, weights, others, has_base=has_base):
                    writer.write(np.ascontiguousarray(piece))
                    lost += overflown
                if lost:
                    too_large[term.planned.name] = lost
                display.advance(held.group.nbytes)
    if not too_large:
        return []
    written = f"{plural(sum(too_large.values()), 'finite sum')} became infinite, too large for the dtype written"
    return [f"{written}: {listed(map(printable, too_large), MOST_NAMED)}. Write bfloat16 or float32 with --dtype."]


def _of(held: Held, i: int, info: TensorInfo | None, *, turned: bool) -> Array | Product | None:
    """What was read of the i-th other model; a product as the tensor is stored."""
    if info is None:
        return None
    if not info.factored:
        return held.beside[i].arrays[info.name]
    product = held.beside[i].products[info.name]
    return replace(product, left=product.right.T, right=product.left.T) if turned else product


def _pieces(
    term: Term,
    own: Array,
    found: Sequence[Array | Product | None],
    weights: Sequence[float],
    others: Sequence[tuple[str, Checkpoint]],
    *,
    has_base: bool,
) -> Iterator[tuple[Array, int]]:
    if term.copied:
        for (what, _), other in zip(others, found, strict=True):
            if other is not None and not (isinstance(other, np.ndarray) and np.array_equal(own, other)):
                raise CheckpointError(
                    f"{what}: {printable(term.ground.name)}",
                    "these whole numbers differ between the models, and a sum of them means nothing",
                    "Give all models the same, the base's for example",
                )
        yield own, 0
    elif has_base:
        yield from merged_pieces(own, found, weights, term.planned.dtype)
    else:
        yield from merged_pieces(None, [own, *found], weights, term.planned.dtype)


def _recipe(models: Sequence[Checkpoint], weights: Sequence[float], *, has_base: bool) -> dict[str, Any]:
    """How the merge was made, as its files say it."""
    identities = [_identity(model.identity) for model in models]
    return {
        "merge": "linear",
        "arithmetic": ARITHMETIC[has_base],
        "base": identities[0] if has_base else None,
        "models": [
            {**identity, "weight": weight}
            for identity, weight in zip(identities[1:] if has_base else identities, weights, strict=True)
        ],
        "version": __version__,
    }


def _identity(identity: ModelIdentity) -> dict[str, Any]:
    files = [{"name": file.name, "bytes": file.nbytes} for file in identity.files]
    return {"name": identity.name, "revision": identity.revision, "files": files}
