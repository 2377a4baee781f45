"""One picture of 320 x 180, with and without guides.

`python -m etendue.plugins.denoise.bench` prints the errors against a long rendering instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from etendue.device.drjit import activate
from etendue.plugins.denoise import model


def cases() -> Iterator[tuple[str, Callable[..., Any], dict[str, Any]]]:
    """The same picture with more and more guides."""
    inputs = model.example({"h": 180, "w": 320}, 0)
    run = model.high(0)
    for label, names in (
        ("high, color", ("color",)),
        ("high, color and albedo", ("color", "albedo")),
        ("high, color, albedo and normal", ("color", "albedo", "normal")),
    ):
        yield label, run, {name: inputs[name] for name in names}


def quality(size: int = 160, spp: int = 8, truth_spp: int = 1024) -> dict[str, float]:
    """relMSE of Mitsuba's Cornell box against a long rendering, without and with denoising."""
    mi = activate()
    box = mi.cornell_box()
    box["sensor"]["film"] = {
        "type": "hdrfilm",
        "width": size,
        "height": size,
        "rfilter": {"type": "box"},
        "pixel_format": "rgb",
    }
    scene = mi.load_dict(box)
    path = {"type": "path", "max_depth": 6}
    guided = {"type": "aov", "aovs": "albedo:albedo,normal:sh_normal", "path": path}
    image = np.array(mi.render(scene, integrator=mi.load_dict(guided), spp=spp, seed=0))
    parts = {
        name: np.ascontiguousarray(image[..., 3 * i : 3 * i + 3])
        for i, name in enumerate(("color", "albedo", "normal"))
    }
    truth = np.array(mi.render(scene, integrator=mi.load_dict(path), spp=truth_spp, seed=1))
    run = model.high(0)
    pictures = {"noisy": parts["color"]}
    for names in (("color",), ("color", "albedo"), ("color", "albedo", "normal")):
        pictures[", ".join(names)] = run(**{name: parts[name] for name in names})["color"]
    return {
        name: float(np.mean((picture - truth) ** 2 / (truth**2 + 0.01)))
        for name, picture in pictures.items()
    }


if __name__ == "__main__":
    for label, error in quality().items():
        print(f"{label}: relMSE {error:.4f}")
