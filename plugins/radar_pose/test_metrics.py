"""Figures: known values, rigid motions, sequences that weigh alike, intervals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from etendue.plugins.radar_pose import metrics


def poses(n: int = 6, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, 15, 3))


def test_known_distances() -> None:
    true, pred = poses(), poses() + np.array([0.3, 0.0, 0.4])
    np.testing.assert_allclose(metrics.localisation(pred, true), 0.5)
    np.testing.assert_allclose(metrics.mpjpe(pred, true), 0.5)
    np.testing.assert_allclose(metrics.root_aligned_mpjpe(pred, true), 0, atol=1e-12)
    pred[:, 3] += [0, 1.5, 0]
    np.testing.assert_allclose(metrics.root_aligned_mpjpe(pred, true), 0.1)


@given(st.integers(0, 1000), st.lists(st.floats(-5, 5), min_size=3, max_size=3))
def test_rigid_motions_change_nothing(seed: int, shift: list[float]) -> None:
    true, pred = poses(), poses(seed=1)
    turn = Rotation.random(rng=np.random.default_rng(seed)).as_matrix().T
    for metric in (metrics.localisation, metrics.mpjpe, metrics.root_aligned_mpjpe):
        moved = metric(pred @ turn + shift, true @ turn + shift)
        np.testing.assert_allclose(moved, metric(pred, true), atol=1e-9)


def test_nothing_changes_its_inputs() -> None:
    true, pred = poses(), poses(seed=1)
    before = true.copy(), pred.copy()
    metrics.report(pred, true, list("aabbcc"), metrics.mean_pose(true))
    np.testing.assert_array_equal(true, before[0])
    np.testing.assert_array_equal(pred, before[1])


def test_sequences_weigh_alike() -> None:
    assert metrics.by_sequence(np.array([1.0, 1, 1, 5]), list("aaab")) == 3
    with pytest.raises(ValueError, match="3 frames"):
        metrics.by_sequence(np.ones(2), list("abc"))


def test_the_baseline_is_the_mean_pose_at_the_pelvis() -> None:
    true = poses(1).repeat(4, 0) + np.arange(4.0)[:, None, None]
    mean = metrics.mean_pose(true)
    np.testing.assert_allclose(mean[0], 0, atol=1e-12)
    np.testing.assert_allclose(metrics.at_pelvis(mean, true), true)
    found = metrics.report(poses(4, 2), true, list("aabb"), mean)
    assert found["baseline_root_aligned_mpjpe_cm"] == pytest.approx(0, abs=1e-9)


def test_a_report_is_in_centimetres() -> None:
    true = poses()
    pred = true + np.array([0, 0, 0.02])
    found = metrics.report(pred, true, list("aabbcc"), metrics.mean_pose(true))
    assert found["localisation_cm"] == pytest.approx(2)
    assert found["mpjpe_cm"] == pytest.approx(2)
    assert found["root_aligned_mpjpe_cm"] == pytest.approx(0, abs=1e-9)
    assert found["joints_cm"] == pytest.approx([2] * 15)
    assert (found["frames"], found["sequences"]) == (6, 3)


def test_intervals_are_of_pairs_and_repeat() -> None:
    rng = np.random.default_rng(0)
    names = [str(k // 5) for k in range(100)]
    hard = np.repeat(rng.uniform(0, 10, 20), 5)  # common to both: pairs do not see it
    b = hard + rng.normal(0, 0.1, 100)
    a = hard - 0.3 + rng.normal(0, 0.1, 100)
    mean, low, high = metrics.paired_interval(a, b, names, 3)
    assert low < mean < high < 0
    assert mean == pytest.approx(metrics.by_sequence(a - b, names))
    assert (mean, low, high) == metrics.paired_interval(a, b, names, 3)
    wide = metrics.paired_interval(a, b, names, 3, 0.999)
    assert wide[1] < low and high < wide[2]


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(1)
    names = [str(k) for k in range(30)]
    hits = 0
    for seed in range(200):
        _, low, high = metrics.paired_interval(rng.normal(0, 1, 30), np.zeros(30), names, seed)
        hits += low <= 0 <= high
    assert 0.87 <= hits / 200 <= 0.99
