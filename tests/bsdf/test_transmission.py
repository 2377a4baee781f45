"""Open stacks: an independent walk, Mitsuba's glass, laws of energy, and sampling."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from etendue.bsdf.transmission import Transmissive, reference
from etendue.core.errors import InputError
from etendue.scene.material import Interior, Layer, LayeredMaterial, LayerKind, Stack

GREY = (1.0, 1.0, 1.0)
OPEN = Layer(LayerKind.OPEN, "open")
ASSETS = Path(__file__).parents[2] / "assets" / "materials"
RINGS, SECTORS = 12, 8


def glass(*layers: Layer, solid: bool = True, name: str = "glass") -> LayeredMaterial:
    """One open stack."""
    stack = Stack(GREY, tuple(range(len(layers) + 1)))
    return LayeredMaterial(name, (*layers, OPEN), (stack,), interior=Interior() if solid else None)


def interface(eta: float, alpha: float = 0.2, **more: Any) -> Layer:
    return Layer(LayerKind.DIELECTRIC, alpha=(alpha, alpha), eta=eta, **more)


MATERIALS = {
    "rough glass": glass(interface(1.5)),
    "anisotropic glass": glass(replace(interface(1.5), alpha=(0.1, 0.4), tangent=(0.6, 0.8))),
    "tilted glass": glass(interface(1.5, normal=(0.2, -0.1))),
    "tinted glass": glass(interface(1.4, reflect_tint=(0.9, 0.5, 1), transmit_tint=(1, 0.8, 0.6))),
    "coated glass": glass(
        interface(1.3, 0.15, tau_absorb=(0.1, 0.3, 0.6)), interface(1.2, 0.3), name="coated"
    ),
    "pane": glass(interface(1.5, tau_absorb=(0.2, 0.1, 0.4)), interface(1 / 1.5), solid=False),
    "foggy pane": glass(
        interface(1.5, tau_scatter=0.5, g=0.5), interface(1 / 1.5, 0.3), solid=False
    ),
}  # fmt: skip
INCIDENCES = ((0.95, 0.3), (0.6, 2.0), (0.25, 4.0), (-0.9, 1.0), (-0.5, 5.0))


def sides(material: LayeredMaterial) -> list[tuple[float, float]]:
    """Incidences that a renderer may ask for: a thin wall is always seen from above."""
    return [a for a in INCIDENCES if material.interior is not None or a[0] > 0]


def polar_bins(d: np.ndarray, w: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Energy per bin of the sphere and its standard error, per channel."""
    ring = np.minimum(((d[:, 2] + 1) / 2 * RINGS).astype(int), RINGS - 1)
    sector = (np.arctan2(d[:, 1], d[:, 0]) / (2 * np.pi) % 1 * SECTORS).astype(int) % SECTORS
    index, size = ring * SECTORS + sector, RINGS * SECTORS

    def bins(x: np.ndarray) -> np.ndarray:
        return np.stack([np.bincount(index, x[:, c], size) for c in range(3)], 1) / n

    mean = bins(w)
    return mean, np.sqrt(np.maximum(bins(w * w) - mean * mean, 1e-16) / n)


def basic(material: LayeredMaterial, wi: np.ndarray, wo: np.ndarray, f: np.ndarray) -> np.ndarray:
    """Radiance to basic radiance: what crosses into index eta was divided by its square."""
    layers = [material.layers[k] for k in material.stacks[0].layers[:-1]]
    eta = float(np.prod([layer.eta for layer in layers]))
    eta = eta if wi[2] > 0 else 1 / eta
    return f * np.where((wo[:, 2] > 0) == (wi[2] > 0), 1.0, eta**2)[:, None]


@pytest.mark.parametrize("name", MATERIALS)
def test_equals_forward_walk(
    name: str, walk_forward: Callable, probe: Any, polar: Callable
) -> None:
    """f cos over 96 bins of the sphere equals where photons go, on both sides."""
    material = MATERIALS[name]
    bsdf = Transmissive(material)
    for cosine, azimuth in sides(material)[::2]:
        wi = polar(abs(cosine), azimuth) * [1, 1, np.sign(cosine)]
        n = 1 << 17
        d, w = walk_forward(material, wi, n, seed=5)
        expected, error = polar_bins(d, w, n)
        m = 1 << 20
        wo, weight, _ = probe.sample(bsdf, wi, m, seed=6)
        found, other = polar_bins(wo, basic(material, wi, wo, weight), m)
        z = (found - expected) / np.sqrt(error**2 + other**2 + 1e-9)
        assert np.abs(z).max() < 5, (cosine, np.abs(z).max())
        assert np.abs(found.sum(0) - expected.sum(0)).max() < 0.005


@pytest.mark.parametrize("name", MATERIALS)
def test_chi_square_over_the_sphere(
    name: str,
    mi: Any,
    probe: Any,
    polar: Callable,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Drawn directions follow `pdf` on the whole sphere, from both sides."""
    import drjit as dr
    from mitsuba.chi2 import ChiSquareTest, SphericalDomain

    monkeypatch.chdir(tmp_path)  # a rejected test writes its data there
    bsdf = Transmissive(MATERIALS[name])
    cases = sides(MATERIALS[name])
    for cosine, azimuth in cases:
        wi = polar(abs(cosine), azimuth) * [1, 1, np.sign(cosine)]

        def sample(u: Any, wi: np.ndarray = wi) -> Any:
            n = dr.width(u)
            s = bsdf.sample(probe.point(wi, n), u, mi.PCG32(size=n), mi.Bool(True))
            return s.wo, dr.select(s.pdf > 0, mi.Float(1), 0)

        def pdf(wo: Any, wi: np.ndarray = wi) -> Any:
            return bsdf.pdf(probe.point(wi, dr.width(wo)), wo, mi.Bool(True))

        test = ChiSquareTest(
            SphericalDomain(), sample, pdf, sample_dim=3, sample_count=400_000, res=60, ires=32
        )
        assert test.run(significance_level=0.01 / len(cases), quiet=True), test.messages


@pytest.mark.parametrize("alpha", [0.05, 0.3])
def test_refraction_is_mitsubas(mi: Any, probe: Any, polar: Callable, alpha: float) -> None:
    """Eval over the far side equals `roughdielectric`, from both sides, radiance scale included."""
    import drjit as dr

    theirs = mi.load_dict(
        {"type": "roughdielectric", "distribution": "ggx", "alpha": alpha, "int_ior": 1.5,
         "ext_ior": 1.0}
    )  # fmt: skip
    ours, n = Transmissive(glass(interface(1.5, alpha))), 20_000
    rng = np.random.default_rng(1)
    for sign in (1, -1):
        for cosine in (0.95, 0.7):
            wi = polar(cosine, 0.5) * [1, 1, sign]
            eta = 1.5 if sign > 0 else 1 / 1.5
            straight = np.append(-wi[:2] / eta, 0)
            wo = straight + rng.normal(size=(n, 3)) * 0.3
            wo[:, 2] = -sign * np.sqrt(np.maximum(1 - (wo[:, :2] ** 2).sum(1), 1e-3))
            wo /= np.linalg.norm(wo, axis=1, keepdims=True)
            si = dr.zeros(mi.SurfaceInteraction3f, n)
            si.wi = mi.Vector3f(*map(float, wi))
            o = mi.Vector3f(np.ascontiguousarray(wo.T.astype(np.float32)))
            expected = theirs.eval(mi.BSDFContext(), si, o).numpy().T
            assert expected.max() > 0.1
            found = probe.eval(ours, wi, wo)
            np.testing.assert_allclose(found, expected, rtol=2e-3, atol=1e-5)


@pytest.mark.parametrize("name", ["rough glass", "coated glass", "pane"])
def test_reciprocity(name: str, probe: Any, polar: Callable) -> None:
    """f(a, b) = f(b, a) / eta^2 through the material, eta the index on the side of b.

    Veach 1997, Eq. (5.14): f / n_o^2 is symmetric, and f is for radiance here.
    """
    material = MATERIALS[name]
    bsdf, n = Transmissive(material), 1 << 16
    a, b = polar(0.8, 0.3), polar(0.7, 3.2) * [1, 1, -1]
    forth = probe.eval(bsdf, a, np.tile(b, (n, 1)), seed=1)
    back = probe.eval(bsdf, b, np.tile(a, (n, 1)), seed=2)
    forth = forth / abs(b[2])
    back = basic(material, b, a[None], back) / abs(a[2])
    error = np.sqrt((forth.var(0) + back.var(0)) / n) + 1e-6
    assert np.abs(forth.mean(0) - back.mean(0)).max() < 4.5 * error.max()
    assert forth.mean() > 1e-3


SMOOTH = {
    "solid": glass(interface(1.5, smooth=True)),
    "window": glass(interface(1.5, smooth=True), interface(1 / 1.5, smooth=True), solid=False),
    "bubble": glass(
        interface(1.0, smooth=True, film_eta=1.33, film_thickness=400.0), solid=False
    ),
    "coated lens": glass(
        interface(1.5, smooth=True, film_eta=1.38, film_thickness=100.0)
    ),
    "lacquered": glass(interface(1.4, smooth=True), interface(1.2, smooth=True)),
}  # fmt: skip


@pytest.mark.parametrize("name", SMOOTH)
@pytest.mark.parametrize("cosine", [1.0, 0.8, 0.5, 0.2, 0.05, -1.0, -0.8, -0.5, -0.1])
def test_mirrors_lose_nothing(name: str, cosine: float, probe: Any, polar: Callable) -> None:
    """White furnace of the delta parts, in every channel and from both sides."""
    material = SMOOTH[name]
    if cosine < 0 and material.interior is None:
        pytest.skip("a thin wall is only seen from above")
    wi = polar(abs(cosine), 0.4) * [1, 1, np.sign(cosine)]
    bsdf, n = Transmissive(material), 1 << 16
    assert not bsdf.continuous or bsdf.rough == []
    from etendue.bsdf.open_layers import mirrors

    p = probe.point(wi, 1)
    seen = mirrors(bsdf.fetch.at(p.uv, p.wi, True)[0][:-1], p.wi)
    total = (seen.reflected + seen.transmitted).numpy().ravel()
    np.testing.assert_allclose(total, 1.0, atol=1e-5)
    wo, weight, pdf = probe.sample(bsdf, wi, n, seed=1)
    value = basic(material, wi, wo, weight)
    error = value.std(0) / np.sqrt(n) + 1e-6
    assert (np.abs(value.mean(0) - 1.0) < 4.5 * error).all()
    assert (pdf == 1.0).all()


@pytest.mark.parametrize("name", MATERIALS)
@pytest.mark.parametrize("cosine", [1.0, 0.6, 0.2, 0.05, -0.9, -0.5, -0.1])
def test_never_gains_energy(name: str, cosine: float, probe: Any, polar: Callable) -> None:
    """Reflected and transmitted together stay at or below one."""
    material = MATERIALS[name]
    if cosine < 0 and material.interior is None:
        pytest.skip("a thin wall is only seen from above")
    wi = polar(abs(cosine), 1.0) * [1, 1, np.sign(cosine)]
    n = 1 << 17
    wo, weight, _ = probe.sample(Transmissive(material), wi, n, seed=2)
    value = basic(material, wi, wo, weight)
    assert value.mean(0).max() <= 1.0 + 4 * value.std(0).max() / np.sqrt(n)


def test_smooth_pane_is_mitsubas(probe: Any, polar: Callable) -> None:
    """2 R / (1 + R) of `thindielectric` comes out of the interreflections."""
    from etendue.bsdf.open_layers import mirrors

    bsdf = Transmissive(SMOOTH["window"])
    for cosine in (1.0, 0.5, 0.1):
        p = probe.point(polar(cosine, 0.0), 1)
        layers = bsdf.fetch.at(p.uv, p.wi, True)[0]
        once = mirrors(layers[:1], p.wi).reflected[0][0]
        both = mirrors(layers[:2], p.wi)
        assert both.reflected[0][0] == pytest.approx(2 * once / (1 + once), rel=1e-4)
        assert both.eta[0] == pytest.approx(1.0)
        np.testing.assert_allclose(
            np.array(both.refraction).ravel(), -np.array(p.wi).ravel(), atol=1e-5
        )


def test_mixture_of_opaque_and_open(probe: Any, polar: Callable) -> None:
    """Half paint, half glass: both halves of the value, one normalised density."""
    paint = Layer(LayerKind.DIFFUSE, albedo=(0.5, 0.5, 0.5))
    half = (0.5, 0.5, 0.5)
    mixed = LayeredMaterial(
        "mixed", (paint, interface(1.5), OPEN), (Stack(half, (0,)), Stack(half, (1, 2))),
        interior=Interior(),
    )  # fmt: skip
    bsdf, wi = Transmissive(mixed), polar(0.7, 0.2)
    rng = np.random.default_rng(0)
    wo = rng.normal(size=(1 << 20, 3))
    wo /= np.linalg.norm(wo, axis=1, keepdims=True)
    below = polar(0.7, 0.2) * [1, 1, -1]
    for view in (wi, below):  # what is lost is lost below the horizon
        kept = np.mean(probe.sample(bsdf, view, 1 << 18, seed=2)[2] > 0)
        assert probe.pdf(bsdf, view, wo).mean() * 4 * np.pi == pytest.approx(kept, abs=0.01)
    alone = probe.eval(Transmissive(MATERIALS["rough glass"]), wi, wo)
    paint_value = np.maximum(wo[:, 2:], 0) * 0.5 / np.pi
    np.testing.assert_allclose(probe.eval(bsdf, wi, wo), 0.5 * (alone + paint_value), atol=1e-5)


def test_textured_film(mi: Any, probe: Any) -> None:
    """The bubble's film follows its texture; opaque materials keep their own class."""
    from etendue.bsdf.layered import Layered
    from etendue.scene.materialx import load_material

    bubble = load_material(ASSETS / "soap_bubble.mtlx", resolution=64)
    bsdf = reference(bubble, 1)
    assert isinstance(bsdf, Transmissive)
    assert bubble.interior is None
    p = probe.point(np.array([0.0, 0.0, 1.0]), 64)
    p.uv = mi.Point2f(0.5, mi.Float(np.linspace(0.01, 0.99, 64)))
    layers, _ = bsdf.fetch.at(p.uv, p.wi, True)
    assert np.ptp(layers[0].film_thickness.numpy()) > 200
    assert isinstance(reference(load_material(ASSETS / "car_paint.mtlx", resolution=8)), Layered)


def test_descriptions_that_make_no_sense() -> None:
    rough, smooth = interface(1.5), interface(1.5, smooth=True)
    for layers, message in (
        ((rough, smooth), "smooth and rough"),
        ((smooth, replace(smooth, normal=(0.1, 0.0))), "different normals"),
        ((replace(smooth, tau_scatter=0.1), smooth), "scattering medium"),
    ):
        with pytest.raises(InputError, match=message):
            Transmissive(glass(*layers))
    with pytest.raises(InputError, match="sheen"):
        material = glass(rough)
        Transmissive(replace(material, stacks=(Stack(GREY, (0, 1), sheen_color=GREY),)))
