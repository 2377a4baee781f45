"""Held-out error and the mean-matching energy table."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from etendue.artifact import Artifact
from etendue.bake.material import bake
from etendue.bake.quality import heldout_error, heldout_loss, mean_ratio
from etendue.bsdf.layered import Layered
from etendue.bsdf.neural_numpy import ENERGY_KNOTS

from .conftest import TINY, matte, painted, plain

FITTED = dataclasses.replace(TINY, steps=480, texels=256, pairs=8, reuse=4)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return bake(plain(), FITTED, tmp_path_factory.mktemp("fit") / "plain.eta")


def test_a_short_fit_is_close_where_it_was_not_trained(fitted: Artifact) -> None:
    (row,) = heldout_error(fitted, Layered(plain(), walks=64))
    assert row["level"] == 0
    assert row["relative"] < 0.25
    assert abs(row["bias"]) < 0.05


def test_the_wrong_material_is_told_by_its_error(fitted: Artifact) -> None:
    (right,) = heldout_error(fitted, Layered(plain(), walks=64))
    (wrong,) = heldout_error(fitted, Layered(matte(0.9), walks=64))
    assert wrong["relative"] > 2 * right["relative"]


def test_loss_grows_by_the_square_of_a_factors_logarithm(fitted: Artifact) -> None:
    """Half as bright adds at most about ln(2)^2, less where values are near the loss's epsilon."""
    reference = Layered(plain(), walks=64)
    half = {**fitted.tensors, "energy": 0.5 * fitted.tensors["energy"]}
    before = heldout_loss(fitted, reference)
    added = heldout_loss(Artifact(fitted.header, half), reference) - before
    assert before < 0.1
    assert 0.3 * np.log(2) ** 2 < added < 1.2 * np.log(2) ** 2


def test_bias_follows_a_scaled_energy_table(fitted: Artifact) -> None:
    table = 0.8 * fitted.tensors["energy"]
    darker = Artifact(fitted.header, {**fitted.tensors, "energy": table})
    (before,) = heldout_error(fitted, Layered(plain(), walks=64))
    (after,) = heldout_error(darker, Layered(plain(), walks=64))
    assert 1 + after["bias"] == pytest.approx(0.8 * (1 + before["bias"]), abs=2e-4)


def test_mean_ratio_undoes_a_scaled_output(fitted: Artifact) -> None:
    settings = dataclasses.replace(FITTED, resolution=1)
    reference = Layered(plain(), walks=16)
    tensors = dict(fitted.tensors)
    before = mean_ratio(tensors, reference, settings)
    tensors["evaluator.b2"] = tensors["evaluator.b2"] + np.log(np.float32(0.9))
    after = mean_ratio(tensors, reference, settings)
    assert before.shape == (ENERGY_KNOTS, 3)
    inner = (before > 0.72) & (before < 1.2)  # not clamped, before or after
    assert inner.mean() > 0.9
    np.testing.assert_allclose(after[inner] / before[inner], 1 / 0.9, rtol=1e-3)
    tensors["evaluator.b2"] = tensors["evaluator.b2"] - 3
    np.testing.assert_allclose(mean_ratio(tensors, reference, settings), 1.4, rtol=1e-6)


def test_every_level_of_a_textured_bake_has_a_row(tmp_path: Path) -> None:
    artifact = bake(painted(), dataclasses.replace(TINY, steps=6), tmp_path / "x.eta")
    rows = heldout_error(artifact, Layered(painted(), walks=4), texels=512)
    assert [row["level"] for row in rows] == [0, 1, 2, 3, 4]
    assert all(np.isfinite([row["relative"], row["bias"]]).all() for row in rows)
