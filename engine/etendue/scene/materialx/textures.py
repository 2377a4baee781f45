"""Image files in a node graph: reading once, decoding, filtering, addressing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from etendue.core.errors import InputError
from etendue.core.image import read_image, require_finite

Decode = Callable[[np.ndarray], np.ndarray]  # stored colours to linear Rec. 709


@dataclass(frozen=True)
class FileReference:
    """A filename input: where it stands, the path it resolves to, and its colour space."""

    where: str  # name path of the input
    path: Path
    color_space: str


@dataclass
class ImageStore:
    """Images by path, each read once; `files` lists what was read."""

    _images: dict[Path, np.ndarray] = field(default_factory=dict)
    _decoded: dict[tuple[Path, int, str], np.ndarray] = field(default_factory=dict)
    _resized: dict[tuple[Path, int, str, int, int], np.ndarray] = field(default_factory=dict)

    @property
    def files(self) -> tuple[Path, ...]:
        """Every image read so far."""
        return tuple(self._images)

    def load(self, reference: FileReference) -> np.ndarray:
        """float32 (H, W, C) of the file, or `InputError` naming the input and the path."""
        image = self._images.get(reference.path)
        if image is None:
            if not reference.path.is_file():
                raise InputError(
                    reference.where,
                    "the image is missing",
                    got=reference.path,
                    fix="Put the file there or correct the input (and its fileprefix)",
                )
            try:
                image = read_image(reference.path)
            except InputError as error:
                raise InputError(reference.where, str(error)) from error
            require_finite(f"{reference.where}: {reference.path}", image)
            self._images[reference.path] = image
        return image

    def decoded(self, reference: FileReference, components: int, decode: Decode) -> np.ndarray:
        """The image with `components` components in linear values (filtering comes after)."""
        key = (reference.path, components, reference.color_space)
        if key not in self._decoded:
            stored = to_components(self.load(reference), components)
            self._decoded[key] = decode(stored).astype(np.float32)
        return self._decoded[key]

    def resized(
        self, reference: FileReference, components: int, decode: Decode, size: tuple[int, int]
    ) -> np.ndarray:
        """The decoded image area-filtered down to (width, height), never enlarged; float64."""
        image = self.decoded(reference, components, decode)
        width, height = min(size[0], image.shape[1]), min(size[1], image.shape[0])
        key = (reference.path, components, reference.color_space, width, height)
        if key not in self._resized:
            rows = area_resize(image, height, axis=0)
            self._resized[key] = area_resize(rows, width, axis=1).astype(np.float64)
        return self._resized[key]


def area_resize(image: np.ndarray, size: int, axis: int) -> np.ndarray:
    """Box-filter one axis down to `size` samples; each output is the mean over its interval.

    With S the running integral of the samples, out_i = (S((i+1) n/m) - S(i n/m)) m/n.
    """
    count = image.shape[axis]
    if size >= count:
        return image
    if count % size == 0:
        shape = (*image.shape[:axis], size, count // size, *image.shape[axis + 1 :])
        return image.reshape(shape).mean(axis=axis + 1, dtype=np.float64)
    moved = np.moveaxis(image, axis, 0).astype(np.float64)
    integral = np.concatenate([np.zeros_like(moved[:1]), np.cumsum(moved, axis=0)])
    edges = np.arange(size + 1) * (count / size)
    low = np.minimum(edges.astype(int), count - 1)
    fraction = (edges - low).reshape(-1, *([1] * (moved.ndim - 1)))
    values = integral[low] + fraction * moved[low]
    return np.moveaxis(np.diff(values, axis=0) * (size / count), 0, axis)


@dataclass(frozen=True)
class Lookup:
    """How an image node reads its file."""

    components: int
    wrap: tuple[str, str]
    default: np.ndarray
    nearest: bool
    decode: Decode


def sample_image(
    store: ImageStore, reference: FileReference, texcoord: np.ndarray, lookup: Lookup
) -> np.ndarray:
    """Look the image up at `texcoord` (h, w, 2), v upwards: (h, w, components), linear values.

    Prefiltered by area to the footprint of one texel of the grid of coordinates, then bilinear:
    minified images are averaged, magnified ones interpolated.
    """
    require_finite(f"{reference.where}: texture coordinates", texcoord)
    image = store.decoded(reference, lookup.components, lookup.decode)
    if not lookup.nearest:
        per_u, per_v = footprint(texcoord)
        size = (_texels(image.shape[1], per_u), _texels(image.shape[0], per_v))
        image = store.resized(reference, lookup.components, lookup.decode, size)
    x = texcoord[..., 0] * image.shape[1] - 0.5
    y = (1.0 - texcoord[..., 1]) * image.shape[0] - 0.5
    value = (_nearest if lookup.nearest else _bilinear)(image, x, y, lookup.wrap)
    for axis, mode in enumerate(lookup.wrap):
        if mode == "constant":
            outside = (texcoord[..., axis] < 0.0) | (texcoord[..., axis] > 1.0)
            value = np.where(outside[..., None], lookup.default, value)
    return value


def footprint(texcoord: np.ndarray) -> tuple[float, float]:
    """Median step of u and of v between neighbouring texels, 0 for a constant coordinate."""
    steps = [0.0, 0.0]
    for axis in (0, 1):
        if texcoord.shape[axis] > 1:
            difference = np.abs(np.diff(texcoord, axis=axis))
            for i in (0, 1):
                steps[i] = max(steps[i], float(np.median(difference[..., i])))
    return steps[0], steps[1]


def _texels(size: int, step: float) -> int:
    """Samples to keep so that one of them spans `step` of the image (1e-6: exact ratios)."""
    return size if step * size <= 1.0 else max(1, int(np.floor(1.0 / step + 1e-6)))


def _wrap(index: np.ndarray, size: int, mode: str) -> np.ndarray:
    if mode == "periodic":
        return np.mod(index, size)
    if mode == "mirror":
        folded = np.mod(index, 2 * size)
        return np.where(folded < size, folded, 2 * size - 1 - folded)
    return np.clip(index, 0, size - 1)  # clamp, and constant before it is overwritten


def _nearest(image: np.ndarray, x: np.ndarray, y: np.ndarray, wrap: tuple[str, str]) -> np.ndarray:
    column = _wrap(np.round(x).astype(int), image.shape[1], wrap[0])
    row = _wrap(np.round(y).astype(int), image.shape[0], wrap[1])
    return image[row, column].astype(np.float64)


def _bilinear(image: np.ndarray, x: np.ndarray, y: np.ndarray, wrap: tuple[str, str]) -> np.ndarray:
    column, row = np.floor(x + 1e-9).astype(int), np.floor(y + 1e-9).astype(int)
    s, t = np.clip(x - column, 0.0, 1.0)[..., None], np.clip(y - row, 0.0, 1.0)[..., None]
    c0, c1 = (_wrap(column + k, image.shape[1], wrap[0]) for k in (0, 1))
    r0, r1 = (_wrap(row + k, image.shape[0], wrap[1]) for k in (0, 1))
    top = image[r0, c0] * (1.0 - s) + image[r0, c1] * s
    bottom = image[r1, c0] * (1.0 - s) + image[r1, c1] * s
    return top * (1.0 - t) + bottom * t


def to_components(value: np.ndarray, components: int) -> np.ndarray:
    """Stored channels as 1 to 4 components: grey is repeated, a missing alpha is one."""
    channels = value.shape[-1]
    if components == 1:
        return value[..., :1]
    grey = channels < 3
    colour = np.repeat(value[..., :1], 3, axis=-1) if grey else value[..., :3]
    if components == 2:
        return value[..., :2] if channels >= 2 else colour[..., :2]
    if components == 3:
        return colour
    alpha = value[..., -1:] if channels in (2, 4) else np.ones_like(value[..., :1])
    return np.concatenate([colour, alpha], axis=-1)
