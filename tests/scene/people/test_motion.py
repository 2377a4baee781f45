"""Motions as functions of time: interpolation, parts, placing, mirroring."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from etendue.core.errors import InputError
from etendue.scene.people.motion import (
    Motion,
    cut,
    heading,
    load_motion,
    mirrored,
    placed,
    standing,
)
from etendue.scene.people.rotations import matrices
from etendue.scene.people.skeleton import JOINTS, bones, joints

# each joint's place in a mirror
OTHER = [
    JOINTS.index(n.replace("R ", "l ").replace("L ", "R ").replace("l ", "L ")) for n in JOINTS
]


def joints_at(motion: Motion, t: float) -> np.ndarray:
    return joints(motion.skeleton, *bones(motion.skeleton, motion.at(t)))


def test_keys_are_met_and_ends_are_held(bvh: Path) -> None:
    motion = load_motion(bvh)
    for i in (0, 1, 50, len(motion.times) - 1):
        pose = motion.at(float(motion.times[i]))
        np.testing.assert_allclose(pose.rotations, matrices(motion.rotations[i]), atol=1e-9)
        np.testing.assert_allclose(pose.root, motion.root[i], atol=1e-12)
    np.testing.assert_allclose(motion.at(99.0).root, motion.root[-1])
    np.testing.assert_allclose(motion.at(-1.0).root, motion.root[0])


def test_between_keys_is_near_the_truth(bvh: Path) -> None:
    """Every second key left out is found again: the error is of the fourth order."""
    motion = load_motion(bvh)
    half = Motion(
        "half", motion.skeleton, motion.times[::2], motion.rotations[::2], motion.root[::2]
    )
    t = motion.times[5:-5:2]
    apart = [np.abs(joints_at(half, float(x)) - joints_at(motion, float(x))).max() for x in t]
    assert max(apart) < 5e-4


def test_parts(bvh: Path) -> None:
    motion = load_motion(bvh)
    part = cut(motion, 0.5, 1.5)
    assert part.duration == pytest.approx(1.0)
    np.testing.assert_allclose(joints_at(part, 0.3), joints_at(motion, 0.8), atol=1e-9)
    with pytest.raises(InputError, match="has no such part"):
        cut(motion, 5.0, 6.0)


def test_placing_turns_everything(bvh: Path) -> None:
    motion = load_motion(bvh)
    there = placed(motion, 0.7, (1.0, 2.0, 0.0))
    turn = np.array([[np.cos(0.7), -np.sin(0.7), 0], [np.sin(0.7), np.cos(0.7), 0], [0, 0, 1]])
    expected = joints_at(motion, 0.9) @ turn.T + [1.0, 2.0, 0.0]
    np.testing.assert_allclose(joints_at(there, 0.9), expected, atol=1e-9)
    assert heading(there) - heading(motion) == pytest.approx(0.7)


def test_mirrored_motions_have_mirrored_joints(bvh: Path) -> None:
    motion = load_motion(bvh)
    got = joints_at(mirrored(motion), 0.77)
    np.testing.assert_allclose(got, joints_at(motion, 0.77)[OTHER] * [1, -1, 1], atol=1e-9)
    twice = mirrored(mirrored(motion))
    np.testing.assert_allclose(joints_at(twice, 0.4), joints_at(motion, 0.4), atol=1e-9)


def test_standing(bvh: Path) -> None:
    skeleton = load_motion(bvh).skeleton
    np.testing.assert_allclose(bones(skeleton, standing(skeleton).at(0.5))[1], skeleton.heads)
