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
from etendue.bsdf.neural_numpy import ENERGY_KNOTS, energy

HELDOUT_SEED = 900_001
BINS = 8  # of cos theta_i


def mean_ratio(
    tensors: dict[str, np.ndarray], reference: InlineBSDF, settings: BakeSettings
) -> np.ndarray:
    """Table (knots, 3) over cos theta_i that gives the fit the reference's mean reflectance.

    Estimated in `BINS` bins and interpolated, within 0.7 to 1.4.
    """
    batch = produce(
        reference, 8192, 8, settings.resolution, settings.seed, HELDOUT_SEED, at_centres=False
    )
    value = _predict(tensors, batch, settings.resolution).double()
    weight = (1 / batch.pdf)[..., None].double()
    place = (batch.wi[..., 2] * BINS).long().clamp(0, BINS - 1)
    ratio = torch.empty(BINS, 3, dtype=torch.float64)
    for k in range(BINS):
        inside = weight * (place == k)[..., None]
        total = (inside * value).sum((0, 1)).clamp(min=1e-9)
        ratio[k] = (inside * batch.f).sum((0, 1)) / total
    centres = (np.arange(BINS) + 0.5) / BINS
    knots = np.linspace(0.0, 1.0, ENERGY_KNOTS)
    ratio = ratio.clamp(0.7, 1.4).numpy()
    columns = [np.interp(knots, centres, ratio[:, c]) for c in range(3)]
    return np.stack(columns, -1).astype(np.float32)


def _predict(tensors: Mapping[str, np.ndarray], batch: Batch, resolution: int) -> torch.Tensor:
    """f |cos| of the artifact's tensors at a batch's samples, without the energy table."""
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
    table = artifact.tensors["energy"]
    value = value * torch.from_numpy(energy(batch.wi[..., 2].numpy(), table)).float()
    rows = []
    for level in batch.level.unique().tolist():
        y, t = (a[batch.level == level].double() for a in (value, batch.f))
        error = ((y - t).abs().sum() / t.sum().clamp(min=1e-9)).item()
        bias = ((y - t).sum() / t.sum().clamp(min=1e-9)).item()
        rows.append({"level": level, "relative": round(error, 4), "bias": round(bias, 4)})
    return rows
