"""Quaternions against scipy's rotations."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from etendue.scene.people import rotations as r


@pytest.fixture
def pair() -> tuple[Rotation, Rotation]:
    rng = np.random.default_rng(1)
    return Rotation.random(50, rng=rng), Rotation.random(50, rng=rng)


def ours(rotation: Rotation) -> np.ndarray:
    return np.roll(rotation.as_quat(), 1, -1)


def test_products_and_inverses(pair: tuple[Rotation, Rotation]) -> None:
    a, b = pair
    got = r.matrices(r.product(ours(a), r.inverse(ours(b))))
    np.testing.assert_allclose(got, (a * b.inv()).as_matrix(), atol=1e-12)
    np.testing.assert_allclose(r.matrices(r.quaternions(got)), got, atol=1e-12)


def test_part_is_a_share_of_the_angle(pair: tuple[Rotation, Rotation]) -> None:
    a = pair[0]
    third = Rotation.from_matrix(r.matrices(r.part(ours(a), np.full(50, 1 / 3))))
    np.testing.assert_allclose((third**3).as_matrix(), a.as_matrix(), atol=1e-9)
    np.testing.assert_allclose(third.magnitude() * 3, a.magnitude(), atol=1e-9)


def test_turning_takes_one_direction_to_the_other() -> None:
    rng = np.random.default_rng(2)
    for a, b in [*rng.normal(size=(20, 2, 3)), np.array([[0, 0, 1.0], [0, 0, -2.0]])]:
        matrix = r.turning(a, b)
        np.testing.assert_allclose(matrix @ r.unit(a), r.unit(b), atol=1e-9)
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-9)
        assert np.linalg.det(matrix) == pytest.approx(1)


def test_continuous_signs() -> None:
    q = np.array([[1.0, 0, 0, 0], [-1.0, 0.1, 0, 0], [1.0, -0.2, 0, 0]])[:, None]
    assert ((r.continuous(q)[1:] * r.continuous(q)[:-1]).sum(-1) > 0).all()
