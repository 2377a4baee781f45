"""Camera rays and random streams that depend only on (seed, pixel, sample)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np

from etendue.core.errors import InputError
from etendue.render.path.footprint import Cone

GROUP = 16  # samples that are summed on the device; part of what makes results reproducible
_STREAM = 0xDA3E39CB94B95BDB  # PCG32 increment shared by all paths; their states are hashes


@dataclass(frozen=True)
class Window:
    """The rectangle of the film's full picture that is rendered, in pixels."""

    x: int
    y: int
    width: int
    height: int
    full_width: int
    full_height: int


@dataclass(frozen=True)
class Block:
    """The paths of one pass: a run of the window's pixels, a run of samples of each."""

    first: int
    pixels: int
    sample: int
    samples: int
    group: int  # samples per sum
    chosen: np.ndarray | None = None  # numbers of the pixels, when they are no run

    @property
    def paths(self) -> int:
        """How many there are."""
        return self.pixels * self.samples

    @property
    def numbers(self) -> np.ndarray:
        """The pixels, counted through the window by rows."""
        if self.chosen is not None:
            return self.chosen
        return np.arange(self.first, self.first + self.pixels, dtype=np.uint32)


def sweep(done: int, spp: int, most_groups: int, fitting: int) -> int:
    """Samples of the next sweep over the picture after `done` of `spp`, 0 when there is none.

    Whole groups, at most `most_groups // GROUP` or one of them, then the powers of two in what is
    left, the largest first; never more than `fitting`.
    """
    left = min(spp - done, fitting)
    if done % GROUP == 0 and left >= GROUP:
        return GROUP * min(left // GROUP, max(1, most_groups // GROUP))
    odd = done % GROUP
    room = max(1, (odd & -odd) - 1) if odd else GROUP - 1
    left = min(left, room)
    return 1 << (left.bit_length() - 1) if left > 0 else 0


def passes(window: Window, spp: int, limit: int) -> Iterator[Block]:
    """Cut pixels x samples into blocks of at most `limit` paths; samples advance slowest."""
    pixels, sample = window.width * window.height, 0
    while sample < spp:
        count = sweep(sample, spp, limit // pixels, spp)
        tile = min(pixels, max(1, limit // count))
        for first in range(0, pixels, tile):
            yield Block(first, min(tile, pixels - first), sample, count, min(GROUP, count))
        sample += count


@contextmanager
def full_film(sensor: Any, crop: tuple[int, int, int, int] | None) -> Iterator[Window]:
    """The window to render while the sensor looks through its whole film.

    Rays of a pixel then do not depend on the crop, not even by rounding. `crop` counts from the
    upper left corner of what the film shows.
    """
    film = sensor.film()
    size, at, shown = (
        [int(v) for v in v2] for v2 in (film.size(), film.crop_offset(), film.crop_size())
    )
    x, y, width, height = crop or (0, 0, *shown)
    if min(x, y) < 0 or min(width, height) < 1 or x + width > shown[0] or y + height > shown[1]:
        raise InputError(
            "crop", "lies outside the picture", got=crop, expected=f"inside {shown[0]}x{shown[1]}"
        )
    cropped = shown != size
    if cropped:
        _set_crop(sensor, [0, 0], size)
    try:
        yield Window(at[0] + x, at[1] + y, width, height, size[0], size[1])
    finally:
        if cropped:
            _set_crop(sensor, at, shown)


def _set_crop(sensor: Any, offset: list[int], size: list[int]) -> None:
    parameters = mi.traverse(sensor)
    parameters["film.crop_offset"], parameters["film.crop_size"] = offset, size
    parameters.update()


def start_paths(window: Window, block: Block, seed: int) -> tuple[Any, Any, Any]:
    """Pixel coordinates in the full picture and random stream of each path of a block."""
    lane = dr.arange(mi.UInt, block.pixels * block.samples)
    # opaque: the kernel does not depend on the numbers
    samples = dr.opaque(mi.UInt, block.samples)
    width = dr.opaque(mi.UInt, window.width)
    quotient = lane // samples
    pixel = dr.gather(mi.UInt, mi.UInt(block.numbers.astype(np.uint32)), quotient)
    row = pixel // width
    x = pixel - row * width + dr.opaque(mi.UInt, window.x)
    y = row + dr.opaque(mi.UInt, window.y)
    sample = lane - quotient * samples + dr.opaque(mi.UInt, block.sample)
    number = y * dr.opaque(mi.UInt, window.full_width) + x
    return x, y, random_streams(dr.opaque(mi.UInt, seed), number, sample)


def random_streams(seed: Any, pixel: Any, sample: Any) -> Any:
    """A PCG32 per path whose state hashes seed, pixel and sample number."""
    a, b = mi.sample_tea_32(pixel, seed, 4)
    state = mi.sample_tea_64(a ^ sample, b, 4)
    rng = mi.PCG32(1)
    rng.state, rng.inc = state, mi.UInt64(_STREAM | 1)
    return rng


def primary_rays(sensor: Any, window: Window, x: Any, y: Any, rng: Any) -> tuple[Any, Any]:
    """Rays through uniformly drawn points of the pixels (x, y), and their weights."""
    scale = mi.Vector2f(  # opaque: one kernel serves all sizes
        dr.opaque(mi.Float, 1.0 / window.full_width), dr.opaque(mi.Float, 1.0 / window.full_height)
    )
    at = mi.Point2f(mi.Float(x) + rng.next_float32(), mi.Float(y) + rng.next_float32()) * scale
    aperture = mi.Point2f(0.5)
    if sensor.needs_aperture_sample():
        aperture = mi.Point2f(rng.next_float32(), rng.next_float32())
    ray, weight = sensor.sample_ray(mi.Float(sensor.shutter_open()), mi.Float(0.5), at, aperture)
    return ray, weight


def world_to_camera(sensor: Any) -> tuple[float, ...]:
    """What EXR calls worldToCamera: 16 numbers M by rows with (p, 1) M in camera space.

    There x points right, y up and z forwards; Mitsuba's x points left.
    """
    matrix = np.array(sensor.world_transform().matrix, np.float64).reshape(4, 4)
    matrix[:, 0] = -matrix[:, 0]
    return tuple(float(x) for x in np.linalg.inv(matrix).T.ravel())


def pixel_cone(sensor: Any, window: Window) -> Cone:
    """Width and spread of the cone through the pixel at the centre of the film."""
    u = np.array([0.0, 1.0 / window.full_width, 0.0], np.float32) + 0.5
    v = np.array([0.0, 0.0, 1.0 / window.full_height], np.float32) + 0.5
    ray, _ = sensor.sample_ray(
        mi.Float(sensor.shutter_open()), mi.Float(0.5), mi.Point2f(u, v), mi.Point2f(0.5)
    )
    # what is the same for all rays, such as the directions of an orthographic camera, comes once
    o, d = (np.broadcast_to(np.array(v).T.reshape(-1, 3), (3, 3)) for v in (ray.o, ray.d))
    # side of the square with the area that the two steps span
    width = math.sqrt(float(np.linalg.norm(np.cross(o[1] - o[0], o[2] - o[0]))))
    spread = math.sqrt(float(np.linalg.norm(np.cross(d[1] - d[0], d[2] - d[0]))))
    return Cone(dr.opaque(mi.Float, width), dr.opaque(mi.Float, spread))
