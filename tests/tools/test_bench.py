"""The measuring tool: alternation, statistics, and where it writes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest


@pytest.fixture(scope="module")
def bench(tool: Callable[[str], ModuleType]) -> ModuleType:
    return tool("bench_speed")


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


def test_a_section_is_replaced_in_place(tool: Callable[[str], Any], tmp_path: Path) -> None:
    common = tool("bench_common")
    page = tmp_path / "numbers.md"
    page.write_text("# Figures\n\ntext\n")
    common.write_section("speed", "first", page)
    common.write_section("other", "kept", page)
    common.write_section("speed", "second", page)
    text = page.read_text()
    assert "first" not in text and text.count("speed: begin") == 1
    assert text.index("text") < text.index("second") < text.index("kept")
    common.write_section("speed", "second", page)
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


def test_the_first_word_names_the_benchmark(
    tool: Callable[[str], Any], capsys: pytest.CaptureFixture[str]
) -> None:
    bench = tool("bench")
    assert bench.main([]) == 2 and bench.main(["--help"]) == 0
    assert bench.main(["nothing"]) == 2
    assert "got nothing, expected bake | " in capsys.readouterr().err
    for name in bench.COMMANDS:
        with pytest.raises(SystemExit) as stop:
            bench.main([name, "--help"])
        assert stop.value.code == 0


def test_variants_change_settings(tool: Callable[[str], Any]) -> None:
    bake = tool("bench_bake")
    assert bake.parse_variant("plain") == ("plain", {})
    label, changes = bake.parse_variant("x:steps=1,lr=0.5,reciprocal=true")
    assert label == "x"
    assert changes == {"steps": 1, "lr": 0.5, "reciprocal": True}
    with pytest.raises(SystemExit, match="unknown field; got color"):
        bake.parse_variant("x:color=red")


def test_measured_bakes_are_kept_and_summed_up(
    tool: Callable[[str], Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bake = tool("bench_bake")
    seen: list[int] = []

    def measured(path: Path, settings: Any, arguments: Any) -> dict[str, Any]:
        seen.append(settings.seed)
        return {
            "steps": settings.steps,
            "seconds": 1.0,
            "flip": [0.02 * (settings.seed + 1), 0.04],
            "flip_on_material": [0.1, 0.1],
            "rim": [-0.02, 0.0],
            "heldout": [{"level": 0, "relative": 0.1}, {"level": 1, "relative": 0.2}],
            "albedo": 0.9,
            "reciprocity": 0.1,
            "chi_squared": 1.0,
            "sampler": {"learned": 0.1, "cosine": 1.0, "ggx": 0.2},
            "load_average": 1.0,
        }

    monkeypatch.setattr(bake, "measure", measured)
    words = ["a/stone.mtlx", "--steps", "7", "--json", str(tmp_path / "bake.json")]
    assert bake.main([*words, "--seeds", "2"]) == 0
    assert bake.main([*words, "--seeds", "3"]) == 0
    assert seen == [0, 1, 2], "what is in the file is not measured again"
    assert len(json.loads((tmp_path / "bake.json").read_text())) == 3
    out = capsys.readouterr().out
    assert "plain 2x32: mean FLIP 0.0400; worst seed / median: stone 1.250 (3)." in out
    assert "| stone | plain 2x32 | 1 | 7 | 1 | 0.0400 | 0.1000 | -1.0 % | 0.100 | 0.200 |" in out
