"""`sample` against `pdf`: chi², normalisation, and weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from etendue.bsdf.layered import Layered

STACKS = (
    "coat on paint",
    "coat on brushed metal",
    "two media on metal",
    "mix of stacks",
    "tilted layers",
)
INCIDENCES = ((0.999, 0.0), (0.9, 1.0), (0.75, 2.5), (0.5, 4.0), (0.3, 5.5), (0.1, 0.7))


@pytest.mark.parametrize("name", STACKS)
def test_chi_square(
    name: str,
    mi: Any,
    stacks: dict,
    probe: Any,
    polar: Callable,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Drawn directions follow `pdf` at six incidences."""
    import drjit as dr
    from mitsuba.chi2 import ChiSquareTest, SphericalDomain

    monkeypatch.chdir(tmp_path)  # a rejected test writes its data there
    bsdf = Layered(stacks[name])
    for cosine, azimuth in INCIDENCES:
        wi = polar(cosine, azimuth)

        def sample(u: Any, wi: np.ndarray = wi) -> Any:
            n = dr.width(u)
            s = bsdf.sample(probe.point(wi, n), u, mi.PCG32(size=n), mi.Bool(True))
            return s.wo, dr.select(s.pdf > 0, mi.Float(1), 0)

        def pdf(wo: Any, wi: np.ndarray = wi) -> Any:
            return bsdf.pdf(probe.point(wi, dr.width(wo)), wo, mi.Bool(True))

        test = ChiSquareTest(
            SphericalDomain(),
            sample,
            pdf,
            sample_dim=3,
            sample_count=400_000,
            res=60,
            ires=32,
        )
        assert test.run(significance_level=0.01 / len(INCIDENCES), quiet=True), test.messages


@pytest.mark.parametrize("name", STACKS)
def test_pdf_accounts_for_lost_samples(
    name: str, probe: Any, polar: Callable, stacks: dict
) -> None:
    """The integral of the pdf over the hemisphere is the share of samples that survive."""
    bsdf, n = Layered(stacks[name]), 1 << 20
    rng = np.random.default_rng(1)
    z, phi = rng.random(n), 2 * np.pi * rng.random(n)
    s = np.sqrt(1 - z * z)
    wo = np.stack([s * np.cos(phi), s * np.sin(phi), z], 1)
    for cosine in (0.8, 0.2):
        wi = polar(cosine, 1.3)
        density = probe.pdf(bsdf, wi, wo) * 2 * np.pi
        kept = np.mean(probe.sample(bsdf, wi, 1 << 18, seed=2)[2] > 0)
        assert density.mean() == pytest.approx(kept, abs=float(4 * density.std() / 1024 + 0.003))


def test_below_horizon_is_black(stacks: dict, probe: Any, polar: Callable) -> None:
    """Nothing is reflected to the lower side, and the pdf there is zero."""
    wo = np.array([[0.3, 0.1, -0.9], [0.6, 0.0, -0.01], [1.0, 0.0, 0.0]])
    wo /= np.linalg.norm(wo, axis=1, keepdims=True)
    for material in stacks.values():
        bsdf = Layered(material)
        assert (probe.eval(bsdf, polar(0.6, 0.0), wo) == 0).all()
        assert (probe.pdf(bsdf, polar(0.6, 0.0), wo) == 0).all()


def test_weight_is_eval_over_pdf(stacks: dict, probe: Any, polar: Callable) -> None:
    """Where f is known in closed form the weight is exactly eval / pdf."""
    from etendue.scene.material import Layer, LayeredMaterial, LayerKind, Stack

    material = LayeredMaterial(
        "opaque",
        (
            Layer(LayerKind.CONDUCTOR, alpha=(0.2, 0.4), normal=(0.1, 0.0)),
            Layer(LayerKind.DIFFUSE, roughness=0.5),
        ),
        (Stack((0.5, 0.4, 0.3), (0,)), Stack((0.2, 0.3, 0.4), (1,))),
    )
    bsdf, wi = Layered(material), polar(0.5, 1.0)
    wo, weight, pdf = probe.sample(bsdf, wi, 4096, seed=3)
    ok = pdf > 0
    assert 0.5 < ok.mean() < 1
    assert (weight[~ok] == 0).all()
    expected = probe.eval(bsdf, wi, wo[ok]) / probe.pdf(bsdf, wi, wo[ok])[:, None]
    np.testing.assert_allclose(weight[ok], expected, rtol=1e-3, atol=1e-6)
