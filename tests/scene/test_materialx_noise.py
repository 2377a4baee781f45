"""Noise: the values of MaterialX's own GLSL (compiled as C++ in double), range, determinism."""

from __future__ import annotations

import numpy as np
import pytest

from etendue.scene.materialx.noise import (
    cell_noise,
    cell_noise3,
    fractal_noise,
    noise,
    perlin_noise,
    worley_noise,
)

ONE = np.ones((1, 1, 1))
# Point, then the results of mx_noise.glsl of MaterialX 1.39.5 at its 2-D or 3-D part.
POINT = {1: (-4.34, 1.26, 0.68), 2: (11.57, -8.63, 31.21)}
PERLIN2 = {
    1: (-0.436153471955, 0.001447466209, 0.515751902232),
    2: (-0.132978809920, -0.377749392288, 0.115791986384),
}
PERLIN3 = {
    1: (0.072924810008, 0.387945510026, -0.288929990890),
    2: (0.280048820066, 0.329054983068, 0.422336026700),
}
WORLEY2 = {
    1: (0.286334135409, 0.468532547401, 0.796374385135),
    2: (0.144037006208, 0.589689386245, 0.749614353711),
}
WORLEY3 = {
    1: (0.675440559901, 0.707355665771, 0.715165049246),
    2: (0.443512933567, 0.557164498024, 0.676641358891),
}
WORLEY3_CELL = {
    1: (0.971139429829, 0.790753805496, 0.306877749112),
    2: (0.787589982801, 0.517720387671, 0.852876759798),
}
CELL2 = {
    1: (0.897007176396, 0.498819728964, 0.307442487988),
    2: (0.756705548325, 0.399031596351, 0.343379865015),
}
CELL3 = {
    1: (0.256218117023, 0.646351206965, 0.012916226176),
    2: (0.184505744182, 0.032133763664, 0.428341161792),
}
CELL_SCALAR = {1: (0.209790480605, 0.897007176396), 2: (0.656411871933, 0.798473376501)}
FRACTAL3 = {1: (0.022762110029, -0.440855288745), 2: (0.453302286911, -0.504393573188)}


def _points(case: int) -> tuple[np.ndarray, np.ndarray]:
    p = np.array(POINT[case]).reshape(1, 1, 3)
    return p[..., :2], p


@pytest.mark.parametrize("case", [1, 2])
def test_values_of_the_library(case: int) -> None:
    p2, p3 = _points(case)
    for ours, theirs in (
        (perlin_noise(p2, 3), PERLIN2[case]),
        (perlin_noise(p3, 3), PERLIN3[case]),
        (worley_noise(p2, 3, 0.8 * ONE, 0), WORLEY2[case]),
        (worley_noise(p3, 3, ONE, 0), WORLEY3[case]),
        (worley_noise(p3, 3, ONE, 1), WORLEY3_CELL[case]),
        (cell_noise3(p2), CELL2[case]),
        (cell_noise3(p3), CELL3[case]),
        (fractal_noise(p3, 2, 3, 2.0, 0.5), FRACTAL3[case]),
    ):
        np.testing.assert_allclose(ours[0, 0], theirs, atol=1e-11)
    assert cell_noise(p2)[0, 0, 0] == pytest.approx(CELL_SCALAR[case][0], abs=1e-11)
    assert cell_noise(p3)[0, 0, 0] == pytest.approx(CELL_SCALAR[case][1], abs=1e-11)


def _grid(n: int = 64, dimensions: int = 2) -> np.ndarray:
    axis = np.linspace(-6.0, 7.0, n)
    u, v = np.meshgrid(axis, axis)
    return np.stack([u, v, 0.3 * u - v][:dimensions], axis=-1)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_range_and_zeros(dimensions: int) -> None:
    p = _grid(96, dimensions)
    value = perlin_noise(p, 3)
    assert np.abs(value).max() <= 1.0
    assert value.std() > 0.15
    assert np.abs(value.mean()) < 0.1
    np.testing.assert_allclose(perlin_noise(np.round(p)), 0.0, atol=1e-12)  # zero on the lattice
    cell = cell_noise3(p)
    assert cell.min() >= 0.0
    assert cell.max() <= 1.0
    distance = worley_noise(p, 3, ONE, 0)
    assert (np.diff(distance, axis=-1) >= 0.0).all()
    assert distance[..., 0].max() < 1.5


def test_same_every_time_and_continuous() -> None:
    p = _grid(32, 3)
    np.testing.assert_array_equal(perlin_noise(p), perlin_noise(p.copy()))
    step = np.abs(perlin_noise(p + 1e-6) - perlin_noise(p)).max()
    assert step < 1e-5


def test_components_share_their_head() -> None:
    p = _grid(16)
    np.testing.assert_array_equal(noise(p, 4, (19.0, 73.0))[..., :3], noise(p, 3, ()))
    np.testing.assert_array_equal(noise(p, 2, ()), noise(p, 3, ())[..., :2])
    four = fractal_noise(p, 4, 3, 2.0, 0.5)
    np.testing.assert_array_equal(four[..., :3], fractal_noise(p, 3, 3, 2.0, 0.5))
