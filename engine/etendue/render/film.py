"""The finished picture of a path tracer: colour, variance, auxiliary images, and how to save it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from etendue import __version__
from etendue.core.color import REC709, SPACES, convert_primaries
from etendue.core.errors import InputError
from etendue.core.image import write_exr, write_png
from etendue.render.noise import noise

# channels of the parts that are no colour, as compositing programs expect them
EXR_CHANNELS = {
    "alpha": ("A",),
    "depth": ("Z",),
    "position": ("X", "Y", "Z"),
    "normal": ("X", "Y", "Z"),
    "uv": ("U", "V"),
    "motion": ("U", "V"),
    "material_id": ("id",),
    "shape_id": ("id",),
}
COLORS = ("rgb", "noisy", "albedo")  # parts that are colours


@dataclass(frozen=True)
class Film:
    """Linear radiance per pixel (box filter) with its statistics."""

    rgb: np.ndarray  # (H, W, 3) float32, mean radiance
    squares: np.ndarray  # (H, W, 3) float64, mean of the squared samples
    counts: np.ndarray  # (H, W) int64, samples per pixel
    spp_wanted: int  # samples per pixel asked for
    seed: int
    aovs: Mapping[str, np.ndarray] = field(default_factory=dict)  # name -> (H, W) or (H, W, C)
    metadata: Mapping[str, str | int | float] = field(default_factory=dict)
    invalid: int = 0  # samples that were NaN or infinite, counted as black
    clean: np.ndarray | None = None  # (H, W, 3) float32, `rgb` without noise
    place: tuple[int, int, int, int] | None = None  # x, y in the whole picture, its width, height
    world_to_camera: tuple[float, ...] | None = None  # see `camera_rays.world_to_camera`

    @property
    def spp(self) -> int:
        """Samples that every pixel has at least."""
        return int(self.counts.min())

    @property
    def samples(self) -> int:
        """Samples of all pixels together, those included that only decided about others."""
        return int(self.metadata.get("samples", self.counts.sum()))

    @property
    def noise(self) -> float:
        """Standard error of what a display shows, see `render.noise`."""
        return noise(self.rgb, self.variance())

    @property
    def complete(self) -> bool:
        """True when every pixel has all samples."""
        return self.spp >= self.spp_wanted

    @property
    def interrupted(self) -> bool:
        """True when rendering was stopped early."""
        return not self.complete

    @property
    def parts(self) -> dict[str, np.ndarray]:
        """All images by name, colour first: without noise if it was removed, then also with."""
        if self.clean is None:
            return {"rgb": self.rgb, **self.aovs}
        return {"rgb": self.clean, **self.aovs, "noisy": self.rgb}

    def cleaned(self, clean: np.ndarray, aovs: tuple[str, ...]) -> Film:
        """The same film shown as `clean`, with no auxiliary images but `aovs`."""
        kept = {name: image for name, image in self.aovs.items() if name in aovs}
        return replace(self, clean=clean, aovs=kept)

    def variance(self) -> np.ndarray:
        """Variance of each pixel's mean (H, W, 3), s^2 / n with s^2 unbiased; inf below n = 2."""
        n = self.counts[..., None].astype(np.float64)
        spread = np.maximum(self.squares - self.rgb.astype(np.float64) ** 2, 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(n > 1, spread / (n - 1), np.inf)

    def save(self, path: str | Path, colors: str = "rec709") -> None:
        """Write `.exr` (linear, auxiliary images as parts) or `.png` (sRGB), atomically.

        `colors` is the space of the colours in an `.exr`: rec709 or acescg.
        """
        suffix = Path(path).suffix.lower()
        if suffix == ".exr":
            write_exr(
                path,
                in_space(self.parts, colors),
                self.describe(),
                channels=EXR_CHANNELS,
                place=self.place,
                matrices={"worldtocamera": self.world_to_camera} if self.world_to_camera else {},
                primaries=SPACES[colors],
            )
        elif suffix == ".png":
            write_png(path, self.parts["rgb"])
        else:
            raise InputError(path, "unknown image format", got=suffix, expected=".exr or .png")

    def describe(self) -> dict[str, str | int | float]:
        """What is stored beside the pixels of an EXR file."""
        return {
            "etendue:version": __version__,
            "etendue:spp": self.spp,
            "etendue:seed": self.seed,
            "etendue:complete": int(self.complete),
            "etendue:denoised": int(self.clean is not None),
            **{f"etendue:{key}": value for key, value in self.metadata.items()},
        }


def in_space(parts: Mapping[str, np.ndarray], colors: str) -> dict[str, np.ndarray]:
    """The parts of a picture in Rec. 709, with their colours in the space `colors`."""
    if colors == "rec709":
        return dict(parts)
    return {
        name: convert_primaries(part, REC709, SPACES[colors]) if name in COLORS else part
        for name, part in parts.items()
    }


class Accumulator:
    """Sums of samples in float64, added in a fixed order."""

    def __init__(self, height: int, width: int) -> None:
        self.sums = np.zeros((height * width, 6))
        self.counts = np.zeros(height * width, np.int64)
        self.shape = (height, width)
        self.invalid = 0

    def add(self, first: int, groups: np.ndarray, samples: int, invalid: int) -> None:
        """Add sums of `samples` samples for the pixels from `first` on.

        `groups` is (pixels, groups, 6): sums of colours and of their squares over runs of samples.
        """
        where = slice(first, first + len(groups))
        for group in range(groups.shape[1]):
            self.sums[where] += groups[:, group]
        self.counts[where] += samples
        self.invalid += invalid

    def film(
        self,
        spp_wanted: int,
        seed: int,
        aovs: Mapping[str, np.ndarray] | None = None,
        metadata: Mapping[str, str | int | float] | None = None,
    ) -> Film:
        """The picture so far; pixels without a sample are black."""
        means = (self.sums / np.maximum(self.counts, 1)[:, None]).reshape(*self.shape, 6)
        return Film(
            rgb=means[..., :3].astype(np.float32),
            squares=means[..., 3:],
            counts=self.counts.reshape(self.shape).copy(),
            spp_wanted=spp_wanted,
            seed=seed,
            aovs=dict(aovs or {}),
            metadata=dict(metadata or {}),
            invalid=self.invalid,
        )
