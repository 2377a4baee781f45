"""Noise removed from a picture by the plugin `denoise`, with albedo and normal as guides."""

from __future__ import annotations

from typing import Protocol, TypeVar

import numpy as np

from etendue.plugins.registry import find
from etendue.plugins.variants import build, capabilities, usable

GUIDES = ("albedo", "normal")  # auxiliary images that keep textures and edges
PLUGIN = "denoise"


class Cleanable(Protocol):
    """A picture in parts, `Film` or `mitsuba_path.Picture`."""

    @property
    def parts(self) -> dict[str, np.ndarray]:
        """All images by name."""
        ...

    def cleaned(self: Self, clean: np.ndarray, aovs: tuple[str, ...]) -> Self:
        """The picture with `clean` in front and, of its auxiliary images, only `aovs`."""
        ...


Self = TypeVar("Self", bound=Cleanable)


def require_denoiser() -> None:
    """Raise `DeviceError`, which says what to install, unless the plugin can run here."""
    usable(find(PLUGIN), {}, capabilities())


def denoised(picture: Self, keep: tuple[str, ...]) -> Self:
    """`picture` without noise; of its auxiliary images the guides not in `keep` are dropped.

    Guides that a back end cannot give are done without.
    """
    manifest, parts = find(PLUGIN), picture.parts
    inputs = {name: parts[name] for name in GUIDES if name in parts}
    if "albedo" not in inputs:
        inputs = {}  # a normal alone is of no use to the filter
    inputs["color"] = np.maximum(parts["rgb"], 0.0)
    chosen = usable(manifest, inputs, capabilities())[0]
    clean = np.asarray(build(manifest, chosen)(**inputs)["color"], np.float32)
    return picture.cleaned(clean, keep)
