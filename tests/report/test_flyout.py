"""Flying out: a material beside itself, and one whose coarse levels have lost light."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from etendue.bsdf.layered import Layered
from etendue.device.drjit import activate
from etendue.layout import assets
from etendue.report.flyout import STEPS, fly_out, strip, summary
from etendue.scene.material import WHITE, Layer, LayeredMaterial, LayerKind, Stack

SIZE = (48, 36)


class Fading(Layered):
    """Loses a tenth of its light where footprints are larger than `limit`."""

    limit = 0.1

    def _estimate(self, p: Any, wos: list[Any], rng: Any, active: Any) -> list[Any]:
        import drjit as dr

        kept = dr.select(p.footprint > self.limit, 0.9, 1.0)
        return [kept * value for value in super()._estimate(p, wos, rng, active)]


@pytest.fixture(scope="module")
def material() -> LayeredMaterial:
    activate()
    base = Layer(LayerKind.DIFFUSE, "base", albedo=(0.6, 0.4, 0.2))
    return LayeredMaterial("plain", (base,), (Stack(WHITE, (0,)),), source_hash="d" * 64)


@pytest.fixture(scope="module")
def carrier() -> Path:
    """Any material for the scene to be built with; both sides of the comparison replace it."""
    return assets() / "materials" / "car_paint.mtlx"


def test_a_material_beside_itself_does_not_drift(material: LayeredMaterial, carrier: Path) -> None:
    same = Layered(material)
    stops = fly_out(carrier, same, same, size=SIZE, samples=1 << 12)
    found = summary(stops)
    assert found["ratios"] == [1.0] * len(STEPS) and found["drift"] == found["largest_step"] == 0
    assert [stop.size for stop in stops][::2] == [(48, 36), (24, 18), (12, 9), (6, 4), (4, 4)]
    assert strip(stops, 20).shape[0] == 40
    for stop in stops:
        assert stop.reference.shape == (*stop.size[::-1], 3) and 0 < stop.error < 0.2


def test_lost_light_is_seen_with_its_step(material: LayeredMaterial, carrier: Path) -> None:
    """Pixels cover more of the texture from size to size until all have lost a tenth."""
    found = summary(
        fly_out(carrier, Layered(material), Fading(material), size=SIZE, samples=1 << 14)
    )
    ratios = np.array(found["ratios"])
    assert ratios[0] > 0.97
    assert 0.89 < ratios[-3:].max() < 0.95, "what is not the material's in a pixel keeps its light"
    assert (np.diff(ratios)[:5] < 0.005).all(), "light only fades"
    assert found["drift"] == pytest.approx(1 - ratios.min() / ratios[0])


def test_another_seed_is_another_picture(material: LayeredMaterial, carrier: Path) -> None:
    bsdf = Layered(replace(material, name="again"))
    a, b = (fly_out(carrier, bsdf, bsdf, size=(8, 6), samples=64, seed=k)[0] for k in (1, 2))
    assert not np.array_equal(a.reference, b.reference)
