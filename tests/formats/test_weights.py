"""Stored networks: bounds, what is touched and what not, files that do not fit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from etendue.core.errors import InputError
from etendue.formats import weights

from .strategies import tensors as any_tensors


def networks() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "evaluator.w0": rng.normal(size=(32, 40)).astype(np.float32),
        "evaluator.b0": rng.normal(size=32).astype(np.float32),
        "frames": rng.normal(size=(12, 8)).astype(np.float32),
        "energy": np.linspace(0, 1, 99, dtype=np.float32).reshape(33, 3),
        "latents": np.zeros((1, 8), np.float16),
    }


@pytest.mark.parametrize("form", weights.FORMATS)
def test_round_trip_within_the_bound(form: str) -> None:
    given_ = networks()
    back = weights.decode("x", weights.encode(given_, form))
    assert back.keys() == given_.keys()
    for name in ("evaluator.w0", "frames"):
        assert back[name].dtype == np.float32
        assert (np.abs(back[name] - given_[name]) <= weights.bound(given_[name], form)).all()
    np.testing.assert_allclose(back["evaluator.b0"], given_["evaluator.b0"], rtol=2**-10)
    for name in ("energy", "latents"):
        assert back[name] is given_[name]


@settings(max_examples=60, deadline=None)
@given(x=any_tensors(limit=2.0**126))
def test_any_finite_matrix(x: np.ndarray) -> None:
    back = weights.decode("x", weights.encode({"sampler.w1": x}, "bfp8"))["sampler.w1"]
    assert (np.abs(x.astype(np.float64) - back) <= weights.bound(x, "bfp8")).all()


def test_bytes() -> None:
    coded = weights.encode(networks(), "bfp8")
    assert coded["evaluator.w0.mantissa"].nbytes == 32 * 40
    assert coded["evaluator.w0.exponent"].nbytes == 32 * 5, "40 inputs are five blocks"
    assert coded["evaluator.b0"].dtype == np.float16


@pytest.mark.parametrize("form", weights.FORMATS)
def test_what_is_not_finite_is_named(form: str) -> None:
    bad = networks()
    bad["evaluator.w0"][3, 4] = np.inf
    with pytest.raises(InputError, match=r"evaluator\.w0\[3, 4\]: cannot be encoded; got inf"):
        weights.encode(bad, form)


def test_other_bad_input() -> None:
    with pytest.raises(InputError, match=r"--weights: unknown; got f8, expected f32 \| f16"):
        weights.encode(networks(), "f8")
    with pytest.raises(InputError, match=r"frames: is too large for bfp8; got 3e\+38"):
        weights.encode({"frames": np.full((12, 8), 3e38)}, "bfp8")
    with pytest.raises(InputError, match=r"frames: is too large for f16; got 100000000"):
        weights.encode({"frames": np.full((12, 8), 1e8, np.float32)}, "f16")


def test_files_that_do_not_fit() -> None:
    coded = weights.encode(networks(), "bfp8")
    for name, value in (
        ("frames.exponent", None),
        ("frames.exponent", np.zeros((12, 2), np.uint8)),
        ("frames.exponent", np.zeros((12, 1), np.int32)),
        ("frames.mantissa", np.zeros((12, 8), np.int16)),
        ("frames.mantissa", np.zeros(12, np.int8)),
    ):
        bad = {**coded, name: value}
        with pytest.raises(InputError, match=r"file: tensor frames does not fit in bfp8"):
            weights.decode("file", {n: a for n, a in bad.items() if a is not None})
    lone = {n: a for n, a in coded.items() if n != "frames.mantissa"}
    with pytest.raises(InputError, match=r"frames\.mantissa is missing"):
        weights.decode("file", lone)
    huge = {"frames.mantissa": np.full((1, 1), -128, np.int8)}
    huge["frames.exponent"] = np.full((1, 1), 254, np.uint8)
    with pytest.raises(InputError, match="out of range"):
        weights.decode("file", huge)
