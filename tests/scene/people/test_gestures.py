"""Motions from curves: they stay on the floor, do not slide, and are those of people."""

from __future__ import annotations

import numpy as np
import pytest

from etendue.core.errors import InputError
from etendue.scene.people.body import Body
from etendue.scene.people.gestures import KINDS, gesture
from etendue.scene.people.retarget import retarget
from etendue.scene.people.rotations import matrices
from etendue.scene.people.skeleton import Pose, bones, joints


def path(body: Body, kind: str, seed: int = 1) -> np.ndarray:
    moved = retarget(gesture(kind, seed, 4.0), body)
    pose = Pose(matrices(moved.rotations), moved.root)
    return joints(body.skeleton, *bones(body.skeleton, pose))


@pytest.mark.parametrize("kind", KINDS)
def test_gestures_are_those_of_people(kind: str, capsules: Body) -> None:
    motion = gesture(kind, 2, 4.0)
    assert motion.duration == pytest.approx(4.0)
    moved = retarget(motion, capsules)
    low = [capsules.at(moved, t)[0][:, 2].min() for t in np.arange(0, 4, 0.2)]
    assert min(low) > -0.025
    assert max(low) < 0.03
    at = path(capsules, kind)
    speed = np.linalg.norm(np.diff(at, axis=0), axis=-1) * 50
    assert speed.max() < 6.0  # m/s
    moving = np.ptp(at - at[:, :1], axis=0).max()
    assert moving > 0.15  # some joint moves against the pelvis
    np.testing.assert_array_equal(gesture(kind, 2, 4.0).rotations, motion.rotations)
    assert np.abs(gesture(kind, 3, 4.0).rotations - motion.rotations).max() > 0.01


def test_walkers_get_somewhere_and_look_where_they_go(capsules: Body) -> None:
    for seed in range(4):
        at = path(capsules, "walk", seed)
        speed = np.diff(at[:, 0, :2], axis=0) * 50
        assert 0.5 < np.linalg.norm(speed, axis=1).mean() < 1.8
        left = (at[:, 4] - at[:, 1])[:-1, :2]
        forward = np.stack([left[:, 1], -left[:, 0]], -1)
        forward /= np.linalg.norm(forward, axis=1, keepdims=True)
        assert np.median((speed * forward).sum(1) / np.linalg.norm(speed, axis=1)) > 0.9


def test_knees_and_elbows_bend_one_way(capsules: Body) -> None:
    for kind in KINDS:
        at = path(capsules, kind)
        left = at[:, 4] - at[:, 1]
        forward = np.cross(left, [0.0, 0.0, 1.0])
        for hip, knee, ankle in ((1, 2, 3), (4, 5, 6)):
            ahead = at[:, knee] - (at[:, hip] + at[:, ankle]) / 2
            assert ((ahead * forward).sum(1) > -2e-3).all(), kind


def test_wrong_gestures() -> None:
    with pytest.raises(InputError, match="gesture: is unknown; got fly, expected walk"):
        gesture("fly", 1)
    with pytest.raises(InputError, match="unusable length"):
        gesture("walk", 1, 0.0)
