"""Fields as what other programs read: voxels, meshes, points; of unbounded ones the cube alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from etendue.core.errors import InputError
from etendue.field.base import density
from etendue.field.file import Field
from etendue.field.march import render
from etendue.field.rays import Rays, sphere
from etendue.field.space import contract, expand

OPAQUE = 0.5  # of a marching step, where a surface is
CHUNK = 1 << 16


@torch.no_grad()
def sigma_grid(field: Field, size: int) -> np.ndarray:
    """Densities per side of the cube at the middles of size^3 voxels (x, y, z); 0 where empty."""
    middle = (torch.arange(size) + 0.5) / size
    x = torch.stack(torch.meshgrid(middle, middle, middle, indexing="ij"), -1).reshape(-1, 3)
    x = contract(x) if field.occupancy.contracted else x
    return _sigma(field, x).reshape(size, size, size).numpy()


def _sigma(field: Field, x: Tensor) -> Tensor:
    found, here = torch.zeros(len(x)), field.occupancy.at(x)
    for part in torch.nonzero(here)[:, 0].split(CHUNK):
        found[part] = density(field.model.log_density(field.params, x[part]))
    return found


def surface(
    field: Field, size: int, level: float | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points (n, 3) of the cube, triangles (m, 3) and outward normals (n, 3) of the surface.

    Marching cubes (Lewiner et al. 2003) on the share of light that a marching step absorbs, at
    `level`; the surface is closed by emptiness around the cube. `InputError` where nothing is.
    """
    from skimage.measure import marching_cubes

    thin = -np.expm1(-sigma_grid(field, size) * field.occupancy.step)
    level = OPAQUE if level is None else level
    if not 0 < level < 1 or thin.max() <= level:
        raise InputError(field.name, "has no surface at this level", got=level,
                         expected=f"0 < level < {float(thin.max()):.3g}")  # fmt: skip
    places, faces, normals, _ = marching_cubes(np.pad(thin, 1), level)
    outward = -normals if np.sum(normals * (places - places.mean(0))) < 0 else normals
    corners = places[faces] - places.mean(0)
    volume = np.einsum("nc,nc->n", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])).sum()
    return (places - 0.5) / size, faces if volume > 0 else faces[:, ::-1], outward


def mesh(field: Field, size: int = 128, level: float | None = None) -> Any:
    """A `trimesh.Trimesh` of `surface` in the world, with colours seen from outside at vertices."""
    import trimesh

    x, faces, outward = surface(field, size, level)
    colors = encoded(colors_at(field, x, outward))
    return trimesh.Trimesh(to_world(field, x), faces, vertex_colors=colors, process=False)


@torch.no_grad()
def colors_at(field: Field, x: np.ndarray, outward: np.ndarray) -> np.ndarray:
    """rgb (n, 3) at points (n, 3), looked at along the normals from outside."""
    p = torch.from_numpy(np.ascontiguousarray(x, np.float32)).clamp(0, 1)
    p = contract(p) if field.occupancy.contracted else p
    d = torch.nn.functional.normalize(-torch.from_numpy(outward.astype(np.float32)), dim=-1)
    parts = [field.model.query(field.params, p[rows], d[rows])[0]
             for rows in torch.arange(len(p)).split(CHUNK)]  # fmt: skip
    return torch.cat(parts).numpy() if parts else np.zeros((0, 3), np.float32)


def points(field: Field, count: int, seed: int = 0) -> Any:
    """A `trimesh.PointCloud` of what rays from around meet, in the world, with its colours."""
    import trimesh

    generator = torch.Generator().manual_seed(seed)
    origin = 0.5 + max(field.distance, 0.9) * torch.from_numpy(sphere(count)).float()
    origin = origin[torch.randperm(count, generator=generator)]
    to = field.occupancy.points(count, generator)
    to = expand(to) if field.occupancy.contracted else to
    rays = Rays(origin, torch.nn.functional.normalize(to - origin, dim=-1))
    seen = render(field.model, field.params, rays, field.occupancy)
    met = seen.alpha > OPAQUE
    if not met.any():
        raise InputError(field.name, "has nothing that a ray would stop at",
                         got=f"opacity {float(seen.alpha.max()):.3g} at most")  # fmt: skip
    x = (rays.origin + seen.depth[:, None] * rays.direction)[met]
    rgb = (seen.rgb / seen.alpha[:, None])[met]
    return trimesh.PointCloud(to_world(field, x.numpy()), encoded(rgb.numpy()))


def to_world(field: Field, x: np.ndarray) -> np.ndarray:
    """Points (n, 3) of the unit cube in the world."""
    return (np.asarray(x, float) - 0.5) * field.cube.side + np.array(field.cube.centre)


def write_voxels(field: Field, path: Path, size: int) -> None:
    """Densities per unit of length as a `.vol` file of Mitsuba's `gridvolume` (x fastest)."""
    import mitsuba as mi

    values = sigma_grid(field, size).transpose(2, 1, 0)[..., None] / field.cube.side
    mi.VolumeGrid(np.ascontiguousarray(values, np.float32)).write(str(path))


def encoded(rgb: np.ndarray) -> np.ndarray:
    """Colours from 0 to 1 as bytes."""
    return np.clip(np.round(255 * rgb), 0, 255).astype(np.uint8)
