"""Thin films against a numerical integral of Airy's formula over the spectrum."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest


def airy(cosine: float, film: float, below: float, thickness: float, wave: np.ndarray) -> Any:
    """Exact reflectance at wavelengths in metres: complex amplitudes, both polarisations."""
    sine = np.sqrt(1 - cosine**2)
    c = [np.sqrt(complex(1 - (sine / n) ** 2)) for n in (1.0, film, below)]
    n = (1.0, film, below)
    phase = np.exp(4j * np.pi * film * thickness * 1e-9 * c[1] / wave)
    total = np.zeros(len(wave))
    for swap in (False, True):
        r = []
        for i in (0, 1):
            a, b = (c[i + 1], c[i]) if swap else (c[i], c[i + 1])
            r.append((n[i] * a - n[i + 1] * b) / (n[i] * a + n[i + 1] * b))
        total += 0.5 * np.abs((r[0] + r[1] * phase) / (1 + r[0] * r[1] * phase)) ** 2
    return total


def seen(spectrum: np.ndarray, wavenumber: np.ndarray) -> np.ndarray:
    """Linear sRGB of a reflectance under the matching functions that the module states."""
    from etendue.bsdf.thin_film import LOBES, TO_RGB

    xyz = []
    for lobes in LOBES:
        match = sum(
            w / np.sqrt(2) * np.exp(-((wavenumber - centre) ** 2) / (4 * half))
            for w, centre, half in lobes
        )
        xyz.append((match * spectrum).sum() / match.sum())
    return np.array(TO_RGB) @ np.array(xyz)


@pytest.mark.parametrize("below", [1.0, 1.5])
@pytest.mark.parametrize("thickness", [120.0, 350.0, 900.0])
@pytest.mark.parametrize("cosine", [1.0, 0.6, 0.2, 0.05])
def test_equals_spectral_integral(mi: Any, below: float, thickness: float, cosine: float) -> None:
    from etendue.bsdf.thin_film import film_reflectance

    wavenumber = np.linspace(0.6e6, 3.4e6, 4000)
    expected = np.clip(seen(airy(cosine, 1.33, below, thickness, 1 / wavenumber), wavenumber), 0, 1)
    film, under, depth = (mi.Float(x) for x in (1.33, below, thickness))
    found = film_reflectance(mi.Float(cosine), film, under, depth)
    np.testing.assert_allclose(np.array(found).ravel(), expected, atol=0.004)


def test_limits(mi: Any) -> None:
    """No film is Fresnel's interface; total reflection stays total; a film is never brighter."""
    import drjit as dr

    from etendue.bsdf.fresnel import fresnel_dielectric
    from etendue.bsdf.thin_film import film_reflectance

    cosine = dr.linspace(mi.Float, 0.001, 1.0, 200)
    for eta in (1.5, 1.0, 1 / 1.5):
        bare = fresnel_dielectric(cosine, mi.Float(eta))[0].numpy()
        none = film_reflectance(cosine, mi.Float(1.3), mi.Float(eta), mi.Float(0.0))
        np.testing.assert_allclose(none.numpy(), np.tile(bare, (3, 1)), atol=1e-6)
        film = film_reflectance(cosine, mi.Float(1.3), mi.Float(eta), mi.Float(400.0)).numpy()
        assert (film >= 0).all()
        assert (film <= 1).all()
        assert (film[:, bare == 1.0] == 1.0).all()
        assert film[:, 0] == pytest.approx(1.0, abs=0.02)  # grazing
    assert (
        np.ptp(film_reflectance(cosine, mi.Float(1.33), mi.Float(1.0), mi.Float(400.0)).numpy())
        > 0.5
    )
