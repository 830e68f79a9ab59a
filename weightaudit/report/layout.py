"""What the files are called that a scan, a batch or a comparison leaves in its directory."""

from __future__ import annotations

LAYERS_CSV, LAYERS_PARQUET, SUMMARY_JSON, PAGE, LOG = (
    *("layers.csv", "layers.parquet", "summary.json"),
    *("report.html", "log.txt"),
)
OUTCOME = "outcome.json"
"""Of one model, in its folder; the outcome is written last."""
ALL_CSV, ALL_PARQUET, SUMMARY_CSV = "all.csv", "all.parquet", "summary.csv"
MANIFEST = "batch.json"
"""Of a batch: what it joins, and what it is about."""
INDEX, PLOTLY = "index.html", "plotly.js"
"""Of a batch or a comparison: the page of all models, and the script that all its pages share."""
DIFFERENCES = "differences.csv"
"""Of a comparison."""
SERIES_CSV = "series.csv"
"""Of a comparison over steps."""
MEETINGS_CSV, PAIRS_CSV = "meetings.csv", "pairs.csv"
"""Of a pair that was checked for a merge, in its folder; of a batch of them."""
