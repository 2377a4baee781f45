"""Marching cubes by scikit-image, and what both implementations share.

A vertex lies on every grid edge whose ends are on different sides of the level, where the linear
interpolation along the edge meets it (Lorensen and Cline 1987). Inside is above the level; faces
are counter-clockwise seen from outside.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from etendue.core.errors import InputError
from etendue.plugins.slots import Caps, Field, Tensor, Tensors, to_numpy


def by_skimage(values: Tensor, level: Tensor, spacing: Tensor | None = None) -> Tensors:
    """`skimage.measure.marching_cubes`, the variant of Lorensen and Cline: the oracle."""
    from skimage.measure import marching_cubes

    grid, threshold = to_numpy(values), float(to_numpy(level))
    step = (1.0, 1.0, 1.0) if spacing is None else tuple(map(float, to_numpy(spacing)))
    check(grid, threshold)
    if not grid.min() <= threshold <= grid.max():  # an error there, no surface here
        return {"vertices": np.zeros((0, 3), np.float32), "faces": np.zeros((0, 3), np.int32)}
    vertices, faces, _, _ = marching_cubes(
        grid, threshold, spacing=step, gradient_direction="ascent", method="lorensen"
    )
    return {"vertices": vertices.astype(np.float32), "faces": faces.astype(np.int32)}


def check(grid: np.ndarray, level: float) -> None:
    """`InputError` for values without a surface to speak of."""
    if not (np.isfinite(level) and np.isfinite(grid).all()):
        raise InputError("marching_cubes", "values or level are NaN or infinite")


def needs_two_cells(inputs: Mapping[str, Tensor], caps: Caps) -> list[str]:
    """Why a grid cannot be polygonised."""
    if "values" not in inputs:
        return []  # they come from another task
    shape = tuple(inputs["values"].shape)
    return [f"needs 2 values or more along each axis, got {shape}"] if min(shape) < 2 else []


def example(sizes: Mapping[str, int], seed: int) -> dict[str, Any]:
    """Smooth bumps in a box that they do not leave."""
    rng = np.random.default_rng(seed)
    shape = (sizes["nx"], sizes["ny"], sizes["nz"])
    axes = [np.linspace(-1.0, 1.0, n, dtype=np.float32) for n in shape]
    p = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
    values = np.zeros(shape, np.float32)
    for center in rng.uniform(-0.4, 0.4, (4, 3)).astype(np.float32):
        values += np.exp(-12.0 * ((p - center) ** 2).sum(-1))
    return {"values": values, "level": np.asarray(0.4, np.float32)}


def comparable(outputs: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """Vertices in the order of their grid edges (for unit spacing) and how the mesh hangs together.

    The order of vertices and how a polygon is cut into triangles are free.
    """
    vertices, faces = to_numpy(outputs["vertices"]), to_numpy(outputs["faces"])
    whole = np.round(vertices)
    axis = np.abs(vertices - whole).argmax(1)
    cell = whole.copy()
    rows = np.arange(len(vertices))
    cell[rows, axis] = np.floor(vertices[rows, axis])
    order = np.lexsort((*cell.T, axis))
    return {"vertices": vertices[order], "euler": np.asarray([euler(faces, len(vertices))])}


def euler(faces: np.ndarray, vertices: int) -> int:
    """Vertices - edges + faces."""
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), 1)
    return vertices - len(np.unique(edges, axis=0)) + len(faces)


def sample_field(field: Field, cells: int) -> np.ndarray:
    """Density of a field over the unit cube at (cells + 1)^3 grid points, for `values`."""
    n = cells + 1
    axis = np.linspace(0.0, 1.0, n, dtype=np.float32)
    up = np.array([[0.0, 0.0, 1.0]], np.float32)
    slabs = []
    for x in axis:  # a slab at a time: a field may need much memory per point
        p = np.stack(np.meshgrid(np.array([x]), axis, axis, indexing="ij"), -1).reshape(-1, 3)
        slabs.append(to_numpy(field.query(p, np.repeat(up, len(p), 0))[1]).reshape(1, n, n))
    return np.concatenate(slabs).astype(np.float32)
