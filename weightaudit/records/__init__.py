"""Frozen records that travel between rooms. Plain data: nothing here reads a file, and torch is never imported."""

from weightaudit.records.adapter import DEAD_DIRECTION, Adapter, AdapterFacts
from weightaudit.records.finding import SEVERITIES, BaselineState, Finding, NotJudged, Severity, Suppressed
from weightaudit.records.matrix import Part, RoleMatrix, Rows
from weightaudit.records.measurement import (
    DEAD,
    BaseFacts,
    Dispersion,
    EntryFacts,
    LayerRow,
    Spectrum,
    SpectrumDetail,
    TensorFacts,
)
from weightaudit.records.model_map import Contradiction, CoverageEntry, Discrepancy, ModelMap, Status, Wrapping
from weightaudit.records.peak import Peak
from weightaudit.records.place import EMBEDDING_ROLES, LAYER_ROLES, STACKS, TOWERS, Place
from weightaudit.records.quantisation import CodeFacts, Scheme
from weightaudit.records.scan import SCHEMA, FileFault, ModelIdentity, ScanResult, SkippedFile, SourceFile, Verdict
from weightaudit.records.table import TableFacts
from weightaudit.records.tensor import LOW_RANK, PLAIN, Encoding, TensorInfo, encoded, unread
from weightaudit.records.vocabulary import Vocabulary

__all__ = [
    "DEAD",
    "DEAD_DIRECTION",
    "EMBEDDING_ROLES",
    "LAYER_ROLES",
    "LOW_RANK",
    "PLAIN",
    "SCHEMA",
    "SEVERITIES",
    "STACKS",
    "TOWERS",
    "Adapter",
    "AdapterFacts",
    "BaseFacts",
    "BaselineState",
    "CodeFacts",
    "Contradiction",
    "CoverageEntry",
    "Discrepancy",
    "Dispersion",
    "Encoding",
    "EntryFacts",
    "FileFault",
    "Finding",
    "LayerRow",
    "ModelIdentity",
    "ModelMap",
    "NotJudged",
    "Part",
    "Peak",
    "Place",
    "RoleMatrix",
    "Rows",
    "ScanResult",
    "Scheme",
    "Severity",
    "SkippedFile",
    "SourceFile",
    "Spectrum",
    "SpectrumDetail",
    "Status",
    "Suppressed",
    "TableFacts",
    "TensorFacts",
    "TensorInfo",
    "Verdict",
    "Vocabulary",
    "Wrapping",
    "encoded",
    "unread",
]
