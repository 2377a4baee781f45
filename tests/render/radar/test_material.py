"""Materials and power on its way."""

from __future__ import annotations

import numpy as np
import pytest

from etendue.render.radar.link import Link
from etendue.render.radar.material import DEFAULT, MATERIALS, Material, material_of


@pytest.mark.parametrize(
    ("name", "permittivity", "conductivity"),
    [("concrete", 5.31, 0.19305), ("brick", 3.75, 0.038), ("plasterboard", 2.94, 0.054914),
     ("wood", 1.99, 0.049528), ("glass", 6.27, 0.059075), ("ceiling", 1.5, 0.0064437),
     ("chipboard", 2.58, 0.12044), ("floor", 3.66, 0.085726)],
)  # fmt: skip
def test_published_values_at_9_ghz(name: str, permittivity: float, conductivity: float) -> None:
    epsilon = MATERIALS[name].epsilon(9e9)
    assert epsilon.real == permittivity
    assert -epsilon.imag * 2 * np.pi * 9e9 * 8.8541878128e-12 == pytest.approx(conductivity, 1e-4)


def test_reflection() -> None:
    assert Material(4.0).reflected(79e9) == pytest.approx(1 / 3)
    assert Material(1.0).reflected(79e9) == 0
    assert MATERIALS["metal"].reflected(79e9) > 0.998
    assert MATERIALS["skin"].reflected(77e9) ** 2 == pytest.approx(0.37, abs=0.05)


def test_roughness_takes_from_the_mirror() -> None:
    """Rayleigh: a phase of one radian leaves exp(-1/2)."""
    frequency = 79e9
    height = 299_792_458.0 / frequency / (4 * np.pi)
    rough = Material(4.0, roughness=height)
    left = rough.coherent(frequency, np.array([1.0, 0.5, 0.0]))
    np.testing.assert_allclose(left, np.exp([-0.5, -0.125, 0.0]))


def test_loss_on_the_way_through() -> None:
    """Twice the length loses twice the decibels; a wave in 4 is twice as slow."""
    material = MATERIALS["concrete"]
    one, two = (material.through(79e9, np.array(d)) for d in (0.01, 0.02))
    assert two[0] == pytest.approx(one[0] ** 2)
    assert Material(4.0).through(79e9, np.array(0.1))[1] == pytest.approx(0.1)
    wave, sigma = 2 * np.pi * 79e9 / 299_792_458.0, 1e-3
    faint = Material(4.0, sigma).through(79e9, np.array(1.0))[0]
    assert -np.log(faint) == pytest.approx(sigma * 376.73 / 2 / 2, rel=1e-3), wave


def test_materials_by_name() -> None:
    assert material_of("wall_brick_3", {}) == "brick"
    assert material_of("MetalCabinet", {}) == "metal"
    assert material_of("Ball", {}) == DEFAULT
    assert material_of("Ball", {"B*": "skin"}) == "skin"
    assert material_of("metal", {"*": "wood"}) == "wood"


def test_the_radar_equation() -> None:
    """12 dBm, 10 dBi twice, 1 m^2 at 10 m."""
    ahead = np.array([[10.0, 0, 0]])
    root = Link().received(3.8e-3, ahead, ahead)[0]
    watt = 10**-1.8 * 100 * 3.8e-3**2 / ((4 * np.pi) ** 3 * 1e4)
    assert root**2 == pytest.approx(watt, rel=1e-6)
    assert Link().noise(5e6) ** 2 == pytest.approx(1.380649e-23 * 290 * 10**1.4 * 5e6)


def test_half_power_at_half_the_opening_angle() -> None:
    link = Link(azimuth=80, elevation=30)
    a, e = np.radians([40, 15])
    directions = np.array([[1, 0, 0], [np.cos(a), np.sin(a), 0], [np.cos(e), 0, np.sin(e)],
                           [-1, 0, 0]])  # fmt: skip
    np.testing.assert_allclose(link.gain(directions), [10, 5, 5, 0], rtol=1e-6)
