"""Several bakes of one material side by side: error, size and time, and which of them are best."""

from __future__ import annotations

import base64
import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from etendue.artifact import read_artifact
from etendue.bsdf.base import InlineBSDF
from etendue.core.files import atomic_path
from etendue.core.image import write_png
from etendue.core.metrics import flip_ldr
from etendue.report.views import VIEWS, Stage
from etendue.scene.material import LayeredMaterial


@dataclass(frozen=True)
class Candidate:
    """One bake: what distinguishes it, its file, and what `etendue bake` said of it."""

    label: str
    path: Path
    figures: dict[str, Any]


@dataclass(frozen=True)
class FrontSettings:
    """How much work a comparison does."""

    size: tuple[int, int] = (240, 180)
    spp: int = 256
    views: int = 3
    rounds: int = 5  # timed renders of every candidate, alternating
    timed_spp: int = 16


def measure(
    material: LayeredMaterial,
    candidates: Sequence[Candidate],
    folder: Path,
    settings: FrontSettings | None = None,
    advance: Callable[[str], None] = lambda what: None,
) -> list[dict[str, Any]]:
    """FLIP against the layered reference and render time of every candidate, and their pictures.

    All are compared with one reference picture per view and share its camera samples' number, not
    their seed. Times are medians of alternating rounds in the first view.
    """
    from etendue.bsdf.transmission import reference

    settings = settings or FrontSettings()
    loaded = {c.label: _load(c.path) for c in candidates}
    truth = reference(material)
    flips: dict[str, list[float]] = {c.label: [] for c in candidates}
    folder.mkdir(parents=True, exist_ok=True)
    seconds: dict[str, list[float]] = {c.label: [] for c in candidates}
    for number, view in enumerate(VIEWS[: settings.views]):
        stage = Stage(view, candidates[0].path, settings.size)
        advance(f"{view.name}: reference")
        expected = stage.shoot(truth, settings.spp, 1).rgb
        write_png(folder / f"view{number + 1}_reference.png", expected)
        for label, neural in loaded.items():
            advance(f"{view.name}: {label}")
            picture = stage.shoot(neural, settings.spp, 2).rgb
            flips[label].append(float(flip_ldr(expected, picture).mean()))
            write_png(folder / f"view{number + 1}_{label}.png", picture)
        if number == 0:
            advance("time")
            _race(stage, loaded, settings, seconds)
    rows = [_row(c, flips[c.label], statistics.median(seconds[c.label])) for c in candidates]
    for row in rows:
        row["best_by_size"] = not any(_better(other, row, "bytes") for other in rows)
        row["best_by_time"] = not any(_better(other, row, "render_ms") for other in rows)
    return rows


def _load(path: Path) -> InlineBSDF:
    from etendue.bsdf.neural import NeuralBSDF
    from etendue.bsdf.neural_transmission import NeuralTransmission
    from etendue.bsdf.transmission_artifact import is_transmission

    artifact = read_artifact(path, kind="material")
    return (NeuralTransmission if is_transmission(artifact) else NeuralBSDF)(artifact, path)


def _race(
    stage: Stage,
    loaded: dict[str, InlineBSDF],
    settings: FrontSettings,
    seconds: dict[str, list[float]],
) -> None:
    """Fill `seconds`; the first round compiles and does not count."""
    for k in range(settings.rounds + 1):
        for label, neural in loaded.items():
            began = time.perf_counter()
            stage.shoot(neural, settings.timed_spp, 100 + k)
            if k > 0:
                seconds[label].append(time.perf_counter() - began)


def _row(candidate: Candidate, flips: list[float], seconds: float) -> dict[str, Any]:
    figures = candidate.figures
    return {
        "label": candidate.label,
        "file": candidate.path.name,
        "flip": flips,
        "mean_flip": float(np.mean(flips)),
        "heldout": figures["heldout"][0]["relative"] if figures["heldout"] else None,
        "bytes": candidate.path.stat().st_size,
        "render_ms": 1000 * seconds,
        "steps": figures["steps"],
        "bake_s": figures["seconds"],
        "reproduce": figures["reproduce"],
    }


def _better(a: dict[str, Any], b: dict[str, Any], cost: str) -> bool:
    """Whether `a` dominates `b` in error and `cost`."""
    no_worse = a["mean_flip"] <= b["mean_flip"] and a[cost] <= b[cost]
    return no_worse and (a["mean_flip"] < b["mean_flip"] or a[cost] < b[cost])


def write_front(
    folder: Path, name: str, rows: list[dict[str, Any]], settings: FrontSettings | None = None
) -> Path:
    """Write `folder/front.html`, self-contained, and `front.json`."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    from etendue.report import plots

    settings = settings or FrontSettings()
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined
    )
    labels = ["reference", *(row["label"] for row in rows)]
    pictures = [
        {label: _inline((folder / f"view{k + 1}_{label}.png").read_bytes()) for label in labels}
        for k in range(settings.views)
    ]
    page = environment.get_template("front.html.j2").render(
        name=name, rows=rows, labels=labels, pictures=pictures, plot=_inline(plots.front(rows)),
        settings=settings, views=[view.name for view in VIEWS],
    )  # fmt: skip
    with atomic_path(folder / "front.json") as temporary:
        temporary.write_text(json.dumps({"name": name, "rows": rows}, indent=1))
    with atomic_path(folder / "front.html") as temporary:
        temporary.write_text(page)
    return folder / "front.html"


def _inline(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()
