"""Latents as small fields: the numpy decoder against the torch models, and what does not fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from etendue.bake.latent_distill import decoded, distill, features, student
from etendue.core.errors import InputError
from etendue.field.hashgrid import HashGrid
from etendue.field.lowrank import Vectors
from etendue.formats import latents
from etendue.formats.texture_field import SIZES, decode, places, sides_of

SIDE = 16
TEXELS = (4 * SIDE * SIDE - 1) // 3


def texture(texels: int = TEXELS) -> np.ndarray:
    """Smooth latents: what a few waves make."""
    rng = np.random.default_rng(0)
    x = np.concatenate(list(places(texels))).astype(np.float64)
    waves = np.sin(x @ rng.normal(size=(3, 5)) * 3 + rng.uniform(0, 6, 5))
    return (waves @ rng.normal(size=(5, 8)) + rng.normal(size=8)).astype(np.float32)


def stored(form: str, model: Any, params: dict[str, torch.Tensor]) -> dict[str, np.ndarray]:
    half = {n: v.half().numpy() for n, v in params.items()}
    if form == "hash":
        named = {
            "table": half["table"],
            "in": half["net.w0"],
            "in_bias": half["net.b0"],
            "out": half["net.w1"][:8],
            "out_bias": half["net.b1"][:8],
        }
    else:
        named = {f"line{k}": half[f"color.line{k}"] for k in range(3)}
        named |= {"out": half["basis"][:8], "out_bias": np.full(8, 0.25, np.float16)}
    sizes = np.array([getattr(model, name) for name in SIZES[form]], np.int32)
    return {f"latents.{n}": v for n, v in named.items()} | {"latents.sizes": sizes}


def test_places_are_the_texels_in_their_order() -> None:
    assert sides_of(TEXELS) == (16, 8, 4, 2, 1) and sides_of(1) == (1,)
    x = np.concatenate(list(places(TEXELS)))
    assert x.shape == (TEXELS, 3)
    np.testing.assert_allclose(x[0], [0.5 / 16, 0.5 / 16, 0.1])
    np.testing.assert_allclose(x[1], [1.5 / 16, 0.5 / 16, 0.1])
    np.testing.assert_allclose(x[256 + 8], [0.5 / 8, 1.5 / 8, 0.3])
    np.testing.assert_allclose(x[-1], [0.5, 0.5, 0.9])


@pytest.mark.parametrize("form", SIZES)
def test_the_decoder_equals_the_model(form: str) -> None:
    """With dense and hashed levels."""
    model = HashGrid(6, 3, 21, 9, 2, 16) if form == "hash" else Vectors(16, 1, 12)
    params = model.init(torch.Generator().manual_seed(2))
    if form == "hash":
        params["table"] = torch.randn(
            params["table"].shape, generator=torch.Generator().manual_seed(3)
        )
    params = {n: v.half().float() for n, v in params.items()}
    tensors = stored(form, model, params)
    latents.check("f", form, tensors, TEXELS)
    x = torch.from_numpy(np.concatenate(list(places(TEXELS))))
    with torch.no_grad():
        wanted = features(model, params, x).numpy() + (0.25 if form == "cp" else 0.0)
    np.testing.assert_allclose(decode(form, tensors, TEXELS), wanted, atol=2e-5, rtol=1e-4)
    assert wanted.std() > 0.05


@pytest.mark.parametrize("form", SIZES)
def test_a_smooth_texture_is_learned(form: str) -> None:
    texels = (4 * 64 * 64 - 1) // 3
    values = texture(texels)
    tensors = distill(values, form, np.eye(8), seed=1, steps=250)
    found = decoded(form, tensors, texels)
    error = np.sqrt(np.square(found - values).mean()) / values.std(0).mean()
    assert error < 0.15, error
    again = distill(values, form, np.eye(8), seed=1, steps=250)
    assert all(np.array_equal(again[n], v) for n, v in tensors.items()), "equal seeds, equal files"


@pytest.mark.parametrize(("form", "bits"), [("hash", 2.0), ("cp", 1.0)])
@pytest.mark.parametrize("side", [64, 128, 512])
def test_students_are_as_small_as_they_should_be(form: str, bits: float, side: int) -> None:
    texels = (4 * side * side - 1) // 3
    model = student(form, texels)
    if form == "hash":
        halves = 2 * model.levels << model.log2_table
        halves += model.width * (2 * model.levels + 1) + 8 * (model.width + 1)
    else:
        halves = 3 * model.size * model.color_rank + 8 * (model.color_rank + 1)
    share = 16 * halves / (8 * texels)
    assert 0.4 * bits < share <= bits


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"latents.sizes": None}, "latents.sizes does not fit"),
        ({"latents.sizes": np.array([6, 3, 21], np.int32)}, "latents.sizes does not fit"),
        ({"latents.sizes": np.array([6, 3, 0, 9], np.int32)}, "latents.sizes are out of range"),
        ({"latents.sizes": np.array([6, 3, 21, 24], np.int32)}, "latents.table does not fit"),
        ({"latents.table": np.zeros((8, 2), np.float16)}, "latents.table does not fit"),
        ({"latents.in": np.zeros((16, 11), np.float16)}, "latents.in does not fit"),
        ({"latents.out_bias": np.zeros(8, np.float32)}, "latents.out_bias does not fit"),
    ],
)
def test_what_does_not_fit_is_one_clear_error(change: dict[str, Any], told: str) -> None:
    model = HashGrid(6, 3, 21, 9, 2, 16)
    tensors = stored("hash", model, model.init(torch.Generator().manual_seed(2)))
    tensors = {n: v for n, v in {**tensors, **change}.items() if v is not None}
    with pytest.raises(InputError, match=told):
        latents.check("f.eta", "hash", tensors, TEXELS)


def test_they_are_learned_and_not_encoded() -> None:
    with pytest.raises(InputError, match="are learned"):
        latents.encode(texture(), "hash")
