"""Held-out views and lights, rendered with the layered reference and with the neural material."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from etendue.bsdf.base import InlineBSDF
from etendue.bsdf.plugin import inline_of
from etendue.core.metrics import all_metrics, flip_ldr
from etendue.layout import assets
from etendue.render.build import build
from etendue.render.path.dispatch import InlineTable
from etendue.render.path.drjit import render
from etendue.scene.scene import load_scene


@dataclass(frozen=True)
class View:
    """A scene under one light and camera, and the shapes that carry the material."""

    name: str
    scene: str  # below assets/scenes
    shapes: tuple[str, ...]
    parameters: Mapping[str, str] = field(default_factory=dict)


VIEWS = (
    View("showcase, key light left", "showcase/showcase.xml", ("Ball", "Ring", "Swatch")),
    View(
        "showcase, lights turned by 140 degrees",
        "showcase/showcase.xml",
        ("Ball", "Ring", "Swatch"),
        {"turn": "140"},
    ),
    View("sphere under a softbox", "sphere.xml", ("Sphere",)),
    View(
        "showcase, lights turned by 60 degrees",
        "showcase/showcase.xml",
        ("Ball", "Ring", "Swatch"),
        {"turn": "60"},
    ),
    View(
        "showcase, lights turned by 250 degrees",
        "showcase/showcase.xml",
        ("Ball", "Ring", "Swatch"),
        {"turn": "250"},
    ),
)


@dataclass(frozen=True)
class Comparison:
    """One view: pictures, FLIP map and figures; `mask` marks pixels of the material."""

    name: str
    reference: np.ndarray
    neural: np.ndarray
    flip: np.ndarray
    mask: np.ndarray
    figures: dict[str, Any]


class Stage:
    """A built view whose material can be exchanged without building the scene again."""

    def __init__(self, view: View, artifact: Path, size: tuple[int, int]) -> None:
        description = load_scene(
            assets() / "scenes" / view.scene,
            parameters=view.parameters,
            assignments=dict.fromkeys(view.shapes, artifact),
        )
        self.built = build(description, size=size)
        self.table = InlineTable.from_scene(self.built.mi_scene)
        shapes = self.built.mi_scene.shapes()
        self.carriers = [k for k, shape in enumerate(shapes) if inline_of(shape.bsdf())]

    def shoot(self, material: InlineBSDF, spp: int, seed: int, **options: Any) -> Any:
        """Film of the view with every baked shape made of `material`."""
        return render(
            self.built.mi_scene,
            self.table.made_of(material),
            spp=spp,
            seed=seed,
            max_depth=self.built.max_depth,
            **options,
        )


def compare_view(
    view: View,
    artifact: Path,
    reference: InlineBSDF,
    neural: InlineBSDF,
    *,
    size: tuple[int, int],
    spp: int,
    advance: Callable[[str], None] = lambda what: None,
) -> Comparison:
    """Render `view` both ways at `spp` samples and measure the difference."""
    stage = Stage(view, artifact, size)
    advance(f"{view.name}: reference")
    truth = stage.shoot(reference, spp, 1)
    advance(f"{view.name}: neural")
    ours = stage.shoot(neural, spp, 2, aovs=("shape_id",))
    flip = flip_ldr(truth.rgb, ours.rgb)
    mask = np.isin(ours.aovs["shape_id"].reshape(flip.shape), stage.carriers)
    figures: dict[str, Any] = all_metrics(truth.rgb, ours.rgb)
    figures["flip_on_material"] = float(flip[mask].mean()) if mask.any() else None
    figures["covered"] = float(mask.mean())
    figures["bias_on_material"] = _bias(truth.rgb, ours.rgb, mask)
    figures["bias_on_rim"] = _bias(truth.rgb, ours.rgb, rim(mask))
    return Comparison(view.name, truth.rgb, ours.rgb, flip, mask, figures)


def rim(mask: np.ndarray, width: int = 2) -> np.ndarray:
    """Pixels (H, W) of `mask` at most `width` pixels away from one that is not in it."""
    inner = mask
    for _ in range(width):
        p = np.pad(inner, 1, constant_values=True)
        inner = inner & p[:-2, 1:-1] & p[2:, 1:-1] & p[1:-1, :-2] & p[1:-1, 2:]
    return mask & ~inner


def _bias(truth: np.ndarray, ours: np.ndarray, mask: np.ndarray) -> float | None:
    """Relative difference of the means over `mask`."""
    return float(ours[mask].mean() / truth[mask].mean() - 1) if mask.any() else None


def time_to_equal_error(
    view: View,
    artifact: Path,
    reference: InlineBSDF,
    neural: InlineBSDF,
    truth: np.ndarray,
    *,
    size: tuple[int, int],
    spp: int = 16,
    repeats: int = 3,
) -> dict[str, float]:
    """How much longer the reference needs for the relMSE that the neural material has at `spp`.

    Both are timed alternating in one run (median); the error of a render at n samples falls as
    1/n for the unbiased reference, while the neural one's includes its bias, so
    ratio = (t_ref e_ref) / (t_neural e_neural) with errors against the converged `truth`.
    """
    from etendue.core.metrics import rel_mse

    stage = Stage(view, artifact, size)
    seconds: dict[str, list[float]] = {"reference": [], "neural": []}
    errors: dict[str, list[float]] = {"reference": [], "neural": []}
    for k in range(-1, repeats):  # the first round compiles and is not counted
        for name, material in (("reference", reference), ("neural", neural)):
            began = time.perf_counter()
            film = stage.shoot(material, spp, 100 + k)
            if k >= 0:
                seconds[name].append(time.perf_counter() - began)
                errors[name].append(rel_mse(truth, film.rgb))
    t = {name: statistics.median(values) for name, values in seconds.items()}
    e = {name: statistics.median(values) for name, values in errors.items()}
    return {
        "reference_s": t["reference"],
        "neural_s": t["neural"],
        "time_ratio_same_spp": t["reference"] / t["neural"],
        "reference_rel_mse": e["reference"],
        "neural_rel_mse": e["neural"],
        "time_ratio_equal_error": t["reference"] * e["reference"] / (t["neural"] * e["neural"]),
        "spp": spp,
        "repeats": repeats,
    }
