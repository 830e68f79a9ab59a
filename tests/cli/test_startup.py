"""Importing and asking for help load nothing heavy."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "transformers", "pandas", "plotly", "numpy", "huggingface_hub", "scipy", "pyarrow")


@pytest.mark.parametrize(
    "program",
    [
        "import weightaudit",
        "import weightaudit.cli",
        "import sys; sys.argv = ['weightaudit', '--help']; from weightaudit.cli import app; app(standalone_mode=False)",
        "import sys; sys.argv = ['weightaudit', 'scan', '--help']; from weightaudit.cli import app; "
        "app(standalone_mode=False)",
        "import sys; sys.argv = ['weightaudit', 'rules']; from weightaudit.cli import app; app(standalone_mode=False)",
    ],
)
def test_loads_nothing_heavy(program: str) -> None:
    check = f"{program}\nimport sys\nprint([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_public_names_resolve() -> None:
    import weightaudit as wa

    assert set(wa.__all__) <= {*dir(wa)}
    for name in wa.__all__:
        assert getattr(wa, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'scann'"):
        _ = wa.scann
