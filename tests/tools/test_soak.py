"""A few seconds of the soak, and that it notices what it is there to notice."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def soak() -> Any:
    """tools/soak.py as a module."""
    spec = importlib.util.spec_from_file_location("soak_tool", ROOT / "tools" / "soak.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["soak_tool"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def importable_by_workers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Worker processes unpickle functions of `soak_tool` by name."""
    (tmp_path / "soak_tool.py").symlink_to(ROOT / "tools" / "soak.py")
    monkeypatch.syspath_prepend(tmp_path)


def test_a_few_seconds(soak: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert soak.main(["--minutes", "0.05", "--seed", "5", "--light"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["faults"] == []
    assert figures["tasks"] >= 1


def test_a_wrong_result_is_a_fault(
    soak: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(soak, "products", lambda rows: [0.0 for _ in rows])
    monkeypatch.setattr(soak, "KINDS", [(soak.infer, 1)])
    monkeypatch.setattr(soak, "BATCH", soak.Batch("product", soak.products, limit=4))
    assert soak.main(["--minutes", "0.01", "--light"]) == 1
    assert "product: gave 0.0" in capsys.readouterr().out


def test_a_failure_told_twice_is_a_fault(
    soak: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Twice(soak.Scheduler):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            hear = self.on_failure
            self.on_failure = lambda job: (hear(job), hear(job))  # type: ignore[misc]

    monkeypatch.setattr(soak, "Scheduler", Twice)
    monkeypatch.setattr(soak, "KINDS", [(soak.wrong, 1)])
    assert soak.main(["--minutes", "0.01", "--light"]) == 1
    assert "reported" in capsys.readouterr().out


def test_the_slope_of_memory(soak: Any) -> None:
    flat = [(float(t), 100.0 + (t % 3)) for t in range(0, 600, 10)]
    assert abs(soak.slope_mb_per_min(flat)) < 0.1
    leaking = [(float(t), 100.0 + t / 60 + (t % 3)) for t in range(0, 600, 10)]
    assert soak.slope_mb_per_min(leaking) == pytest.approx(1.0, rel=0.05)
    early = [(t, max(mb, 150.0) if t > 60 else mb) for t, mb in flat]  # warming up is no leak
    assert abs(soak.slope_mb_per_min(early)) < 0.1
