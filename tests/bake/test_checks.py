"""The checks a report lists: each passes what is right and fails what is wrong."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from etendue.artifact import Artifact
from etendue.bake import checks
from etendue.bake.material import bake
from etendue.bsdf.layered import Layered
from etendue.bsdf.neural import NeuralBSDF

from .conftest import TINY, matte, plain


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    settings = dataclasses.replace(TINY, steps=60)
    return bake(plain(), settings, tmp_path_factory.mktemp("checks") / "plain.eta")


class _Wrong(Layered):
    """Says a density that is not the one it draws from."""

    def pdf(self, p: Any, wo: Any, active: Any) -> Any:
        return 0.5 * super().pdf(p, wo, active) + 0.5 / (2 * np.pi)


def test_chi_squared_passes_the_right_density_and_fails_a_wrong_one() -> None:
    assert checks.chi_squared(Layered(plain()), (0.5, 0.5), 40.0, samples=50_000)
    assert not checks.chi_squared(_Wrong(plain()), (0.5, 0.5), 40.0, samples=50_000)


def test_chi_squared_of_a_bake(artifact: Artifact) -> None:
    assert checks.chi_squared(NeuralBSDF(artifact), (0.2, 0.7), 60.0, samples=50_000)


def test_chi_squared_of_the_coarser_levels(
    artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "INCIDENCES", (50.0,))
    neural = NeuralBSDF(artifact)
    rows = checks.chi_squared_mips(neural, (0.2, 0.7))
    assert [row["level"] for row in rows] == list(range(1, neural.pyramid.levels))
    assert all(row["passed"] == row["of"] == 1 for row in rows)


def test_albedo_of_a_bake_is_below_one(artifact: Artifact) -> None:
    texels = len(artifact.tensors["latents"])
    found = checks.albedo_check(NeuralBSDF(artifact), texels)
    assert 0 < found["mean"] < found["largest"] <= 1.001
    assert max(found["largest_by_cosine"]) == found["largest"]
    bright = {**artifact.tensors, "energy": 2 * artifact.tensors["energy"]}
    again = checks.albedo_check(NeuralBSDF(Artifact(artifact.header, bright)), texels)
    assert again["largest"] == pytest.approx(2 * found["largest"], rel=1e-5)


def test_reciprocity_error_is_zero_for_lambert_and_not_for_a_skewed_network(
    artifact: Artifact,
) -> None:
    skewed = {k: v.astype(np.float64) for k, v in artifact.tensors.items()}
    lambert = dict(skewed, energy=np.ones_like(skewed["energy"]))
    lambert["evaluator.w2"] = np.zeros_like(lambert["evaluator.w2"])
    assert checks.reciprocity(lambert)["largest"] < 1e-9
    found = checks.reciprocity(skewed)
    assert 0.01 < found["mean"] < found["largest"]
    assert len(found["by_difference_of_cosines"]) == 7


def test_direction_is_a_unit_vector_at_its_angle() -> None:
    for degrees in checks.INCIDENCES:
        w = checks.direction(degrees)
        assert np.linalg.norm(w) == pytest.approx(1)
        assert np.degrees(np.arccos(w[2])) == pytest.approx(degrees, abs=1e-4)


def test_polar_curves_of_lambert_and_of_a_mirror_lobe() -> None:
    """Lambert is rho / pi cos; the coat's lobe lies at positive angles, opposite to the viewer."""
    angles, lambert, coated = checks.polar_curves(
        Layered(matte(0.5)), Layered(plain(), walks=256), (0.5, 0.5), 50.0
    )
    assert len(angles) == 357
    expected = 0.5 / np.pi * np.cos(angles)
    np.testing.assert_allclose(lambert[:, 0], expected, rtol=2e-3, atol=1e-6)
    assert 45 < np.degrees(angles[coated[:, 2].argmax()]) < 80
