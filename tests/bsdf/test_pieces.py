"""Single lobes against Mitsuba's own plugins, and sampling against values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

ALPHAS = ((0.1, 0.1), (0.3, 0.3), (0.08, 0.4))


def pairs(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Random directions in the upper hemisphere, none closer than 0.6 degrees to the horizon."""
    rng = np.random.default_rng(seed)
    out = []
    for _ in range(2):
        z, phi = 0.01 + 0.99 * rng.random(n), 2 * np.pi * rng.random(n)
        s = np.sqrt(1 - z * z)
        out.append(np.stack([s * np.cos(phi), s * np.sin(phi), z]).astype(np.float32))
    return out[0], out[1]


def near_mirror(mi: Any, wi: Any, seed: int) -> Any:
    """Directions around the mirror direction, so that narrow lobes are tested at their peak."""
    import drjit as dr

    rng = np.random.default_rng(seed)
    jitter = mi.Vector3f(0.15 * rng.normal(size=(3, dr.width(wi))).astype(np.float32))
    wo = dr.normalize(mi.Vector3f(-wi.x, -wi.y, wi.z) + jitter)
    wo.z = dr.abs(wo.z) + 1e-3
    return dr.normalize(wo)


def interaction(mi: Any, wi: Any) -> Any:
    import drjit as dr

    si = dr.zeros(mi.SurfaceInteraction3f, dr.width(wi))
    si.wi = wi
    si.t = 1.0
    return si


def smith(w: np.ndarray, alpha: tuple[float, float]) -> np.ndarray:
    t2 = ((alpha[0] * w[0]) ** 2 + (alpha[1] * w[1]) ** 2) / w[2] ** 2
    return 0.5 * (np.sqrt(1 + t2) - 1)


@pytest.mark.parametrize("alpha", ALPHAS)
def test_conductor_equals_roughconductor(mi: Any, alpha: tuple[float, float]) -> None:
    """White metal equals Mitsuba's, whose masking is separable, times the ratio of maskings."""
    from etendue.bsdf.conductor import conductor

    a, _ = pairs(4096, 1)
    wi = mi.Vector3f(a)
    wo = near_mirror(mi, wi, 2)
    plugin = mi.load_dict(
        {
            "type": "roughconductor",
            "material": "none",
            "distribution": "ggx",
            "alpha_u": alpha[0],
            "alpha_v": alpha[1],
        }
    )
    si = interaction(mi, wi)
    theirs = plugin.eval(mi.BSDFContext(), si, wo).numpy()[0]
    one = mi.Color3f(1.0)
    value, pdf = conductor(wi, wo, *alpha, one, one, one)
    la, lb = smith(a, alpha), smith(wo.numpy(), alpha)
    correlated = (1 + la) * (1 + lb) / (1 + la + lb)
    assert theirs.max() > 1
    np.testing.assert_allclose(value.numpy()[0], theirs * correlated, rtol=5e-3, atol=1e-5)
    np.testing.assert_allclose(
        pdf.numpy(), plugin.pdf(mi.BSDFContext(), si, wo).numpy(), rtol=5e-3, atol=1e-5
    )


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("from_below", [False, True])
def test_dielectric_equals_roughdielectric(
    mi: Any, alpha: tuple[float, float], from_below: bool
) -> None:
    """Reflection and refraction equal Mitsuba's rough glass from both sides."""
    import drjit as dr

    from etendue.bsdf.dielectric import reflect_lobe, refract_lobe
    from etendue.bsdf.ggx import refract, sample_visible_normal

    plugin = mi.load_dict(
        {
            "type": "roughdielectric",
            "distribution": "ggx",
            "alpha_u": alpha[0],
            "alpha_v": alpha[1],
            "int_ior": 1.5,
            "ext_ior": 1.0,
        }
    )
    eta, side = (1 / 1.5, -1.0) if from_below else (1.5, 1.0)
    a, _ = pairs(4096, 3)
    w = mi.Vector3f(a)
    si = interaction(mi, mi.Vector3f(w.x, w.y, w.z * side))
    # importance transport carries energy, that is radiance over squared index
    ctx = mi.BSDFContext(mi.TransportMode.Importance)

    mirror = near_mirror(mi, w, 4)
    f, lobe = reflect_lobe(w, mirror, *alpha, mi.Float(eta))
    la, lb = smith(a, alpha), smith(mirror.numpy(), alpha)
    correlated = (1 + la) * (1 + lb) / (1 + la + lb)
    theirs = plugin.eval(ctx, si, mi.Vector3f(mirror.x, mirror.y, mirror.z * side)).numpy()[0]
    np.testing.assert_allclose((f * lobe.value).numpy(), theirs * correlated, rtol=5e-3, atol=1e-5)

    u = np.random.default_rng(5).random((2, 4096)).astype(np.float32)
    m = sample_visible_normal(w, *alpha, mi.Float(u[0]), mi.Float(u[1]))
    cos_m = dr.dot(w, m)
    cos_t = dr.safe_sqrt(1 - (1 - cos_m * cos_m) / eta**2)
    bent = refract(w, m, cos_m, cos_t, mi.Float(eta))
    ok = ((cos_t > 1e-2) & (bent.z < -1e-2)).numpy()
    t, lobe = refract_lobe(w, bent, *alpha, mi.Float(eta))
    theirs = plugin.eval(ctx, si, mi.Vector3f(bent.x, bent.y, bent.z * side)).numpy()[0]
    assert ok.sum() > 1000
    np.testing.assert_allclose((t * lobe.value).numpy()[ok], theirs[ok], rtol=1e-2, atol=1e-4)


def test_lambert_equals_diffuse(mi: Any) -> None:
    """EON without roughness, and the Lambert short cut, equal Mitsuba's diffuse."""
    from etendue.bsdf.diffuse import eon, lambert

    a, b = pairs(2048, 6)
    wi, wo = mi.Vector3f(a), mi.Vector3f(b)
    plugin = mi.load_dict({"type": "diffuse", "reflectance": {"type": "rgb", "value": 0.7}})
    theirs = plugin.eval(mi.BSDFContext(), interaction(mi, wi), wo).numpy()
    np.testing.assert_allclose(lambert(wi, wo, mi.Color3f(0.7)).numpy(), theirs, rtol=1e-5)
    flat = eon(wi, wo, mi.Color3f(0.7), mi.Float(0.0)).numpy()
    np.testing.assert_allclose(flat, theirs, rtol=1e-5)


@pytest.mark.parametrize("roughness", [0.2, 0.6, 1.0])
def test_eon_preserves_energy(mi: Any, roughness: float) -> None:
    """White EON reflects everything at every incidence, and f is reciprocal."""
    import drjit as dr

    from etendue.bsdf.diffuse import eon

    n = 512
    i = dr.arange(mi.UInt, n * n)
    z, phi = (mi.Float(i // n) + 0.5) / n, (mi.Float(i % n) + 0.5) * (2 * np.pi / n)
    s = dr.sqrt(1 - z * z)
    wo = mi.Vector3f(s * dr.cos(phi), s * dr.sin(phi), z)
    for c in (1.0, 0.7, 0.3, 0.1):
        wi = mi.Vector3f(float(np.sqrt(1 - c * c)), 0.0, c)
        value = eon(wi, wo, mi.Color3f(1.0), mi.Float(roughness))
        assert float(dr.mean(value.x)[0]) * 2 * np.pi == pytest.approx(1.0, abs=2e-3)
    a, b = (mi.Vector3f(x) for x in pairs(2048, 7))
    rho = mi.Color3f(0.9, 0.5, 0.1)
    forth, back = (
        eon(a, b, rho, mi.Float(roughness)) / b.z,
        eon(b, a, rho, mi.Float(roughness)) / a.z,
    )
    np.testing.assert_allclose(forth.numpy(), back.numpy(), rtol=1e-4, atol=1e-6)


def test_f82_passes_through_its_points(mi: Any) -> None:
    """f0 at normal incidence, f90 at grazing, f82 times Schlick at the cosine 1/7."""
    from etendue.bsdf.fresnel import fresnel_f82

    f0, f82, f90 = mi.Color3f(0.9, 0.6, 0.2), mi.Color3f(0.8, 0.5, 1.0), mi.Color3f(1.0)
    np.testing.assert_allclose(fresnel_f82(mi.Float(1.0), f0, f82, f90).numpy(), f0.numpy())
    np.testing.assert_allclose(fresnel_f82(mi.Float(0.0), f0, f82, f90).numpy(), f90.numpy())
    schlick = f0 + (f90 - f0) * (6 / 7) ** 5
    at = fresnel_f82(mi.Float(1 / 7), f0, f82, f90)
    np.testing.assert_allclose(at.numpy(), (schlick * f82).numpy(), rtol=1e-5)


@pytest.mark.parametrize("eta", [1.5, 1 / 1.5, 1.0, 2.4])
def test_fresnel_equals_mitsuba(mi: Any, eta: float) -> None:
    """Reflectance and refracted cosine equal `mi.fresnel`."""
    from etendue.bsdf.fresnel import fresnel_dielectric

    c = mi.Float(np.linspace(1e-3, 1, 500, dtype=np.float32))
    f, cos_t = fresnel_dielectric(c, mi.Float(eta))
    r, theirs, _, _ = mi.fresnel(c, mi.Float(eta))
    np.testing.assert_allclose(f.numpy(), r.numpy(), atol=2e-5)
    np.testing.assert_allclose(cos_t.numpy(), np.abs(theirs.numpy()), atol=2e-4)


@pytest.mark.parametrize("g", [0.0, 0.7, -0.5])
def test_henyey_greenstein(mi: Any, g: float) -> None:
    """Samples have mean cosine g and the phase function integrates to one."""
    import drjit as dr

    from etendue.bsdf.medium import henyey_greenstein, sample_henyey_greenstein

    rng = np.random.default_rng(8)
    u = rng.random((2, 1 << 16)).astype(np.float32)
    d = dr.normalize(mi.Vector3f(0.3, -0.5, 0.8))
    new = sample_henyey_greenstein(d, mi.Float(g), mi.Float(u[0]), mi.Float(u[1]))
    cosine = dr.dot(d, new).numpy()
    assert cosine.mean() == pytest.approx(g, abs=0.01)
    edges = np.linspace(-1, 1, 21)
    counts = np.histogram(cosine, edges)[0] / len(cosine)
    fine = mi.Float(((np.arange(20000) + 0.5) / 10000 - 1).astype(np.float32))
    p = henyey_greenstein(fine, mi.Float(g)).numpy().reshape(20, -1).mean(1) * 2 * np.pi * 0.1
    assert p.sum() == pytest.approx(1, abs=1e-3)
    assert np.abs(counts - p).max() < 5 * np.sqrt(p.max() / len(cosine))


@pytest.mark.parametrize("roughness", [0.1, 0.3, 0.6, 1.0])
def test_sheen_albedo_is_tabulated(mi: Any, roughness: float) -> None:
    """The table equals the integral of the lobe, which never exceeds one."""
    import drjit as dr

    from etendue.bsdf.sheen import Sheen

    sheen, n = Sheen(), 512
    i = dr.arange(mi.UInt, n * n)
    z, phi = (mi.Float(i // n) + 0.5) / n, (mi.Float(i % n) + 0.5) * (2 * np.pi / n)
    s = dr.sqrt(1 - z * z)
    wo = mi.Vector3f(s * dr.cos(phi), s * dr.sin(phi), z)
    r = mi.Float(roughness)
    for c in (1.0, 0.8, 0.5, 0.2, 0.06):
        wi = mi.Vector3f(float(np.sqrt(1 - c * c)), 0.0, c)
        exact = float(dr.mean(sheen.value(wi, wo, r))[0]) * 2 * np.pi
        assert float(sheen.albedo(mi.Float(c), r)[0]) == pytest.approx(exact, abs=0.012)
        assert exact <= 1.001
