"""How well a fit agrees with the reference, at samples no training step used."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from etendue.artifact import Artifact
from etendue.bake.latents import lookup
from etendue.bake.network import evaluate
from etendue.bake.settings import BakeSettings
from etendue.bake.target import Batch, produce
from etendue.bsdf.base import InlineBSDF

HELDOUT_SEED = 900_001


def mean_ratio(
    tensors: dict[str, np.ndarray], reference: InlineBSDF, settings: BakeSettings
) -> np.ndarray:
    """Factor per colour that gives the fit the reference's mean reflectance, within 0.8 to 1.25."""
    batch = produce(
        reference, 8192, 8, settings.resolution, settings.seed, HELDOUT_SEED, at_centres=False
    )
    value = _predict(tensors, batch, settings.resolution)
    weight = (1 / batch.pdf)[..., None].double()
    ratio = (weight * batch.f).sum((0, 1)) / (weight * value).sum((0, 1)).clamp(min=1e-9)
    return ratio.clamp(0.8, 1.25).numpy().astype(np.float32)


def _predict(tensors: Mapping[str, np.ndarray], batch: Batch, resolution: int) -> torch.Tensor:
    """f |cos| of the artifact's tensors at a batch's samples, without the scale."""
    params = {k: torch.from_numpy(v.astype(np.float32)) for k, v in tensors.items()}
    latent = lookup(params["latents"], batch.uv, batch.level, resolution)
    with torch.no_grad():
        return evaluate(latent, batch.wi, batch.wo, params)


def heldout_error(
    artifact: Artifact, reference: InlineBSDF, texels: int = 1024
) -> list[dict[str, float]]:
    """Per mip level: mean relative error and bias against averaged reference walks.

    Directions and texels come from a stream no training step uses.
    """
    resolution = int(artifact.header["lod"]["resolution"])
    batch = produce(reference, texels, 4, resolution, HELDOUT_SEED, 0, at_centres=False)
    value = _predict(artifact.tensors, batch, resolution)
    value = value * torch.from_numpy(artifact.tensors["scale"])
    rows = []
    for level in batch.level.unique().tolist():
        y, t = (a[batch.level == level].double() for a in (value, batch.f))
        error = ((y - t).abs().sum() / t.sum().clamp(min=1e-9)).item()
        bias = ((y - t).sum() / t.sum().clamp(min=1e-9)).item()
        rows.append({"level": level, "relative": round(error, 4), "bias": round(bias, 4)})
    return rows
