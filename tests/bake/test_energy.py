"""Directional albedo against closed forms, and the table that holds it below one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from etendue.bake import network
from etendue.bake.energy import (
    ALBEDO_LIMIT,
    albedo_map,
    bound_energy,
    directional_albedo,
    sequence,
    view_grid,
)
from etendue.bsdf.neural_numpy import ENERGY_KNOTS, albedo, energy

# alphas, correlation, mean slopes, tilt slopes, log weights of GGX and cosine
COSINE = (-0.5, -0.5, 0.0, 0.0, 0.0, 0.0, 0.0, -3.0, 3.0)
SKEWED = (-0.2, 0.9, 0.4, 0.2, -0.1, 0.05, -0.05, 1.0, 0.0)
Tensors = dict[str, np.ndarray]


def _lambert(
    rho: tuple[float, float, float], lobes: Sequence[float] = COSINE, reciprocal: bool = False
) -> Tensors:
    """A network that is rho / pi for every input, and draws from `lobes` (raw outputs)."""
    params = network.init_params("2x16", "2x16", torch.Generator().manual_seed(2), reciprocal)
    tensors = {k: v.double().numpy() for k, v in params.items()}
    for name in ("evaluator", "sampler"):
        tensors[f"{name}.w2"] = np.zeros_like(tensors[f"{name}.w2"])
    tensors["evaluator.b2"] = np.log(np.array(rho) / np.pi) + 3
    tensors["sampler.b2"] = np.array(lobes)
    tensors["energy"] = np.ones((ENERGY_KNOTS, 3))
    return tensors


@pytest.fixture(scope="module")
def latents() -> np.ndarray:
    return 0.5 * np.random.default_rng(0).normal(size=(64, 8))


@pytest.mark.parametrize("lobes", [COSINE, SKEWED])
def test_albedo_of_a_lambert_network_is_its_rho(
    latents: np.ndarray, lobes: tuple[float, ...]
) -> None:
    rho = (0.9, 0.5, 0.1)
    wi = view_grid(8)
    found = directional_albedo(latents[:8], wi, _lambert(rho, lobes), 4096)
    np.testing.assert_allclose(found, np.broadcast_to(rho, (8, 3)), rtol=0.02)


def test_views_and_sequence_cover_their_domains() -> None:
    views = view_grid(33)
    np.testing.assert_allclose(np.linalg.norm(views, axis=1), 1)
    np.testing.assert_allclose(views[1:, 2], np.linspace(0, 1, 33)[1:])
    assert views[0, 2] == 0.01
    u = sequence(4096)
    assert u.min() >= 0 and u.max() < 1
    for axis in range(3):
        count, _ = np.histogram(u[:, axis], 64, (0, 1))
        assert count.min() > 50 and count.max() < 80, "64 per bin, evenly"


def test_energy_table_is_interpolated_linearly_per_channel() -> None:
    table = np.random.default_rng(1).uniform(0.5, 1, (ENERGY_KNOTS, 3))
    knots = np.linspace(0, 1, ENERGY_KNOTS)
    np.testing.assert_allclose(energy(knots, table), table)
    middle = (knots[1:] + knots[:-1]) / 2
    np.testing.assert_allclose(energy(middle, table), (table[1:] + table[:-1]) / 2)
    np.testing.assert_allclose(energy(np.array([[-0.2], [1.3]]), table)[:, 0], table[[0, -1]])


@pytest.mark.parametrize("reciprocal", [False, True])
@pytest.mark.parametrize("rho", [(1.7, 1.7, 1.7), (0.5, 3.0, 1.0)])
def test_a_bake_that_is_too_bright_is_brought_below_the_limit(
    latents: np.ndarray, rho: tuple[float, float, float], reciprocal: bool
) -> None:
    tensors = _lambert(rho, reciprocal=reciprocal)
    table, peaks = bound_energy(latents, tensors, seed=0)
    np.testing.assert_allclose(peaks, np.broadcast_to(rho, peaks.shape), rtol=0.02)
    assert table.dtype == np.float32 and (table <= 1).all()
    bounded = tensors | {"energy": table}
    between = view_grid(21)  # not the knots
    found = directional_albedo(latents[:21], between, bounded, 2048)
    assert found.max() <= 1
    expected = np.minimum(rho, ALBEDO_LIMIT)
    np.testing.assert_allclose(found, np.broadcast_to(expected, found.shape), rtol=0.02)


def test_a_bake_within_the_limit_is_left_alone(latents: np.ndarray) -> None:
    tensors = _lambert((0.9, 0.5, 0.1))
    tensors["energy"] = np.random.default_rng(3).uniform(0.9, 1.0, (ENERGY_KNOTS, 3))
    table, peaks = bound_energy(latents, tensors, seed=0)
    np.testing.assert_array_equal(table, tensors["energy"].astype(np.float32))
    assert peaks.max() < ALBEDO_LIMIT


def test_one_bright_incidence_of_a_reciprocal_bake(latents: np.ndarray) -> None:
    tensors = _lambert((0.9, 0.9, 0.9), reciprocal=True)
    tensors["energy"][20] = 2.0
    table, peaks = bound_energy(latents, tensors, seed=0)
    assert peaks[20].max() > 1.2
    found = directional_albedo(latents[:33], view_grid(33), tensors | {"energy": table}, 2048)
    assert found.max() <= 1
    others = np.delete(found, [19, 20, 21], 0)
    np.testing.assert_allclose(others, 0.9, atol=0.03)


def test_one_bright_incidence_costs_the_others_nothing(latents: np.ndarray) -> None:
    tensors = _lambert((0.9, 0.9, 0.9))
    tensors["energy"][10] = 2.0
    table, _ = bound_energy(latents, tensors, seed=0)
    np.testing.assert_allclose(table[10], 2 * ALBEDO_LIMIT / 1.8, rtol=0.02)
    np.testing.assert_allclose(table[[9, 11]], ALBEDO_LIMIT / 1.8, rtol=0.02)
    np.testing.assert_array_equal(np.delete(table, [9, 10, 11], 0), 1)


def test_the_guide_is_the_albedo_of_a_constant_material() -> None:
    latents = 0.3 * np.random.default_rng(4).normal(size=(400, 8))
    weights = albedo_map(latents, _lambert((0.8, 0.4, 0.2)), seed=0)
    assert weights.shape == (3, 12)
    cosines = np.random.default_rng(5).random(400)
    found = albedo(latents, cosines, weights)
    np.testing.assert_allclose(found, np.broadcast_to([0.8, 0.4, 0.2], (400, 3)), atol=0.03)


def test_the_guide_knows_the_incidence(latents: np.ndarray) -> None:
    tensors = _lambert((0.4, 0.4, 0.4))
    at = np.linspace(0.0, 1.0, ENERGY_KNOTS)
    tensors["energy"] = np.repeat(1.0 + (1.0 - at[:, None]) ** 5, 3, 1)  # twice as bright, grazing
    weights = albedo_map(latents, tensors, seed=0)
    cosines = np.array([0.1, 0.5, 1.0])
    found = albedo(latents[:3], cosines, weights)[:, 0]
    np.testing.assert_allclose(found, 0.4 * (1 + (1 - cosines) ** 5), atol=0.03)
