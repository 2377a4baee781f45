"""The two ways to run neural materials: the same picture, and the choice between them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from etendue.core.errors import InputError
from etendue.render.path import drjit_kernels
from etendue.render.path.branches import rivals
from etendue.render.path.camera_rays import Block
from etendue.render.path.dispatch import InlineTable
from etendue.render.path.drjit import PROBE_SAMPLES, probes, render


@pytest.fixture
def balls(mi: Any, room: Any, artifact: Any) -> Any:
    """Two alike neural materials, one of another architecture, one of Mitsuba's."""
    from etendue.bsdf.neural import NeuralBSDF
    from etendue.bsdf.plugin import plugin

    def neural(seed: int, *nets: str) -> Any:
        loaded = NeuralBSDF(artifact(seed, *nets), exact=True)
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


def test_half_precision_is_never_chosen_by_time(balls: Any, monkeypatch: Any) -> None:
    table = InlineTable.from_scene(balls)
    for material in table.materials:
        monkeypatch.setattr(type(material), "half", True, raising=False)
    job = drjit_kernels.Job(1, 1, [], 1)  # whose probes would fail
    assert drjit_kernels.choose(table, "auto", job).kernel == "coherent"
    assert drjit_kernels.choose(table, "divergent", job).kernel == "divergent"


def test_materials_alike_are_taken_together(balls: Any) -> None:
    table = InlineTable.from_scene(balls)
    (together,) = rivals(table.materials)
    assert len(table.materials) == 3 and len(together) == 2
    made = table.prepare("divergent")
    assert made.branches[0].numbers == tuple(together)
    assert sorted(len(branch.numbers) for branch in made.branches) == [1, 2]
    places = np.array(made.places)
    assert [places[k] for k in together] == [0, 1]
    assert table.prepare("coherent").places is None


def test_auto_measures_once(balls: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    table, calls = InlineTable.from_scene(balls), []

    def fake(table: Any, job: drjit_kernels.Job) -> dict[str, float]:
        calls.append(job.samples)
        return {"coherent": 0.002, "divergent": 0.001}

    monkeypatch.setattr(drjit_kernels, "measure", fake)
    job = drjit_kernels.Job(1, 1, [], 1)
    for _ in range(2):
        made = drjit_kernels.choose(table, "auto", job)
        assert made.kernel == table.kernel == "divergent"
        assert made.reason == "measured: coherent 2.0 ms, divergent 1.0 ms"
    assert calls == [1]
    assert drjit_kernels.choose(table, "coherent", job).kernel == table.kernel == "coherent"
    assert drjit_kernels.choose(InlineTable(), "auto", job).kernel == "coherent"
    with pytest.raises(InputError, match=r"kernel: is not one of Dr\.Jit's; got scalar"):
        drjit_kernels.choose(table, "scalar", job)


def test_kernels_take_turns_and_the_first_run_is_forgotten(balls: Any) -> None:
    table, order = InlineTable.from_scene(balls), []
    # seconds in kernels; tracing takes another one and two
    cost = {"coherent": iter([9, 3, 5, 4.0]), "divergent": iter([99, 2, 7, 8.0])}
    beside = {"coherent": 1.0, "divergent": 2.0}

    def meter(run: Any) -> tuple[float, float]:
        order.append(table.kernel)
        kernels = next(cost[table.kernel])
        return kernels, kernels + beside[table.kernel]

    job = drjit_kernels.Job(samples=80, passes=5, probes=[lambda: None], probe_samples=8)
    spans = drjit_kernels.measure(table, job, meter)
    assert spans == {"coherent": 30.0 + 5.0, "divergent": 20.0 + 10.0}
    assert order == ["coherent", "divergent"] * 4


def test_time_in_kernels_is_part_of_the_whole(mi: Any) -> None:
    import drjit as dr

    def run() -> None:
        x = dr.arange(mi.Float, 1 << 16)
        for _ in range(20):
            x = dr.sin(x)
        dr.eval(x)
        dr.sync_thread()

    kernels, whole = drjit_kernels.meter(run)
    assert 0 < kernels < whole
    assert not dr.flag(dr.JitFlag.KernelHistory)


def test_probes_lie_inside_the_pass() -> None:
    for block in (Block(5, 1, 0, 1, 1), Block(0, 100, 0, 16, 16), Block(7, 70000, 3, 16, 16)):
        for probe in probes(block):
            assert block.first <= probe.first and probe.pixels >= 1
            assert probe.first + probe.pixels <= block.first + block.pixels
            assert probe.pixels * probe.samples <= max(PROBE_SAMPLES, block.samples)
    assert len(probes(Block(7, 70000, 3, 16, 16))) == 3
