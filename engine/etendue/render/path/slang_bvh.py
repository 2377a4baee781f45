"""A bounding volume hierarchy for devices without hardware ray tracing, and its slow oracle.

The tree is complete: leaves hold four triangles, node i has the children 2 i + 1 and 2 i + 2, and
every node halves its triangles at the median along its longest axis. All nodes of a level are
split together with one sort.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Array = np.ndarray
LEAF = 4
NONE = 0xFFFFFFFF


@dataclass(frozen=True)
class Bvh:
    """Bounds in heap order, then the faces of the leaves."""

    low: Array  # float32 (2 leaves - 1, 3)
    high: Array
    order: Array  # uint32 (leaves, 4), NONE where there is no face

    @property
    def leaves(self) -> int:
        """Number of leaves, a power of two."""
        return len(self.order)

    def elements(self) -> Array:
        """Two elements for each node, then one for each leaf (n, 4)."""
        nodes = np.zeros((len(self.low), 2, 4), np.float32)
        nodes[:, 0, :3], nodes[:, 1, :3] = self.low, self.high
        return np.concatenate([nodes.reshape(-1, 4), self.order.view(np.float32)])


def build_bvh(points: Array, faces: Array) -> Bvh:
    """Hierarchy over triangles `faces` (n, 3) of `points` (m, 3)."""
    corners = points[faces].astype(np.float32)
    count = len(faces)
    leaves = 1
    while leaves * LEAF < count:
        leaves *= 2
    order = _median_order(corners.mean(1) if count else np.zeros((0, 3)), leaves)
    low = np.full((leaves * LEAF, 3), np.inf, np.float32)
    high = np.full((leaves * LEAF, 3), -np.inf, np.float32)
    real = order < count
    low[real], high[real] = corners.min(1)[order[real]], corners.max(1)[order[real]]
    lows, highs = [low.reshape(leaves, LEAF, 3).min(1)], [high.reshape(leaves, LEAF, 3).max(1)]
    while len(lows[-1]) > 1:
        lows.append(lows[-1].reshape(-1, 2, 3).min(1))
        highs.append(highs[-1].reshape(-1, 2, 3).max(1))
    ids = np.where(real, order, NONE).astype(np.uint32).reshape(leaves, LEAF)
    return Bvh(np.concatenate(lows[::-1]), np.concatenate(highs[::-1]), ids)


def _median_order(centres: Array, leaves: int) -> Array:
    """Place of every triangle; places beyond the last are numbers >= len(centres)."""
    count, total = len(centres), leaves * LEAF
    order = np.arange(total)
    padded = np.concatenate([centres, np.full((total - count, 3), np.nan)])
    segment = total
    while segment > LEAF:
        blocks = padded[order].reshape(-1, segment, 3)
        filled = np.where(np.isnan(blocks), -np.inf, blocks).max(1)
        empty = np.where(np.isnan(blocks), np.inf, blocks).min(1)
        axis = np.argmax(np.where(np.isfinite(filled), filled - empty, 0.0), 1)
        keys = np.take_along_axis(blocks, axis[:, None, None], 2)[..., 0]
        rank = np.argsort(keys, axis=1, kind="stable")  # NaN last
        order = np.take_along_axis(order.reshape(-1, segment), rank, 1).ravel()
        segment //= 2
    return order


def nearest(points: Array, faces: Array, origin: Array, direction: Array) -> tuple[float, int]:
    """Distance and number of the first face that a ray meets, by testing every face; inf, NONE."""
    a, b, c = (points[faces[:, k]].astype(np.float64) for k in range(3))
    e1, e2, s = b - a, c - a, origin - a
    q = np.cross(direction, e2)
    det = (e1 * q).sum(1)
    r = np.cross(s, e1)
    with np.errstate(divide="ignore", invalid="ignore"):
        u, v, t = (s * q).sum(1) / det, (r @ direction) / det, (e2 * r).sum(1) / det
        hit = (u >= 0) & (v >= 0) & (u + v <= 1) & (t >= 0)
    if not hit.any():
        return float("inf"), NONE
    best = int(np.argmin(np.where(hit, t, np.inf)))
    return float(t[best]), best
