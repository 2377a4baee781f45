"""Motions from curves: walking and exercises by number, for when no recordings are at hand.

Joint angles are smooth periodic curves whose sizes, tempo and small irregularities are drawn from a
seed; those of walking go through rounded values of ordinary gait (Winter 2009). The root moves so
that the foot on the floor does not: its velocity is the opposite of that of the lowest foot points.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from etendue.core.errors import InputError
from etendue.scene.people.deepmimic import humanoid
from etendue.scene.people.motion import Motion, motion_of
from etendue.scene.people.rotations import about, matrices, product
from etendue.scene.people.skeleton import Pose, bones

RATE = 50.0  # keys per second
SOFT = 0.01  # m: foot points this much higher count e times less
_X, _Y, _Z = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)
# share of the cycle from heel strike, degrees of flexion
_HIP = ((0, 28), (0.12, 25), (0.3, 5), (0.5, -11), (0.62, -2), (0.75, 22), (0.88, 30))
_KNEE = ((0, 5), (0.13, 19), (0.4, 5), (0.6, 38), (0.72, 60), (0.87, 25), (0.97, 3))
_ANKLE = ((0, 0), (0.07, -5), (0.3, 6), (0.45, 11), (0.62, -15), (0.75, -2), (0.88, 2))

Angles = dict[str, np.ndarray]  # bone -> degrees (n, 3): bent forward, out to its side, turned left


def gesture(kind: str, seed: int, seconds: float = 6.0) -> Motion:
    """A motion of one of `KINDS` for DeepMimic's humanoid; equal seeds give equal motions."""
    maker = _MAKERS.get(kind)
    if maker is None:
        raise InputError("gesture", "is unknown", got=kind, expected=", ".join(KINDS))
    if not 0.2 <= seconds <= 600:
        raise InputError("gesture", "has an unusable length", got=seconds, expected="0.2 to 600 s")
    rng = np.random.default_rng([seed, *kind.encode()])
    t = np.arange(round(seconds * RATE) + 1) / RATE
    skeleton = humanoid()
    turns = np.tile(about(_X, 0.0), (len(t), len(skeleton.names), 1))
    for bone, degrees in maker(t, rng).items():
        turns[:, skeleton.names.index(bone)] = _turn(bone, np.radians(degrees))
    root = _stuck(turns)
    return motion_of(f"{kind}-{seed}", skeleton, t, turns, root)


def _turn(bone: str, angles: np.ndarray) -> np.ndarray:
    """Quaternions (n, 4): turned about z, then out to the side, then bent."""
    forward = 1.0 if bone in ("root", "chest", "neck") or bone.endswith("knee") else -1.0
    out = -1.0 if bone.startswith("right") else 1.0
    bent, aside = about(_Y, forward * angles[:, 0]), about(_X, out * angles[:, 1])
    return product(about(_Z, angles[:, 2]), product(aside, bent))


def _stuck(turns: np.ndarray) -> np.ndarray:
    """Path of the root (n, 3) on which the lowest foot points stay where they are, at z = 0."""
    skeleton = humanoid()
    turned, heads = bones(skeleton, Pose(matrices(turns), np.zeros((len(turns), 3))))
    feet = [skeleton.roles[f"{side}.foot"] for side in "LR"]
    reach = skeleton.tails[feet] - skeleton.heads[feet]
    tips = heads[:, feet] + np.einsum("nfij,fj->nfi", turned[:, feet], reach)
    heels = heads[:, feet] - np.array([0.0, 0.0, 0.05])
    points = np.concatenate([heels, tips], 1)
    height = points[..., 2] - points[..., 2].min(1, keepdims=True)
    weight = np.exp(-height / SOFT)
    weight = (weight[1:] + weight[:-1]) / 2
    weight /= weight.sum(1, keepdims=True)
    steps = -(weight[..., None] * np.diff(points, axis=0)).sum(1)
    path = np.concatenate([np.zeros((1, 3)), np.cumsum(steps, 0)])
    path[:, 2] = -points[..., 2].min(1)
    return path


def _curve(points: tuple[tuple[float, float], ...], phase: np.ndarray) -> np.ndarray:
    """Periodic cubic spline through (share of the cycle, degrees), at phases in cycles."""
    from scipy.interpolate import CubicSpline

    at, values = np.array([*points, (1.0, points[0][1])]).T
    return CubicSpline(at, values, bc_type="periodic")(phase % 1.0)


def _wander(t: np.ndarray, rng: np.random.Generator, size: float) -> np.ndarray:
    """Slow changes around zero: three sines below half a hertz."""
    waves = [np.sin(2 * np.pi * (rng.uniform(0.05, 0.45) * t + rng.uniform())) for _ in range(3)]
    return size * np.sum(waves, 0) / 3


def _phase(t: np.ndarray, rng: np.random.Generator, low: float, high: float) -> np.ndarray:
    """Cycles done at times t, at a frequency (Hz) between the two that changes a little."""
    steady = rng.uniform(low, high) * (1 + _wander(t, rng, 0.06))
    return rng.uniform() + np.cumsum(steady) / RATE


def _pulse(phase: np.ndarray) -> np.ndarray:
    """From 0 to 1 and back in a cycle."""
    return 0.5 - 0.5 * np.cos(2 * np.pi * phase)


def _three(
    bend: np.ndarray | float, aside: np.ndarray | float = 0.0, turn: np.ndarray | float = 0.0
) -> np.ndarray:
    return np.stack(np.broadcast_arrays(bend, aside, turn), -1).astype(np.float64)


def _still(t: np.ndarray, rng: np.random.Generator) -> Angles:
    """Standing: arms a little out and bent, everything wanders by a few degrees."""
    angles = {
        "root": _three(_wander(t, rng, 2), _wander(t, rng, 1.5), _wander(t, rng, 4)),
        "chest": _three(4 + _wander(t, rng, 3), _wander(t, rng, 2), _wander(t, rng, 4)),
        "neck": _three(_wander(t, rng, 5), _wander(t, rng, 3), _wander(t, rng, 12)),
    }
    for side in ("left", "right"):
        angles[f"{side}_shoulder"] = _three(3 + _wander(t, rng, 4), 10 + _wander(t, rng, 3))
        angles[f"{side}_elbow"] = _three(15 + _wander(t, rng, 5))
        angles[f"{side}_hip"] = _three(6 + _wander(t, rng, 1.5), 3 + 0 * t)
        angles[f"{side}_knee"] = _three(8 + _wander(t, rng, 2))
        angles[f"{side}_ankle"] = _three(2 + 0 * t, -3 + 0 * t)
    return angles


def _walk(t: np.ndarray, rng: np.random.Generator) -> Angles:
    """In curves, so that a room is enough."""
    angles, phase, size = _still(t, rng), _phase(t, rng, 0.75, 1.05), rng.uniform(0.75, 1.05)
    turning = rng.choice([-1, 1]) * rng.uniform(25, 50) + _wander(t, rng, 15)
    yaw = rng.uniform(0, 360) + np.cumsum(turning) / RATE
    swing = 6 * size * np.cos(2 * np.pi * phase)
    angles["root"] = _three(4 + 0 * t, 2 * np.sin(2 * np.pi * phase), yaw - swing)
    angles["chest"] = _three(2 + 0 * t, -2 * np.sin(2 * np.pi * phase), 2 * swing)
    arms = rng.uniform(0.5, 1.2)
    for side, shift in (("left", 0.5), ("right", 0.0)):
        own = phase + shift
        angles[f"{side}_hip"] = _three(size * _curve(_HIP, own) + 4)
        angles[f"{side}_knee"] = _three(size * _curve(_KNEE, own))
        angles[f"{side}_ankle"] = _three(size * _curve(_ANKLE, own))
        back = np.cos(2 * np.pi * own)
        angles[f"{side}_shoulder"] = _three(-22 * arms * back, 7 + 0 * t)
        angles[f"{side}_elbow"] = _three(22 - 12 * arms * back)
    return angles


def _march(t: np.ndarray, rng: np.random.Generator) -> Angles:
    """On the spot, knees up."""
    angles, phase, high = _still(t, rng), _phase(t, rng, 0.6, 1.0), rng.uniform(40, 80)
    for side, shift in (("left", 0.5), ("right", 0.0)):
        up = np.maximum(np.sin(2 * np.pi * (phase + shift)), 0.0) ** 1.5
        angles[f"{side}_hip"] = _three(3 + high * up)
        angles[f"{side}_knee"] = _three(5 + 1.25 * high * up)
        angles[f"{side}_shoulder"] = _three(20 * np.sin(2 * np.pi * (phase + shift + 0.5)), 8)
        angles[f"{side}_elbow"] = _three(50 + 0 * t)
    return angles


def _squat(t: np.ndarray, rng: np.random.Generator) -> Angles:
    """Down and up with the arms forward."""
    angles = _still(t, rng)
    down = rng.uniform(55, 95) * _pulse(_phase(t, rng, 0.25, 0.5))
    angles["root"] = _three(0.42 * down)
    for side in ("left", "right"):
        angles[f"{side}_hip"] = _three(6 + 1.25 * down, 8)
        angles[f"{side}_knee"] = _three(6 + 1.35 * down)
        angles[f"{side}_ankle"] = _three(0.52 * down, -8)
        angles[f"{side}_shoulder"] = _three(0.9 * down, 8)
    return angles


def _wave(t: np.ndarray, rng: np.random.Generator) -> Angles:
    """One arm up, the forearm from side to side."""
    angles, side = _still(t, rng), str(rng.choice(["left", "right"]))
    shake = np.sin(2 * np.pi * _phase(t, rng, 0.8, 1.8))
    angles[f"{side}_shoulder"] = _three(25 + _wander(t, rng, 8), rng.uniform(80, 130) + 14 * shake)
    angles[f"{side}_elbow"] = _three(rng.uniform(25, 60) + 25 * shake)
    return angles


def _reach(t: np.ndarray, rng: np.random.Generator) -> Angles:
    """Both arms forward in turns, the trunk with them."""
    angles, phase = _still(t, rng), _phase(t, rng, 0.4, 0.9)
    angles["chest"] = _three(5 + 0 * t, 0, 22 * np.cos(2 * np.pi * phase))
    for side, shift in (("left", 0.5), ("right", 0.0)):
        out = _pulse(phase + shift + 0.5) ** 2
        angles[f"{side}_shoulder"] = _three(rng.uniform(10, 30) + 65 * out, 8)
        angles[f"{side}_elbow"] = _three(100 - 85 * out)
    return angles


def _bow(t: np.ndarray, rng: np.random.Generator) -> Angles:
    """Forward and down, the arms hang."""
    angles = _still(t, rng)
    down = rng.uniform(35, 75) * _pulse(_phase(t, rng, 0.2, 0.4))
    angles["root"], angles["chest"] = _three(0.6 * down), _three(0.6 * down)
    for side in ("left", "right"):
        angles[f"{side}_hip"] = _three(5 + 0.7 * down, 4)
        angles[f"{side}_knee"] = _three(7 + 0.1 * down)
        angles[f"{side}_ankle"] = _three(0 * down, -4)
        angles[f"{side}_shoulder"] = _three(0.9 * down, 8)
    return angles


def _twist(t: np.ndarray, rng: np.random.Generator) -> Angles:
    """The trunk to both sides with the arms out."""
    angles = _still(t, rng)
    side_to_side = np.sin(2 * np.pi * _phase(t, rng, 0.3, 0.7))
    angles["chest"] = _three(4 + 0 * t, 0, rng.uniform(30, 55) * side_to_side)
    for side in ("left", "right"):
        angles[f"{side}_shoulder"] = _three(5 + 0 * t, rng.uniform(60, 90))
    return angles


def _arms(t: np.ndarray, rng: np.random.Generator) -> Angles:
    """Both arms up at the sides and down again."""
    angles = _still(t, rng)
    up = rng.uniform(110, 160) * _pulse(_phase(t, rng, 0.3, 0.7))
    for side in ("left", "right"):
        angles[f"{side}_shoulder"] = _three(4 + 0 * t, 8 + up)
    return angles


_MAKERS: dict[str, Callable[[np.ndarray, np.random.Generator], Angles]] = {
    "walk": _walk, "march": _march, "squat": _squat, "wave": _wave, "reach": _reach, "bow": _bow,
    "twist": _twist, "arms": _arms,
}  # fmt: skip
KINDS = tuple(_MAKERS)
