"""Meshes, points and voxels of a ball: closed, in place, and as dense as the field."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

from etendue.core.errors import InputError
from etendue.field.edit import edited
from etendue.field.export import mesh, points, sigma_grid, to_world, write_voxels
from etendue.field.file import Field, make_model
from etendue.field.march import STEP
from etendue.field.occupancy import survey
from etendue.field.rays import Cube

RADIUS = 0.3  # of the ball, in sides of the cube
SIDE = 4.0


@pytest.fixture(scope="module")
def ball() -> Field:
    """A ball with a hard surface whose colour is its position, at (1, 2, 3)."""
    size = 48
    axis = torch.linspace(0, 1, size)
    p = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    model = make_model("grid", {"size": size})
    values = torch.zeros(size**3, 28)
    # log sigma such that a marching step absorbs half at the surface
    values[:, 0] = float(np.log(np.log(2) / STEP)) + 80 * (RADIUS - (p - 0.5).norm(dim=-1))
    values[:, [1, 10, 19]] = 12 * (p - 0.5)
    params = {"values": values}
    found = survey(lambda x: model.log_density(params, x), STEP, 0)
    return Field(model, params, Cube((1.0, 2.0, 3.0), SIDE), found, "ball", 1.5)


def test_a_mesh_is_closed_and_near_the_surface(ball: Field) -> None:
    size = 64
    made = mesh(ball, size)
    assert made.is_watertight and made.volume > 0
    r = np.linalg.norm(made.vertices - [1, 2, 3], axis=1)
    voxel = SIDE / size
    assert np.abs(r - RADIUS * SIDE).max() < 2 * voxel, "every vertex is near the ball"
    directions = np.random.default_rng(0).normal(size=(2000, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    away, _ = cKDTree(made.vertices).query(directions * RADIUS * SIDE + [1, 2, 3])
    assert away.max() < 2 * voxel, "and every point of the ball is near a vertex"
    assert made.volume == pytest.approx(4 / 3 * np.pi * (RADIUS * SIDE) ** 3, rel=0.02)
    colors = np.asarray(made.visual.vertex_colors)[:, :3].astype(float)
    for axis in range(3):
        assert np.corrcoef(colors[:, axis], made.vertices[:, axis])[0, 1] > 0.9


def test_a_ball_that_leaves_the_cube_is_closed_too(ball: Field) -> None:
    half = edited(ball, "keep", [1.0, -9, -9, 9, 9, 9])
    made = mesh(half, 48)
    assert made.is_watertight
    assert made.vertices[:, 0].min() > 1 - SIDE / 48
    assert made.volume == pytest.approx(2 / 3 * np.pi * (RADIUS * SIDE) ** 3, rel=0.1)


def test_no_surface_is_an_error(ball: Field) -> None:
    with pytest.raises(InputError, match="ball: has no surface at this level; got 1"):
        mesh(ball, 16, 1.0)
    nothing = replace(ball.occupancy, sigma=torch.zeros_like(ball.occupancy.sigma))
    with pytest.raises(InputError, match="ball: has nothing that a ray would stop at"):
        points(replace(ball, occupancy=nothing), 20)


def test_points_lie_on_the_surface(ball: Field) -> None:
    cloud = points(ball, 500)
    assert len(cloud.vertices) > 350
    r = np.linalg.norm(cloud.vertices - [1, 2, 3], axis=1)
    assert np.median(np.abs(r - RADIUS * SIDE)) < SIDE * STEP
    assert np.asarray(cloud.colors).shape == (len(cloud.vertices), 4)


def test_voxels_are_what_mitsuba_reads(ball: Field, tmp_path: Path) -> None:
    from etendue.device.drjit import activate

    mi: Any = activate()
    write_voxels(ball, tmp_path / "b.vol", 24)
    turn = mi.ScalarTransform4f().translate([-1, 0, 1]) @ mi.ScalarTransform4f().scale(SIDE)
    volume = mi.load_dict({"type": "gridvolume", "filename": str(tmp_path / "b.vol"),
                           "to_world": turn})  # fmt: skip
    grid = sigma_grid(ball, 24)
    index = np.array([[12, 12, 12], [3, 12, 12], [12, 6, 20], [18, 9, 11]])
    place = to_world(ball, (index + 0.5) / 24)
    it = mi.Interaction3f()
    it.p = mi.Point3f(place.T.astype(np.float32))
    found = np.array(volume.eval_1(it))
    np.testing.assert_allclose(found, grid[tuple(index.T)] / SIDE, rtol=1e-3)
    assert found[0] > 1 > found[1]


def test_boxes_are_cut_and_kept(ball: Field) -> None:
    x = torch.tensor([[0.4, 0.5, 0.5], [0.6, 0.5, 0.5]])
    for how, left in (("cut", [False, True]), ("keep", [True, False])):
        part = edited(ball, how, [-9, -9, -9, 1.0, 9, 9])
        sigma = part.model.log_density(part.params, x)
        assert (sigma > 0).tolist() == left
        rgb, again = part.model.query(part.params, x, torch.tensor([[0.0, 0, 1]] * 2))
        assert torch.equal(sigma, again) and rgb.shape == (2, 3)
        assert part.occupancy.mask.sum() < ball.occupancy.mask.sum()
    whole = edited(ball, "cut", [50, 50, 50, 51, 51, 51])
    assert torch.equal(whole.occupancy.mask, ball.occupancy.mask)
    for how, box, message in (
        ("turn", [0, 0, 0, 1, 1, 1], "is no change; got turn"),
        ("cut", [0, 0, 0, 1, 1, -1], "is no change"),
        ("cut", [-9, -9, -9, 9, 9, 9], "leaves nothing of ball"),
        ("keep", [50, 50, 50, 51, 51, 51], "leaves nothing of ball"),
    ):
        with pytest.raises(InputError, match=message):
            edited(ball, how, box)


def test_a_texture_has_the_colours_of_the_surface(ball: Field, tmp_path: Path) -> None:
    """Read back by the engine: a point's colour, looked up at its place, is its position."""
    from etendue.device.drjit import activate
    from etendue.field.export_texture import textured_mesh
    from etendue.scene.scene import load_scene

    activate()
    plain, made = mesh(ball, 32), textured_mesh(ball, 32, None, 512)
    assert len(made.faces) == len(plain.faces)
    assert made.volume == pytest.approx(plain.volume, rel=1e-5)
    picture = np.asarray(made.visual.material.baseColorTexture)
    assert picture.shape == (512, 512, 3)
    rng = np.random.default_rng(0)
    face = rng.integers(len(made.faces), size=2000)
    weights = rng.dirichlet((1, 1, 1), 2000)
    points = np.einsum("nk,nkc->nc", weights, made.vertices[made.faces[face]])
    uv = np.einsum("nk,nkc->nc", weights, made.visual.uv[made.faces[face]])
    column, row = (np.clip(v * 512, 0, 511).astype(int) for v in (uv[:, 0], 1 - uv[:, 1]))
    x = (points - [1, 2, 3]) / SIDE + 0.5
    wanted = 1 / (1 + np.exp(-12 * 0.28209479177387814 * (x - 0.5)))
    assert np.abs(picture[row, column] / 255.0 - wanted).max() < 0.05
    made.export(tmp_path / "ball.glb")
    (shape,) = load_scene(tmp_path / "ball.glb").shapes
    assert shape.mesh.uv is not None and len(shape.mesh.faces) == len(made.faces)
    np.testing.assert_allclose(shape.mesh.positions, made.vertices, atol=1e-5)


def test_without_xatlas_the_extra_is_named(ball: Field, monkeypatch: pytest.MonkeyPatch) -> None:
    from etendue.core.errors import DeviceError
    from etendue.field.export_texture import textured_mesh

    monkeypatch.setitem(sys.modules, "xatlas", None)
    with pytest.raises(DeviceError, match=r"etendue\[mesh\]"):
        textured_mesh(ball, 16, None, 64)
