"""Planning loads no torch, and neither does the package itself."""

from __future__ import annotations

import subprocess
import sys

import pytest

LEAN = ("order", "simulate", "frames", "grid", "plan", "traffic", "launch")


@pytest.mark.parametrize(
    "statement",
    [
        "import etendue.schedule",
        "import " + ", ".join(f"etendue.schedule.parallel.{name}" for name in LEAN),
    ],
)
def test_no_torch(statement: str) -> None:
    code = f"{statement}\nimport sys\nprint('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
