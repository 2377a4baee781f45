"""The measuring tool: alternation, statistics, and where it writes."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    """tools/bench.py as a module."""
    import sys

    spec = importlib.util.spec_from_file_location("bench_tool", ROOT / "tools" / "bench.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["bench_tool"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_cases_alternate_and_the_first_round_does_not_count(bench: Any) -> None:
    order: list[tuple[str, int]] = []
    cases = [
        bench.Case(name, lambda seed, name=name: order.append((name, seed))) for name in ("a", "b")
    ]
    bench.alternate(cases, 3)
    assert order == [(name, turn) for turn in range(4) for name in ("a", "b")]
    assert all(len(case.seconds) == len(case.results) == 3 for case in cases)


def test_median_and_p95(bench: Any) -> None:
    case = bench.Case("a", lambda seed: None, seconds=[float(i) for i in range(1, 22)])
    assert case.median == 11 and case.p95 == pytest.approx(20)


def test_ratio_is_taken_within_rounds(bench: Any) -> None:
    a = bench.Case("a", lambda seed: None, seconds=[1.0, 10.0, 2.0])
    b = bench.Case("b", lambda seed: None, seconds=[2.0, 20.0, 4.0])
    assert bench.ratio(b, a) == 2


def test_a_section_is_replaced_in_place(bench: Any, tmp_path: Path) -> None:
    page = tmp_path / "numbers.md"
    page.write_text("# Figures\n\ntext\n")
    bench.write_section("speed", "first", page)
    bench.write_section("other", "kept", page)
    bench.write_section("speed", "second", page)
    text = page.read_text()
    assert "first" not in text and text.count("speed: begin") == 1
    assert text.index("text") < text.index("second") < text.index("kept")
    bench.write_section("speed", "second", page)
    assert page.read_text() == text


@pytest.mark.parametrize("scene", ["showcase/showcase", "sphere", "sphere, key light alone"])
def test_scenes_take_any_material(bench: Any, scene: str) -> None:
    from etendue.device.drjit import activate

    activate()
    small = bench.Bench((24, 16), 1, 1)
    loaded, depth = small.scene(scene, bench.PRINCIPLED)
    assert depth == 8
    names = {shape.bsdf().class_name() for shape in loaded.shapes()}
    assert "Principled" in names and "SmoothPlastic" not in names
    case = small.ours("ours", scene, bench.PRINCIPLED)
    assert np.isfinite(case.run(0).rgb).all()
    environment = scene == bench.KEY_LIGHT
    assert (loaded.environment() is None) == environment


def test_report_has_every_row(bench: Any) -> None:
    row = {"case": "x", "median_ms": 1.0, "p95_ms": 2.0, "n": 5}
    figures = {
        "machine": {
            "cpu": "CPU",
            "threads": 2,
            "load_average": 0.1,
            "mitsuba": "3",
            "drjit": "1",
            "variant": "llvm",
        },
        "size": (4, 3),
        "spp": 2,
        "material": "M",
        "arch": {"evaluator": "2x32", "sampler": "2x16"},
        "shaders": [{"scene": "s", "rows": [{**row, "over_principled": 1.0, "over_diffuse": 3.0}]}],
        "equal_error": [
            {
                "scene": "t",
                "rows": [{**row, "noise_rel_mse": 0.2, "time_to_equal_noise": 1.0}],
                "neural_rel_mse": 0.01,
            }
        ],
    }
    text = bench.report(figures)
    assert "| s | x | 1 | 2 | 5 | 1.00 | 3.00 |" in text
    assert "| t | x | 1 | 2 | 5 | 0.2 | 1.00 |" in text
