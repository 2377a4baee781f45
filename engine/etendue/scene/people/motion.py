"""Motions: rotations of a skeleton's bones and the path of its root over time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from etendue.core.errors import InputError
from etendue.scene.camera_path import interpolate
from etendue.scene.people.rotations import (
    IDENTITY,
    about,
    continuous,
    inverse,
    matrices,
    part,
    product,
    unit,
)
from etendue.scene.people.skeleton import Pose, Skeleton

_MIRROR = np.array([1.0, -1.0, 1.0])


@dataclass(frozen=True)
class Motion:
    """Key poses of a skeleton; `motion_of` makes one from raw arrays."""

    name: str
    skeleton: Skeleton
    times: np.ndarray  # (n,) s, rising
    rotations: np.ndarray  # (n, bones, 4) quaternions w, x, y, z relative to the parents
    root: np.ndarray  # (n, 3) m
    loop: bool = False  # goes on after its end, from where the root is then

    @property
    def duration(self) -> float:
        """Seconds from the first to the last key."""
        return float(self.times[-1] - self.times[0])

    def at(self, t: float) -> Pose:
        """The pose `t` seconds after the start; before and after it the first and last pose.

        Cubic through the keys (`camera_path.interpolate`) in the components of the quaternions,
        normalised, and of the root: velocities have no jumps, as they do when rotations are
        interpolated spherically. A loop goes on in either direction.
        """
        at, key = self.times[0] + t, self.times
        moved = np.zeros(3)
        if self.loop:
            rounds = np.floor(t / self.duration)
            at -= rounds * self.duration
            moved = rounds * (self.root[-1] - self.root[0])
        i = int(np.clip(np.searchsorted(key, at, "right") - 1, 0, len(key) - 2))
        low, high = max(i - 1, 0), min(i + 2, len(key) - 1) + 1
        times, turns, root = key[low:high], self.rotations[low:high], self.root[low:high]
        if self.loop and i == 0:
            times = np.concatenate([key[-2:-1] - self.duration, times])
            turns = np.concatenate([self.rotations[-2:-1], turns])
            root = np.concatenate([self.root[-2:-1] - self.root[-1] + self.root[0], root])
        if self.loop and i == len(key) - 2:
            times = np.concatenate([times, key[1:2] + self.duration])
            turns = np.concatenate([turns, self.rotations[1:2]])
            root = np.concatenate([root, self.root[1:2] + self.root[-1] - self.root[0]])
        turned = interpolate(times, continuous(turns), at, "catmull-rom")
        return Pose(matrices(turned), interpolate(times, root, at, "catmull-rom") + moved)


def motion_of(
    name: str | Path,
    skeleton: Skeleton,
    times: np.ndarray,
    rotations: np.ndarray,
    root: np.ndarray,
    loop: bool = False,
) -> Motion:
    """A checked motion; one that loops is closed by spreading what its ends differ by over it."""
    if len(times) < 2:
        raise InputError(name, "has too few poses", got=len(times), expected="at least 2")
    arrays = (times, rotations, root)
    if not all(np.isfinite(a).all() for a in arrays) or (np.diff(times) <= 0).any():
        raise InputError(name, "has poses that cannot be used", expected="rising times, numbers")
    lengths = np.linalg.norm(rotations, axis=-1)
    if (lengths < 0.5).any() or (lengths > 2).any():
        raise InputError(name, "has rotations that are none", expected="unit quaternions")
    turns = continuous(rotations)
    if loop:
        share = (times - times[0]) / (times[-1] - times[0])
        gap = product(inverse(turns[-1]), turns[0])
        turns = continuous(product(turns, part(gap[None], share[:, None])))
        climbed = root[-1, 2] - root[0, 2]
        root = root - share[:, None] * np.array([0.0, 0.0, climbed])
    return Motion(Path(name).stem, skeleton, times - times[0], turns, root, loop)


def load_motion(path: str | Path) -> Motion:
    """Read a BVH file (.bvh) or a DeepMimic motion (.txt, .json)."""
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix == ".bvh":
        from etendue.scene.people.bvh import load_bvh

        return load_bvh(path)
    if suffix in (".txt", ".json"):
        from etendue.scene.people.deepmimic import load_deepmimic

        return load_deepmimic(path)
    raise InputError(
        path, "unknown kind of motion", got=suffix or "no suffix", expected=".bvh, .txt or .json"
    )


def cut(motion: Motion, start: float, end: float) -> Motion:
    """The keys between two times (s) as a motion of its own, which does not loop."""
    inside = (motion.times >= start - 1e-9) & (motion.times <= end + 1e-9)
    if inside.sum() < 2:
        span = f"{start:g} to {end:g} s"
        raise InputError(motion.name, "has no such part", got=span, expected=motion.duration)
    times = motion.times[inside]
    return replace(
        motion, times=times - times[0], rotations=motion.rotations[inside],
        root=motion.root[inside], loop=False,
    )  # fmt: skip


def placed(motion: Motion, yaw: float, offset: tuple[float, float, float]) -> Motion:
    """The motion turned by `yaw` (radians, from x to y) about the origin's vertical, then moved."""
    turn = about((0.0, 0.0, 1.0), yaw)
    rotations = motion.rotations.copy()
    rotations[:, 0] = product(turn, rotations[:, 0])
    root = motion.root @ matrices(turn).T + np.array(offset)
    return replace(motion, rotations=rotations, root=root)


def heading(motion: Motion) -> float:
    """Direction (radians, from x to y) the pelvis faces on average."""
    forward = matrices(motion.rotations[:, 0])[:, :2, 0].mean(0)
    return float(np.arctan2(forward[1], forward[0]))


def mirrored(motion: Motion) -> Motion:
    """Left and right exchanged: y -> -y, and each bone moves as its partner did."""
    names = motion.skeleton.names
    other = np.array([names.index(n) if (n := _partner(b)) in names else i
                      for i, b in enumerate(names)])  # fmt: skip
    old = motion.skeleton
    skeleton = replace(old, heads=old.heads[other] * _MIRROR, tails=old.tails[other] * _MIRROR)
    # M R M with M = diag(1, -1, 1): the axis' mirror image, turned the other way
    turns = motion.rotations[:, other] * np.array([1.0, -1.0, 1.0, -1.0])
    return replace(motion, name=f"{motion.name}-mirrored", skeleton=skeleton, rotations=turns,
                   root=motion.root * _MIRROR)  # fmt: skip


def _partner(name: str) -> str:
    for a, b in (("Left", "Right"), ("left", "right"), ("L", "R")):
        for one, two in ((a, b), (b, a)):
            if name.startswith(one):
                return two + name.removeprefix(one)
    return name


def standing(skeleton: Skeleton, seconds: float = 1.0) -> Motion:
    """The rest pose, for as long as given."""
    still = np.tile(IDENTITY, (2, len(skeleton.names), 1))
    root = np.tile(skeleton.heads[0], (2, 1))
    return Motion("standing", skeleton, np.array([0.0, seconds]), unit(still), root)
