"""Trained networks as `.eta` files: weights, the grid they were trained on, the mean pose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from etendue.artifact import Artifact, read_artifact, write_artifact
from etendue.core.errors import InputError
from etendue.plugins.radar_pose.grids import Grid
from etendue.plugins.radar_pose.model import JOINTS, SIZES, PoseNet, make_network

KIND = "radar_pose"
MEAN = "mean_pose"


@dataclass(frozen=True)
class Trained:
    """A network, where its voxels are, and the training set's mean pose (15, 3) in metres."""

    network: PoseNet
    size: str
    grid: Grid
    mean: np.ndarray
    header: Mapping[str, Any]


def write_pose_net(
    path: Path, network: PoseNet, size: str, grid: Grid, mean: np.ndarray, more: Mapping[str, Any]
) -> None:
    """Write a network; `more` goes into the header (provenance, quality)."""
    tensors = {n: p.detach().contiguous().numpy() for n, p in network.named_parameters()}
    places = {"minimum": list(grid.minimum), "voxel": list(grid.voxel), "shape": list(grid.shape)}
    header = {"kind": KIND, "name": path.stem, "model": {"size": size, "grid": places}, **more}
    write_artifact(path, Artifact(header, {**tensors, MEAN: mean.astype(np.float32)}))


def read_pose_net(path: Path) -> Trained:
    """Read one; `InputError` for what is damaged or something else."""
    artifact = read_artifact(path, kind=KIND)
    model = artifact.header.get("model", {})
    size, places = model.get("size"), model.get("grid")
    if size not in SIZES:
        raise InputError(path, "has a network of unknown size", got=size, expected=", ".join(SIZES))
    try:
        minimum, voxel, shape = (places[key] for key in ("minimum", "voxel", "shape"))
        z, y, x = (int(n) for n in shape)
        grid = Grid(_three(minimum), _three(voxel), (z, y, x))
    except (TypeError, KeyError, ValueError):
        raise InputError(path, "has no usable grid", got=places) from None
    network, tensors = make_network(SIZES[size]), dict(artifact.tensors)
    wanted = {name: tuple(p.shape) for name, p in network.named_parameters()}
    wanted[MEAN] = (JOINTS, 3)
    found = {name: array.shape for name, array in tensors.items()}
    if found != wanted:
        odd = sorted(n for n in wanted.keys() | found.keys() if wanted.get(n) != found.get(n))
        raise InputError(path, "does not fit its network", got=odd[0], expected=wanted.get(odd[0]))
    if not all(np.isfinite(array).all() for array in tensors.values()):
        raise InputError(path, "holds NaN or infinite values")
    mean = tensors.pop(MEAN)
    with torch.no_grad():
        for name, p in network.named_parameters():
            p.copy_(torch.from_numpy(np.array(tensors[name])))
    return Trained(network.eval(), size, grid, mean, artifact.header)


def _three(values: Any) -> tuple[float, float, float]:
    a, b, c = (float(v) for v in values)
    return a, b, c
