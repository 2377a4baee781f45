"""Latent textures taught to small fields: the first stage of `field_distill`, on a texture.

A baked texture is a field over (u, v, level) that has features and neither density nor colour, so
what is left of the three stages is the first: students are the models that radiance fields use
(`field.hashgrid`, `field.lowrank`), and their features learn the latents at the texels. Errors are
weighed by what they change of the material (`requantise.sensitivity`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from etendue.bake.field_fit import FieldSettings, begin, run
from etendue.bake.threads import one_thread
from etendue.field.base import Params
from etendue.field.hashgrid import HashGrid
from etendue.field.lowrank import Vectors
from etendue.field.march import STEP
from etendue.field.occupancy import Occupancy
from etendue.formats import texture_field
from etendue.formats.finite import finite_f16
from etendue.formats.texture_field import CHANNELS, SIZES, places, sides_of

STEPS, TEXELS = 1500, 4096
BITS = {"hash": 2.0, "cp": 1.0}  # per value, below which a student's size stays
LEVELS, WIDTH = 6, 32  # of the hash grid: the fewest levels, and its hidden features


@one_thread()
def distill(
    latents: np.ndarray, form: str, metric: np.ndarray, seed: int, steps: int | None = None
) -> dict[str, np.ndarray]:
    """Tensors of `latents` (texels, 8) as the field `form`, smaller than `BITS` per value."""
    model = student(form, len(latents))
    mean = latents.mean(0)
    spread = float(latents.std()) + 1e-6
    wanted = torch.from_numpy(((latents - mean) / spread).astype(np.float32))
    root = torch.from_numpy(np.linalg.cholesky(metric + 1e-6 * np.eye(CHANNELS))).float()
    at = torch.from_numpy(np.concatenate(list(places(len(latents)))))

    def loss(params: Params, occupancy: Occupancy, step: int, generator: torch.Generator) -> Tensor:
        chosen = torch.randint(len(at), (TEXELS,), generator=generator)
        error = features(model, params, at[chosen]) - wanted[chosen]
        return (error @ root).square().sum(-1).mean()

    plan = FieldSettings(steps or STEPS, TEXELS, seed)
    fit = begin(model, plan, occupancy=Occupancy.full(STEP, 2))
    fit = run(fit, plan, loss, progress=lambda *_: None, save=lambda _: None, stop=lambda: False)
    learned = {n: v.detach().double().numpy() for n, v in fit.params.items()}
    tensors = _hash_tensors(learned) if form == "hash" else _cp_tensors(learned)
    tensors["out"] = tensors["out"] * spread
    tensors["out_bias"] = tensors["out_bias"] * spread + mean
    sizes = np.array([getattr(model, name) for name in SIZES[form]], np.int32)
    stored = {f"latents.{n}": finite_f16(v, f"latents.{n}") for n, v in tensors.items()}
    return {**stored, "latents.sizes": sizes}


def student(form: str, texels: int) -> Any:
    """The model whose file stays below the bits that `form` is allowed."""
    finest = sides_of(texels)[0]
    halves = BITS[form] * texels * CHANNELS / 16
    if form == "cp":
        rank = max(1, int((halves - CHANNELS) // (3 * finest + CHANNELS)))
        return Vectors(size=max(2, finest), density_rank=1, color_rank=min(rank, 512))
    room = max(2.0, (halves - 32 * WIDTH) / 2)  # rows of all levels
    table = min(18, max(4, int(np.log2(room / LEVELS))))
    levels = int(np.clip(room // (1 << table), 2, 2 * LEVELS))
    coarsest = max(2, finest // 16)
    return HashGrid(levels, coarsest, max(finest, coarsest), table, 2, WIDTH)


def features(model: Any, params: Params, x: Tensor) -> Tensor:
    """What of a model's features are latents (n, 8)."""
    found = model.features(params, x)
    return found[:, :CHANNELS] if isinstance(model, HashGrid) else found[:, 1 : CHANNELS + 1]


def _hash_tensors(learned: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {
        "table": learned["table"],
        "in": learned["net.w0"],
        "in_bias": learned["net.b0"],
        "out": learned["net.w1"][:CHANNELS],
        "out_bias": learned["net.b1"][:CHANNELS],
    }


def _cp_tensors(learned: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    lines = {f"line{k}": learned[f"color.line{k}"] for k in range(3)}
    return {**lines, "out": learned["basis"][:CHANNELS], "out_bias": np.zeros(CHANNELS)}


def decoded(form: str, tensors: dict[str, np.ndarray], texels: int) -> np.ndarray:
    """What a reader of the tensors gets, float32 (texels, 8)."""
    return texture_field.decode(form, tensors, texels)
