"""Albedo of a diffuse base under interfaces: closed forms, tables, and the walk itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etendue.scene.material import Layer, LayeredMaterial, LayerKind, Stack
from etendue.scene.rough_base import (
    Pile,
    external_diffuse_reflectance,
    fresnel_dielectric,
    internal_diffuse_reflectance,
    pile,
    split_base,
)

SIDE = 96  # strata per axis of an albedo estimate


def _interface(alpha: float, eta: float) -> tuple[np.ndarray, np.ndarray]:
    return np.full(1, alpha), np.full(1, eta)


def _smooth(*etas: float) -> np.ndarray:
    """What a pile of smooth interfaces returns."""
    return pile(*(_interface(0.0, eta) for eta in etas)).returned


@pytest.fixture(scope="module")
def albedo() -> Any:
    """Directional albedo at a cosine: the mean of sample weights over stratified numbers.

    The spread of `walks` walks per stratum leaves less than 0.3 % of noise.
    """
    from etendue.device.drjit import activate

    mi = activate()
    import drjit as dr

    from etendue.bsdf.base import ShadingPoint
    from etendue.bsdf.layered import Layered

    def estimate(material: LayeredMaterial, cosine: float = 0.5**0.5, walks: int = 8) -> np.ndarray:
        n = SIDE * SIDE
        index = dr.arange(mi.UInt, n)
        rng = mi.PCG32(size=n)
        u = [(mi.Float(i) + rng.next_float32()) / SIDE for i in (index % SIDE, index // SIDE)]
        wi = mi.Vector3f(float(np.sqrt(1 - cosine**2)), 0, cosine)
        point = ShadingPoint(mi.Point2f(0.5), wi + dr.zeros(mi.Vector3f, n), mi.Float(0))
        # the third coordinate chooses the lobe: a shuffled stratification of its own
        lobe = (mi.Float(index * 2654435761 >> 8) + 0.5) * 2.0**-24
        drawn = Layered(material, walks).sample(point, mi.Point3f(lobe, *u), rng, mi.Bool(True))
        return np.array(dr.mean(drawn.weight, axis=1)).ravel()

    return estimate


@pytest.mark.parametrize(
    ("eta", "internal", "external"), [(1.3, 0.4444, 0.0611), (1.5, 0.5963, 0.0918)]
)
def test_diffuse_reflectances(eta: float, internal: float, external: float) -> None:
    """The known 0.596 and 0.092 of glass, and water-like values by 1 - (1 - k_e)/eta^2."""
    assert internal_diffuse_reflectance(np.array([eta])) == pytest.approx(internal, abs=1e-3)
    assert external_diffuse_reflectance(np.array([eta])) == pytest.approx(external, abs=1e-3)


def test_internal_reflectance_by_direct_integration() -> None:
    mu = (np.arange(200_000) + 0.5) / 200_000
    direct = (fresnel_dielectric(mu, np.array(1 / 1.5)) * 2 * mu).mean()
    assert internal_diffuse_reflectance(np.array([1.5])) == pytest.approx(direct, abs=1e-5)


def test_pile_of_interfaces() -> None:
    one = internal_diffuse_reflectance(np.array([1.5]))
    np.testing.assert_allclose(_smooth(1.5), one)
    np.testing.assert_allclose(_smooth(), 0.0)
    np.testing.assert_allclose(_smooth(1.5, 1.0), one)
    assert _smooth(1.5, 1.2) > one


@given(st.floats(0.0, 1.0), st.floats(0.0, 0.9))
def test_inner_albedo_is_seen_as_the_given_colour(color: float, k: float) -> None:
    """The bounces (1 - k) rho sum_n (k rho)^n add up to the colour; rho stays in [0, 1]."""
    smooth = Pile(np.array(1.0 - k), np.array(k))
    rho = float(smooth.albedo(np.array(color)))
    assert 0.0 <= rho <= 1.0
    assert (1 - k) * rho / (1 - k * rho) == pytest.approx(color, abs=1e-9)
    assert smooth.shown(np.array(rho)) == pytest.approx(color, abs=1e-9)


@given(st.floats(0.5, 3.0), st.floats(0.5, 3.0))
def test_smooth_interfaces_lose_nothing(upper: float, lower: float) -> None:
    found = pile(_interface(0.0, upper), _interface(0.0, lower))
    np.testing.assert_allclose(found.through + found.returned, 1.0, atol=1e-12)


def test_matched_interfaces_do_nothing_however_rough() -> None:
    found = pile(_interface(1.0, 1.0), _interface(0.5, 1.001))
    np.testing.assert_allclose((found.through, found.returned), [[1.0], [0.0]], atol=3e-3)


@given(st.floats(0.0, 1.0), st.floats(0.0, 1.0), st.floats(0.34, 3.0), st.floats(0.0, 1.0))
def test_rough_interfaces_never_gain(ax: float, ay: float, eta: float, color: float) -> None:
    one = np.array([ax, ay]), np.array([eta])
    found = pile(one)
    assert 0.0 <= found.through and 0.0 <= found.returned
    assert found.shown(np.array(1.0)) <= 1.0 + 2e-3  # the noise of the table
    base = split_base(np.full(3, color), found, pile(), *one)
    assert 0.0 <= base.under.min() and base.under.max() <= 1.0
    assert 0.0 <= base.bare.min() and base.bare.max() <= 0.98
    assert 0.0 <= base.share <= 1.0


def test_rough_interfaces_share_with_bare_diffuse_only_where_they_must() -> None:
    def at(color: np.ndarray, alpha: float) -> Any:
        one = _interface(alpha, 1.5)
        return split_base(color, pile(one), pile(), *one)

    dark = np.array([0.1, 0.05, 0.02])
    for roughness in (0.1, 0.4, 0.6):
        assert at(dark, roughness**2).share == 0
    base = at(np.array([0.9, 0.5, 0.1]), 1.0)
    assert 0.5 < base.share < 1.0 and base.under[0] == 1.0
    assert base.bare.max() <= 0.98 and base.bare[0] > base.bare[1] > base.bare[2]
    assert np.all(np.diff([at(dark, a).under[0] for a in (0.03, 0.2, 0.5)]) > 0)


def test_texels_are_independent() -> None:
    rng = np.random.default_rng(1)
    alpha, eta = rng.uniform(0.0, 1.0, (4, 5, 2)), rng.uniform(1.1, 2.0, (4, 5, 1))
    color = rng.uniform(0.0, 1.0, (4, 5, 3))
    whole = split_base(color, pile((alpha, eta)), pile(), alpha, eta)
    one = alpha[2, 3], eta[2, 3]
    single = split_base(color[2, 3], pile(one), pile(), *one)
    for name in ("under", "bare", "share"):
        np.testing.assert_allclose(getattr(whole, name)[2, 3], getattr(single, name), atol=1e-12)


@pytest.mark.parametrize("eta", [1.2, 1.5, 2.0])
@pytest.mark.parametrize("alpha", [0.05, 0.2, 0.42, 0.9])
def test_shown_colour_is_that_of_the_walk(albedo: Any, alpha: float, eta: float) -> None:
    """R + (1 - R) tau rho / (1 - k rho) at 45 degrees, R measured over a black base."""
    rho = (0.3, 0.6, 1.0)
    top = Layer(LayerKind.DIELECTRIC, alpha=(alpha, alpha), eta=eta)
    black, white = Layer(LayerKind.BLACK), Layer(LayerKind.DIFFUSE, albedo=rho)
    stack = (Stack((1.0, 1.0, 1.0), (0, 1)),)
    first, found = (albedo(LayeredMaterial("m", (top, bottom), stack)) for bottom in (black, white))
    shown = pile(_interface(alpha, eta)).shown(np.array(rho))
    np.testing.assert_allclose(found, first + (1 - first) * shown, rtol=0.015)


MODELS = {
    "standard_surface": ("specular_roughness", {"base": "float: 1"}),
    "open_pbr_surface": ("specular_roughness", {}),
    "gltf_pbr": ("roughness", {"metallic": "float: 0"}),
}


@pytest.mark.parametrize("roughness", [0.1, 0.3, 0.5, 0.8])
@pytest.mark.parametrize("model", MODELS)
def test_models_keep_their_albedo_when_rough(
    documents: Any, albedo: Any, model: str, roughness: float
) -> None:
    """Albedo at 45 degrees is F + (1 - F) c.

    A smooth interface shows exactly that: F is reflected, and of the rest (1 - k) rho / (1 - k rho)
    = c comes back. F is that of the interface at its roughness, measured over a black base.
    """
    key, inputs = MODELS[model]
    text = documents.shader(
        model, base_color="color3: 0.2,0.5,0.8", **{key: f"float: {roughness}"}, **inputs
    )
    material = documents.load(text)
    (top,) = (layer for layer in material.layers if layer.kind == LayerKind.DIELECTRIC)
    stack = (Stack((1.0, 1.0, 1.0), (0, 1)),)
    first = albedo(LayeredMaterial("m", (top, Layer(LayerKind.BLACK)), stack))
    expected = first + (1.0 - first) * np.array([0.2, 0.5, 0.8])
    np.testing.assert_allclose(albedo(material), expected, rtol=0.05)
    for cosine in (1.0, 0.5, 0.2):
        assert albedo(material, cosine).max() < 1.0


@pytest.mark.parametrize("coat", [0.0, 0.4])
def test_rough_base_under_a_coat(documents: Any, albedo: Any, coat: float) -> None:
    """Two interfaces, the lower one rough: the base adds as much as under two smooth ones."""
    found = []
    for rough in (0.0, 0.6):
        text = documents.shader(
            "standard_surface", base="float: 1", base_color="color3: 0,0.3,0.5",
            coat="float: 1", coat_roughness=f"float: {coat}",
            specular_roughness=f"float: {rough}",
        )  # fmt: skip
        black, *seen = albedo(documents.load(text))
        found.append((np.array(seen) - black) / (1.0 - black))
    np.testing.assert_allclose(found[1], found[0], rtol=0.05)
