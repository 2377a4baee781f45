"""Motions of DeepMimic: what the numbers mean, loops, and files that are wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from etendue.core.errors import InputError
from etendue.scene.people.deepmimic import load_deepmimic
from etendue.scene.people.motion import Motion, load_motion
from etendue.scene.people.skeleton import bones, joints

Data = Callable[..., dict[str, object]]

SHARED = [HealthCheck.function_scoped_fixture]  # files are written anew for each example


def joints_at(motion: Motion, t: float) -> np.ndarray:
    return joints(motion.skeleton, *bones(motion.skeleton, motion.at(t)))


def test_hinges_and_axes(tmp_path: Path, deepmimic: Data) -> None:
    data = deepmimic()
    path = tmp_path / "still.txt"
    for row in data["Frames"]:  # type: ignore[attr-defined]
        row[4:] = [1.0, 0, 0, 0] * 4 + [-1.5] + [1.0, 0, 0, 0] * 2 + [1.5] + [1.0, 0, 0, 0] + [0.0]
        row[4:] += [1.0, 0, 0, 0] * 2 + [0.0]
    path.write_text(json.dumps(data))
    at = joints_at(load_motion(path), 0.5)
    assert at[3, 0] < at[2, 0] - 0.35  # the right shank points backwards
    assert at[14, 0] > at[13, 0] + 0.2  # the right forearm points forwards
    assert at[6, 2] < at[5, 2] - 0.4  # the left shank hangs
    assert at[4, 1] > at[1, 1] + 0.1  # left is y
    assert at[0, 2] == pytest.approx(0.82)


def test_loops_go_on(steps: Path) -> None:
    motion = load_motion(steps)
    assert motion.loop
    assert motion.duration == pytest.approx(1.0)
    apart = joints_at(motion, 3.3) - joints_at(motion, 0.3)
    np.testing.assert_allclose(apart, np.broadcast_to([3.0, 0.0, 0.0], (15, 3)), atol=1e-9)
    np.testing.assert_allclose(
        joints_at(motion, -0.4)[:, 1:], joints_at(motion, 0.6)[:, 1:], atol=1e-9
    )


def test_velocities_have_no_jumps_even_where_a_loop_closes(steps: Path) -> None:
    motion = load_motion(steps)
    h = 1e-4
    for key in (0.5, 1.0, 2.0):
        before = (joints_at(motion, key) - joints_at(motion, key - h)) / h
        after = (joints_at(motion, key + h) - joints_at(motion, key)) / h
        assert np.abs(after - before).max() < 0.02  # m/s; accelerations times h remain


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: [], "is no DeepMimic motion"),
        (lambda d: {"Frames": 3}, "is no DeepMimic motion"),
        (lambda d: {"Frames": d["Frames"][:1]}, "has too few poses; got 1"),
        (lambda d: {"Frames": [[0.0] * 44, *d["Frames"]]}, "poses that cannot be used"),
        (lambda d: {"Frames": [*d["Frames"], [1.0] * 43]}, "frame 31 is not a pose.*got 43"),
        (lambda d: {"Frames": [*d["Frames"], [True] * 44]}, "frame 31 has something that is no"),
        (lambda d: {"Frames": [*d["Frames"], [float("inf")] * 44]}, "cannot be used"),
        (lambda d: {"Frames": [*d["Frames"], [0.1] + [0.0] * 43]}, "rotations that are none"),
        (lambda d: {"Frames": [*d["Frames"], [10**400] + [0.0] * 43]}, "too large"),
    ],
)
def test_wrong_files(
    tmp_path: Path, deepmimic: Data, change: Callable[[dict[str, object]], object], message: str
) -> None:
    path = tmp_path / "wrong.txt"
    path.write_text(json.dumps(change(deepmimic())))
    with pytest.raises(InputError, match=message):
        load_deepmimic(path)


@settings(max_examples=40, deadline=None, suppress_health_check=SHARED)
@given(end=st.integers(0, 20000), put=st.text("[]{},0123456789.e-", max_size=6))
def test_damaged_files_are_one_clear_error(
    tmp_path: Path, deepmimic: Data, end: int, put: str
) -> None:
    text = json.dumps(deepmimic(4))
    path = tmp_path / "wrong.txt"
    path.write_text(text[:end] + put + text[end + 3 :])
    try:
        motion = load_deepmimic(path)
    except InputError:
        return
    assert np.isfinite(motion.root).all()
