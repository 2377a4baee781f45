"""The materials that come with the project, through the layered reference."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from etendue.bsdf.base import InlineBSDF
from etendue.bsdf.transmission import reference

FOLDER = Path(__file__).parents[2] / "assets" / "materials"
ASSETS = sorted(path.stem for path in FOLDER.glob("*.mtlx"))
GLASSES = ("frosted_glass", "soap_bubble", "tinted_glass")
OPAQUE = [name for name in ASSETS if name not in GLASSES]
INCIDENCES = ((0.999, 0.0), (0.9, 1.0), (0.7, 2.5), (0.5, 4.0), (0.3, 5.5), (0.1, 0.7))


@cache
def load(name: str) -> InlineBSDF:
    from etendue.scene.materialx import load_material

    return reference(load_material(FOLDER / f"{name}.mtlx", resolution=64))


def test_there_are_assets(mi: Any) -> None:
    assert len(OPAQUE) >= 4
    for name in ASSETS:
        assert getattr(load(name), "transmits", False) == (name in GLASSES)


@pytest.mark.parametrize("name", OPAQUE)
@pytest.mark.parametrize("footprint", [0.0, 0.1])
def test_chi_square(
    name: str,
    footprint: float,
    mi: Any,
    probe: Any,
    polar: Callable,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Drawn directions follow `pdf` at six incidences and texels, sharp and filtered."""
    import drjit as dr
    from mitsuba.chi2 import ChiSquareTest, SphericalDomain

    monkeypatch.chdir(tmp_path)  # a rejected test writes its data there
    bsdf = load(name)
    for number, incidence in enumerate(INCIDENCES):
        uv = (0.13 + 0.17 * number, 0.83 - 0.11 * number)
        wi = polar(*incidence)

        def point(n: int, wi: np.ndarray = wi, uv: tuple[float, float] = uv) -> Any:
            p = probe.point(wi, n, uv)
            p.footprint = mi.Float(footprint)
            return p

        def sample(u: Any, point: Callable = point) -> Any:
            n = dr.width(u)
            s = bsdf.sample(point(n), u, mi.PCG32(size=n), mi.Bool(True))
            return s.wo, dr.select(s.pdf > 0, mi.Float(1), 0)

        def pdf(wo: Any, point: Callable = point) -> Any:
            return bsdf.pdf(point(dr.width(wo)), wo, mi.Bool(True))

        # the smoothest coats (alpha 0.03) are narrower than a cell at grazing
        fine = 128 if incidence[0] < 0.2 else 32
        test = ChiSquareTest(
            SphericalDomain(), sample, pdf, sample_dim=3, sample_count=400_000, res=60, ires=fine
        )
        level = 0.01 / len(INCIDENCES)
        assert test.run(significance_level=level, quiet=True), (incidence, test.messages)


@pytest.mark.parametrize("name", ASSETS)
def test_finite_and_below_one(name: str, mi: Any, probe: Any, polar: Callable) -> None:
    """Albedo at most one over the texture, nothing infinite, and the guide is of its size."""
    bsdf, n = load(name), 1 << 16
    uv = mi.Point2f(np.random.default_rng(2).random((2, n)).astype(np.float32))
    for cosine in (0.95, 0.5, 0.1):
        p = probe.point(polar(cosine, 1.0), n)
        p.uv = uv
        rng = mi.PCG32(size=n)
        u = mi.Point3f(rng.next_float32(), rng.next_float32(), rng.next_float32())
        drawn = bsdf.sample(p, u, rng, mi.Bool(True))
        weight = drawn.weight.numpy()
        if name in GLASSES:  # radiance is denser in a denser medium, energy is not
            weight = weight * np.where(drawn.wo.numpy()[2] < 0, drawn.eta.numpy() ** 2, 1)
        assert np.isfinite(weight).all()
        mean, error = weight.mean(1), weight.std(1) / 256
        assert (mean <= 1 + 4 * error).all()
        guide = bsdf.albedo(p, mi.Bool(True)).numpy().mean(1)
        assert np.abs(guide - mean).max() < 0.3
