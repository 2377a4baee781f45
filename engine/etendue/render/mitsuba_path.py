"""Mitsuba's own `path` integrator, in passes: the fallback without LLVM, and an independent check.

Inline materials go through virtual calls here, which is slower than `render.path.drjit` and needs
a vectorised variant.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from etendue.core.color import SPACES
from etendue.core.errors import InputError
from etendue.core.image import write_exr, write_png
from etendue.render.film import EXR_CHANNELS, in_space

AOVS: Mapping[str, str] = {
    "depth": "depth",
    "normal": "sh_normal",
    "albedo": "albedo",
    "uv": "uv",
    "position": "position",
    "shape_id": "shape_index",
}
PASS_SAMPLES = 1 << 22  # samples between two looks at the clock


@dataclass(frozen=True)
class Picture:
    """The mean of the samples taken so far; the part `rgb` is the picture."""

    parts: dict[str, np.ndarray]
    spp: int
    interrupted: bool = False
    metadata: Mapping[str, str | int | float] = field(default_factory=dict)

    @property
    def samples(self) -> int:
        """Samples of all pixels together."""
        return self.spp * self.parts["rgb"].shape[0] * self.parts["rgb"].shape[1]

    @property
    def noise(self) -> float | None:
        """Unknown: Mitsuba keeps no squares."""
        return None

    def cleaned(self, clean: np.ndarray, aovs: tuple[str, ...]) -> Picture:
        """The picture shown as `clean`, with no auxiliary images but `aovs`; see `Film`."""
        kept = {name: image for name, image in self.parts.items() if name in aovs}
        return replace(self, parts={"rgb": clean, **kept, "noisy": self.parts["rgb"]})

    def save(self, path: str | Path, colors: str = "rec709") -> None:
        """Write all parts as EXR, or the picture alone as PNG; see `Film.save`."""
        if Path(path).suffix.lower() == ".png":
            write_png(path, np.clip(self.parts["rgb"], 0.0, 1.0))
        else:
            write_exr(
                path,
                in_space(self.parts, colors),
                self.metadata,
                channels=EXR_CHANNELS,
                primaries=SPACES[colors],
            )


def render(
    mi_scene: Any,
    *,
    spp: int,
    seed: int = 0,
    max_depth: int = 8,
    aovs: tuple[str, ...] = (),
    hide_emitters: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Picture:
    """Render with `spp` samples in all; Ctrl-C keeps the passes that are complete."""
    import mitsuba as mi

    unknown = [name for name in aovs if name not in AOVS]
    if unknown:
        raise InputError("aov", "is unknown", got=unknown[0], expected=", ".join(AOVS))
    integrator: dict[str, Any] = {
        "type": "path",
        "max_depth": max_depth,
        "hide_emitters": hide_emitters,
    }
    if aovs:
        wanted = ",".join(f"{name}:{AOVS[name]}" for name in aovs)
        integrator = {"type": "aov", "aovs": wanted, "image": integrator}
    loaded = mi.load_dict(integrator)
    width, height = (int(side) for side in mi_scene.sensors()[0].film().crop_size())
    step = max(1, min(spp, PASS_SAMPLES // max(width * height, 1)))
    total: np.ndarray | None = None
    done, interrupted = 0, False
    try:
        while done < spp:
            count = min(step, spp - done)
            image = mi.render(mi_scene, integrator=loaded, spp=count, seed=seed * 65537 + done)
            values = np.asarray(image, np.float64) * count
            total = values if total is None else total + values
            done += count
            if progress is not None:
                progress(done, spp)
    except KeyboardInterrupt:
        if total is None:
            raise
        interrupted = True
    assert total is not None
    return Picture(_split((total / done).astype(np.float32), aovs), done, interrupted)


def _split(image: np.ndarray, aovs: tuple[str, ...]) -> dict[str, np.ndarray]:
    widths = {"depth": 1, "uv": 2, "shape_id": 1}
    extra = sum(widths.get(name, 3) for name in aovs)
    start = image.shape[2] - extra
    parts = {"rgb": image[..., :3]}
    for name in aovs:
        width = widths.get(name, 3)
        parts[name] = image[..., start : start + width]
        start += width
    return parts
