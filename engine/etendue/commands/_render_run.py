"""What `etendue render` does once its options are known to be sound."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from etendue.cli_support import as_json
from etendue.commands._render_progress import Progress
from etendue.commands._schedule import scheduled, stepwise
from etendue.core.files import atomic_path
from etendue.render.build import BuiltScene
from etendue.render.checkpoint import checkpoint_path, remove_checkpoint
from etendue.render.frames import Wish
from etendue.render.job import (
    Options,
    Watching,
    build_scene,
    finished,
    prepare,
    sampled,
    settle,
)
from etendue.scene.scene import Scene, load_scene
from etendue.schedule import Priority, Task

if TYPE_CHECKING:
    from etendue.render.path.work import Pass


@dataclass(frozen=True)
class Manner:
    """How the command behaves while it renders."""

    quiet: bool = False
    trace: Path | None = None
    metrics: Path | None = None
    late: float = 0.0  # seconds since the command began
    stats: bool = False  # whether passes are recorded
    label: str = "rendering"
    keep_partial: bool = True  # save also what Ctrl-C cut short
    identity: str = ""  # of the picture, stored in it

    @property
    def say(self) -> Callable[[str], None]:
        """Where notes go."""
        return _ignore if self.quiet else _tell


@dataclass
class Stats:
    """What the passes of a picture did."""

    passes: list[Pass] = field(default_factory=list)

    def figures(self) -> dict[str, Any]:
        """Sums, and a row for each pass."""
        return {
            "paths": sum(p.paths for p in self.passes),
            "segments": sum(p.segments for p in self.passes),
            "seconds": round(sum(p.seconds for p in self.passes), 4),
            "passes": [asdict(p) for p in self.passes],
        }


@dataclass(frozen=True)
class Drawn:
    """A picture that is sampled but neither cleaned nor saved, and what is said about it."""

    picture: Any
    figures: dict[str, Any]


Run = Callable[[Task], Any]  # what a task returns


def draw(scene: Scene, output: Path, options: Options, manner: Manner, run: Run) -> Drawn:
    """Build and sample."""
    began, stats = time.monotonic() - manner.late, Stats()
    variant, backend = prepare(options, manner.say)
    start = time.perf_counter()
    built = run(Task("build scene", lambda: build_scene(scene, options, variant, manner.say)))
    backend = settle(backend, built, manner.say)
    middle = time.perf_counter()
    with Progress(manner.label, shown=not manner.quiet) as progress:
        passes = stats.passes.append if manner.stats else None
        watching = Watching(stepwise(progress), passes, began)  # a step is a pass
        rendering = Task(
            "render",
            lambda: sampled(backend, scene, built, options, watching, output),
            priority=Priority.REFINE,
            shape=built.size,
        )
        picture = run(rendering)
    end = time.perf_counter()
    if manner.identity:
        picture = replace(picture, metadata={**picture.metadata, "identity": manner.identity})
    figures = {
        "output": str(output),
        "backend": backend,
        "variant": variant,
        "build_s": round(middle - start, 4),
        "render_s": round(end - middle, 4),
        **_figures(picture, built, options),
    }
    if manner.stats:
        figures["stats"] = stats.figures()
    return Drawn(picture, figures)


def finish(drawn: Drawn, output: Path, options: Options, keep_partial: bool) -> dict[str, Any]:
    """Remove noise where asked for, and save; the figures."""
    picture, start = finished(drawn.picture, options), time.perf_counter()
    if keep_partial or not picture.interrupted:
        picture.save(output, options.colors)
    if not picture.interrupted:
        remove_checkpoint(output)
    saved = {"save_s": round(time.perf_counter() - start, 4), "parts": list(picture.parts)}
    return {**drawn.figures, **saved}


def render_to(
    scene: Scene, output: Path, options: Options, manner: Manner
) -> tuple[dict[str, Any], bool]:
    """Build, render and save; returns the figures and whether Ctrl-C cut the rendering short."""
    if options.resume and not checkpoint_path(output).is_file():
        manner.say(f"note: there is no checkpoint of {output}: rendering from the beginning")
    with scheduled(manner.trace, manner.metrics) as scheduler:
        drawn = draw(
            scene, output, options, manner, lambda task: scheduler.submit(task)[0].result()
        )
        saving = Task("finish", lambda: finish(drawn, output, options, manner.keep_partial))
        (job,) = scheduler.submit(saving)
        return job.result(), drawn.picture.interrupted


def _figures(picture: Any, built: BuiltScene, options: Options) -> dict[str, Any]:
    """What is said about a picture."""
    image = picture.parts["rgb"]
    return {
        "width": image.shape[1],
        "height": image.shape[0],
        "spp": picture.spp,
        "spp_wanted": None if options.seconds or options.noise else built.spp,
        "samples": picture.samples,
        "noise": picture.noise,
        "denoised": options.denoise,
        "seed": options.seed,
        "max_depth": built.max_depth,
        "cluster": options.cluster,
        "mean": [float(value) for value in image[..., :3].mean((0, 1))],
        "shapes": list(built.shapes),
        "notes": list(built.notes),
    }


@dataclass(frozen=True)
class Command:
    """Everything that the command line asked for."""

    scene: Path
    loading: dict[str, Any]  # options of `load_scene`, and `edits`
    output: Path
    options: Options
    manner: Manner
    stats: Path | None
    wish: Wish

    def load(self) -> Scene:
        """Read the scene."""
        return load_scene(self.scene, **self.loading)

    def render(self, scene: Scene) -> tuple[dict[str, Any], bool]:
        """The picture or the frames; figures, and whether Ctrl-C came."""
        if self.wish:
            from etendue.commands._render_frames import render_frames

            result = render_frames(scene, self.output, self.options, self.manner, self.wish)
        else:
            result = render_to(scene, self.output, self.options, self.manner)
        if self.stats is not None:
            with atomic_path(self.stats) as temporary:
                temporary.write_text(as_json(result[0]) + "\n", encoding="utf-8")
        return result

    def run(self) -> tuple[dict[str, Any], bool]:
        """Load and render."""
        return self.render(self.load())


def _tell(text: str) -> None:
    print(text, file=sys.stderr)


def _ignore(text: str) -> None:
    """Say nothing."""
