"""The scene of the kernels' benchmark: as many evaluations whatever the number of materials."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest


@pytest.fixture(scope="module")
def bench(tool: Callable[[str], ModuleType]) -> ModuleType:
    return tool("bench_kernels")


@pytest.fixture(scope="module")
def gpu(tool: Callable[[str], ModuleType]) -> ModuleType:
    return tool("bench_gpu")


@pytest.mark.parametrize("perspective", [False, True])
@pytest.mark.parametrize("order", ["sorted", "shuffled"])
def test_every_pixel_shows_one_tile(bench: Any, order: str, perspective: bool) -> None:
    from etendue.device.drjit import activate
    from etendue.render.path.drjit import render

    mi = activate()
    plain = [mi.load_dict({"type": "diffuse", "reflectance": 0.1 * k}) for k in (1, 2, 3, 4)]
    loaded = bench.scene(plain, 16, order, perspective=perspective)
    film = render(loaded, spp=1, max_depth=2, aovs=("shape_id", "albedo"))
    shown = film.aovs["shape_id"].ravel()
    assert sorted(np.unique(shown, return_counts=True)[1].tolist()) == [64] * 4
    changes = int((np.diff(shown) != 0).sum())
    assert changes == 3 if order == "sorted" else changes > 150
    # under a light of 1 from everywhere a surface is as bright as it reflects
    assert film.rgb.mean() == pytest.approx(film.aovs["albedo"].mean(), rel=0.15)


def test_networks_have_the_evaluator_asked_for(bench: Any) -> None:
    from etendue.bsdf.neural import check_material

    made = bench.networks(1, "3x64")
    check_material("test", made)
    assert made.tensors["evaluator.w2"].shape == (64, 64)


def test_report_names_what_was_chosen(bench: Any) -> None:
    row = {
        "materials": 8,
        "tiles": "shuffled",
        "coherent_ms": 20.0,
        "divergent_ms": 10.0,
        "chosen": "divergent",
        "choice_ms": 99.0,
        "p95_ms": 11.0,
        "kernels_ms": 7.0,
        "over_better": 1.0,
        "over_one": 1.25,
        "kernels_over_one": 1.1,
    }
    machine = dict.fromkeys(("cpu", "threads", "load_average", "mitsuba", "drjit", "variant"), "x")
    text = bench.report(bench.Figures(64, 3, [row], {}, machine))
    assert "| 8 | shuffled | 20 | 10 | divergent (11) | 1.00 | 1.25 | 7 | 1.10 |" in text


def test_what_a_machine_lacks_is_a_row_too(gpu: Any) -> None:
    bench = gpu.Bench((100, 50), 3, False)
    found = gpu.Row("2x32", "Slang rt, scalar", 10_000, 5.0, 6.0, 2.0, 3)
    text = gpu.report(bench, "a device", [found], [gpu.Row("4 sorted", "CUDA", missing="gone")])
    assert "| 2x32 | Slang rt, scalar | 5.00 | 6.00 | 2.00 | 3 | 5.0 |" in text
    assert "| 4 sorted | CUDA | not measured | | | | gone |" in text
