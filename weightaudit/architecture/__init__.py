"""Names, shapes and config values → roles. Families are data: ``specs/*.toml``; no bytes are read here.

To add a family: write its ``specs/<name>.toml`` with the origin of its names in a comment, add a layout to
`views` if its fused tensors are packed in a new way, and prove it in ``tests/architecture`` against
transformers by execution.
"""

from __future__ import annotations

from weightaudit.architecture.mapping import map_model, types_of
from weightaudit.architecture.own_spec import read_spec, serves
from weightaudit.architecture.registry import families, family
from weightaudit.architecture.schema import Family

__all__ = ["Family", "families", "family", "map_model", "read_spec", "serves", "types_of"]
