"""The examples of the documentation run, small, and leave the files that they speak of."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "docs" / "examples").glob("*.py"))
FILES = {
    "adaptive": ["adaptive.exr"],
    "bake": ["paint.eta", "layered.png", "neural.png"],
    "render": ["8 samples.png"],
    "turntable": ["turn.0003.exr", "flight.0004.exr", "path.json"],
}


def test_every_example_is_run() -> None:
    assert sorted(path.stem for path in EXAMPLES) == sorted(FILES)


@pytest.mark.timeout(900)  # a bake imports torch, which takes its time on a busy machine
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_example(path: Path, tmp_path: Path) -> None:
    engine = os.pathsep.join(filter(None, [str(ROOT / "engine"), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, str(path), "--quick", "-o", str(tmp_path)],
        env={**os.environ, "PYTHONPATH": engine},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip()
    found = {file.name for file in tmp_path.iterdir()}
    assert set(FILES[path.stem]) <= found, found
    assert not [name for name in found if "checkpoint" in name]
