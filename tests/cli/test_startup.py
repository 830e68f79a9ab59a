"""Importing and asking for help load nothing heavy."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

HEAVY = ("torch", "transformers", "pandas", "plotly", "numpy", "huggingface_hub", "scipy", "pyarrow")


@pytest.mark.parametrize(
    "program",
    [
        "import weightaudit",
        "import weightaudit.cli",
        "import weightaudit.audit, weightaudit.spectral; dir(weightaudit.audit); weightaudit.spectral.check_options",
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


@pytest.mark.parametrize("package", ["weightaudit", "weightaudit.audit", "weightaudit.spectral"])
def test_public_names_resolve(package: str) -> None:
    module = import_module(package)
    assert set(module.__all__) <= {*dir(module)}
    for name in module.__all__:
        assert getattr(module, name) is not None
    with pytest.raises(AttributeError, match=f"module '{package}' has no attribute 'scann'"):
        _ = module.scann
