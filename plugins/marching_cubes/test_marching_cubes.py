"""Surfaces: closed, oriented, where they should be, and differentiable."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import trimesh

from etendue.core.errors import InputError
from etendue.plugins.marching_cubes import kernels, model
from etendue.plugins.slots import to_numpy

RUNS = pytest.mark.parametrize(
    "run", [model.by_skimage, kernels.by_torch], ids=["skimage", "torch"]
)


def grid(n: int, inside: Callable[..., np.ndarray]) -> np.ndarray:
    """Values of a function of x, y, z in [-1, 1] at n^3 points."""
    axis = np.linspace(-1.0, 1.0, n, dtype=np.float32)
    return inside(*np.meshgrid(axis, axis, axis, indexing="ij")).astype(np.float32)


def mesh(outputs: dict[str, Any]) -> trimesh.Trimesh:
    vertices, faces = to_numpy(outputs["vertices"]), to_numpy(outputs["faces"])
    return trimesh.Trimesh(vertices, faces, process=False)


@RUNS
def test_a_ball_has_its_volume_and_area(run: Callable[..., Any]) -> None:
    n, radius = 40, 0.7
    values = grid(n, lambda x, y, z: radius - np.sqrt(x * x + y * y + z * z))
    step = np.full(3, 2.0 / (n - 1), np.float32)
    ball = mesh(run(values, np.float32(0), step))
    assert ball.is_watertight and ball.is_winding_consistent
    assert ball.volume == pytest.approx(4 / 3 * np.pi * radius**3, rel=5e-3)
    assert ball.area == pytest.approx(4 * np.pi * radius**2, rel=5e-3)
    assert np.abs(np.linalg.norm(ball.vertices - 1.0, axis=1) - radius).max() < 2e-3


@RUNS
def test_a_torus_has_one_hole(run: Callable[..., Any]) -> None:
    values = grid(32, lambda x, y, z: 0.25 - np.hypot(np.hypot(x, y) - 0.6, z))
    assert mesh(run(values, np.float32(0))).euler_number == 0


@RUNS
@pytest.mark.parametrize("seed", range(3))
def test_white_noise_gives_no_holes(run: Callable[..., Any], seed: int) -> None:
    """Every ambiguous case occurs; the outermost values are outside."""
    values = np.zeros((14, 15, 16), np.float32)
    values[1:-1, 1:-1, 1:-1] = np.random.default_rng(seed).random((12, 13, 14), np.float32)
    surface = mesh(run(values, np.float32(0.5)))
    assert surface.is_watertight and surface.is_winding_consistent and surface.volume > 0


def test_white_noise_gives_the_vertices_of_the_oracle() -> None:
    values = np.random.default_rng(5).random((15, 16, 17), np.float32)
    truth, found = (
        model.comparable(run(values, np.float32(0.5)))
        for run in (model.by_skimage, kernels.by_torch)
    )
    np.testing.assert_allclose(found["vertices"], truth["vertices"], atol=1e-4)


def test_turning_inside_out_turns_the_faces() -> None:
    values = grid(20, lambda x, y, z: 0.6 - np.sqrt(x * x + y * y + z * z))
    there, back = (mesh(kernels.by_torch(s * values, np.float32(0))) for s in (1, -1))
    assert there.volume == pytest.approx(-back.volume, rel=2e-2)


def test_all_cases_are_polygonised_and_complements_share_their_edges() -> None:
    table = kernels.case_table()
    assert len(table) == 256
    for case, row in enumerate(table):
        crossed = {
            number
            for number, (axis, corner) in enumerate(kernels.EDGES)
            if (case >> kernels.CORNERS.index(corner) & 1)
            != (case >> kernels.CORNERS.index(_next(corner, axis)) & 1)
        }
        assert {edge for edge in row if edge >= 0} == crossed


def _next(corner: tuple[int, int, int], axis: int) -> tuple[int, int, int]:
    moved = list(corner)
    moved[axis] = 1
    return moved[0], moved[1], moved[2]


def test_volume_has_the_gradient_of_its_radius() -> None:
    """d volume / d level by torch against finite differences."""
    values = torch.tensor(grid(24, lambda x, y, z: -np.sqrt(x * x + y * y + z * z)))

    def volume(level: torch.Tensor) -> torch.Tensor:
        outputs = kernels.by_torch(values.double(), level)
        a, b, c = outputs["vertices"][outputs["faces"].long()].unbind(1)
        return (a * torch.linalg.cross(b, c)).sum() / 6

    level = torch.tensor(-0.6, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(volume(level), level)
    h = 1e-6
    numeric = (volume(level + h) - volume(level - h)) / (2 * h)
    assert gradient.item() == pytest.approx(numeric.item(), rel=1e-5)


@RUNS
@pytest.mark.parametrize("level", [-1.0, 2.0])
def test_a_level_outside_the_values_gives_nothing(run: Callable[..., Any], level: float) -> None:
    values = np.random.default_rng(0).random((5, 5, 5), np.float32)
    assert len(to_numpy(run(values, np.float32(level))["faces"])) == 0


@RUNS
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_must_be_finite(run: Callable[..., Any], bad: float) -> None:
    values = np.zeros((5, 5, 5), np.float32)
    values[2, 2, 2] = bad
    with pytest.raises(InputError, match="NaN or infinite"):
        run(values, np.float32(0.5))


def test_a_field_becomes_a_mesh() -> None:
    class Ball:
        def query(self, x: Any, d: Any) -> tuple[np.ndarray, np.ndarray]:
            assert x.shape == d.shape
            distance = np.linalg.norm(np.asarray(x) - 0.5, axis=1)
            return np.ones_like(x), np.maximum(0.0, 10.0 * (0.3 - distance))

    cells = 36
    values = model.sample_field(Ball(), cells)
    step = np.full(3, 1 / cells, np.float32)
    ball = mesh(kernels.by_torch(values, np.float32(1.0), step))
    assert ball.volume == pytest.approx(4 / 3 * np.pi * 0.2**3, rel=2e-2)
    assert np.allclose(ball.center_mass, 0.5, atol=1e-3)
