"""Stages: everything is where it should be, and the renderer takes it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import etendue
from etendue.core.errors import InputError
from etendue.scene.people.body import Body
from etendue.scene.people.motion import load_motion
from etendue.scene.people.retarget import retarget
from etendue.scene.people.rooms import MARGIN
from etendue.scene.people.stage import VIEW, Stage, make_stage
from etendue.scene.people.surfaces import MATERIALS


@pytest.fixture
def stage(steps: Path, capsules: Body) -> Stage:
    return make_stage(7, capsules, load_motion(steps), seconds=2.0)


def test_people_stay_inside(steps: Path, capsules: Body) -> None:
    motion = load_motion(steps)
    for seed in range(6):
        stage = make_stage(seed, capsules, motion, seconds=1.5, through_wall=seed % 2 == 1)
        plan = stage.room.plan
        at = np.concatenate([stage.vertices(t) for t in np.linspace(0, 1.5, 6)])
        assert (np.abs(at[:, 1]) < at[:, 0] * np.tan(VIEW) + 0.35).all()
        assert (at[:, :2] > np.array(plan.low) + MARGIN / 2).all()
        assert (at[:, :2] < np.array(plan.high) - 0.05).all()
        assert at[:, 2].min() > -0.03
        if plan.divider is not None:
            assert at[:, 0].min() > plan.divider[0] + plan.divider[1]


def test_joints_belong_to_the_mesh(stage: Stage) -> None:
    for t in (0.0, 0.7, 1.9):
        vertices, joints = stage.vertices(t), stage.joints(t)
        assert vertices.shape == stage.body.vertices.shape
        assert (joints > vertices.min(0)).all()
        assert (joints < vertices.max(0)).all()
        ankles = joints[[3, 6]]
        near = np.linalg.norm(vertices[:, None] - ankles, axis=-1).min(0)
        assert near.max() < 0.08


def test_equal_seeds_are_equal(stage: Stage, steps: Path, capsules: Body) -> None:
    again = make_stage(7, capsules, load_motion(steps), seconds=2.0)
    np.testing.assert_array_equal(again.vertices(1.2), stage.vertices(1.2))
    assert again.room == stage.room
    other = make_stage(8, capsules, load_motion(steps), 7, seconds=2.0)
    assert other.room.plan.walls == stage.room.plan.walls
    assert np.abs(other.joints(0.5) - stage.joints(0.5)).max() > 0.05


def test_parts_of_motions(bvh: Path, capsules: Body) -> None:
    motion = load_motion(bvh)
    stage = make_stage(3, capsules, motion, start=0.7, seconds=0.5)
    heights = stage.joints(0.2)[:, 2]
    whole = retarget(motion, capsules)
    np.testing.assert_allclose(heights, capsules.at(whole, 0.9)[1][:, 2], atol=1e-9)
    with pytest.raises(InputError, match=r"got 0\.5 from 1\.7, expected 0 to 0\.28"):
        make_stage(3, capsules, motion, start=1.7, seconds=0.5)


def test_velocities_are_smooth(stage: Stage) -> None:
    """Central differences over one step and over half of it agree."""
    for t in (0.31, 0.5, 0.99, 1.0, 1.4):
        wide = (stage.joints(t + 2e-3) - stage.joints(t - 2e-3)) / 4e-3
        narrow = (stage.joints(t + 1e-3) - stage.joints(t - 1e-3)) / 2e-3
        assert np.abs(wide - narrow).max() < 0.05


def test_scenes_name_their_materials(stage: Stage) -> None:
    scene = stage.scene(0.4)
    names = [shape.name for shape in scene.shapes]
    assert len(set(names)) == len(names)
    assert {"person-skin", "person-shirt", "person-trousers", "person-shoes"} <= set(names)
    assert {shape.surface.material.name for shape in scene.shapes} <= set(MATERIALS)
    assert set(stage.materials) <= {"skin", "fabric", "leather", "hair", "eye"}
    assert len(stage.materials) == len(stage.body.faces)
    person = [shape for shape in scene.shapes if shape.name.startswith("person")]
    assert sum(len(shape.mesh.faces) for shape in person) == len(stage.body.faces)


def test_a_picture_shows_the_person_where_the_joints_are(stage: Stage) -> None:
    scene = stage.scene(0.4)
    pictures = [
        etendue.render_scene(each, size=(64, 36), spp=16, max_depth=3).rgb
        for each in (scene, replace(scene, shapes=stage.still))
    ]
    assert pictures[0].mean() > 0.05
    relative = np.abs(pictures[0] - pictures[1]) / (pictures[0] + pictures[1] + 1e-3)
    x, y, z = (stage.joints(0.4) - stage.sensor).T
    focal = 18 / np.tan(np.radians(stage.camera.fov_deg) / 2)
    column, row = 32 - focal * y / x, 18 - focal * z / x
    inside = (column > 1) & (column < 62) & (row > 1) & (row < 34)
    found = relative.max(-1)[row[inside].astype(int), column[inside].astype(int)] > 0.15
    assert len(found) >= 5
    assert found.mean() > 0.6


def test_seconds_that_are_not_there(
    steps: Path, tmp_path: Path, capsules: Body, deepmimic: Callable[..., dict[str, object]]
) -> None:
    path = tmp_path / "once.txt"
    path.write_text(json.dumps(deepmimic(loop=False)))
    with pytest.raises(InputError, match="out of range; got 3 from 0, expected 0 to 1"):
        make_stage(1, capsules, load_motion(path), seconds=3.0)
    with pytest.raises(InputError, match="seconds: are out of range; got -1"):
        make_stage(1, capsules, load_motion(steps), seconds=-1)
