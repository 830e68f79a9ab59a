"""Scan one model: join the rooms, from bytes to a report."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from os import PathLike, fspath
from typing import Any

import torch

import weightaudit
from weightaudit.architecture import map_model
from weightaudit.audit.contents import Digests, count_nonfinite, cut
from weightaudit.audit.findings import RULES, Evidence, check_ignored, judge
from weightaudit.audit.notes import notes
from weightaudit.audit.once import repeated
from weightaudit.audit.pipeline import plan_units, read_units, with_vectors
from weightaudit.audit.progress import Progress, reporting
from weightaudit.audit.selection import parse_layers, parse_roles, select
from weightaudit.audit.sizes import parse_bytes
from weightaudit.audit.summary import summarise
from weightaudit.audit.ties import Ties, sort_out
from weightaudit.checkpoint import Checkpoint, open_checkpoint
from weightaudit.config import DEFAULTS, AuditConfig, Method
from weightaudit.dtypes import BY_NAME
from weightaudit.errors import ConfigError, MappingError, printable
from weightaudit.records import CoverageEntry, LayerRow, ModelMap, RoleMatrix, TensorInfo
from weightaudit.report import ScanReport
from weightaudit.spectral import check_options, compute_threads, measure
from weightaudit.spectral.measurement import choose_algorithm

VERSIONED = ("torch", "numpy", "scipy", "numba", "safetensors", "huggingface_hub", "transformers")


def scan(
    model: str | PathLike[str],
    *,
    revision: str | None = DEFAULTS.revision,
    token: str | None = DEFAULTS.token,
    offline: bool = DEFAULTS.offline,
    download: bool = DEFAULTS.download,
    max_wait: float = DEFAULTS.max_wait,
    memory: str | int | None = DEFAULTS.memory,
    roles: str | Iterable[str] | None = DEFAULTS.roles,
    layers: str | int | Iterable[int] | None = DEFAULTS.layers,
    method: Method = DEFAULTS.method,
    tol: float = DEFAULTS.tol,
    delta: float = DEFAULTS.delta,
    seed: int = DEFAULTS.seed,
    spectrum: bool = DEFAULTS.spectrum,
    ignore: str | Iterable[str] | None = DEFAULTS.ignore,
    device: str = DEFAULTS.device,
    threads: int | None = DEFAULTS.threads,
    progress: bool | Progress = False,
) -> ScanReport:
    """Measure every weight matrix of a model, and judge what was found.

    ``model`` is a local directory, a weight file, or a Hub id; the other options are those of `AuditConfig`. A Hub
    model that is not in the local cache is streamed, and nothing of it is kept on disk.
    ``progress=True`` shows a bar on stderr. Raises UsageError for options that make no sense and ModelError for a
    model that cannot be read.

    Example:
        >>> import weightaudit as wa
        >>> report = wa.scan("gpt2", roles="Q,K,V")  # doctest: +SKIP
        >>> report.layers[["layer", "role", "stable_rank"]]  # doctest: +SKIP
    """
    config = AuditConfig(
        revision=revision,
        token=token,
        offline=offline,
        download=download,
        max_wait=max_wait,
        memory=parse_bytes(memory),
        roles=parse_roles(roles),
        layers=parse_layers(layers),
        method=method,
        tol=tol,
        delta=delta,
        seed=seed,
        spectrum=spectrum,
        ignore=check_ignored(ignore),
        device=device,
        threads=threads,
    )
    # Before a byte is read, let alone downloaded.
    check_options(tol=tol, delta=delta, method=method, seed=seed, device=device)
    with (
        compute_threads(threads),
        open_checkpoint(
            fspath(model), revision=revision, token=token, offline=offline, download=download, max_wait=max_wait
        ) as checkpoint,
    ):
        return _scan(checkpoint, config, progress)


def matrices(
    model: str | PathLike[str],
    *,
    revision: str | None = DEFAULTS.revision,
    token: str | None = DEFAULTS.token,
    offline: bool = DEFAULTS.offline,
    download: bool = DEFAULTS.download,
    max_wait: float = DEFAULTS.max_wait,
) -> Iterator[RoleMatrix]:
    """Every matrix of a model with its role, in report order; a matrix is read only by its ``load()``.

    Example:
        >>> import weightaudit as wa
        >>> for m in wa.matrices("gpt2"):  # doctest: +SKIP
        ...     print(m.layer, m.role, m.shape)
    """
    checkpoint = open_checkpoint(
        fspath(model), revision=revision, token=token, offline=offline, download=download, max_wait=max_wait
    )
    model_map = _map(checkpoint)
    return (replace(matrix, reader=checkpoint.read) for matrix in model_map.matrices)


def _scan(checkpoint: Checkpoint, config: AuditConfig, progress: bool | Progress) -> ScanReport:
    model_map = _map(checkpoint)
    chosen = select(model_map, config.roles, config.layers)
    asked = {name for matrix in chosen for name in matrix.tensors}
    ties = sort_out(model_map.ties, checkpoint.tensors, asked, guessed=model_map.guessed)
    chosen = _without_copies(chosen, ties)

    again = repeated(chosen)
    rows: dict[str, LayerRow] = {}
    restricted = config.roles is not None or config.layers is not None
    units = plan_units(chosen, checkpoint.tensors, ties.open)
    if not restricted:
        units = with_vectors(units, _vectors(model_map, checkpoint.tensors))
    vectors = {}
    digests = Digests(
        (
            one
            for one in chosen
            if one.key not in again or choose_algorithm(config.method, *one.shape, config.tol) == "krylov"
        ),
        later={copy for copy, _ in ties.open},
    )
    pieces = read_units(checkpoint, units, memory=config.memory, look=digests.take)
    with reporting(progress) as display, closing(pieces):
        display.start(checkpoint.identity.name, sum(unit.nbytes for unit in units))
        for unit, stored in pieces:
            ties.compare(stored)
            if not unit.matrices:
                (vectors[unit.tensors[0].name],) = map(count_nonfinite, stored.values())
            for matrix in _without_copies(unit.matrices, ties):
                display.tensor(", ".join(matrix.tensors))
                rows[matrix.key] = _measure(matrix, stored, config, digests, shown=matrix.key not in again)
            display.advance(unit.nbytes)
    checkpoint.check_unchanged()
    chosen = _without_copies(chosen, ties)
    ordered = tuple(rows[matrix.key] for matrix in chosen)
    analysed = {name for matrix in chosen for name in matrix.tensors}
    ledger = _final_ledger(model_map, analysed, ties)
    evidence = Evidence(
        identity=checkpoint.identity,
        config=checkpoint.config,
        map=model_map,
        rows=ordered,
        ledger=ledger,
        broken_ties=tuple(ties.broken),
        nonfinite_vectors={name: count for name, count in sorted(vectors.items()) if count},
        restricted=restricted,
    )
    return ScanReport(
        identity=checkpoint.identity,
        map=model_map,
        rows=ordered,
        ledger=ledger,
        summary=summarise(ordered, ledger),
        options=_options(config),
        versions=_versions(),
        findings=judge(evidence, config.ignore),
        notes=(*checkpoint.notes, *notes(checkpoint.identity, model_map, ordered)),
        rules=tuple(rule.id for rule in RULES if rule.id not in config.ignore),
    )


def _without_copies(matrices: Iterable[RoleMatrix], ties: Ties) -> tuple[RoleMatrix, ...]:
    """Those of ``matrices`` that are not known to repeat another."""
    return tuple(matrix for matrix in matrices if not set(matrix.tensors) <= ties.confirmed.keys())


def _vectors(model_map: ModelMap, tensors: Mapping[str, TensorInfo]) -> Iterator[TensorInfo]:
    """Norms and biases: they have no spectrum, but one NaN in them spoils every output."""
    for entry in model_map.coverage:
        floats = entry.dtype in BY_NAME and BY_NAME[entry.dtype].analysable
        if floats and entry.status == "ignored" and not entry.buffer and len(entry.shape) == 1 and entry.parameters:
            yield tensors[entry.tensor]


def _map(checkpoint: Checkpoint) -> ModelMap:
    """The checkpoint's map; its errors say which model they are about."""
    try:
        return map_model(checkpoint.config, checkpoint.tensors)
    except (ConfigError, MappingError) as error:
        where = printable(checkpoint.identity.location, limit=1000)
        raise type(error)(f"{where}: {error.thing}", error.cause, error.hint) from error


def _measure(
    matrix: RoleMatrix, stored: Mapping[str, torch.Tensor], config: AuditConfig, digests: Digests, *, shown: bool
) -> LayerRow:
    blocks = cut(matrix, stored)
    digest = digests.of(matrix, blocks)
    spectrum = measure(
        blocks,
        tol=config.tol,
        delta=config.delta,
        method=config.method,
        seed=config.seed,
        name=matrix.key,
        device=config.device,
        spectrum=config.spectrum,
        digest=digest,
    )
    return LayerRow(matrix, spectrum, digest if digest and shown else "")


def _final_ledger(model_map: ModelMap, analysed: set[str], ties: Ties) -> tuple[CoverageEntry, ...]:
    """The map's ledger after the scan: tied copies and what the options left out are said so."""
    details = {tensor: f"tied to {original}" for tensor, original in ties.confirmed.items()}
    for tensor, original in ties.believed.items():
        details[tensor] = f"tied to {original} by the config; left out, so not compared"

    def settle(entry: CoverageEntry) -> CoverageEntry:
        if entry.tensor in details:
            return replace(entry, status="tied", detail=details[entry.tensor], roles=())
        if entry.status == "analysed" and entry.tensor not in analysed:
            return replace(entry, status="not selected", detail="left out by --roles or --layers")
        return entry

    return tuple(settle(entry) for entry in model_map.coverage)


def _options(config: AuditConfig) -> dict[str, Any]:
    return {
        "roles": list(config.roles) if config.roles is not None else None,
        "layers": list(config.layers) if config.layers is not None else None,
        "method": config.method,
        "tol": config.tol,
        "delta": config.delta,
        "seed": config.seed,
        "spectrum": config.spectrum,
        "ignore": list(config.ignore) or None,
        "device": config.device,
        "threads": torch.get_num_threads(),
    }


def _versions() -> dict[str, str]:
    versions = {"weightaudit": weightaudit.__version__, "python": platform.python_version()}
    for package in VERSIONED:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return versions
