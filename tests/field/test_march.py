"""Marching against formulas: slabs, the plain loop, empty space that is skipped."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from etendue.field.base import Params
from etendue.field.file import make_model
from etendue.field.march import STEP, STOP, Marched, composite, march, place, render, span
from etendue.field.occupancy import Occupancy, look, pack, survey, unpack
from etendue.field.rays import Cube, Rays, View, look_at, sphere


def rays_through(count: int, seed: int = 0) -> Rays:
    """Rays from outside through random points of the cube."""
    generator = torch.Generator().manual_seed(seed)
    origin = 0.5 + 1.5 * torch.nn.functional.normalize(
        torch.randn(count, 3, generator=generator), dim=-1
    )
    to = 0.1 + 0.8 * torch.rand(count, 3, generator=generator)
    return Rays(origin, torch.nn.functional.normalize(to - origin, dim=-1))


def constant(sigma: float, rgb: tuple[float, float, float]):  # noqa: ANN201
    def query(x: torch.Tensor, d: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.tensor(rgb).expand(len(x), 3), torch.full((len(x),), math.log(sigma))

    return query


@pytest.mark.parametrize("sigma", [0.1, 1.0, 7.0])
def test_a_homogeneous_cube_lets_through_what_beer_says(sigma: float) -> None:
    rays = rays_through(200)
    near, far = span(rays)
    got = march(constant(sigma, (0.2, 0.4, 0.9)), rays, Occupancy.full(STEP))
    through = torch.exp(-sigma * (far - near))
    torch.testing.assert_close(1 - got.alpha, through, atol=1e-4, rtol=0)
    expected = (1 - through)[:, None] * torch.tensor([0.2, 0.4, 0.9])
    torch.testing.assert_close(got.rgb, expected, atol=1e-4, rtol=0)
    back = got.over(torch.ones(3))
    torch.testing.assert_close(back, expected + through[:, None], atol=1e-4, rtol=0)


def test_rays_that_miss_bring_nothing() -> None:
    rays = Rays(torch.tensor([[3.0, 3.0, 3.0], [0.5, 0.5, -1.0]]), torch.tensor([[0.0, 0, 1]] * 2))
    got = march(constant(5.0, (1.0, 1.0, 1.0)), rays, Occupancy.full(STEP))
    assert got.alpha[0] == 0 and got.alpha[1] == pytest.approx(1 - math.exp(-5), abs=1e-4)
    near, far = span(rays)
    assert near[0] == far[0] and (near[1], far[1]) == (pytest.approx(1), pytest.approx(2))


def test_steps_fill_the_cube_exactly() -> None:
    rays = rays_through(50)
    samples = place(rays, Occupancy.full(STEP))
    near, far = span(rays)
    length = torch.zeros(50).index_add(0, samples.ray, samples.dt)
    torch.testing.assert_close(length, far - near)
    assert samples.dt.max() <= STEP * (1 + 1e-4)
    assert (samples.x >= 0).all() and (samples.x <= 1).all()


def plain_loop(s: Any, count: int, rgb: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """The sum of the module's docstring, ray by ray (n, 5): rgb, alpha, depth times alpha."""
    rows = np.zeros((count, 5))
    through = np.ones(count)
    for k in range(len(sigma)):
        n = int(s.ray[k])
        alpha = 1 - math.exp(-sigma[k] * float(s.dt[k]))
        light = [*rgb[k], 1.0, float(s.t[k])]
        rows[n] += through[n] * alpha * np.array(light)
        through[n] *= 1 - alpha
    return rows


def test_compositing_equals_the_plain_loop() -> None:
    rays = rays_through(20)
    samples = place(rays, Occupancy.full(STEP))
    generator = torch.Generator().manual_seed(4)
    rgb = torch.rand(len(samples.ray), 3, generator=generator)
    sigma = 30 * torch.rand(len(samples.ray), generator=generator) ** 4
    got = composite(samples, 20, rgb, sigma)
    rows = plain_loop(samples, 20, rgb.numpy(), sigma.numpy())
    np.testing.assert_allclose(got.rgb, rows[:, :3], atol=2e-6)
    np.testing.assert_allclose(got.alpha, rows[:, 3], atol=2e-6)
    np.testing.assert_allclose(got.depth * got.alpha, rows[:, 4], atol=5e-6)


def ball(cells: int = 32) -> tuple[Any, Params]:
    """A grid with an opaque ball of radius 0.3 whose colour is its position."""
    model = make_model("grid", {"size": cells})
    axis = torch.linspace(0, 1, cells)
    p = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    values = torch.zeros(cells**3, 28)
    values[:, 0] = 120 * (0.3 - (p - 0.5).norm(dim=-1)).clamp(-0.1, 0.04)
    values[:, [1, 10, 19]] = 6 * (p - 0.5)
    return model, {"values": values}


def test_early_ends_and_empty_cells_change_little() -> None:
    model, params = ball()
    rays = rays_through(300, 3)
    full = march(
        lambda x, d: model.query(params, x, d),
        rays,
        Occupancy.full(STEP),
    )
    found = survey(lambda x: model.log_density(params, x), STEP, 0)
    assert 0.05 < float(found.mask.float().mean()) < 0.5
    quick = render(model, params, rays, found)
    assert isinstance(quick, Marched)
    torch.testing.assert_close(quick.alpha, full.alpha, atol=0.02, rtol=0)
    torch.testing.assert_close(quick.rgb, full.rgb, atol=0.02, rtol=0)
    exact = render(model, params, rays, Occupancy.full(STEP))
    assert (exact.rgb - full.rgb).abs().max() <= 1.01 * STOP
    hit = full.alpha > 0.9
    assert hit.sum() > 30
    torch.testing.assert_close(exact.depth[hit], full.depth[hit], atol=0.01, rtol=0)


def test_occupancy_forgets_slowly_and_survives_a_file() -> None:
    generator = torch.Generator().manual_seed(0)
    seen = look(Occupancy.full(STEP, 8), lambda x: 9 * (x[:, 0] > 0.5).float() - 6, generator)
    assert seen.mask.reshape(8, 8, 8)[:4].sum() == 0 and seen.mask.reshape(8, 8, 8)[4:].all()
    later = seen
    for _ in range(3):
        later = look(later, lambda x: torch.full((len(x),), -9.0), generator)
    assert later.mask.reshape(8, 8, 8)[4:].all(), "not yet"
    again = unpack(pack(seen), 8, STEP)
    assert torch.equal(again.mask, seen.mask)


def test_rays_of_a_camera_meet_what_it_looks_at() -> None:
    cube = Cube.around([-1, 0, 2], [3, 2, 3], margin=1.0)
    assert cube == Cube((1.0, 1.0, 2.5), 4.0)
    pose = look_at([1.0, 9.0, -4.0], [1.0, 1.0, 2.5])
    np.testing.assert_allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-12)
    assert np.linalg.det(pose[:3, :3]) == pytest.approx(1)
    view = View(pose, 5, 3, (4.0, 4.0), (2.5, 1.5))
    rays = view.rays(cube)
    assert len(rays) == 15
    middle = rays.rows(7)
    to = torch.tensor([0.5, 0.5, 0.5]) - middle.origin
    assert float((to / to.norm()) @ middle.direction) == pytest.approx(1, abs=1e-6)
    right = (rays.direction[8] - rays.direction[7]) @ torch.from_numpy(pose[:3, 0]).float()
    down = (rays.direction[12] - rays.direction[7]) @ torch.from_numpy(pose[:3, 1]).float()
    assert right > 0.1 and down < -0.1
    assert torch.equal(view.rays(cube, torch.tensor([7])).direction[0], middle.direction)


def test_directions_are_spread_evenly() -> None:
    v = sphere(500)
    np.testing.assert_allclose(np.linalg.norm(v, axis=1), 1)
    np.testing.assert_allclose(v.mean(0), 0, atol=5e-3)
    np.testing.assert_allclose(v.T @ v / 500, np.eye(3) / 3, atol=5e-3)
    assert sphere(100, 0.2)[:, 1].min() >= 0.2
