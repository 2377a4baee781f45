"""Multi-channel textures in one flat buffer, read in packets, optionally with averaged levels."""

from __future__ import annotations

from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np


class Texels:
    """Bilinear lookup, texel centres at (i + 0.5) / size, both axes wrapping.

    Levels lie one behind the other; within a level, texels lie row by row and hold packets of a
    power of two (at most 8) channels, the unit of one gather.
    """

    def __init__(self, levels: list[np.ndarray]) -> None:
        self.channels = levels[0].shape[2]
        self.groups, self.packet = packing(self.channels)
        stride = self.groups * self.packet
        flat, heights, widths, starts, start = [], [], [], [], 0
        for level in levels:
            height, width, channels = level.shape
            padded = np.zeros((height, width, stride), np.float32)
            padded[..., :channels] = level
            flat.append(padded.reshape(-1))
            heights.append(height)
            widths.append(width)
            starts.append(start)
            start += height * width
        self.data = mi.Float(np.concatenate(flat))
        self.height, self.width = heights[0], widths[0]
        self.count = len(levels)
        self.heights, self.widths, self.starts = (mi.UInt(x) for x in (heights, widths, starts))

    def lookup(self, uv: Any, active: Any, level: Any = None) -> list[Any]:
        """All channels at `uv`, of the finest level or of `level` (UInt)."""
        width, height, start = mi.Int(self.width), mi.Int(self.height), mi.UInt(0)
        if level is not None:
            width = mi.Int(dr.gather(mi.UInt, self.widths, level, active))
            height = mi.Int(dr.gather(mi.UInt, self.heights, level, active))
            start = dr.gather(mi.UInt, self.starts, level, active)
        x = (uv.x - dr.floor(uv.x)) * mi.Float(width) - 0.5
        y = (uv.y - dr.floor(uv.y)) * mi.Float(height) - 0.5
        x0, y0 = dr.floor(x), dr.floor(y)
        tx, ty = x - x0, y - y0
        left, right = wrap(mi.Int(x0), width), wrap(mi.Int(x0) + 1, width)
        up, down = wrap(mi.Int(y0), height), wrap(mi.Int(y0) + 1, height)
        corners = (
            ((1 - tx) * (1 - ty), up * width + left),
            (tx * (1 - ty), up * width + right),
            ((1 - tx) * ty, down * width + left),
            (tx * ty, down * width + right),
        )
        out: list[Any] = []
        for group in range(self.groups):
            total: list[Any] = [mi.Float(0.0)] * self.packet
            for weight, corner in corners:
                texel = self._gather((start + mi.UInt(corner)) * self.groups + group, active)
                total = [dr.fma(weight, texel[c], total[c]) for c in range(self.packet)]
            out.extend(total)
        return out[: self.channels]

    def _gather(self, index: Any, active: Any) -> Any:
        if self.packet == 1:
            return [dr.gather(mi.Float, self.data, index, active)]
        shape = (self.packet, dr.width(index))
        return dr.gather(mi.ArrayXf, self.data, index, active, shape=shape)


def packing(channels: int) -> tuple[int, int]:
    """Number of packets per texel and their size: a power of two, at most 8."""
    packet = 1
    while packet < min(channels, 8):
        packet *= 2
    return -(-channels // packet), packet


def wrap(i: Any, size: Any) -> Any:
    """Index into a repeating axis, for -1 <= i <= size."""
    i = dr.select(i < 0, i + size, i)
    return dr.select(i >= size, i - size, i)


def averaged_levels(data: np.ndarray) -> list[np.ndarray]:
    """Box-filtered pyramid down to one texel; odd sizes split as evenly as they can."""
    levels = [np.ascontiguousarray(data, np.float32)]
    while max(levels[-1].shape[:2]) > 1:
        level = levels[-1].astype(np.float64)
        for axis in (0, 1):
            size = level.shape[axis]
            edges = np.arange(max(size // 2, 1)) * size // max(size // 2, 1)
            counts = np.diff([*edges, size])
            total = np.add.reduceat(level, edges, axis)
            level = total / counts.reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
        levels.append(level.astype(np.float32))
    return levels
