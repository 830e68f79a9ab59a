"""Small runs of experiments, which give the same bytes wherever they run: ``python -m tests.paper.small_runs`` prints
them.
"""

from __future__ import annotations

import json
import sys

from weightaudit.audit.progress import Silent
from weightaudit.paper.figure2 import experiment as figure2
from weightaudit.paper.figure2.experiment import Figure2Config
from weightaudit.paper.figure3 import experiment as figure3
from weightaudit.paper.figure3.experiment import Figure3Config

FIGURE2 = Figure2Config(inputs=120, epochs=3, batch=50, draws=7)
"""77 networks a labelling: several groups for the threads, and a last one that is smaller."""
FIGURE3 = Figure3Config(inputs=12, dimension=9, width=5, steps=20, measurements=2, draws=2, lambdas=(0.0, 1e-2))


def texts() -> dict[str, str]:
    """The points of each experiment's run, as CSV."""
    return {
        "figure2": figure2.run(FIGURE2, Silent()).points.to_csv(index=False),
        "figure3": figure3.run(FIGURE3, Silent()).points.to_csv(index=False),
    }


if __name__ == "__main__":
    json.dump(texts(), sys.stdout)
