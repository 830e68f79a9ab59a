"""What a scan's JSON report looks like, as a JSON Schema: ``python -m weightaudit.report.json_schema``, which makes
docs/scan.schema.json.

It is made from the records and the columns, so it says what is written. More keys may come with any version; the number
under ``schema`` grows when a reader of the old ones would break.
"""

from __future__ import annotations

import dataclasses
import json
import types
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from weightaudit.records import SCHEMA, Adapter, CoverageEntry, Finding, Heads, NotJudged, SkippedFile
from weightaudit.report.columns import COLUMNS
from weightaudit.report.full_columns import full_fields
from weightaudit.report.scan_columns import GROUPS
from weightaudit.report.spectra import spectrum_fields

Schema = dict[str, Any]
_TYPES: dict[type, Schema] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    bool: {"type": "boolean"},
    float: {"type": ["number", "null"]},  # NaN and infinities are null
}
_COLUMN = {
    "string": ["string", "null"],
    "Int64": ["integer", "null"],
    "int64": "integer",
    "float64": ["number", "null"],
    "bool": "boolean",
}
_LATER = {"baseline_state", "scheme", "parts", "stored_bytes"}
"""Fields that are written where there is something to say."""


def schema() -> Schema:
    """The schema of the document that ``to_json`` writes of a scan."""
    columns = {column.name: column for group in GROUPS.values() for column in group}
    of_entries = {name for name, column in columns.items() if column.of_entries}
    row = {
        name: {
            "type": ["integer", "null"] if name in of_entries else _COLUMN[column.dtype],
            "description": column.meaning,
        }
        for name, column in columns.items()
    }
    finding = _of_record(Finding)
    spectrum = {name: _of(hint) for name, hint in spectrum_fields().items()}
    full = {name: _of(hint) for name, hint in full_fields().items()}
    text, texts = {"type": "string"}, {"type": "array", "items": {"type": "string"}}
    file = _object({"name": text, "bytes": {"type": "integer"}})
    files = {"type": "array", "items": file}
    keys: dict[str, Schema] = {
        "schema": {"const": SCHEMA},
        "model": text,
        "revision": text,
        "source": _object(
            {
                "location": text,
                "format": text,
                "files": files,
                "skipped_files": {"type": "array", "items": _of_record(SkippedFile)},
            }
        ),
        "adapter": _of_record(Adapter),
        "base": _object({"model": text, "revision": text, "location": text, "format": text, "files": files}),
        "options": {"type": "object"},
        "versions": {"type": "object", "additionalProperties": text},
        "architecture": _object(
            {
                "family": text,
                "model_type": text,
                "guessed": {"type": "boolean"},
                "nearest": texts,
                "dimensions": {"type": "object", "additionalProperties": {"type": "integer"}},
            }
        ),
        "notes": texts,
        "summary": {"type": "object"},
        "verdict": {"enum": ["errors", "warnings", "clean", "unchecked"]},
        "rules": texts,
        "findings": {"type": "array", "items": finding},
        "partial": texts,
        "not_judged": {"type": "array", "items": _of_record(NotJudged)},
        "suppressed": {"type": "array", "items": _object({**finding["properties"], "suppressed_by": text}, _LATER)},
        "gate": {"type": "object"},
        "layers": {"type": "array", "items": _object(row, row.keys() - {column.name for column in COLUMNS})},
        "coverage": {"type": "array", "items": _of_record(CoverageEntry)},
        "spectra": {"type": "array", "items": _object(spectrum, {"tensor"})},
        "full_spectra": {"type": "array", "items": _object(full, {"tensor"})},
        "heads": _of_record(Heads),
        "record": {"type": "object", "description": "All of it, for weightaudit.load alone."},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"A scan by weightaudit, schema {SCHEMA}",
        **_object(keys, {"adapter", "base", "spectra", "full_spectra", "heads"}),
    }


def _object(properties: dict[str, Schema], optional: set[str] | frozenset[str] = frozenset()) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in optional],
    }


def _of_record(record: Any) -> Schema:
    hints = get_type_hints(record)
    return _object({field.name: _of(hints[field.name]) for field in dataclasses.fields(record)}, _LATER)


def _of(hint: Any) -> Schema:
    origin, inside = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        (inner,) = (one for one in inside if one is not type(None))
        return {"anyOf": [_of(inner), {"type": "null"}]}
    if origin is Literal:
        return {"enum": list(inside)}
    if origin is tuple:
        return {"type": "array", "items": _of(inside[0])}
    return _of_record(hint) if dataclasses.is_dataclass(hint) else dict(_TYPES[hint])


if __name__ == "__main__":
    print(json.dumps(schema(), indent=1, ensure_ascii=False))
