"""Frozen records that travel between rooms. Plain data: nothing here reads a file, and torch is never imported."""

from weightaudit.records.finding import SEVERITIES, Finding, Severity
from weightaudit.records.matrix import Part, RoleMatrix, Rows
from weightaudit.records.measurement import (
    DEAD,
    Dispersion,
    EntryFacts,
    LayerRow,
    Spectrum,
    SpectrumDetail,
    TensorFacts,
)
from weightaudit.records.model_map import Contradiction, CoverageEntry, Discrepancy, ModelMap, Status
from weightaudit.records.place import EMBEDDING_ROLES, LAYER_ROLES, STACKS, TOWERS, Place
from weightaudit.records.scan import ModelIdentity, ScanResult, SkippedFile, SourceFile, Verdict
from weightaudit.records.tensor import PLAIN, Encoding, TensorInfo

__all__ = [
    "DEAD",
    "EMBEDDING_ROLES",
    "LAYER_ROLES",
    "PLAIN",
    "SEVERITIES",
    "STACKS",
    "TOWERS",
    "Contradiction",
    "CoverageEntry",
    "Discrepancy",
    "Dispersion",
    "Encoding",
    "EntryFacts",
    "Finding",
    "LayerRow",
    "ModelIdentity",
    "ModelMap",
    "Part",
    "Place",
    "RoleMatrix",
    "Rows",
    "ScanResult",
    "Severity",
    "SkippedFile",
    "SourceFile",
    "Spectrum",
    "SpectrumDetail",
    "Status",
    "TensorFacts",
    "TensorInfo",
    "Verdict",
]
