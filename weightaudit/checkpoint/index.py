"""The index of a sharded checkpoint: which tensor lies in which file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from threading import Lock

from weightaudit.checkpoint.small_reads import read_all
from weightaudit.errors import CheckpointError
from weightaudit.records import FileFault, TensorInfo
from weightaudit.source import ByteSource, safe_name
from weightaudit.source.base import SHARD
from weightaudit.strict_json import parse_object
from weightaudit.text import listed, plural, printable

MAX_INDEX = 100_000_000
"""Bytes; the published ones stay below 20 MB."""
SUFFIXES = (".safetensors.index.json", ".bin.index.json")
"""How an index's name ends: with the format of its shards."""
REDOWNLOAD_HINT = (
    "The index and the shards do not belong together, or a download is incomplete: download the model again"
)

MAX_NAMED = 50
"""Tensors that a fault of the index names at most."""
MAX_TOLD = 4
"""Tensors told in its sentence, with their shards."""


def is_index(name: str) -> bool:
    """Whether ``name`` is that of a shard index."""
    return name.endswith(SUFFIXES)


def read_index(source: ByteSource) -> dict[str, str]:
    """Tensor name → shard's file name, every one of them a plain name in the same directory, of the index's format."""
    format_suffix = next(suffix for suffix in SUFFIXES if source.name.endswith(suffix)).removesuffix(".index.json")
    hint = "The index is damaged: download it again"
    data = read_all(source, limit=MAX_INDEX, error=CheckpointError)
    weight_map = parse_object(data, thing=source.label, error=CheckpointError, hint=hint).get("weight_map")
    if not isinstance(weight_map, dict):
        raise CheckpointError(source.label, "it has no 'weight_map' object", hint)
    if not weight_map:
        raise CheckpointError(source.label, "its 'weight_map' is empty", hint)
    for tensor, shard in weight_map.items():
        if not isinstance(shard, str):
            raise CheckpointError(source.label, f"it gives no file for tensor '{printable(tensor)}'", hint)
    for shard in sorted(set(weight_map.values())):
        safe_name(shard, said_by=source.label)
        if not shard.endswith(format_suffix):
            raise CheckpointError(
                source.label,
                f"its shard '{printable(shard)}' is not a *{format_suffix} file, as an index of them says",
                hint,
            )
    return weight_map


def check_present(index: str, shards: Iterable[str], files: Iterable[str]) -> None:
    """CheckpointError naming the ``shards`` that are not among ``files``."""
    present = set(files)
    missing = [printable(shard) for shard in shards if shard not in present]
    if missing:
        raise CheckpointError(index, f"shards that it lists are missing: {listed(missing, 5)}", "Download them too")


def shards_without_index(index: str, files: Iterable[str]) -> list[str]:
    """The shards among ``files`` that the missing ``index`` would list, all of them by their names; [] where some lack.

    Example:
        >>> shards_without_index("model.safetensors.index.json", ["model-00001-of-00001.safetensors"])
        ['model-00001-of-00001.safetensors']
    """
    stem, dot, suffix = index.removesuffix(".index.json").rpartition(".")
    shards = [found for name in sorted(files) if (found := SHARD.fullmatch(name))]
    ours = [shard for shard in shards if (shard["stem"], shard["suffix"]) == (stem, dot + suffix)]
    counts = {shard["count"] for shard in ours}
    numbers = {int(shard["number"]) for shard in ours}
    whole = len(counts) == 1 and numbers == set(range(1, int(counts.pop()) + 1))
    return [shard[0] for shard in ours] if whole else []


class Placement:
    """Which tensors the shards hold, against what the index says: the index decides, and what it gets wrong is told.

    Shards come from several threads in any order, and of each only what the index lists is kept: a thousand names for
    one file must not fill the memory. Where there is no index (``weight_map`` is None) each tensor is kept once.
    """

    def __init__(self, index: str, weight_map: Mapping[str, str] | None) -> None:
        self._index = index
        self._weight_map = weight_map
        self._found: set[str] = set()
        self._elsewhere: dict[str, TensorInfo] = {}
        self._unlisted: dict[str, tuple[int, list[str]]] = {}  # shard → how many, and the first names
        self._lock = Lock()

    def take(self, shard: str, tensors: Sequence[TensorInfo]) -> list[TensorInfo]:
        """Those of a shard's ``tensors``, which are in name order, that the index gives to it."""
        where = self._weight_map
        if where is not None:
            own = [tensor for tensor in tensors if where.get(tensor.name) == shard]
            unlisted = [tensor.name for tensor in tensors if tensor.name not in where]
        else:
            own, unlisted = [], []
        with self._lock:
            self._found.update(tensor.name for tensor in own)
            if unlisted:
                self._unlisted[shard] = (len(unlisted), unlisted[:MAX_NAMED])
            for tensor in tensors:
                if where is None or where.get(tensor.name, shard) != shard:
                    known = self._elsewhere.get(tensor.name)
                    if known is None or shard < known.file:  # the first, whichever thread comes first
                        self._elsewhere[tensor.name] = tensor
        return own

    def settle(self) -> tuple[list[TensorInfo], list[FileFault]]:
        """The tensors that no shard was given, from where they are, and what is wrong with the index.

        Raises CheckpointError where the shards hold nothing that the index lists.
        """
        if self._weight_map is None:
            says = f"The shards have no index ({self._shown}), so a loader does not find them. All were read here."
            return list(self._elsewhere.values()), [FileFault("shards", says)]
        misplaced = {name: tensor for name, tensor in self._elsewhere.items() if name not in self._found}
        absent = [name for name in self._weight_map if name not in self._found and name not in misplaced]
        if len(absent) == len(self._weight_map):
            cause = f"not one of the {len(absent):,} tensors that it lists is in its shards"
            raise CheckpointError(self._index, cause, REDOWNLOAD_HINT)
        return list(misplaced.values()), [*self._contradictions(misplaced, absent), *self._leftovers()]

    def _contradictions(self, misplaced: Mapping[str, TensorInfo], absent: Sequence[str]) -> Iterator[FileFault]:
        weight_map = self._weight_map or {}
        repeated = {name: tensor for name, tensor in self._elsewhere.items() if name not in misplaced}
        if absent:
            told = listed((f"'{printable(name)}' ({printable(weight_map[name])})" for name in absent), MAX_TOLD)
            says = f"{self._shown} lists {plural(len(absent), 'tensor')} that no shard holds: {told}."
            yield FileFault("shards", says, tuple(absent[:MAX_NAMED]))
        if misplaced:
            told = self._places(misplaced, "and not in")
            says = f"In other shards than {self._shown} says, and read where they are: {told}."
            yield FileFault("shards", says, tuple(sorted(misplaced)[:MAX_NAMED]))
        if repeated:
            told = self._places(repeated, "and in")
            says = f"In more shards than the one that {self._shown} says, which was read: {told}."
            yield FileFault("shards", says, tuple(sorted(repeated)[:MAX_NAMED]))

    def _places(self, tensors: Mapping[str, TensorInfo], joined: str) -> str:
        """The tensors in words, each with the shard that it is in and the one that the index says."""
        said = self._weight_map or {}
        return listed(
            (
                f"'{printable(name)}' in {printable(tensors[name].file)} {joined} {printable(said[name])}"
                for name in sorted(tensors)
            ),
            MAX_TOLD,
            noun="tensors",
        )

    def _leftovers(self) -> Iterator[FileFault]:
        if not self._unlisted:
            return
        shards = sorted(self._unlisted.items())
        total = sum(count for _, (count, _) in shards)
        names = [(name, shard) for shard, (_, some) in shards for name in some][:MAX_NAMED]
        told = [f"'{printable(name)}' ({printable(shard)})" for name, shard in names[:MAX_TOLD]]
        more = [f"{total - len(told):,} more"] if total > len(told) else []
        says = (
            f"{self._shown} leaves out {plural(total, 'tensor')} that its shards hold: {listed([*told, *more])}. The "
            "index decides here, so this audit leaves them out too; a loader that reads whole shards does not."
        )
        yield FileFault("unlisted", says, tuple(name for name, _ in names))

    @property
    def _shown(self) -> str:
        return printable(self._index.rpartition("/")[2])
