"""Every kind of page that the package writes, each written into a folder by a function of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import BinaryIO

from tests.report import comparison_factory, full_spectra, spectra
from tests.support import diffs, factory
from tests.support import toy_experiment as toy
from tests.support.adapters import saved_adapter, saved_model, shapes_of
from tests.support.linear_packers import GPTQ, gptq
from tests.support.merges import merge_check_result
from tests.support.packed_models import packed
from tests.support.tiny import tiny
from weightaudit import ScanReport, scan
from weightaudit.audit.progress import Silent
from weightaudit.batches.pairs.pair import PairOutcome
from weightaudit.paper.page import write_page
from weightaudit.paper.settings import describe
from weightaudit.records import DiffResult, MergeCheckResult
from weightaudit.report.comparison import write_index
from weightaudit.report.diff.page import write_html as write_diff
from weightaudit.report.html import write_html as write_scan
from weightaudit.report.merge.matrix import write_matrix
from weightaudit.report.merge.page import write_html as write_merge
from weightaudit.report.merge.sides import sides

Written = Callable[[Path], Path]


def _kept(folder: Path, write: Callable[[BinaryIO], None]) -> Path:
    with (folder / "page.html").open("wb") as file:
        write(file)
    return folder / "page.html"


def _scan(make: Callable[[], ScanReport]) -> Written:
    return lambda folder: _kept(folder, lambda file: write_scan(make(), file))


def _heads(folder: Path) -> Path:
    scan(tiny("t5"), heads=True).to_html(folder / "page.html")
    return folder / "page.html"


def _everything() -> ScanReport:
    """A scan's report with every section that there is."""
    return replace(full_spectra.asked(factory.judged()), heads=scan(tiny("bert"), heads=True).heads)


def _quantised(folder: Path) -> Path:
    model, base = packed("llama", gptq, GPTQ, folder)
    scan(str(model), base=str(base)).to_html(folder / "page.html")
    return folder / "page.html"


def _adapter(folder: Path) -> Path:
    base = saved_model(folder / "base")
    adapter, _ = saved_adapter(folder / "lora", shapes_of(base, "q_proj", "v_proj"))
    scan(str(adapter), base=str(base)).to_html(folder / "page.html")
    return folder / "page.html"


def _comparison(folder: Path) -> Path:
    write_index(comparison_factory.models(12, 2), folder, title="models", beside=("all.csv",))
    return folder / "index.html"


def _diff(make: Callable[[], DiffResult]) -> Written:
    return lambda folder: _kept(folder, lambda file: write_diff(make(), file))


def _merge(make: Callable[[], MergeCheckResult]) -> Written:
    return lambda folder: _kept(folder, lambda file: write_merge(make(), file))


def _pairs(folder: Path) -> Path:
    """Every shade of the matrix, and a pair that failed."""
    titles = ("code", "math", "law", "chess", "verse")
    (told, _) = sides(merge_check_result(2), titles[:2])
    found = [
        PairOutcome(
            str(i),
            (one, other),
            f"{one}--{other}",
            sides=(
                replace(told, victim=one, other=other, disturbance=i / 10),
                replace(told, victim=other, other=one, disturbance=1 - i / 10),
            ),
            suggested=(0.5, 0.5),
            verdict="warn",
        )
        for i, (one, other) in enumerate(combinations(titles, 2))
    ]
    failed = PairOutcome("10", titles[:2], "gone", reason="code: it cannot be read. Download it again")
    return _kept(folder, lambda file: write_matrix([*found, failed], titles, "org/base", "five models", file))


def _paper(folder: Path) -> Path:
    result = toy.run(toy.ToyConfig(), Silent())
    return _kept(folder, lambda file: write_page(result, toy.TOY.title, describe(toy.ToyConfig()), file))


KINDS: dict[str, Written] = {
    "clean": _scan(lambda: replace(factory.bert(4), rules=factory.RULES)),
    "damaged": _scan(factory.judged),
    "mixture": _scan(lambda: factory.judged_mixture(2, 8)),
    "all_nan": _scan(factory.all_nan),
    "guessed": _scan(factory.guessed),
    "two_stacks": _scan(lambda: factory.seq2seq(2)),
    "spectrum": _scan(lambda: spectra.asked(factory.bert(4))),
    "full_spectrum": _scan(lambda: full_spectra.asked(factory.bert(3))),
    "heads": _heads,
    "everything": _scan(_everything),
    "quantised": _quantised,
    "adapter": _adapter,
    "comparison": _comparison,
    "diff": _diff(diffs.lora),
    "diff_odd": _diff(diffs.odd),
    "merge": _merge(lambda: merge_check_result(3)),
    "pairs": _pairs,
    "paper": _paper,
}
"""name → what writes such a page into a folder and says where it is."""
