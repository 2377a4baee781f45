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
from etendue.core.errors import DeviceError, InputError
from etendue.render.build import BuiltScene, build
from etendue.scene.scene import Scene
from etendue.schedule import Priority, Task


@dataclass(frozen=True)
class Request:
    """The options of one rendering; None leaves the choice to the scene file."""

    spp: int | None
    seed: int
    size: tuple[int, int] | None
    crop: tuple[int, int, int, int] | None
    aovs: tuple[str, ...]
    max_depth: int | None
    camera: str | None
    backend: str
    kernel: str
    quiet: bool
    trace: Path | None = None
    metrics: Path | None = None
    cluster: str | None = None


def render_to(scene: Scene, output: Path, request: Request) -> tuple[dict[str, Any], bool]:
    """Build, render and save; returns the figures and whether Ctrl-C cut the rendering short."""
    say: Callable[[str], None] = _ignore if request.quiet else _tell
    wanted = request.backend
    if request.cluster is not None:
        if wanted not in ("auto", "drjit"):
            raise InputError("--cluster", "needs --backend drjit", got=wanted)
        wanted = "drjit"
    variant, backend = _choose(wanted, say)
    start = time.perf_counter()
    with scheduled(request.trace, request.metrics) as scheduler:
        building = Task("build scene", lambda: _build(scene, request, variant, say))
        (job,) = scheduler.submit(building)
        built = job.result()
        if backend == "auto":  # no LLVM: plain Python only where Mitsuba cannot help
            backend = "naive" if built.twins else "mitsuba"
            say(f"note: rendering with {backend}")
        middle = time.perf_counter()
        with Progress("rendering", shown=not request.quiet) as progress:
            step = stepwise(progress)  # a step of the task is a pass
            rendering = Task(
                "render",
                lambda: _render(backend, scene, built, request, step),
                priority=Priority.REFINE,
                shape=built.size,
            )
            (job,) = scheduler.submit(rendering)
            picture = job.result()
    end = time.perf_counter()
    picture.save(output)
    image = picture.parts["rgb"]
    figures = {
        "output": str(output),
        "width": image.shape[1],
        "height": image.shape[0],
        "spp": picture.spp,
        "spp_wanted": built.spp,
        "seed": request.seed,
        "max_depth": built.max_depth,
        "backend": backend,
        "cluster": request.cluster,
        "variant": variant,
        "build_s": round(middle - start, 4),
        "render_s": round(end - middle, 4),
        "mean": [float(value) for value in image[..., :3].mean((0, 1))],
        "parts": list(picture.parts),
        "shapes": list(built.shapes),
        "notes": list(built.notes),
    }
    return figures, picture.interrupted


def _options(request: Request) -> dict[str, Any]:
    """What `build` gets of a request."""
    return {
        "size": request.size,
        "crop": request.crop,
        "camera": request.camera,
        "max_depth": request.max_depth,
        "spp": request.spp,
    }


def _build(scene: Scene, request: Request, variant: str, say: Callable[[str], None]) -> BuiltScene:
    built = build(scene, variant=variant, **_options(request))
    for note in built.notes:
        say(f"note: {note}")
    return built


def _tell(text: str) -> None:
    print(text, file=sys.stderr)


def _ignore(text: str) -> None:
    """Say nothing."""


def _choose(backend: str, say: Callable[[str], None]) -> tuple[str, str]:
    """(Mitsuba variant, back end); without a usable LLVM the scalar variant, and it is said."""
    from etendue.device.caps import FALLBACK_VARIANT, best_variant
    from etendue.device.drjit import DEFAULT_VARIANT

    if backend == "drjit":
        return DEFAULT_VARIANT, backend  # an unusable LLVM is then an error that says so
    if backend == "naive":
        return FALLBACK_VARIANT, backend
    if backend == "slang":  # Mitsuba only reads the scene: any variant will do
        return best_variant()[0], backend
    variant, reason = best_variant()
    if variant == FALLBACK_VARIANT:
        say(f"note: {reason}")
        return variant, backend
    return variant, "drjit" if backend == "auto" else backend


def _render(
    backend: str,
    scene: Scene,
    built: BuiltScene,
    request: Request,
    progress: Callable[[int, int], None],
) -> Any:
    options: dict[str, Any] = {
        "spp": built.spp,
        "seed": request.seed,
        "max_depth": built.max_depth,
        "aovs": request.aovs,
    }
    if request.cluster is not None:
        from etendue.commands._render_cluster import render_tiles
        from etendue.schedule.remote import Cluster

        options["hide_emitters"] = built.hide_emitters
        with Cluster(request.cluster) as cluster:
            return render_tiles(cluster, scene, built, _options(request), options, progress)
    options["progress"] = progress
    if backend == "naive":
        from etendue.render.path.naive import render

        return render(built.mi_scene, built.twins, **options)
    options["hide_emitters"] = built.hide_emitters
    if backend == "slang":
        from etendue.render.path.slang import render

        return render(built.mi_scene, built.baked, kernel=request.kernel, **options)
    if backend == "mitsuba":
        if built.twins:
            raise DeviceError("neural materials", "need a usable LLVM in Mitsuba's path tracer")
        from etendue.render.mitsuba_path import render
    else:
        from etendue.render.path.drjit import render

        options["kernel"] = request.kernel
    return render(built.mi_scene, **options)
