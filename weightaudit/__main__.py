"""``python -m weightaudit``."""

from weightaudit.cli import main

main()
