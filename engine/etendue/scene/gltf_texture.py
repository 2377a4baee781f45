"""Textures of a glTF material, read once and resampled to the material's common resolution."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from etendue.core.color import srgb_to_linear
from etendue.core.errors import InputError
from etendue.core.image import read_image, require_finite
from etendue.scene.gltf_file import GltfFile, read_uri

MAX_RESOLUTION = 1024
_SUFFIXES = {"image/png": ".png", "image/jpeg": ".jpg"}
_REPEAT = 10497


@dataclass(frozen=True)
class TextureUse:
    """One texture slot of a material, decoded to linear values."""

    pixels: np.ndarray  # float32 (h, w, 4); missing channels are 1
    uv_set: int
    matrix: np.ndarray  # 3x3, texture uv = matrix (u, v, 1)
    info: Mapping[str, Any]  # the JSON object that refers to it (scale, strength, ...)


@dataclass
class TextureReader:
    """Reads the images of one file; keeps what it has decoded."""

    file: GltfFile
    notes: dict[str, None] = field(default_factory=dict)
    images: dict[int, np.ndarray] = field(default_factory=dict)

    def use(self, info: Any, user: str, *, srgb: bool) -> TextureUse | None:
        """Texture that `info` ({"index": ...}) refers to; None when there is none."""
        if info is None:
            return None
        if not isinstance(info, dict):
            raise InputError(self.file.path, f"{user} is not an object", got=info)
        texture = self.file.item("textures", info.get("index"), user)
        if "source" not in texture:
            self.notes[f"{user}: a texture without a PNG or JPEG source is not used"] = None
            return None
        source = texture["source"]
        if source not in self.images:
            self.images[source] = self._decode(source, user)
        if "sampler" in texture:
            sampler = self.file.item("samplers", texture["sampler"], user)
            if {sampler.get("wrapS", _REPEAT), sampler.get("wrapT", _REPEAT)} != {_REPEAT}:
                self.notes["textures repeat; clamp and mirror wrapping are not modelled"] = None
        pixels = self.images[source]
        if srgb:
            pixels = np.concatenate([srgb_to_linear(pixels[..., :3]), pixels[..., 3:]], -1)
        transform = info.get("extensions", {}).get("KHR_texture_transform", {})
        uv_set = int(transform.get("texCoord", info.get("texCoord", 0)))
        return TextureUse(pixels, uv_set, _uv_matrix(self.file, transform, user), info)

    def _decode(self, index: Any, user: str) -> np.ndarray:
        image = self.file.item("images", index, user)
        name = str(image.get("name") or f"images[{index}]")
        if "bufferView" in image:
            data = self.file.view(image["bufferView"], name)[0]
            suffix = _SUFFIXES.get(str(image.get("mimeType")), ".png")
        elif "uri" in image:
            uri = str(image["uri"])
            data = read_uri(self.file.path, uri, name)
            suffix = ".jpg" if data[:2] == b"\xff\xd8" else ".png"
        else:
            raise InputError(self.file.path, f"{name} has neither a uri nor a bufferView")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "image" + suffix)
            path.write_bytes(data)
            try:
                pixels = read_image(path)
            except InputError as error:
                problem = str(error).partition(": ")[2]
                raise InputError(self.file.path, f"{name} {problem}") from error
        require_finite(f"{self.file.path}: {name}", pixels)
        return _rgba(pixels)


def _rgba(pixels: np.ndarray) -> np.ndarray:
    height, width, channels = pixels.shape
    full = np.ones((height, width, 4), np.float32)
    if channels <= 2:
        full[..., :3] = pixels[..., :1]
        if channels == 2:
            full[..., 3] = pixels[..., 1]
    else:
        full[..., : min(channels, 4)] = pixels[..., :4]
    return full


def _uv_matrix(file: GltfFile, transform: Mapping[str, Any], user: str) -> np.ndarray:
    """Translation * rotation * scale, rotation counter-clockwise (KHR_texture_transform)."""
    try:
        (ox, oy), (sx, sy) = transform.get("offset", (0, 0)), transform.get("scale", (1, 1))
        angle = float(transform.get("rotation", 0.0))
        c, s = np.cos(angle), np.sin(angle)
        matrix = np.array([[c * sx, s * sy, ox], [-s * sx, c * sy, oy], [0, 0, 1]], np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(file.path, f"{user} has a damaged texture transform") from error
    if not np.isfinite(matrix).all():
        raise InputError(file.path, f"{user} has a damaged texture transform")
    return matrix


def resample(pixels: np.ndarray, height: int, width: int, matrix: np.ndarray) -> np.ndarray:
    """Texture as seen over the unit square: texel (i, j) is the value at matrix (u_j, v_i).

    The identity averages areas when shrinking and interpolates linearly when growing; other
    matrices look up bilinearly with wrapping.
    """
    if np.allclose(matrix, np.eye(3)):
        rows, columns = _weights(pixels.shape[0], height), _weights(pixels.shape[1], width)
        result = np.tensordot(rows, pixels, (1, 0))
        return np.moveaxis(np.tensordot(columns, result, (1, 1)), 0, 1).astype(np.float32)
    v, u = np.meshgrid(
        (np.arange(height) + 0.5) / height, (np.arange(width) + 0.5) / width, indexing="ij"
    )
    x = (matrix[0, 0] * u + matrix[0, 1] * v + matrix[0, 2]) * pixels.shape[1] - 0.5
    y = (matrix[1, 0] * u + matrix[1, 1] * v + matrix[1, 2]) * pixels.shape[0] - 0.5
    return _bilinear(pixels, x, y)


def _bilinear(pixels: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    height, width = pixels.shape[:2]
    x0, y0 = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    fx, fy = (x - x0)[..., None], (y - y0)[..., None]
    left, right, top, bottom = x0 % width, (x0 + 1) % width, y0 % height, (y0 + 1) % height
    upper = pixels[top, left] * (1 - fx) + pixels[top, right] * fx
    lower = pixels[bottom, left] * (1 - fx) + pixels[bottom, right] * fx
    return (upper * (1 - fy) + lower * fy).astype(np.float32)


def _weights(source: int, target: int) -> np.ndarray:
    """Rows that average `source` texels into `target` ones; wrapping, each row sums to one."""
    if source == target:
        return np.eye(source, dtype=np.float32)
    centres = (np.arange(target) + 0.5) * source / target - 0.5
    reach = max(source / target, 1.0)
    steps = np.arange(-int(np.ceil(reach)), int(np.ceil(reach)) + 1)
    taps = np.floor(centres)[:, None].astype(np.int64) + steps
    weight = np.maximum(0.0, 1.0 - np.abs(taps - centres[:, None]) / reach)
    matrix = np.zeros((target, source), np.float64)
    np.add.at(matrix, (np.arange(target)[:, None], taps % source), weight)
    return (matrix / matrix.sum(1, keepdims=True)).astype(np.float32)
