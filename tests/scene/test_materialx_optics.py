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
    f0_of_eta,
    fresnel_conductor,
)
from etendue.scene.rough_base import fresnel_dielectric


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


def test_metal_tints_reproduce_the_exact_curve_where_they_must() -> None:
    n, k = constant(0.27, 0.68, 1.32), constant(3.61, 2.62, 2.29)  # copper and gold like
    f0, f82 = conductor_tints(n, k)
    np.testing.assert_allclose(f0, fresnel_conductor(np.array(1.0), n, k))
    schlick = f0 + (1 - f0) * (6 / 7) ** 5
    exact = fresnel_conductor(np.array(1 / 7), n, k)
    np.testing.assert_allclose(np.minimum(schlick * f82, 1.0), exact, rtol=0.02)
    assert (f82 <= 1.0).all()
