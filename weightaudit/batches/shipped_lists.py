"""The model lists that come with weightaudit, by name: ``@paper`` means ``model_lists/paper.txt``."""

from __future__ import annotations

from pathlib import Path

from weightaudit.errors import UsageError
from weightaudit.text import did_you_mean, listed, printable

PACKAGE = Path(__file__).parents[1]


def find_list(written: str) -> Path:
    """Return the path of the model list that ``written`` means.

    ``@name`` is a list that comes with weightaudit; everything else is a path, ``./@name`` too. Raises UsageError where
    no list has that name.
    """
    if not written.startswith("@"):
        return Path(written)
    lists = shipped_lists()
    name = written[1:]
    if name not in lists:
        known = [f"@{each}" for each in lists]
        raise UsageError(
            printable(written),
            "no model list that comes with weightaudit has this name",
            f"{did_you_mean(written.lower(), known)}There are {listed(known)}; "
            f"for a file of this name write ./{printable(written)}",
        )
    return lists[name]


def shipped_lists() -> dict[str, Path]:
    """Return name → file of each list that comes with weightaudit, in the order of names.

    A wheel has them within the package; a clone, also where it is installed as editable, beside it.
    """
    within = PACKAGE / "model_lists"
    folder = within if within.is_dir() else PACKAGE.parent / "model_lists"
    return {path.stem: path for path in sorted(folder.glob("*.txt"))}
