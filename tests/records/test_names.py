"""The records by the names of their package, each imported when it is asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest

from weightaudit import api, records


@pytest.mark.parametrize("package", [records, api], ids=lambda package: str(package.__name__))
def test_every_name_is_there_and_no_other(package: object) -> None:
    for name in package.__all__:  # type: ignore[attr-defined]
        assert getattr(package, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'Scann'"):
        package.Scann  # type: ignore[attr-defined]  # noqa: B018


def test_one_record_brings_no_others_that_it_is_not_made_of() -> None:
    program = (
        "import sys\nfrom weightaudit.records import ScanResult\n"
        "print([name for name in ('diff', 'interactions', 'scan') if f'weightaudit.records.{name}' in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "['scan']\n"
