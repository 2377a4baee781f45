"""Baking materials that transmit: a short bake keeps the laws, and its tables hold energy down."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from etendue.artifact import read_artifact
from etendue.bake.settings import BakeSettings
from etendue.device.drjit import activate
from etendue.scene.material import Interior, Layer, LayeredMaterial, LayerKind, Stack

TINY = BakeSettings(arch="2x16", steps=64, texels=64, pool=4, reuse=2, pairs=8)


def frosted() -> LayeredMaterial:
    """Rough glass, constant."""
    glass = Layer(LayerKind.DIELECTRIC, alpha=(0.3, 0.3), eta=1.5)
    stack = Stack((1.0, 1.0, 1.0), (0, 1))
    return LayeredMaterial(
        "frosted", (glass, Layer(LayerKind.OPEN)), (stack,), source_hash="d" * 64,
        interior=Interior((0.1, 0.2, 0.3)),
    )  # fmt: skip


@pytest.fixture(scope="module")
def baked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from etendue.bake import transmission
    from etendue.bake.material import bake

    activate()
    path = tmp_path_factory.mktemp("bake") / "frosted.eta"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transmission, "SAMPLES", 1 << 11)
        patch.setattr(transmission, "ROUNDS", 1)
        bake(frosted(), replace(TINY, steps=480, texels=128), path)
    return path


def test_artifact(baked: Path) -> None:
    """Four lobes with their tables, and what the path tracer needs to know of the solid."""
    artifact = read_artifact(baked, kind="material")
    about = artifact.header["transmission"]
    assert (about["two_sided"], about["neural"], about["eta"]) == (False, True, 1.5)
    assert about["absorption"] == [0.1, 0.2, 0.3]
    assert about["delta"] is None
    names = {name.split(".w0")[0] for name in artifact.tensors if name.endswith("evaluator.w0")}
    assert names == {
        f"{way}.{side}.evaluator" for way in ("reflect", "transmit") for side in ("above", "below")
    }


def test_energy_is_bounded(baked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However badly trained: reflection and transmission together stay at or below one."""
    from etendue.bake import transmission
    from etendue.bsdf.neural_transmission import NeuralTransmission

    activate()
    monkeypatch.setattr(transmission, "SAMPLES", 1 << 12)
    bsdf = NeuralTransmission.load(baked)
    for above in (True, False):
        eta = 1.5 if above else 1 / 1.5
        reflected, transmitted, error = transmission.measure(bsdf, eta, above, 1, 99)
        total = (reflected + transmitted).max(axis=(1, 2))
        assert (total <= 1.001 + 4 * error.max(axis=(1, 2))).all()
        assert total.mean() > 0.3


def test_heldout_errors(baked: Path) -> None:
    """By lobe; the tables leave little bias in reflection however short the training."""
    from etendue.bake.transmission import heldout_error

    activate()
    rows = heldout_error(read_artifact(baked, kind="material"), frosted(), 1 << 14)
    assert [row["lobe"] for row in rows] == [
        "reflect.above", "transmit.above", "reflect.below", "transmit.below",
    ]  # fmt: skip
    assert abs(rows[0]["bias"]) < 0.3
    assert all(0.0 < row["relative"] < 3.0 for row in rows)


def wall() -> LayeredMaterial:
    glass = Layer(LayerKind.DIELECTRIC, alpha=(0.3, 0.3), eta=1.5)
    layers = (glass, replace(glass, eta=1 / 1.5), Layer(LayerKind.OPEN))
    return LayeredMaterial("wall", layers, (Stack((1.0, 1.0, 1.0), (0, 1, 2)),))


def test_a_wall_has_no_boundary() -> None:
    from etendue.bake.transmission import boundary_index, first_lobe

    activate()
    assert boundary_index(wall()) == 1.0
    assert boundary_index(frosted()) == 1.5
    first: Any = first_lobe(wall(), 1)
    assert first.chart.eta == 1.0


def test_stopped_and_resumed_equals_uninterrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the first lobe, at its end, and in the second one."""
    from etendue.bake import transmission
    from etendue.bake.material import bake, checkpoint_path
    from etendue.bake.train import BakeStoppedError

    activate()
    monkeypatch.setattr(transmission, "SAMPLES", 1 << 10)
    monkeypatch.setattr(transmission, "ROUNDS", 1)
    whole: list[int] = []
    bake(wall(), TINY, tmp_path / "whole.eta", progress=lambda s, t, x: whole.append(s))
    assert len(whole) == 8, "four pools for each of two lobes"
    for pools in (2, 4, 6):
        out, seen = tmp_path / f"{pools}.eta", [0]

        def progress(step: int, total: int, loss: float, seen: list[int] = seen) -> None:
            seen.append(step)

        with pytest.raises(BakeStoppedError):
            bake(
                wall(), TINY, out, progress=progress,
                stop=lambda seen=seen, pools=pools: len(seen) > pools,
            )  # fmt: skip
        assert not out.exists() and checkpoint_path(out).exists()
        assert seen[1:] == whole[:pools]
        bake(wall(), TINY, out, resume=True, progress=progress)
        assert seen[1:] == whole, "no pool was done twice"
        assert out.read_bytes() == (tmp_path / "whole.eta").read_bytes()
        assert not checkpoint_path(out).exists()
