"""What `etendue render` does once its options are known to be sound."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from etendue.commands._render_progress import Progress
from etendue.commands._schedule import scheduled, stepwise
from etendue.render.checkpoint import remove_checkpoint
from etendue.render.job import Options, Watching, build_scene, prepare, render_built, settle
from etendue.scene.scene import Scene
from etendue.schedule import Priority, Task


@dataclass(frozen=True)
class Manner:
    """How the command behaves while it renders."""

    quiet: bool = False
    trace: Path | None = None
    metrics: Path | None = None
    late: float = 0.0  # seconds since the command began

    @property
    def say(self) -> Callable[[str], None]:
        """Where notes go."""
        return _ignore if self.quiet else _tell


def render_to(
    scene: Scene, output: Path, options: Options, manner: Manner
) -> tuple[dict[str, Any], bool]:
    """Build, render and save; returns the figures and whether Ctrl-C cut the rendering short."""
    began = time.monotonic() - manner.late
    variant, backend = prepare(options, manner.say)
    start = time.perf_counter()
    with scheduled(manner.trace, manner.metrics) as scheduler:
        building = Task("build scene", lambda: build_scene(scene, options, variant, manner.say))
        (job,) = scheduler.submit(building)
        built = job.result()
        backend = settle(backend, built, manner.say)
        middle = time.perf_counter()
        with Progress("rendering", shown=not manner.quiet) as progress:
            watching = Watching(stepwise(progress), began=began)  # a step of the task is a pass
            rendering = Task(
                "render",
                lambda: render_built(backend, scene, built, options, watching, output),
                priority=Priority.REFINE,
                shape=built.size,
            )
            (job,) = scheduler.submit(rendering)
            picture = job.result()
    end = time.perf_counter()
    picture.save(output)
    if not picture.interrupted:
        remove_checkpoint(output)
    image = picture.parts["rgb"]
    figures = {
        "output": str(output),
        "width": image.shape[1],
        "height": image.shape[0],
        "spp": picture.spp,
        "spp_wanted": built.spp,
        "seed": options.seed,
        "max_depth": built.max_depth,
        "backend": backend,
        "cluster": options.cluster,
        "variant": variant,
        "denoised": options.denoise,
        "samples": picture.samples,
        "noise": picture.noise,
        "build_s": round(middle - start, 4),
        "render_s": round(end - middle, 4),
        "mean": [float(value) for value in image[..., :3].mean((0, 1))],
        "parts": list(picture.parts),
        "shapes": list(built.shapes),
        "notes": list(built.notes),
    }
    return figures, picture.interrupted


def _tell(text: str) -> None:
    print(text, file=sys.stderr)


def _ignore(text: str) -> None:
    """Say nothing."""
