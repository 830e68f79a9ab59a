"""Frozen records that travel between rooms. Plain data: nothing here reads a file, and torch is never imported."""

from weightaudit.records.adapter import DEAD_DIRECTION, Adapter, AdapterFacts
from weightaudit.records.change import (
    AT_RESOLUTION,
    CASTS,
    ELSEWHERE,
    PERMUTED,
    Change,
    Directions,
    EntryChanges,
    Explained,
    Grid,
    Kind,
    RankFacts,
)
from weightaudit.records.diff import DiffResult, DiffSummary, OneSided
from weightaudit.records.finding import SEVERITIES, BaselineState, Finding, NotJudged, Severity, Suppressed
from weightaudit.records.full_spectrum import ENERGY_SHARES, Alternative, Bulk, FullSpectrum, TailFit
from weightaudit.records.head import Attention, HeadNorms, HeadRow, Heads, SkippedAttention
from weightaudit.records.interactions import Effect, InnerProducts, Interactions
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
from weightaudit.records.merge_check import Encounter, Meeting, MergeCheckResult, MergeSummary, Standing
from weightaudit.records.model_map import Contradiction, CoverageEntry, Discrepancy, ModelMap, Status, Wrapping
from weightaudit.records.peak import Peak
from weightaudit.records.place import EMBEDDING_ROLES, LAYER_ROLES, OTHER, STACKS, TOWERS, Place
from weightaudit.records.quantisation import CodeFacts, Scheme
from weightaudit.records.reported import Reported
from weightaudit.records.scan import SCHEMA, FileFault, ModelIdentity, ScanResult, SkippedFile, SourceFile, Verdict
from weightaudit.records.series import EVENT_KINDS, EventKind, Series, SeriesRow, told_together
from weightaudit.records.table import TableFacts
from weightaudit.records.tensor import LOW_RANK, PLAIN, Encoding, TensorInfo, encoded, unread
from weightaudit.records.vocabulary import Vocabulary

__all__ = [
    "AT_RESOLUTION",
    "CASTS",
    "DEAD",
    "DEAD_DIRECTION",
    "ELSEWHERE",
    "EMBEDDING_ROLES",
    "ENERGY_SHARES",
    "EVENT_KINDS",
    "LAYER_ROLES",
    "LOW_RANK",
    "OTHER",
    "PERMUTED",
    "PLAIN",
    "SCHEMA",
    "SEVERITIES",
    "STACKS",
    "TOWERS",
    "Adapter",
    "AdapterFacts",
    "Alternative",
    "Attention",
    "BaseFacts",
    "BaselineState",
    "Bulk",
    "Change",
    "CodeFacts",
    "Contradiction",
    "CoverageEntry",
    "DiffResult",
    "DiffSummary",
    "Directions",
    "Discrepancy",
    "Dispersion",
    "Effect",
    "Encoding",
    "Encounter",
    "EntryChanges",
    "EntryFacts",
    "EventKind",
    "Explained",
    "FileFault",
    "Finding",
    "FullSpectrum",
    "Grid",
    "HeadNorms",
    "HeadRow",
    "Heads",
    "InnerProducts",
    "Interactions",
    "Kind",
    "LayerRow",
    "Meeting",
    "MergeCheckResult",
    "MergeSummary",
    "ModelIdentity",
    "ModelMap",
    "NotJudged",
    "OneSided",
    "Part",
    "Peak",
    "Place",
    "RankFacts",
    "Reported",
    "RoleMatrix",
    "Rows",
    "ScanResult",
    "Scheme",
    "Series",
    "SeriesRow",
    "Severity",
    "SkippedAttention",
    "SkippedFile",
    "SourceFile",
    "Spectrum",
    "SpectrumDetail",
    "Standing",
    "Status",
    "Suppressed",
    "TableFacts",
    "TailFit",
    "TensorFacts",
    "TensorInfo",
    "Verdict",
    "Vocabulary",
    "Wrapping",
    "encoded",
    "told_together",
    "unread",
]
