"""Fresnel arithmetic against closed forms, tables and Monte Carlo."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etendue.scene.materialx.mixture import constant
from etendue.scene.materialx.optics import (
    conductor_tints,
    eta_of_f0,
    external_diffuse_reflectance,
    f0_of_eta,
    fresnel_conductor,
    fresnel_dielectric,
    inner_albedo,
    internal_diffuse_reflectance,
    stacked_internal_reflectance,
)


@given(st.floats(1.0, 4.0))
def test_index_and_normal_reflectance_are_inverse(eta: float) -> None:
    assert eta_of_f0(f0_of_eta(np.array(eta))) == pytest.approx(eta, rel=1e-9)


def test_fresnel_limits() -> None:
    eta = np.array(1.5)
    assert fresnel_dielectric(np.array(1.0), eta) == pytest.approx(0.04)
    assert fresnel_dielectric(np.array(0.0), eta) == pytest.approx(1.0)
    assert fresnel_dielectric(np.array(0.5), np.array(1 / 1.5)) == 1.0  # total internal reflection
    brewster = np.cos(np.arctan(1.5))
    s = np.sin(np.arctan(1.5) - np.arctan(1 / 1.5)) ** 2
    assert fresnel_dielectric(np.array(brewster), eta) == pytest.approx(0.5 * s)
    for cosine in (0.1, 0.6, 1.0):  # a conductor that does not absorb is a dielectric
        c = np.array(cosine)
        assert fresnel_conductor(c, eta, np.array(0.0)) == pytest.approx(fresnel_dielectric(c, eta))


@pytest.mark.parametrize(
    ("eta", "internal", "external"), [(1.3, 0.4444, 0.0611), (1.5, 0.5963, 0.0918)]
)
def test_diffuse_reflectances(eta: float, internal: float, external: float) -> None:
    """The known 0.596 and 0.092 of glass, and water-like values by 1 - (1 - k_e)/eta^2."""
    assert internal_diffuse_reflectance(constant(eta)) == pytest.approx(internal, abs=1e-3)
    assert external_diffuse_reflectance(constant(eta)) == pytest.approx(external, abs=1e-3)


def test_internal_reflectance_by_direct_integration() -> None:
    mu = (np.arange(200_000) + 0.5) / 200_000
    direct = (fresnel_dielectric(mu, np.array(1 / 1.5)) * 2 * mu).mean()
    assert internal_diffuse_reflectance(constant(1.5)) == pytest.approx(direct, abs=1e-5)


def test_pile_of_interfaces() -> None:
    one = internal_diffuse_reflectance(constant(1.5))
    np.testing.assert_allclose(stacked_internal_reflectance((constant(1.5),)), one)
    np.testing.assert_allclose(stacked_internal_reflectance(()), 0.0)
    np.testing.assert_allclose(stacked_internal_reflectance((constant(1.5), constant(1.0))), one)
    assert stacked_internal_reflectance((constant(1.5), constant(1.2))) > one


@given(st.floats(0.0, 1.0), st.floats(0.0, 0.9))
def test_inner_albedo_is_seen_as_the_given_colour(color: float, k: float) -> None:
    """The bounces (1 - k) rho sum_n (k rho)^n add up to the colour; rho stays in [0, 1]."""
    rho = float(inner_albedo(np.array(color), np.array(k)))
    assert 0.0 <= rho <= 1.0 + 1e-12
    assert (1 - k) * rho / (1 - k * rho) == pytest.approx(color, abs=1e-9)


def test_metal_tints_reproduce_the_exact_curve_where_they_must() -> None:
    n, k = constant(0.27, 0.68, 1.32), constant(3.61, 2.62, 2.29)  # copper and gold like
    f0, f82 = conductor_tints(n, k)
    np.testing.assert_allclose(f0, fresnel_conductor(np.array(1.0), n, k))
    schlick = f0 + (1 - f0) * (6 / 7) ** 5
    exact = fresnel_conductor(np.array(1 / 7), n, k)
    np.testing.assert_allclose(np.minimum(schlick * f82, 1.0), exact, rtol=0.02)
    assert (f82 <= 1.0).all()
