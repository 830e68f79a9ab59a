"""The collector of unreachable objects in our own processes: seldom at work, and not at the end."""

from __future__ import annotations

import subprocess
import sys


def test_a_command_s_process_collects_seldom_and_not_at_its_end() -> None:
    program = (
        "import atexit, gc, sys\n"
        "looked = []\n"
        "gc.callbacks.append(lambda phase, info: looked.append(gc.get_threshold()[0]))\n"
        "atexit.register(lambda: print(gc.get_threshold()[0], gc.get_freeze_count() > 1000, 500_000 in looked))\n"
        "sys.argv = ['weightaudit', '--version']\n"
        "from weightaudit.cli import main\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "500000 True False"


def test_a_program_that_imports_the_package_keeps_its_own_way() -> None:
    program = "import gc\nbefore = gc.get_threshold()\nimport weightaudit.api\nprint(before == gc.get_threshold())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"
