"""Headers of stored materials, old and new, and the plain tensors behind them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from etendue.core.errors import InputError
from etendue.formats import latents, material, weights


def test_plain_decodes_everything() -> None:
    x = np.random.default_rng(0).normal(size=(21, 8)).astype(np.float32)
    tensors = {"frames": np.ones((12, 8), np.float32), "energy": np.ones((33, 3), np.float32)}
    stored = weights.encode(tensors, "bfp8") | latents.encode(x, "bfp8").tensors
    header = {"lod": {"resolution": 4}, "latent": {"format": "bfp8"}}
    plain = material.plain(header, stored)
    assert plain.keys() == {"frames", "energy", "latents"}
    np.testing.assert_array_equal(plain["frames"], 1)
    np.testing.assert_allclose(plain["latents"], x, atol=0.03)


def test_old_headers_mean_f16_and_f32() -> None:
    half = np.ones((1, 8), np.float16)
    plain = material.plain({"lod": {"resolution": 1}}, {"latents": half})
    assert plain["latents"].dtype == np.float32
    for header in ({}, {"latent": "x", "weights": 3}, {"latent": {"channels": 8}}):
        assert material.latent_format(header) == "f16"
        assert material.weight_format(header) == "f32"


@pytest.mark.parametrize("side", [12, 0, -4, 32768, float("inf"), "x", None])
def test_wrong_resolution(side: Any) -> None:
    with pytest.raises(InputError, match=r"file: .*lod\.resolution"):
        material.resolution("file", {"lod": {"resolution": side}})
    with pytest.raises(InputError, match=r"no lod\.resolution"):
        material.resolution("file", {})


def test_parts() -> None:
    zeros = {"latents.codes": np.zeros(3, np.uint32), "latents.table": np.zeros(4, np.int16)}
    assert material.part_bytes(zeros | {"a.w0": np.zeros(2)}) == {"latents": 20, "a": 16}
    assert [material.texel_count(side) for side in (1, 2, 4)] == [1, 5, 21]
