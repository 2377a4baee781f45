"""Inputs of a glTF material as arrays: factors times textures, on one grid and one set of uv."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import numpy as np

from etendue.core.errors import InputError
from etendue.scene.gltf_texture import MAX_RESOLUTION, TextureReader, TextureUse, resample


@dataclass
class Inputs:
    """Looks up factors and textures of one material on the common grid."""

    reader: TextureReader
    label: str
    textures: dict[str, TextureUse] = field(default_factory=dict)
    size: tuple[int, int] = (1, 1)
    common: np.ndarray = field(default_factory=lambda: np.eye(3))

    def add(self, name: str, info: Any, *, srgb: bool = False) -> None:
        """Read a texture that a material names, if it does."""
        use = self.reader.use(info, f"{self.label} {name}", srgb=srgb)
        if use is not None:
            self.textures[name] = use

    def settle(self) -> tuple[int, np.ndarray | None]:
        """Choose resolution, uv set and uv transform shared by all textures."""
        uses = list(self.textures.values())
        if not uses:
            return 0, None
        self.size = (
            min(max(use.pixels.shape[0] for use in uses), MAX_RESOLUTION),
            min(max(use.pixels.shape[1] for use in uses), MAX_RESOLUTION),
        )
        if len({use.uv_set for use in uses}) > 1:
            self.reader.notes[f"{self.label}: all textures use one set of coordinates"] = None
        if all(np.allclose(use.matrix, uses[0].matrix) for use in uses):
            self.common = uses[0].matrix
            identity = np.allclose(self.common, np.eye(3))
            return uses[0].uv_set, None if identity else self.common
        linear = np.array([use.matrix[:2, :2] for use in uses])
        if not np.allclose(linear, np.round(linear)):
            self.reader.notes[
                f"{self.label}: textures with different scaling are laid over one square"
            ] = None
        return uses[0].uv_set, None

    def texture(self, name: str) -> np.ndarray | None:
        """RGBA (H, W, 4) of a texture on the common grid, or None."""
        use = self.textures.get(name)
        if use is None:
            return None
        shared = self.common if not np.allclose(self.common, np.eye(3)) else None
        matrix = np.eye(3) if shared is not None else use.matrix
        return resample(use.pixels, *self.size, matrix)

    def scaled(self, factor: Any, name: str, channels: slice) -> np.ndarray:
        """Factor times texture: (k,) without a texture, (H, W, k) with one."""
        try:
            with np.errstate(over="ignore"):  # said below
                value = np.atleast_1d(np.asarray(factor, np.float32))
        except (TypeError, ValueError) as error:
            raise InputError(self.label, "a factor is not a number", got=factor) from error
        if not np.isfinite(value).all() or value.ndim != 1:
            raise InputError(self.label, "a factor is not finite", got=factor)
        texture = self.texture(name)
        return value if texture is None else value * texture[..., channels]

    def number(self, value: Any) -> float:
        """A plain number of an extension."""
        return float(self.scaled(value, "", slice(0, 1))[0])

    def slopes(self, name: str) -> np.ndarray:
        """Slopes (nx / nz, ny / nz) of a tangent-space normal map, green up."""
        texture = self.texture(name)
        if texture is None:
            return np.zeros(2, np.float32)
        scale = float(self.textures[name].info.get("scale", 1.0))
        n = texture[..., :3] * 2.0 - 1.0
        return n[..., :2] * scale / np.maximum(n[..., 2:], 0.1)


@dataclass(frozen=True)
class Values:
    """A `materialx.inputs.Source` of values that are there already, each (h, w, components)."""

    values: Mapping[str, np.ndarray]
    notes: dict[str, None]

    @classmethod
    def of(cls, plain: Mapping[str, Any], notes: dict[str, None]) -> Values:
        """Values of any shape (k,) or (h, w, k)."""
        return cls({n: _plane(v) for n, v in plain.items()}, notes)

    def __getitem__(self, name: str) -> np.ndarray:
        """The value of an input."""
        return self.values[name]

    def unit(self, name: str) -> np.ndarray:
        """The same clipped to [0, 1]."""
        return np.clip(self.values[name], 0.0, 1.0)

    def inner(self, name: str, output: str = "") -> np.ndarray:
        """The same as an input: everything has been computed before."""
        return self.values[name]

    def normal(self, name: str) -> np.ndarray:
        """Slopes; stored as such."""
        return self.values[name]

    def tangent(self, name: str) -> np.ndarray:
        """The tangent's direction."""
        return self.values[name]

    def note(self, name: str, instead: str, off: float = 0.0) -> None:
        """Record that an input is not modelled, unless it is absent or everywhere `off`."""
        value = self.values.get(name)
        if value is not None and not (value == off).all():
            self.remark(f"{name}: not modelled; {instead}")

    def remark(self, text: str) -> None:
        """Record one line for the user, once."""
        self.notes[text] = None

    def digest(self) -> str:
        """SHA-256 over all of them."""
        state = sha256()
        for name, value in sorted(self.values.items()):
            state.update(f"{name}{value.shape}".encode())
            state.update(np.ascontiguousarray(value, np.float64).tobytes())
        return state.hexdigest()


def _plane(value: Any) -> np.ndarray:
    array = np.asarray(value, np.float64)
    return array.reshape(1, 1, -1) if array.ndim < 3 else array
