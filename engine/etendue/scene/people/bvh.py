"""Motions in Biovision hierarchy files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from etendue.core.errors import InputError
from etendue.scene.people.bvh_file import Bone, BvhFile, read_bvh
from etendue.scene.people.motion import Motion, motion_of
from etendue.scene.people.rotations import IDENTITY, inverse, product
from etendue.scene.people.skeleton import Skeleton

LEG = 0.82  # m from hip to ankle, which all skeletons are scaled to: files state no unit
JUMP = 0.35  # rad between the first pose and the second that make the first one no part of it


def load_bvh(path: Path, up: str = "y") -> Motion:
    """The motion of a file whose rest pose stands along `up` (y or z), in metres, x forward.

    BVH has no unit: lengths are scaled so that the legs are `LEG` long. Forward is left x up with
    left from the right to the left hip of the rest pose. A first pose far from the second is a rest
    pose that converters put there (all CMU conversions have one) and is left out.
    """
    if up not in ("y", "z"):
        raise InputError(path, "up is unknown", got=up, expected="y or z")
    read = read_bvh(path)
    axes = _axes(path, read.bones, up)
    skeleton, scale = _skeleton(path, read.bones, axes)
    turns, moved = _channels(read, axes)
    keep = slice(0, None)
    if len(turns) > 3 and _largest(turns[0], turns[1]) > JUMP > 3 * _largest(turns[1], turns[2]):
        keep = slice(1, None)
    times = np.arange(len(turns)) * read.frame_time
    return motion_of(path, skeleton, times[keep], turns[keep], moved[keep] * scale)


def _heads(bones: tuple[Bone, ...]) -> np.ndarray:
    heads = np.zeros((len(bones), 3))
    for i, bone in enumerate(bones):
        if bone.parent >= 0:
            heads[i] = heads[bone.parent] + np.array(bone.offset)
    return heads


def _axes(path: Path, bones: tuple[Bone, ...], up: str) -> np.ndarray:
    """Rotation (3, 3) from the file's axes to x forward, y left, z up, for whole axes only."""
    heads = _heads(bones)
    names, parents = tuple(b.name for b in bones), tuple(b.parent for b in bones)
    roles = Skeleton(names, parents, heads, heads).roles
    vertical = np.eye(3)["xyz".index(up)]
    left = (heads[roles["L.thigh"]] - heads[roles["R.thigh"]]) * (1 - vertical)
    biggest = int(np.argmax(np.abs(left)))
    if not np.isfinite(left).all() or left[biggest] == 0:
        raise InputError(path, "has both hips at one place")
    side = np.zeros(3)
    side[biggest] = np.sign(left[biggest])
    return np.stack([np.cross(side, vertical), side, vertical])


def _skeleton(path: Path, bones: tuple[Bone, ...], axes: np.ndarray) -> tuple[Skeleton, float]:
    """The rest skeleton in metres, its root at the origin, and metres per unit of the file."""
    heads = _heads(bones)
    tails = heads + np.array([_reach(bones, i) for i in range(len(bones))])
    heads, tails = heads @ axes.T, tails @ axes.T
    names, parents = tuple(b.name for b in bones), tuple(b.parent for b in bones)
    length = Skeleton(names, parents, heads, tails).leg_length
    scale = LEG / length if length > 0 else 0.0
    if not 0 < scale < 1e9 or not np.isfinite(heads * scale).all():
        raise InputError(path, "has legs without a length", got=length)
    return Skeleton(names, parents, heads * scale, tails * scale), scale


def _reach(bones: tuple[Bone, ...], index: int) -> np.ndarray:
    """From a bone's head to the first place below it that is not the same."""
    for end in bones[index].ends:
        if any(end):
            return np.array(end)
    for i, bone in enumerate(bones):
        if bone.parent == index:
            further = np.array(bone.offset) if any(bone.offset) else _reach(bones, i)
            if np.any(further):
                return further
    return np.zeros(3)


def _channels(read: BvhFile, axes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Quaternions (frames, bones, 4) and the root's path (frames, 3), in the new axes.

    Rotations are applied in the order of the channels, each about the axes turned by those before.
    Positions of other bones than the root are left out: bones keep their lengths.
    """
    from scipy.spatial.transform import Rotation

    turns = np.tile(IDENTITY, (len(read.rows), len(read.bones), 1))
    root = np.zeros((len(read.rows), 3))
    column = 0
    for index, bone in enumerate(read.bones):
        columns = dict(zip(bone.channels, range(column, column + len(bone.channels)), strict=True))
        column += len(bone.channels)
        order = "".join(name[0] for name in bone.channels if name.endswith("rotation"))
        if order:
            angles = read.rows[:, [columns[f"{axis}rotation"] for axis in order]]
            quat = Rotation.from_euler(order, angles, degrees=True).as_quat()
            turns[:, index, 0], turns[:, index, 1:] = quat[:, 3], quat[:, :3] @ axes.T
        if index == 0:
            for k, axis in enumerate("XYZ"):
                if f"{axis}position" in columns:
                    root[:, k] = read.rows[:, columns[f"{axis}position"]]
    return turns, root @ axes.T


def _largest(a: np.ndarray, b: np.ndarray) -> float:
    """Largest angle (radians) between the rotations of two poses."""
    cos = np.abs(product(inverse(a), b)[..., 0])
    return float(2 * np.arccos(np.clip(cos, 0, 1)).max())
