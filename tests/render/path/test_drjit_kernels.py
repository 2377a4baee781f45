"""The two ways to run neural materials: the same picture, and the choice between them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from etendue.core.errors import InputError
from etendue.render.path import drjit_kernels
from etendue.render.path.camera_rays import Block
from etendue.render.path.dispatch import NONE, InlineTable
from etendue.render.path.drjit import PROBE_SAMPLES, probes, render


@pytest.fixture
def balls(mi: Any, room: Any, artifact: Any) -> Any:
    """Two alike neural materials, one of another architecture, one of Mitsuba's."""
    from etendue.bsdf.neural import NeuralBSDF
    from etendue.bsdf.plugin import plugin

    def neural(seed: int, *nets: str) -> Any:
        loaded = NeuralBSDF(artifact(seed, *nets))
        return plugin("Neural", lambda _: loaded)(mi.Properties())

    def ball(x: float, bsdf: Any) -> dict[str, Any]:
        return {"type": "sphere", "center": [x, 0.4, 1.3], "radius": 0.4, "bsdf": bsdf}

    more = {"b": ball(-1, neural(2)), "c": ball(1, neural(3, "2x16"))}
    return room(neural(1), {"type": "diffuse"}, **more)


def test_pictures_are_equal_bit_for_bit(balls: Any) -> None:
    options: dict[str, Any] = {"spp": 4, "seed": 3, "crop": (8, 8, 32, 24)}
    films = {kernel: render(balls, kernel=kernel, **options) for kernel in drjit_kernels.KERNELS}
    coherent, divergent = films["coherent"], films["divergent"]
    np.testing.assert_array_equal(coherent.rgb, divergent.rgb)
    assert divergent.metadata["kernel"] == "divergent" and coherent.rgb.mean() > 0.01


def test_materials_alike_are_taken_together(balls: Any) -> None:
    table = InlineTable.from_scene(balls)
    numbers = table.alike()
    assert len(table.materials) == 3 and len(numbers) == 1 and len(numbers[0]) == 2
    table.prepare("divergent")
    places = np.array(table.places)
    assert sorted(places[numbers[0]].tolist()) == [0, 1] and (places == NONE).sum() == 1


def test_auto_measures_once(balls: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    table, calls = InlineTable.from_scene(balls), []

    def fake(table: Any, probes: Any) -> dict[str, float]:
        calls.append(len(probes))
        return {"coherent": 0.002, "divergent": 0.001}

    monkeypatch.setattr(drjit_kernels, "measure", fake)
    for _ in range(2):
        made = drjit_kernels.choose(table, "auto", [lambda: None])
        assert made.kernel == table.kernel == "divergent"
        assert made.reason == "measured: coherent 2.0 ms, divergent 1.0 ms"
    assert calls == [1]
    assert drjit_kernels.choose(table, "coherent", []).kernel == table.kernel == "coherent"
    assert drjit_kernels.choose(InlineTable(), "auto", []).kernel == "coherent"
    with pytest.raises(InputError, match=r"kernel: is not one of Dr\.Jit's; got scalar"):
        drjit_kernels.choose(table, "scalar", [])


def test_kernels_take_turns_and_the_first_run_is_forgotten(balls: Any) -> None:
    table, now, order = InlineTable.from_scene(balls), [0.0], []
    cost = {"coherent": iter([9, 3, 5, 4.0]), "divergent": iter([99, 2, 7, 8.0])}

    def probe() -> None:
        order.append(table.kernel)
        now[0] += next(cost[table.kernel])

    spans = drjit_kernels.measure(table, [probe], lambda: now[0])
    assert spans == {"coherent": 3.0, "divergent": 2.0}
    assert order == ["coherent", "divergent"] * 4


def test_probes_lie_inside_the_pass() -> None:
    for block in (Block(5, 1, 0, 1, 1), Block(0, 100, 0, 16, 16), Block(7, 70000, 3, 16, 16)):
        for probe in probes(block):
            assert block.first <= probe.first and probe.pixels >= 1
            assert probe.first + probe.pixels <= block.first + block.pixels
            assert probe.pixels * probe.samples <= max(PROBE_SAMPLES, block.samples)
    assert len(probes(Block(7, 70000, 3, 16, 16))) == 3
