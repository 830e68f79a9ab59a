"""Frozen records that travel between rooms. Plain data: nothing here reads a file, and torch is never imported.

The names are imported on first use: a scan has no need of what is said of a difference or a merge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from weightaudit.on_first_use import on_first_use

if TYPE_CHECKING:
    from weightaudit.records.adapter import DEAD_DIRECTION as DEAD_DIRECTION
    from weightaudit.records.adapter import Adapter as Adapter
    from weightaudit.records.adapter import AdapterFacts as AdapterFacts
    from weightaudit.records.change import AT_RESOLUTION as AT_RESOLUTION
    from weightaudit.records.change import CASTS as CASTS
    from weightaudit.records.change import ELSEWHERE as ELSEWHERE
    from weightaudit.records.change import PERMUTED as PERMUTED
    from weightaudit.records.change import Change as Change
    from weightaudit.records.change import Directions as Directions
    from weightaudit.records.change import EntryChanges as EntryChanges
    from weightaudit.records.change import Explained as Explained
    from weightaudit.records.change import Grid as Grid
    from weightaudit.records.change import Kind as Kind
    from weightaudit.records.change import RankFacts as RankFacts
    from weightaudit.records.diff import DiffResult as DiffResult
    from weightaudit.records.diff import DiffSummary as DiffSummary
    from weightaudit.records.diff import OneSided as OneSided
    from weightaudit.records.finding import SEVERITIES as SEVERITIES
    from weightaudit.records.finding import BaselineState as BaselineState
    from weightaudit.records.finding import Finding as Finding
    from weightaudit.records.finding import NotJudged as NotJudged
    from weightaudit.records.finding import Severity as Severity
    from weightaudit.records.finding import Suppressed as Suppressed
    from weightaudit.records.full_spectrum import ENERGY_SHARES as ENERGY_SHARES
    from weightaudit.records.full_spectrum import Alternative as Alternative
    from weightaudit.records.full_spectrum import Bulk as Bulk
    from weightaudit.records.full_spectrum import FullSpectrum as FullSpectrum
    from weightaudit.records.full_spectrum import TailFit as TailFit
    from weightaudit.records.head import Attention as Attention
    from weightaudit.records.head import HeadNorms as HeadNorms
    from weightaudit.records.head import HeadRow as HeadRow
    from weightaudit.records.head import Heads as Heads
    from weightaudit.records.head import SkippedAttention as SkippedAttention
    from weightaudit.records.interactions import Effect as Effect
    from weightaudit.records.interactions import InnerProducts as InnerProducts
    from weightaudit.records.interactions import Interactions as Interactions
    from weightaudit.records.matrix import Part as Part
    from weightaudit.records.matrix import RoleMatrix as RoleMatrix
    from weightaudit.records.matrix import Rows as Rows
    from weightaudit.records.measurement import DEAD as DEAD
    from weightaudit.records.measurement import BaseFacts as BaseFacts
    from weightaudit.records.measurement import Dispersion as Dispersion
    from weightaudit.records.measurement import EntryFacts as EntryFacts
    from weightaudit.records.measurement import LayerRow as LayerRow
    from weightaudit.records.measurement import Spectrum as Spectrum
    from weightaudit.records.measurement import SpectrumDetail as SpectrumDetail
    from weightaudit.records.measurement import TensorFacts as TensorFacts
    from weightaudit.records.merge_check import Encounter as Encounter
    from weightaudit.records.merge_check import Meeting as Meeting
    from weightaudit.records.merge_check import MergeCheckResult as MergeCheckResult
    from weightaudit.records.merge_check import MergeSummary as MergeSummary
    from weightaudit.records.merge_check import Standing as Standing
    from weightaudit.records.model_map import Contradiction as Contradiction
    from weightaudit.records.model_map import CoverageEntry as CoverageEntry
    from weightaudit.records.model_map import Discrepancy as Discrepancy
    from weightaudit.records.model_map import ModelMap as ModelMap
    from weightaudit.records.model_map import Status as Status
    from weightaudit.records.model_map import Wrapping as Wrapping
    from weightaudit.records.peak import Peak as Peak
    from weightaudit.records.place import EMBEDDING_ROLES as EMBEDDING_ROLES
    from weightaudit.records.place import LAYER_ROLES as LAYER_ROLES
    from weightaudit.records.place import OTHER as OTHER
    from weightaudit.records.place import STACKS as STACKS
    from weightaudit.records.place import TOWERS as TOWERS
    from weightaudit.records.place import Place as Place
    from weightaudit.records.quantisation import CodeFacts as CodeFacts
    from weightaudit.records.quantisation import Scheme as Scheme
    from weightaudit.records.reported import Reported as Reported
    from weightaudit.records.scan import SCHEMA as SCHEMA
    from weightaudit.records.scan import FileFault as FileFault
    from weightaudit.records.scan import ModelIdentity as ModelIdentity
    from weightaudit.records.scan import ScanResult as ScanResult
    from weightaudit.records.scan import SkippedFile as SkippedFile
    from weightaudit.records.scan import SourceFile as SourceFile
    from weightaudit.records.scan import Verdict as Verdict
    from weightaudit.records.series import EVENT_KINDS as EVENT_KINDS
    from weightaudit.records.series import EventKind as EventKind
    from weightaudit.records.series import Series as Series
    from weightaudit.records.series import SeriesRow as SeriesRow
    from weightaudit.records.series import told_together as told_together
    from weightaudit.records.table import TableFacts as TableFacts
    from weightaudit.records.tensor import LOW_RANK as LOW_RANK
    from weightaudit.records.tensor import PLAIN as PLAIN
    from weightaudit.records.tensor import Encoding as Encoding
    from weightaudit.records.tensor import TensorInfo as TensorInfo
    from weightaudit.records.tensor import encoded as encoded
    from weightaudit.records.tensor import unread as unread
    from weightaudit.records.vocabulary import Vocabulary as Vocabulary

_HOMES = {
    "AT_RESOLUTION": "weightaudit.records.change",
    "Adapter": "weightaudit.records.adapter",
    "AdapterFacts": "weightaudit.records.adapter",
    "Alternative": "weightaudit.records.full_spectrum",
    "Attention": "weightaudit.records.head",
    "BaseFacts": "weightaudit.records.measurement",
    "BaselineState": "weightaudit.records.finding",
    "Bulk": "weightaudit.records.full_spectrum",
    "CASTS": "weightaudit.records.change",
    "Change": "weightaudit.records.change",
    "CodeFacts": "weightaudit.records.quantisation",
    "Contradiction": "weightaudit.records.model_map",
    "CoverageEntry": "weightaudit.records.model_map",
    "DEAD": "weightaudit.records.measurement",
    "DEAD_DIRECTION": "weightaudit.records.adapter",
    "DiffResult": "weightaudit.records.diff",
    "DiffSummary": "weightaudit.records.diff",
    "Directions": "weightaudit.records.change",
    "Discrepancy": "weightaudit.records.model_map",
    "Dispersion": "weightaudit.records.measurement",
    "ELSEWHERE": "weightaudit.records.change",
    "EMBEDDING_ROLES": "weightaudit.records.place",
    "ENERGY_SHARES": "weightaudit.records.full_spectrum",
    "EVENT_KINDS": "weightaudit.records.series",
    "Effect": "weightaudit.records.interactions",
    "Encoding": "weightaudit.records.tensor",
    "Encounter": "weightaudit.records.merge_check",
    "EntryChanges": "weightaudit.records.change",
    "EntryFacts": "weightaudit.records.measurement",
    "EventKind": "weightaudit.records.series",
    "Explained": "weightaudit.records.change",
    "FileFault": "weightaudit.records.scan",
    "Finding": "weightaudit.records.finding",
    "FullSpectrum": "weightaudit.records.full_spectrum",
    "Grid": "weightaudit.records.change",
    "HeadNorms": "weightaudit.records.head",
    "HeadRow": "weightaudit.records.head",
    "Heads": "weightaudit.records.head",
    "InnerProducts": "weightaudit.records.interactions",
    "Interactions": "weightaudit.records.interactions",
    "Kind": "weightaudit.records.change",
    "LAYER_ROLES": "weightaudit.records.place",
    "LOW_RANK": "weightaudit.records.tensor",
    "LayerRow": "weightaudit.records.measurement",
    "Meeting": "weightaudit.records.merge_check",
    "MergeCheckResult": "weightaudit.records.merge_check",
    "MergeSummary": "weightaudit.records.merge_check",
    "ModelIdentity": "weightaudit.records.scan",
    "ModelMap": "weightaudit.records.model_map",
    "NotJudged": "weightaudit.records.finding",
    "OTHER": "weightaudit.records.place",
    "OneSided": "weightaudit.records.diff",
    "PERMUTED": "weightaudit.records.change",
    "PLAIN": "weightaudit.records.tensor",
    "Part": "weightaudit.records.matrix",
    "Peak": "weightaudit.records.peak",
    "Place": "weightaudit.records.place",
    "RankFacts": "weightaudit.records.change",
    "Reported": "weightaudit.records.reported",
    "RoleMatrix": "weightaudit.records.matrix",
    "Rows": "weightaudit.records.matrix",
    "SCHEMA": "weightaudit.records.scan",
    "SEVERITIES": "weightaudit.records.finding",
    "STACKS": "weightaudit.records.place",
    "ScanResult": "weightaudit.records.scan",
    "Scheme": "weightaudit.records.quantisation",
    "Series": "weightaudit.records.series",
    "SeriesRow": "weightaudit.records.series",
    "Severity": "weightaudit.records.finding",
    "SkippedAttention": "weightaudit.records.head",
    "SkippedFile": "weightaudit.records.scan",
    "SourceFile": "weightaudit.records.scan",
    "Spectrum": "weightaudit.records.measurement",
    "SpectrumDetail": "weightaudit.records.measurement",
    "Standing": "weightaudit.records.merge_check",
    "Status": "weightaudit.records.model_map",
    "Suppressed": "weightaudit.records.finding",
    "TOWERS": "weightaudit.records.place",
    "TableFacts": "weightaudit.records.table",
    "TailFit": "weightaudit.records.full_spectrum",
    "TensorFacts": "weightaudit.records.measurement",
    "TensorInfo": "weightaudit.records.tensor",
    "Verdict": "weightaudit.records.scan",
    "Vocabulary": "weightaudit.records.vocabulary",
    "Wrapping": "weightaudit.records.model_map",
    "encoded": "weightaudit.records.tensor",
    "told_together": "weightaudit.records.series",
    "unread": "weightaudit.records.tensor",
}

__all__ = sorted(_HOMES)

if not TYPE_CHECKING:  # by which a name that is not there would seem to be
    __getattr__, __dir__ = on_first_use(__name__, _HOMES)
