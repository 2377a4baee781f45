"""Feet on the floor: how high a retargeted body must be, over time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from etendue.scene.people.body import Body
from etendue.scene.people.motion import Motion
from etendue.scene.people.rotations import matrices
from etendue.scene.people.skeleton import Pose, Skeleton, bones

RATE = 40.0  # looks per second
SMOOTH = 0.06  # s, standard deviation of the weights that heights are averaged with
ON_FLOOR = 5.0  # percent of the time that any part of the foot is at its lowest
LYING = (0.45, 0.65)  # pelvis' height over the legs' length: below lies, above does not
SINK = 0.01  # m that other parts of the body may be below the floor: flesh gives way


def grounded(source: Motion, moved: Motion, body: Body) -> Motion:
    """`moved`, lifted and lowered so that its soles are as high above z = 0 as the source's feet.

    How high the source's feet are is told by ankles and toes: the level that each has in the lowest
    `ON_FLOOR` percent of the clip is where it stands. A body that lies or crawls rests on whatever
    is lowest, and nothing sinks into the floor. The heights are averaged over `SMOOTH`, so that the
    body does not jerk.
    """
    looks = np.arange(0.0, moved.duration + 0.5 / RATE, 1 / RATE)
    near = np.clip(np.searchsorted(moved.times, looks), 0, len(moved.times) - 1)
    frames = np.unique(near)
    scale = body.skeleton.leg_length / source.skeleton.leg_length
    wanted = feet_height(source, frames) * scale
    sole = lowest(body.some(body.soles), moved, frames)
    lift = _smooth(wanted - sole, moved.times[frames], moved.loop)
    lying = _lying(source, frames)
    few = body.some(np.arange(0, len(body.vertices), max(1, len(body.vertices) // 500)))
    below = np.minimum(lowest(few, moved, frames), sole)
    deepest = below + lift
    lift -= _smooth(np.maximum(deepest, 0.0) * lying, moved.times[frames], moved.loop)
    deepest = below + lift
    sunk = np.maximum(-deepest - SINK, 0.0)
    if sunk.any():
        lift += _smooth(_widened(sunk, moved.times[frames]), moved.times[frames], moved.loop)
    root = moved.root.copy()
    root[:, 2] += np.interp(moved.times, moved.times[frames], lift)
    return replace(moved, root=root)


def feet_height(motion: Motion, frames: np.ndarray) -> np.ndarray:
    """How far (frames,) the lower foot is above where it stands, in metres."""
    turned, heads = _posed(motion, frames)
    low = []
    for ends in _foot_ends(motion.skeleton):
        levels = np.stack(
            [
                heads[:, b, 2] + (turned[:, b] @ (end - motion.skeleton.heads[b]))[:, 2]
                for b, end in ends
            ]
        )
        low.append((levels - np.percentile(levels.min(0), ON_FLOOR)).min(0))
    return np.maximum(np.min(low, 0), 0.0)


def _lying(motion: Motion, frames: np.ndarray) -> np.ndarray:
    """1 where the pelvis is low over the feet's level, 0 where it is not, smooth between."""
    height = motion.root[frames, 2] - np.percentile(
        _posed(motion, frames)[1][..., 2].min(1), ON_FLOOR
    )
    low, high = np.array(LYING) * motion.skeleton.leg_length
    share = np.clip((high - height) / (high - low), 0, 1)
    return share * share * (3 - 2 * share)


def lowest(part: Body, motion: Motion, frames: np.ndarray) -> np.ndarray:
    """Height (frames,) of the lowest of a body's vertices."""
    turned, heads = _posed(motion, frames)
    return np.array([part.skinned(g, h)[:, 2].min() for g, h in zip(turned, heads, strict=True)])


def _posed(motion: Motion, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    pose = Pose(matrices(motion.rotations[frames]), motion.root[frames])
    return bones(motion.skeleton, pose)


def _foot_ends(skeleton: Skeleton) -> list[list[tuple[int, np.ndarray]]]:
    """Ankles, balls and tips of both feet: (bone, place in the rest pose), what exists of them."""
    kinds: list[list[tuple[int, np.ndarray]]] = []
    for role, tip in (("foot", False), ("foot", True), ("toes", True)):
        found = [skeleton.roles[f"{s}.{role}"] for s in "LR" if f"{s}.{role}" in skeleton.roles]
        points = skeleton.tails if tip else skeleton.heads
        if found:
            kinds.append([(bone, points[bone]) for bone in found])
    return kinds


def _smooth(values: np.ndarray, times: np.ndarray, loop: bool) -> np.ndarray:
    """Averaged with Gaussian weights in time; the ends of a loop are neighbours."""
    if loop:
        span = times[-1] - times[0]
        three = np.concatenate([times - span, times, times + span])
        return _smooth(np.tile(values, 3), three, False)[len(values) : 2 * len(values)]
    out = np.empty_like(values)
    for i, t in enumerate(times):
        near = slice(*np.searchsorted(times, [t - 4 * SMOOTH, t + 4 * SMOOTH]))
        weight = np.exp(-0.5 * ((times[near] - t) / SMOOTH) ** 2)
        out[i] = (weight * values[near]).sum() / weight.sum()
    return out


def _widened(values: np.ndarray, times: np.ndarray) -> np.ndarray:
    """The largest value within two standard deviations of the smoothing."""
    near = [np.searchsorted(times, [t - 2 * SMOOTH, t + 2 * SMOOTH]) for t in times]
    return np.array([values[a : max(b, a + 1)].max() for a, b in near])
