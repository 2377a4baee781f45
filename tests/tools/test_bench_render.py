"""The benchmarks of pictures, on pictures too small for their figures to mean much."""

from __future__ import annotations

from typing import Any

import pytest


def test_denoising(tool: Any, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("mitsuba_oidn")
    assert tool("bench").main(["denoise", "--size", "48x36", "--truth", "256"]) == 0
    out = capsys.readouterr().out
    rows = [line.split("|") for line in out.splitlines() if line.startswith("| s")]
    gains = {row[1].strip(): float(row[4]) for row in rows if row[1].strip() != "scene"}
    assert set(gains) == {"sphere", "showcase"} and min(gains.values()) > 2


def test_adaptive_sampling(tool: Any) -> None:
    row = tool("bench_noise").measure("sphere", (64, 48), 0.012, 128)
    assert row["z_passed"] and abs(row["z_mean"]) < 4
    assert row["least"] < row["adaptive"] < row["most"]
    assert row["equal_99"] > 2 * row["adaptive"]
    assert "sphere" in tool("bench_noise").table([row], (64, 48), 0.012, 128)
