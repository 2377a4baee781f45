"""Stored latents: proven bounds, bits really spent, round trips, and files that do not fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etendue.core.errors import InputError
from etendue.formats import latents

from .strategies import tensors as any_tensors


def smooth(side: int = 64, seed: int = 0) -> np.ndarray:
    """Latents of a pyramid, smooth over the texels of a level, around different means."""
    rng, rows = np.random.default_rng(seed), []
    wave = rng.uniform(1, 6, (2, 8))
    for k in range(side.bit_length()):
        v, u = np.mgrid[0 : side >> k, 0 : side >> k] / (side >> k)
        level = np.sin(u[..., None] * wave[0]) * np.cos(v[..., None] * wave[1])
        rows.append(level.reshape(-1, 8))
    return (np.concatenate(rows) + rng.normal(size=8)).astype(np.float16).astype(np.float32)


def texels_first(x: np.ndarray) -> np.ndarray:
    """Any tensor's values as vectors of eight."""
    return np.resize(x, (-(-x.size // 8), 8))


@settings(max_examples=60, deadline=None)
@given(x=any_tensors(dims=1, limit=2.0**96), form=st.sampled_from(latents.FORMATS[1:]))
def test_error_stays_within_the_bound(x: np.ndarray, form: str) -> None:
    x = texels_first(x)
    coded = latents.encode(x, form)
    back = latents.decode("x", form, coded.tensors, len(x))
    assert back.dtype == np.float32 and back.shape == x.shape
    assert (np.abs(x.astype(np.float64) - back) <= coded.bound).all()


@settings(max_examples=60, deadline=None)
@given(x=any_tensors(dims=1, limit=65504.0))
def test_error_of_f16_stays_within_the_bound(x: np.ndarray) -> None:
    x = texels_first(x)
    coded = latents.encode(x, "f16")
    back = latents.decode("x", "f16", coded.tensors, len(x))
    assert (np.abs(x.astype(np.float64) - back) <= coded.bound).all()


def size(form: str, x: np.ndarray) -> int:
    return sum(a.nbytes for a in latents.encode(x, form).tensors.values())


@pytest.mark.parametrize("side", [32, 64, 128, 256])
def test_cb3_is_four_times_smaller_with_everything(side: int) -> None:
    texels = (4 * side * side - 1) // 3
    x = np.random.default_rng(0).normal(size=(texels, 8)).astype(np.float32)
    assert 4 * size("cb3", x) <= 2 * x.size
    assert 6 * size("cb2", x) <= 2 * x.size


def test_bits_of_block_formats() -> None:
    x = smooth()
    blocks = -(-len(x) // 32)
    assert size("bfp8", x) == len(x) * 8 + blocks * 8 + 32
    assert size("bfp4", x) == len(x) * 4 + blocks * 8 + 32


def test_more_bits_are_nearer() -> None:
    x = smooth()
    error = {}
    for form in latents.FORMATS:
        back = latents.decode("x", form, latents.encode(x, form).tensors, len(x))
        error[form] = float(np.sqrt(((back - x) ** 2).mean()))
    assert error["f16"] == 0 < error["bfp8"] < 0.1 * error["bfp4"]
    assert error["cb4"] < error["cb3"] < error["cb2"]
    assert error["cb3"] < error["bfp4"], "codebooks win on latents that lie on a surface"


def test_mean_does_not_cost_bits() -> None:
    """The same latents far from zero are as exact as around zero."""
    x = smooth() - smooth().mean(0)
    errors = []
    for offset in (0.0, 8.0):
        there = (x + np.float32(offset)).astype(np.float32)
        back = latents.decode("x", "bfp4", latents.encode(there, "bfp4").tensors, len(x))
        errors.append(np.abs(back - there).max())
    assert errors[1] == pytest.approx(errors[0], rel=0.02)


def test_texel_order_of_the_words() -> None:
    """Channel c of a texel is at the bits c * bits of its own words."""
    x = np.zeros((32, 8), np.float32)
    x[5] = np.arange(8) - 3.5
    x -= x.mean(0)
    coded = latents.encode(x, "bfp4").tensors
    nibbles = [(int(coded["latents.mantissa"][5, 0]) >> (4 * c)) & 15 for c in range(8)]
    signed = [n - 16 if n > 7 else n for n in nibbles]
    assert [np.sign(s) for s in signed] == [-1, -1, -1, -1, 1, 1, 1, 1]
    coded = latents.encode(smooth(), "cb3").tensors
    octets = coded["latents.codes"].view(np.uint8)
    codes = latents.codes("cb3", coded, len(smooth()))
    np.testing.assert_array_equal(octets[: codes.size].reshape(-1, 3), codes)


@pytest.mark.parametrize("form", latents.FORMATS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_named(form: str, value: float) -> None:
    x = smooth()
    x[77, 3] = value
    with pytest.raises(InputError, match=rf"latents\[77, 3\]: cannot be encoded; got {value}"):
        latents.encode(x, form)


def test_other_bad_input() -> None:
    with pytest.raises(InputError, match=r"--latents: unknown; got fp5, expected f16 \| bfp8"):
        latents.encode(smooth(), "fp5")
    with pytest.raises(InputError, match=r"do not fit; got \(3, 7\), expected \(texels, 8\)"):
        latents.encode(np.zeros((3, 7), np.float32), "bfp8")
    with pytest.raises(InputError, match="too large for f16"):
        latents.encode(np.full((1, 8), 1e6, np.float32), "f16")
    with pytest.raises(InputError, match="out of range"):
        latents.encode(np.full((1, 8), 1e30, np.float32), "bfp8")


def broken(form: str, **change: Any) -> dict[str, np.ndarray]:
    coded = dict(latents.encode(smooth(), form).tensors)
    for name, value in change.items():
        coded[f"latents.{name}"] = value
    return {name: value for name, value in coded.items() if value is not None}


@pytest.mark.parametrize(
    ("form", "change", "message"),
    [
        ("bfp8", {"mantissa": None}, "mantissa does not fit; got none, expected uint32"),
        ("bfp4", {"mantissa": np.zeros((5461, 2), np.uint32)}, r"mantissa .*\(5461, 2\), expected"),
        ("bfp8", {"mantissa": np.zeros((5461, 2), np.int32)}, "mantissa does not fit; got int32"),
        ("bfp8", {"exponent": np.zeros((5, 2), np.uint32)}, "exponent does not fit"),
        ("bfp8", {"exponent": np.full((171, 2), 2**32 - 1, np.uint32)}, "out of range; got exp"),
        ("bfp8", {"centre": np.zeros(8, np.float64)}, "centre does not fit; got float64"),
        ("cb3", {"codes": np.zeros(9, np.uint32)}, "codes does not fit"),
        ("cb3", {"codes": np.full(4097, 2**32 - 1, np.uint32)}, "a row that is not there; got 255"),
        ("cb3", {"table": np.zeros((2, 9, 8), np.int16)}, "table does not fit"),
        ("cb3", {"table_exponent": np.full((3, 8), 255, np.uint8)}, "out of range"),
        ("cb2", {"table_exponent": None}, "table_exponent does not fit; got none"),
    ],
)
def test_tensors_that_do_not_fit(form: str, change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match="file.eta: .*" + message):
        latents.decode("file.eta", form, broken(form, **change), len(smooth()))


def test_unknown_format_in_a_file() -> None:
    with pytest.raises(InputError, match=r"file\.eta: has latents in a format .* got fp5"):
        latents.check("file.eta", "fp5", {}, 1)
    with pytest.raises(InputError, match="latents does not fit; got none"):
        latents.check("file.eta", "f16", {}, 1)
