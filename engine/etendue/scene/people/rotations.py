"""Rotations as quaternions (w, x, y, z) and matrices, for arrays of any leading shape."""

from __future__ import annotations

import numpy as np

IDENTITY = np.array([1.0, 0.0, 0.0, 0.0])


def unit(values: np.ndarray) -> np.ndarray:
    """Values of length one along the last axis; zeros stay zero."""
    length = np.linalg.norm(values, axis=-1, keepdims=True)
    return values / np.where(length > 0, length, 1.0)


def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Quaternion of the rotation b followed by a."""
    aw, ax, ay, az = np.moveaxis(a, -1, 0)
    bw, bx, by, bz = np.moveaxis(b, -1, 0)
    return np.stack(
        [
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ],
        -1,
    )


def inverse(q: np.ndarray) -> np.ndarray:
    """Quaternion of the opposite rotation."""
    return q * np.array([1.0, -1.0, -1.0, -1.0])


def matrices(q: np.ndarray) -> np.ndarray:
    """Rotation matrices (..., 3, 3) of quaternions (..., 4) of any length but zero."""
    w, x, y, z = np.moveaxis(unit(q), -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, -1) for row in rows], -2)


def quaternions(matrix: np.ndarray) -> np.ndarray:
    """Quaternions (..., 4) of rotation matrices (..., 3, 3)."""
    from scipy.spatial.transform import Rotation

    flat = Rotation.from_matrix(matrix.reshape(-1, 3, 3)).as_quat()
    return np.roll(flat, 1, -1).reshape(*matrix.shape[:-2], 4)


def about(axis: tuple[float, float, float], angle: np.ndarray | float) -> np.ndarray:
    """Quaternions of turns by `angle` (radians) about a unit axis."""
    half = np.asarray(angle, np.float64)[..., None] / 2
    return np.concatenate([np.cos(half), np.sin(half) * np.array(axis)], -1)


def continuous(q: np.ndarray) -> np.ndarray:
    """The same rotations over time (axis 0), with signs such that neighbours are close."""
    q = unit(q)
    flips = np.where((q[1:] * q[:-1]).sum(-1) < 0, -1.0, 1.0)
    return q * np.concatenate([np.ones_like(flips[:1]), np.cumprod(flips, 0)])[..., None]


def part(q: np.ndarray, share: np.ndarray | float) -> np.ndarray:
    """A share of the rotation q: the same axis, share times the angle (the shorter way round)."""
    q = unit(np.where(q[..., :1] < 0, -q, q))
    length = np.linalg.norm(q[..., 1:], axis=-1, keepdims=True)
    half = np.arctan2(length, q[..., :1]) * np.asarray(share, np.float64)[..., None]
    axis = q[..., 1:] / np.where(length > 1e-12, length, 1.0)
    return np.concatenate([np.cos(half), np.sin(half) * axis], -1)


def turning(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Smallest rotation (3, 3) that takes the direction a to the direction b.

    R = I + [v] + [v]^2 / (1 + c) with v = a x b, c = a . b; opposite ones turn about any axis.
    """
    a, b = unit(np.asarray(a, np.float64)), unit(np.asarray(b, np.float64))
    v, c = np.cross(a, b), float(a @ b)
    if c < -1 + 1e-9:
        side = unit(np.cross(a, np.eye(3)[np.argmin(np.abs(a))]))
        return 2 * np.outer(side, side) - np.eye(3)
    cross = np.array([[0, -v[2], v[1]], [v[2], 0, -v[0]], [-v[1], v[0], 0]])
    return np.eye(3) + cross + cross @ cross / (1 + c)
