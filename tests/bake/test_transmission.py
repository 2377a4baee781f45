"""Baking materials that transmit: a short bake keeps the laws, and its tables hold energy down."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from etendue.artifact import read_artifact
from etendue.bake.settings import BakeSettings
from etendue.core.errors import InputError
from etendue.device.drjit import activate
from etendue.scene.material import Interior, Layer, LayeredMaterial, LayerKind, Stack

TINY = BakeSettings(arch="2x16", steps=64, texels=64, pool=4, reuse=2, pairs=8, instances=1)


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


def test_a_wall_has_two_lobes_and_no_resume(tmp_path: Path) -> None:
    from etendue.bake.material import bake
    from etendue.bake.transmission import boundary_index, first_lobe

    activate()
    glass = Layer(LayerKind.DIELECTRIC, alpha=(0.3, 0.3), eta=1.5)
    back = replace(glass, eta=1 / 1.5)
    layers = (glass, back, Layer(LayerKind.OPEN))
    wall = LayeredMaterial("wall", layers, (Stack((1.0, 1.0, 1.0), (0, 1, 2)),))
    assert boundary_index(wall) == 1.0
    assert boundary_index(frosted()) == 1.5
    first: Any = first_lobe(wall, 1)
    assert first.chart.eta == 1.0
    with pytest.raises(InputError, match="cannot be resumed"):
        bake(wall, TINY, tmp_path / "w.eta", resume=True)
    assert not (tmp_path / "w.eta").exists()
