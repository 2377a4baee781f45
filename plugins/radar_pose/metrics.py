"""How far estimated poses are from true ones; nothing here changes its inputs.

Poses are (n, 15, 3) in metres; joint 0 is the pelvis. Figures over frames are means over sequences
of the means of each, as in RT-Pose (Ho et al. 2024), so that long sequences weigh no more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

PELVIS = 0
RESAMPLES = 2000
CM = 100.0


def localisation(pred: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Distance of the pelvises (n,), in metres."""
    return np.linalg.norm(_doubles(pred)[:, PELVIS] - _doubles(true)[:, PELVIS], axis=-1)


def mpjpe(pred: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Mean distance of the joints (n,), in metres, where they are in the room."""
    return np.linalg.norm(_doubles(pred) - _doubles(true), axis=-1).mean(-1)


def root_aligned_mpjpe(pred: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Mean distance of all 15 joints (n,), in metres, once the pelvises are put together."""
    return mpjpe(_relative(pred), _relative(true))


def by_sequence(values: np.ndarray, sequences: Sequence[str]) -> float:
    """Mean over sequences of the mean over each sequence's frames; values (n,)."""
    return float(_means(values, sequences).mean())


def mean_pose(poses: np.ndarray) -> np.ndarray:
    """Mean of poses relative to the pelvis (15, 3): the baseline that looks at no joint."""
    return _relative(poses).mean(0)


def at_pelvis(pose: np.ndarray, pred: np.ndarray) -> np.ndarray:
    """One pose (15, 3) relative to the pelvis, put at every pelvis of `pred`: (n, 15, 3)."""
    return _doubles(pred)[:, PELVIS, None] + _doubles(pose)


def paired_interval(
    a: np.ndarray, b: np.ndarray, sequences: Sequence[str], seed: int, level: float = 0.95
) -> tuple[float, float, float]:
    """mean(a) - mean(b) by sequence, and its interval (low, high) by bootstrap over sequences.

    Percentiles of the mean difference of sequences drawn with replacement; a and b (n,) are of the
    same frames.
    """
    if np.shape(a) != np.shape(b):
        raise ValueError(f"pairs of unequal number: {np.shape(a)} and {np.shape(b)}")
    each = _means(_doubles(a) - _doubles(b), sequences)
    drawn = np.random.default_rng(seed).integers(len(each), size=(RESAMPLES, len(each)))
    tail = (1 - level) / 2
    low, high = np.quantile(each[drawn].mean(1), (tail, 1 - tail))
    return float(each.mean()), float(low), float(high)


def report(
    pred: np.ndarray, true: np.ndarray, sequences: Sequence[str], baseline: np.ndarray
) -> dict[str, Any]:
    """Figures in centimetres; `baseline` (15, 3) is `mean_pose` of the training part.

    `ratio` is the root-aligned error over that of the baseline; `joints_cm` are errors of each
    joint without alignment.
    """
    still = at_pelvis(baseline, pred)
    aligned, alone = root_aligned_mpjpe(pred, true), root_aligned_mpjpe(still, true)
    errors = np.linalg.norm(_doubles(pred) - _doubles(true), axis=-1)
    means = {
        "localisation_cm": localisation(pred, true),
        "mpjpe_cm": mpjpe(pred, true),
        "root_aligned_mpjpe_cm": aligned,
        "baseline_mpjpe_cm": mpjpe(still, true),
        "baseline_root_aligned_mpjpe_cm": alone,
    }
    found: dict[str, Any] = {k: CM * by_sequence(v, sequences) for k, v in means.items()}
    below = found["baseline_root_aligned_mpjpe_cm"]
    found["ratio"] = found["root_aligned_mpjpe_cm"] / below if below else float("nan")
    found["joints_cm"] = [CM * by_sequence(column, sequences) for column in errors.T]
    found["frames"], found["sequences"] = len(errors), len(set(sequences))
    return found


def _doubles(values: np.ndarray) -> np.ndarray:
    return np.asarray(values, dtype=np.float64)


def _relative(poses: np.ndarray) -> np.ndarray:
    doubles = _doubles(poses)
    return doubles - doubles[:, PELVIS, None]


def _means(values: np.ndarray, sequences: Sequence[str]) -> np.ndarray:
    """Mean of every sequence, sorted by its name."""
    values = _doubles(values)
    if len(values) != len(sequences) or not len(values):
        raise ValueError(f"{len(values)} values of {len(sequences)} frames")
    _, which = np.unique(np.asarray(sequences, dtype=str), return_inverse=True)
    return np.bincount(which, values) / np.bincount(which)
