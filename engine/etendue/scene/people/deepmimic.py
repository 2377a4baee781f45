"""Motions of DeepMimic (Peng et al. 2018): JSON with the poses of one humanoid.

A frame is: duration (s), position of the root (3), then rotations, as quaternions w, x, y, z or for
hinges as one angle (radians about z): root, chest, neck, right hip, right knee (hinge), right
ankle, right shoulder, right elbow (hinge), left hip, left knee (hinge), left ankle, left shoulder,
left elbow (hinge). Axes are x forward, y up, z right; units are metres.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from etendue.core.errors import InputError
from etendue.scene.people.motion import Motion, motion_of
from etendue.scene.people.rotations import about
from etendue.scene.people.skeleton import Skeleton

WIDTH = 44
MAX_BYTES = 1 << 26
LARGEST = 1e6
_AXES = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])  # from those of the file
# bone, parent, head relative to the parent's, tail relative to the head (m, file's axes): the
# humanoid that the motions are made for
_BONES: tuple[tuple[str, str, tuple[float, float, float], tuple[float, float, float]], ...] = (
    ("root", "", (0.0, 0.0, 0.0), (0.0, 0.236151, 0.0)),
    ("chest", "root", (0.0, 0.236151, 0.0), (0.0, 0.223894, 0.0)),
    ("neck", "chest", (0.0, 0.223894, 0.0), (0.0, 0.3, 0.0)),
    ("right_hip", "root", (0.0, 0.0, 0.084887), (0.0, -0.421546, 0.0)),
    ("right_knee", "right_hip", (0.0, -0.421546, 0.0), (0.0, -0.40987, 0.0)),
    ("right_ankle", "right_knee", (0.0, -0.40987, 0.0), (0.13, -0.05, 0.0)),
    ("right_shoulder", "chest", (-0.02405, 0.2435, 0.18311), (0.0, -0.274788, 0.0)),
    ("right_elbow", "right_shoulder", (0.0, -0.274788, 0.0), (0.0, -0.258947, 0.0)),
    ("left_hip", "root", (0.0, 0.0, -0.084887), (0.0, -0.421546, 0.0)),
    ("left_knee", "left_hip", (0.0, -0.421546, 0.0), (0.0, -0.40987, 0.0)),
    ("left_ankle", "left_knee", (0.0, -0.40987, 0.0), (0.13, -0.05, 0.0)),
    ("left_shoulder", "chest", (-0.02405, 0.2435, -0.18311), (0.0, -0.274788, 0.0)),
    ("left_elbow", "left_shoulder", (0.0, -0.274788, 0.0), (0.0, -0.258947, 0.0)),
)
_HINGES = ("right_knee", "right_elbow", "left_knee", "left_elbow")


def humanoid() -> Skeleton:
    """The skeleton of the motions, its root at the origin: arms hang down in the rest pose."""
    names = tuple(bone[0] for bone in _BONES)
    parents = tuple(names.index(bone[1]) if bone[1] else -1 for bone in _BONES)
    heads = np.zeros((len(_BONES), 3))
    for i, (bone, parent) in enumerate(zip(_BONES, parents, strict=True)):
        heads[i] = np.array(bone[2]) + (heads[parent] if parent >= 0 else 0.0)
    tails = heads + np.array([bone[3] for bone in _BONES])
    return Skeleton(names, parents, heads @ _AXES.T, tails @ _AXES.T)


def load_deepmimic(path: Path) -> Motion:
    """The motion of a file; `"Loop": "wrap"` makes it a loop."""
    data = _read(path)
    frames = _frames(path, data)
    # a frame's duration leads to the next one: that of the last is zero or has nothing after it
    times = np.concatenate([[0.0], np.cumsum(frames[:-1, 0])])
    turns, column = np.empty((len(frames), len(_BONES), 4)), 4
    for i, (name, *_) in enumerate(_BONES):
        if name in _HINGES:
            turns[:, i], column = about((0.0, 0.0, 1.0), frames[:, column]), column + 1
        else:
            turns[:, i], column = frames[:, column : column + 4], column + 4
    turns[..., 1:] = turns[..., 1:] @ _AXES.T
    root = frames[:, 1:4] @ _AXES.T
    return motion_of(path, humanoid(), times, turns, root, data.get("Loop") == "wrap")


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(path, "is too large for a motion", expected=f"<= {MAX_BYTES} bytes")
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})", fix="Check the path") from None
    except (ValueError, RecursionError) as error:
        raise InputError(path, f"is no JSON ({error})") from None
    if not isinstance(data, dict) or not isinstance(data.get("Frames"), list):
        raise InputError(path, "is no DeepMimic motion", expected='an object with "Frames"')
    return data


def _frames(path: Path, data: dict[str, Any]) -> np.ndarray:
    """All frames as one array (n, 44) of finite numbers."""
    for number, row in enumerate(data["Frames"]):
        if not isinstance(row, list) or len(row) != WIDTH:
            got = len(row) if isinstance(row, list) else type(row).__name__
            raise InputError(path, f"frame {number} is not a pose of the humanoid", got=got,
                             expected=f"{WIDTH} numbers")  # fmt: skip
        if not all(isinstance(x, int | float) and not isinstance(x, bool) for x in row):
            raise InputError(path, f"frame {number} has something that is no number")
    try:
        frames = np.array(data["Frames"], np.float64).reshape(-1, WIDTH)
    except OverflowError:
        raise InputError(path, "has a number that is too large") from None
    if not (np.abs(frames) < LARGEST).all():
        raise InputError(path, "has poses that cannot be used", expected="numbers of human size")
    return frames
