"""The comparison of number formats: which plans run, and what its section of the page holds."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def formats(monkeypatch: pytest.MonkeyPatch) -> Any:
    """tools/bench_formats.py as a module."""
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    return importlib.import_module("bench_formats")


def figures() -> dict[str, Any]:
    row = {
        "plan": "cb3",
        "latent_bytes": 1,
        "bits_per_value": 3.1409,
        "smaller_than_f16": 5.094,
        "weight_bytes": 2,
        "file_bytes": 288564,
        "max_error": 0.861,
        "flip": 0.05651,
        "flip_to_f16": 0.00531,
        "delta_flip": 0.00005,
    }
    speed = {"plan": "cb3", "median_ms": 12.0, "p95_ms": 14.0, "n": 5, "over_f16": 1.06}
    machine = {"cpu": "CPU", "threads": 2, "load_average": 0.1}
    machine |= {"mitsuba": "3", "drjit": "1", "variant": "llvm"}
    return {
        "machine": machine,
        "size": (160, 120),
        "spp": 64,
        "views": 3,
        "materials": [{"material": "M", "resolution": 256, "rows": [row], "speed": [speed]}],
    }


def test_report_has_every_row(formats: Any) -> None:
    text = formats.report(figures())
    row = "| M, 256² | cb3 | 3.141 | 5.09 | 288564 | 0.86 | 0.0565 | +0.0001 | 0.0053 |"
    assert row in text
    assert "| M | cb3 | 12 | 14 | 5 | 1.06 |" in text


def test_plans_exist_and_f16_is_first(formats: Any) -> None:
    from etendue.formats import latents, weights

    assert formats.PLANS[0] == ("f16", "f32")
    for plan in formats.PLANS:
        assert plan[0] in latents.FORMATS and plan[1] in weights.FORMATS
    assert formats.plan_name(("cb3", "bfp8")) == "cb3 + bfp8 weights"


def test_run_takes_pairs_and_plans(formats: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(formats, "measure", lambda *what: asked.append(what) or {})
    arguments = argparse.Namespace(
        pair=["a.eta=b.mtlx"], plans="f16+f32,cb3+bfp8", size="8x6", spp=2, views=1, runs=1
    )
    result = formats.run(arguments)
    ((artifact, document, setup),) = asked
    assert (artifact, document) == (Path("a.eta"), Path("b.mtlx"))
    assert setup.size == (8, 6) and setup.plans == (("f16", "f32"), ("cb3", "bfp8"))
    assert result["materials"] == [{}]
