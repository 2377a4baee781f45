"""What `bench.py schedule` computes from its measurements, and its page."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest

TOOLS = Path(__file__).parents[2] / "tools"


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Any]:
    """bench_schedule.py and bench_frames.py."""
    monkeypatch.syspath_prepend(TOOLS)
    found = []
    for name in ("bench_schedule", "bench_frames"):
        monkeypatch.delitem(sys.modules, name, raising=False)
        found.append(importlib.import_module(name))
    return found[0], found[1]


def test_ratios_are_taken_within_a_round(modules: Any) -> None:
    _, bench = modules
    runs = {
        "frames alone": [bench.Round([0.1] * 9), bench.Round([0.2] * 9)],
        "model alone": [bench.Round(rate=100.0), bench.Round(rate=50.0)],
        "scheduler": [
            bench.Round([0.11] * 9, 40.0, 0.01),
            bench.Round([0.22] * 9, 20.0, 0.01),
        ],
    }
    row = bench._row("scheduler", runs, budget_s=0.4)
    assert row["p95_over_alone"] == pytest.approx(1.1)
    assert row["model"] == pytest.approx(0.4)
    left = [1 - 0.11 / 0.4, 1 - 0.22 / 0.4]
    assert row["of_what_is_left"] == pytest.approx(sum(0.4 / x for x in left) / 2)
    allowed = [1.25 * 0.1 + 0.01, 1.25 * 0.2 + 0.01]
    expected = (0.11 / allowed[0] + 0.22 / allowed[1]) / 2
    assert row["p95_over_allowed"] == pytest.approx(expected)


def test_small_measurements_and_their_page(modules: Any) -> None:
    schedule, _ = modules
    figures = {
        "machine": {"cpu": "c", "threads": 2, "load_average": 0.5},
        "overhead": schedule.overhead(50, 2),
        "memory": schedule.growth(100),
        "bakes": {"bakes": 2, "steps": 9, "rounds": 1, "one_s": 4, "two_s": 2, "two_over_one": 0.5},
        "frames": {
            "size": (4, 3), "spp": 1, "budget_ms": 9.0, "request_ms": 1.0, "rounds": 1,
            "rows": [{"case": "scheduler", "p95_ms": 12.0, "rate": 3.0}],
        },
    }  # fmt: skip
    assert figures["overhead"]["cpu_us"] > 0
    page = schedule.report(figures)
    assert "| scheduler |  | 12 |" in page
    assert "ratio 0.50" in page
    assert "of 50 empty tasks" in page
