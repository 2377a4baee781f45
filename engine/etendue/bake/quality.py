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
from etendue.bake.train import log_error
from etendue.bsdf.base import InlineBSDF
from etendue.bsdf.neural_numpy import ENERGY_KNOTS, energy, is_reciprocal
from etendue.bsdf.pyramid import level_sizes
from etendue.formats.material import plain

HELDOUT_SEED = 900_001
BINS = 8  # of cos theta_i
ROUNDS = 6  # of balancing a reciprocal table


def mean_ratio(
    tensors: dict[str, np.ndarray], reference: InlineBSDF, settings: BakeSettings
) -> np.ndarray:
    """Table (knots, 3) over cos theta_i that gives the fit the reference's mean reflectance.

    Estimated in `BINS` bins and interpolated, within 0.7 to 1.4. A reciprocal material is scaled by
    the table at both cosines, so that its ratios are balanced in a few rounds.
    """
    batch = produce(
        reference, 8192, 8, settings.resolution, settings.seed, HELDOUT_SEED, at_centres=False
    )
    value = _predict(tensors, batch, settings.resolution).double()
    weight = (1 / batch.pdf)[..., None].double()
    place = (batch.wi[..., 2] * BINS).long().clamp(0, BINS - 1)
    table = np.ones((ENERGY_KNOTS, 3), np.float32)
    for _ in range(ROUNDS if settings.reciprocal else 1):
        scaled = value * _scale(table, batch, settings.reciprocal)
        ratio = torch.empty(BINS, 3, dtype=torch.float64)
        for k in range(BINS):
            inside = weight * (place == k)[..., None]
            total = (inside * scaled).sum((0, 1)).clamp(min=1e-9)
            ratio[k] = (inside * batch.f).sum((0, 1)) / total
        table = np.clip(table * _at_knots(ratio.numpy()), 0.7, 1.4).astype(np.float32)
    return table


def _at_knots(ratio: np.ndarray) -> np.ndarray:
    """Values at bin centres (BINS, 3), interpolated to the table's knots."""
    centres = (np.arange(BINS) + 0.5) / BINS
    knots = np.linspace(0.0, 1.0, ENERGY_KNOTS)
    return np.stack([np.interp(knots, centres, ratio[:, c]) for c in range(3)], -1)


def _scale(table: np.ndarray, batch: Batch, reciprocal: bool) -> torch.Tensor:
    """Factor that `evaluate` applies, per sample (n, d, 3)."""
    scale = energy(batch.wi[..., 2].numpy(), table)
    if reciprocal:
        scale = np.sqrt(scale * energy(batch.wo[..., 2].numpy(), table))
    return torch.from_numpy(scale)


def _predict(tensors: Mapping[str, np.ndarray], batch: Batch, resolution: int) -> torch.Tensor:
    """f |cos| of the artifact's tensors at a batch's samples, without the energy table."""
    params = {k: torch.from_numpy(v.astype(np.float32)) for k, v in tensors.items()}
    latent = lookup(params["latents"], batch.uv, batch.level, resolution)
    with torch.no_grad():
        return evaluate(latent, batch.wi, batch.wo, params)


def heldout_error(
    artifact: Artifact, reference: InlineBSDF, texels: int = 512
) -> list[dict[str, float]]:
    """Per mip level: mean relative error and bias against averaged reference walks.

    Directions and the `texels` of each level come from a stream no training step uses.
    """
    levels = len(level_sizes(int(artifact.header["lod"]["resolution"])))
    each = np.repeat(np.arange(levels), texels)
    value, batch = _heldout(artifact, reference, len(each), each)
    rows = []
    for level in batch.level.unique().tolist():
        y, t = (a[batch.level == level].double() for a in (value, batch.f))
        error = ((y - t).abs().sum() / t.sum().clamp(min=1e-9)).item()
        bias = ((y - t).sum() / t.sum().clamp(min=1e-9)).item()
        rows.append({"level": level, "relative": round(error, 4), "bias": round(bias, 4)})
    return rows


def heldout_loss(artifact: Artifact, reference: InlineBSDF, texels: int = 1024) -> float:
    """Mean squared error of logarithms, over levels as they are trained.

    Every direction counts alike, where `heldout_error` is ruled by the brightest.
    """
    value, batch = _heldout(artifact, reference, texels)
    return float(log_error(value, batch.f).square().mean())


def _heldout(
    artifact: Artifact, reference: InlineBSDF, texels: int, level: np.ndarray | None = None
) -> tuple[torch.Tensor, Batch]:
    """f |cos| (texels, 4, 3) of an artifact, and the batch of reference samples it is seen at."""
    resolution = int(artifact.header["lod"]["resolution"])
    batch = produce(
        reference, texels, 4, resolution, HELDOUT_SEED, 0, at_centres=False, level=level
    )
    tensors = plain(artifact.header, artifact.tensors)
    value = _predict(tensors, batch, resolution)
    table, reciprocal = tensors["energy"], is_reciprocal(tensors)
    return value * _scale(table, batch, reciprocal).float(), batch


def worst_texels(
    artifact: Artifact, reference: InlineBSDF, count: int = 5, texels: int = 2048
) -> list[dict[str, float]]:
    """Texels of the finest level with the largest relative error over 16 directions each."""
    resolution = int(artifact.header["lod"]["resolution"])
    batch = produce(reference, texels, 16, resolution, HELDOUT_SEED, 1, at_centres=True)
    tensors = plain(artifact.header, artifact.tensors)
    value = _predict(tensors, batch, resolution).double()
    value = value * _scale(tensors["energy"], batch, is_reciprocal(tensors))
    error = (value - batch.f).abs().sum((1, 2)) / batch.f.sum((1, 2)).clamp(min=1e-9)
    error[batch.level > 0] = 0
    worst = error.argsort(descending=True)[:count]
    return [
        {
            "u": round(float(batch.uv[k, 0]), 4),
            "v": round(float(batch.uv[k, 1]), 4),
            "relative": round(float(error[k]), 3),
        }
        for k in worst
    ]
