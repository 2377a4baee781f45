"""The fast path tracer: a wavefront of pixels and samples in one Dr.Jit kernel; oracle: `naive`.

Every path has its own random stream, keyed by seed, pixel and sample number, and sums are added
in a fixed order: the same seed gives the same bits, whatever the crop, the size of a pass, and
how often the work was interrupted and resumed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np

from etendue.core.errors import InputError
from etendue.render.aov import check_aovs, render_aovs
from etendue.render.checkpoint import Store
from etendue.render.film import Film
from etendue.render.path.adaptive import Adaptive
from etendue.render.path.camera_rays import (
    GROUP,
    Block,
    Window,
    full_film,
    pixel_cone,
    primary_rays,
    start_paths,
    world_to_camera,
)
from etendue.render.path.dispatch import InlineTable
from etendue.render.path.drjit_kernels import Job, choose
from etendue.render.path.footprint import Cone
from etendue.render.path.interrupt import Interrupt
from etendue.render.path.loop import STRATEGIES, PathOptions, trace_paths
from etendue.render.path.uniform import Uniform
from etendue.render.path.volume import Volume
from etendue.render.path.work import Progress, Watch, Work
from etendue.render.placed import Placed

PASS_SAMPLES = 1 << 21  # largest wavefront
PROBE_SAMPLES = 1 << 15  # paths of one probe
TIMED_AOV_SAMPLES = 32
TIMED_SAMPLES = 64  # per pixel; what a kernel is chosen for where their number is open


def render(
    scene: Any,
    inline: InlineTable | None = None,
    *,
    fields: tuple[Placed, ...] = (),
    spp: int,
    seed: int = 0,
    max_depth: int = 8,
    rr_depth: int = 5,
    aovs: tuple[str, ...] = (),
    sensor: int = 0,
    strategy: str = "mis",
    hide_emitters: bool = False,
    crop: tuple[int, int, int, int] | None = None,
    pass_samples: int = PASS_SAMPLES,
    seconds: float | None = None,
    noise: float | None = None,
    store: Store | None = None,
    watch: Watch | None = None,
    progress: Progress | None = None,
    cancel: Callable[[], bool] | None = None,
    kernel: str = "auto",
) -> Film:
    """Path-trace `scene` (built for the active Mitsuba variant).

    `max_depth` counts path vertices as Mitsuba does (-1 = unlimited, 1 = emitters only). `crop` is
    (x, y, width, height) in the sensor's picture. `spp` samples are taken, or as many as `seconds`
    allow, or, with `noise`, as many as each tile needs to come down to it (see `render.noise`).
    `kernel` says how neural materials are run (`drjit_kernels`), which changes the time only.
    `fields` are radiance fields that stand in the scene. `store` keeps the state of the work on
    disk. `progress` gets work done and work in total, `watch` every pass. Ctrl-C or `cancel()` ends
    after the current pass; the film then is not `complete`.
    """
    check_options(spp, seed, max_depth, rr_depth, strategy, pass_samples)
    check_aovs(aovs)
    table = InlineTable.from_scene(scene) if inline is None else inline
    options = PathOptions(max_depth, rr_depth, strategy, hide_emitters)
    camera = scene.sensors()[sensor]
    with full_film(camera, crop) as window, Interrupt(cancel) as stop:
        volume, cone = Volume.of(fields), pixel_cone(camera, window)
        tracer = Tracer(scene, table, options, camera, window, cone, seed, volume)
        plan = Uniform(window, spp) if noise is None else Adaptive(window, spp, noise)
        work = Work(tracer, plan, pass_samples, seconds, store, watch, progress)
        choice = choose(table, kernel, job_of(tracer, spp if work.counted else TIMED_SAMPLES))
        before = work.restore()
        shown = aov_samples(spp, timed=not work.counted)
        after = scene.sensors()[-1] if len(scene.sensors()) > 1 else None
        guides = before or render_aovs(
            scene, table, camera, window, aovs, shown, seed, pass_samples, after, volume
        )
        finished = work.run(stop, guides)
    facts = {"max_depth": max_depth, "strategy": strategy, "samples": plan.done}
    facts |= {"kernel": choice.kernel, "kernel_reason": choice.reason}
    if noise is not None:
        facts["noise_asked"] = noise
    film = plan.film(seed, finished=finished, aovs=guides, metadata=facts)
    place = (window.x, window.y, window.full_width, window.full_height)
    return replace(film, place=place, world_to_camera=world_to_camera(camera))


def job_of(tracer: Tracer, spp: int) -> Job:
    """What kernels are compared for: a picture of `spp` samples, tried at three places."""
    pixels = tracer.window.width * tracer.window.height
    samples = min(spp, GROUP)
    small = probes(Block(0, pixels, 0, samples, samples))
    total = pixels * spp
    return Job(
        total,
        -(-total // PASS_SAMPLES),
        [partial(tracer, block) for block in small],
        sum(block.paths for block in small),
    )


def probes(block: Block) -> list[Block]:
    """Small parts of a pass, at three places, on which kernels are compared."""
    pixels = max(1, min(block.pixels // 3, PROBE_SAMPLES // block.samples))
    places = sorted({(block.pixels - pixels) * k // 4 for k in (1, 2, 3)})
    return [replace(block, first=block.first + place, pixels=pixels) for place in places]


def aov_samples(spp: int, *, timed: bool) -> int:
    """Samples of auxiliary images: those of the picture, or a few where their number is open."""
    return min(spp, TIMED_AOV_SAMPLES) if timed else spp


@dataclass(frozen=True)
class Tracer:
    """What all passes of a picture share."""

    scene: Any
    table: InlineTable
    options: PathOptions
    camera: Any
    window: Window
    cone: Cone
    seed: int
    volume: Volume

    def __call__(self, block: Block) -> tuple[np.ndarray, int, int]:
        """Sums over groups of samples (pixels, groups, 6), samples not finite, path segments."""
        x, y, rng = start_paths(self.window, block, self.seed)
        ray, weight = primary_rays(self.camera, self.window, x, y, rng)
        radiance, segments = trace_paths(
            self.scene, self.table, self.options, ray, rng, self.cone, self.volume
        )
        radiance = weight * radiance
        bad = ~dr.isfinite(radiance.x + radiance.y + radiance.z)
        radiance = dr.select(bad, 0.0, radiance)
        bad = dr.select(bad, mi.UInt(1), mi.UInt(0))
        channels = [*radiance, *(radiance * radiance)]
        dr.eval(channels, bad, segments)
        sums = [dr.block_sum(channel, block.group).numpy() for channel in channels]
        shape = (block.pixels, block.samples // block.group)
        groups = np.stack([s.reshape(shape) for s in sums], -1)
        return groups, int(dr.sum(bad)[0]), int(segments.numpy().sum(dtype=np.int64))


def check_options(
    spp: int, seed: int, max_depth: int, rr_depth: int, strategy: str, pass_samples: int
) -> None:
    """Raise `InputError` for an option out of range."""
    for name, value, low in (
        ("spp", spp, 1),
        ("max_depth", max_depth, -1),
        ("rr_depth", rr_depth, 1),
        ("pass_samples", pass_samples, GROUP),
    ):
        if value < low:
            raise InputError(name, "is too small", got=value, expected=f"at least {low}")
    if not 0 <= seed < 1 << 32:
        raise InputError("seed", "is out of range", got=seed, expected=f"0..{(1 << 32) - 1}")
    if strategy not in STRATEGIES:
        raise InputError("strategy", "is unknown", got=strategy, expected=", ".join(STRATEGIES))
