"""What a family's spec says, as frozen data. `loader` reads it from TOML; nothing here knows the format.

Sizes are expressions over the family's dimensions (`expressions`). Names are templates (`templates`) in which

    {prefix}        is any of the family's prefixes, repeated or absent
    {layer}         is a layer number
    {pair}          is a number n of layer n // 2: an attention and its MLP are numbered apart
    {expert}        is the number of an expert in its layer
    {stack}         is encoder, decoder or patcher; {enc} is enc or dec, {module} is H_module or L_module (high, low)
    {number}        is a number that is no layer's of the language model
    {rest}          is anything, in rules that ignore (a vision tower)
    {one|other}     is one of the words
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cached_property

from weightaudit.architecture.expressions import names_in
from weightaudit.architecture.ways import Ways
from weightaudit.records import EMBEDDING_ROLES, LAYER_ROLES

ANY = "any"
"""A size that the config does not tell, such as a classifier's number of labels."""


_TIED = {True: "yes", False: "no", None: "as transformers' configuration class says"}


@dataclass(frozen=True)
class Dimension:
    """A number: the first of ``keys`` in config.json, or ``rule`` where that is null or nobody says; one without keys
    always follows from its rule.

    ``rule_if_missing``: where config.json has none of the keys the rule holds too, as the default of transformers'
    configuration class is null (a test holds it to that); so the class need not be asked. ``optional``: not every model
    of the family has it. ``open``: nor need the config tell it of a model that has it, or it tells a list, one of each
    layer; sizes of it are then any. A key may lie in a nested config: ``decoder.hidden_size``; ``#layer_types`` is
    the length of a list.
    """

    name: str
    keys: tuple[str, ...]
    rule: str = ""
    rule_if_missing: bool = False
    optional: bool = False
    open: bool = False

    @property
    def followed(self) -> str:
        """What to say of a value that follows from the rule."""
        return f"{(*self.keys, self.name)[0]} = {self.rule}"


@dataclass(frozen=True)
class Otherwise:
    """Layers in which dimensions are other numbers: those for which the list ``key`` of the config has 0, and, where it
    has no such list, the last of every ``every`` layers (the name of a dimension).

    ``values`` are the expressions, over the numbers of the other layers, of the dimensions that differ.
    """

    key: str
    every: str
    values: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class MatrixRule:
    """A stored tensor that holds the matrices of one role or, packed, of several.

    ``rows[i]`` is the number of output rows of ``roles[i]``, ``cols`` that of input columns; rows of several roles that
    are all any are equal shares of the tensor's. ``transposed``
    says that the file stores (in, out). ``packing`` names a layout of `views`. ``tied_to`` is the role whose
    tensor this one repeats where the config ties them. ``stack`` is encoder or decoder where the name does not say it.
    ``either``: it lies (out, in) as transformers saves it, (in, out) in other files; `storage` tells the two apart.
    ``experts`` is the number of experts where one tensor stacks the matrices of all, in three dimensions or two;
    ``rows`` and ``cols`` are then those of one. ``flat`` says that the tensor has more than two dimensions, all but the
    first of which are one; with ``experts`` it is a grouped convolution over one place: a block-diagonal map, whose
    blocks are numbered as experts are. ``when`` are flags of the config ("multi_query", "not multi_query") that must
    hold.
    ``beside`` are names after the layer's number: the rule counts only in layers where one of them is stored.
    """

    names: tuple[str, ...]
    roles: tuple[str, ...]
    rows: tuple[str, ...]
    cols: str
    transposed: bool = False
    either: bool = False
    packing: str = ""
    tied_to: str = ""
    stack: str = ""
    experts: str = ""
    flat: bool = False
    when: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()

    def without(self, untold: Collection[str]) -> MatrixRule:
        """The rule where nothing tells the dimensions ``untold``: sizes of them are any."""

        def told(size: str) -> str:
            return ANY if any(name in untold for name in names_in(size)) else size

        return replace(self, rows=tuple(told(size) for size in self.rows), cols=told(self.cols))


@dataclass(frozen=True)
class IgnoreRule:
    """Tensors that hold no matrix of a role, and why: ``rule`` is the word the report shows ("norm", "bias",
    ...).

    ``buffer`` says that they are no parameters at all (masks, position numbers).
    """

    rule: str
    names: tuple[str, ...]
    buffer: bool = False


@dataclass(frozen=True)
class Family:
    """One family of architectures: which model types it serves, and what each of its tensors is.

    ``tied`` is what transformers' configuration class says of tie_word_embeddings where config.json is
    silent; None where its model types differ in that, and the class is asked. ``vectors`` says that every tensor of one
    dimension is a norm or a bias, whatever its name, and so ignored. ``hybrid``: not every layer has every role.
    ``alternatives`` are sets of roles of which a layer has one: the others are not missed there. ``config_name`` is
    what messages call the place of the sizes. ``note`` is said of every model of the family.
    ``otherwise`` says which layers have other numbers. ``remote`` are those of ``model_types`` whose code lies
    beside the weights and is not transformers'; they are proved against a re-implementation of it.

    Example:
        >>> from weightaudit.architecture import family
        >>> family("gpt2").packings
        ('contiguous',)
    """

    name: str
    model_types: tuple[str, ...]
    origin: str
    prefixes: tuple[str, ...]
    tied: bool | None
    dimensions: tuple[Dimension, ...]
    matrices: tuple[MatrixRule, ...]
    ignored: tuple[IgnoreRule, ...]
    vectors: bool = False
    hybrid: bool = False
    alternatives: tuple[tuple[str, ...], ...] = ()
    config_name: str = "config.json"
    note: str = ""
    remote: tuple[str, ...] = ()
    otherwise: Otherwise | None = None

    @property
    def roles(self) -> tuple[str, ...]:
        """Roles as the report orders them, each once. QKV stands in no spec: it follows from Q, K and V."""
        found = {role for rule in self.matrices for role in rule.roles}
        if {"Q", "K", "V"} <= found and "KV_A" not in found:
            found.add("QKV")
        order = (*EMBEDDING_ROLES, *LAYER_ROLES, "HEAD")
        own = dict.fromkeys(role for rule in self.matrices for role in rule.roles if role not in order)
        return (*(role for role in order if role in found), *own)

    @cached_property
    def ways(self) -> Ways[MatrixRule | IgnoreRule]:
        """The templates of all rules, matrices' before those that ignore: put in order once for many checkpoints."""
        return Ways((*self.matrices, *self.ignored))

    @property
    def packings(self) -> tuple[str, ...]:
        """Layouts of the fused tensors; () where nothing is fused."""
        return tuple(dict.fromkeys(rule.packing for rule in self.matrices if rule.packing))

    def _in_report_order(self) -> list[MatrixRule]:
        order = (*EMBEDDING_ROLES, *LAYER_ROLES, "HEAD")
        return sorted(
            self.matrices,
            key=lambda rule: order.index(rule.roles[0]) if rule.roles[0] in order else len(order),
        )

    def __str__(self) -> str:
        fused = f"; fused: {', '.join(self.packings)}" if self.packings else ""
        return f"{self.name}: model types {', '.join(self.model_types)}; roles {' '.join(self.roles)}{fused}"

    def describe(self) -> str:
        """Every rule, one a line: what ``weightaudit archs NAME`` prints."""
        lines = [str(self), f"origin: {self.origin}"]
        lines += [f"prefixes, each optional: {' '.join(self.prefixes)}"] if self.prefixes else []
        lines += [
            f"embeddings tied where the config is silent: {_TIED[self.tied]}",
            *([self.note] if self.note else []),
            "dimensions:",
        ]
        for dimension in self.dimensions:
            ways = [" or ".join(dimension.keys), dimension.rule]
            lines.append(f"  {dimension.name} = {', else '.join(filter(None, ways))}")
        if self.otherwise is not None:
            where = f"where {self.otherwise.key} has 0"
            lines += [f"  {name} = {rule} in layers {where}" for name, rule in self.otherwise.values]
        lines.append("matrices (out, in):")
        for matrix in self._in_report_order():
            shape = f"({' + '.join(matrix.rows)}, {matrix.cols})"
            notes = [f"packed {matrix.packing}"] if matrix.packing else []
            notes += ["stored (in, out)"] if matrix.transposed else []
            notes += ["stored (out, in) or (in, out)"] if matrix.either else []
            notes += [f"all {matrix.experts} experts in one tensor"] if matrix.experts else []
            notes += [f"tied to {matrix.tied_to}"] if matrix.tied_to else []
            notes += [f"if {' and '.join(matrix.when)}"] if matrix.when else []
            notes += [f"in layers with {' or '.join(matrix.beside)}"] if matrix.beside else []
            detail = f" [{', '.join(notes)}]" if notes else ""
            lines += [f"  {' '.join(matrix.roles)} {shape}{detail}: {name}" for name in matrix.names]
        lines.append("ignored:")
        lines += [f"  {ignored.rule}: {name}" for ignored in self.ignored for name in ignored.names]
        lines += ["  norm or bias: every other tensor of one dimension"] if self.vectors else []
        return "\n".join(lines)
