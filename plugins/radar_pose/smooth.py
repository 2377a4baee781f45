"""A Kalman filter of a pose's track (Kalman 1960): every coordinate moves at constant velocity.

    x' = F x + w,  F = [1 dt; 0 1],  w ~ acceleration noise,  z = x[0] + v

All coordinates share their gains, which depend on which frames were seen and not on what was seen.
The exact recursion starts with the first detection, at an unknown velocity.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

FRAME = 0.1  # s


@dataclass(frozen=True)
class Motion:
    """What is assumed of the joints and of their detections."""

    acceleration: float = 4.0  # m/s², standard deviation, constant within a frame
    detection: float = 0.08  # m, standard deviation of a detected coordinate
    velocity: float = 1.5  # m/s, standard deviation before anything is known
    frame: float = FRAME  # s


def smooth(track: np.ndarray, motion: Motion | None = None) -> np.ndarray:
    """Filtered track (n, 15, 3) in metres, as far as known at each frame; later ones play no part.

    Frames with a NaN were not detected: they are predicted. Before the first detection all is NaN.
    """
    motion = motion or Motion()
    dt = motion.frame
    step = np.array([[1.0, dt], [0.0, 1.0]])
    push = np.array([dt * dt / 2, dt])
    noise = motion.acceleration**2 * np.outer(push, push)
    track = np.asarray(track, dtype=np.float64)
    state: np.ndarray | None = None  # (2, 15, 3): m, m/s
    spread = np.diag([motion.detection**2, motion.velocity**2])
    out = np.full_like(track, np.nan)
    for k, seen in enumerate(track):
        here = bool(np.isfinite(seen).all())
        if state is None:
            if not here:
                continue
            state = np.stack([seen, np.zeros_like(seen)])
        else:
            state = np.tensordot(step, state, 1)
            spread = step @ spread @ step.T + noise
            if here:
                state, spread = _corrected(state, spread, seen, motion.detection**2)
        out[k] = state[0]
    return out


def smooth_sequences(
    track: np.ndarray, sequences: tuple[str, ...], motion: Motion | None = None
) -> np.ndarray:
    """`smooth` of every sequence by itself; its frames are consecutive and in order."""
    names = np.asarray(sequences, dtype=str)
    out = np.full(np.shape(track), np.nan)
    for name in dict.fromkeys(sequences):
        mine = names == name
        out[mine] = smooth(np.asarray(track)[mine], motion)
    return out


def _corrected(
    state: np.ndarray, spread: np.ndarray, seen: np.ndarray, variance: float
) -> tuple[np.ndarray, np.ndarray]:
    """State and covariance after a detection, in Joseph's form, which stays symmetric."""
    gain = spread[:, 0] / (spread[0, 0] + variance)
    kept = np.eye(2) - np.outer(gain, [1.0, 0.0])
    spread = kept @ spread @ kept.T + variance * np.outer(gain, gain)
    return state + np.multiply.outer(gain, seen - state[0]), spread
