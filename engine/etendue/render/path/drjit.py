"""The fast path tracer: a wavefront of pixels and samples in one Dr.Jit kernel; oracle: `naive`.

Every path has its own random stream, keyed by seed, pixel and sample number, and sums are added
in a fixed order: the same seed gives the same bits, whatever the crop and the size of a pass.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np

from etendue.core.errors import InputError
from etendue.render.aov import check_aovs, render_aovs
from etendue.render.film import Accumulator, Film
from etendue.render.path.camera_rays import (
    GROUP,
    Block,
    Window,
    full_film,
    passes,
    pixel_cone,
    primary_rays,
    start_paths,
)
from etendue.render.path.dispatch import InlineTable
from etendue.render.path.drjit_kernels import Job, choose
from etendue.render.path.interrupt import Interrupt
from etendue.render.path.loop import STRATEGIES, Cone, PathOptions, trace_paths

PASS_SAMPLES = 1 << 21  # largest wavefront
PROBE_SAMPLES = 1 << 15  # paths of one probe
Progress = Callable[[int, int], None]


def render(
    scene: Any,
    inline: InlineTable | None = None,
    *,
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
    progress: Progress | None = None,
    cancel: Callable[[], bool] | None = None,
    kernel: str = "auto",
) -> Film:
    """Path-trace `scene` (built for the active Mitsuba variant).

    `max_depth` counts path vertices as Mitsuba does (-1 = unlimited, 1 = emitters only). `crop` is
    (x, y, width, height) in the sensor's picture. `progress` gets samples done and samples in
    total. Ctrl-C or `cancel()` ends after the current pass; the film then is not `complete`.
    `kernel` says how neural materials are run (`drjit_kernels`), which changes the time only.
    """
    check_options(spp, seed, max_depth, rr_depth, strategy, pass_samples)
    check_aovs(aovs)
    table = InlineTable.from_scene(scene) if inline is None else inline
    options = PathOptions(max_depth, rr_depth, strategy, hide_emitters)
    camera = scene.sensors()[sensor]
    with full_film(camera, crop) as window, Interrupt(cancel) as stop:
        total = window.width * window.height * spp
        sums = Accumulator(window.height, window.width)
        guides = render_aovs(scene, table, camera, window, aovs, spp, seed, pass_samples)
        cone = pixel_cone(camera, window)
        blocks = list(passes(window, spp, pass_samples))

        def trace(block: Block) -> tuple[np.ndarray, int]:
            return _render_block(scene, table, options, camera, window, cone, block, seed)

        choice = choose(table, kernel, _job(blocks, trace))
        done = 0
        if progress is not None:
            progress(0, total)
        for block in blocks:
            if stop():
                break
            groups, invalid = trace(block)
            sums.add(block.first, groups, block.samples, invalid)
            done += block.pixels * block.samples
            if progress is not None:
                progress(done, total)
    facts = {
        "max_depth": max_depth,
        "strategy": strategy,
        "kernel": choice.kernel,
        "kernel_reason": choice.reason,
    }
    return sums.film(spp, seed, guides, facts)


def _job(blocks: list[Block], trace: Callable[[Block], Any]) -> Job:
    """What `blocks` ask for, with parts of the first one to try kernels on."""
    small = probes(blocks[0])
    return Job(
        sum(block.pixels * block.samples for block in blocks),
        len(blocks),
        [partial(trace, block) for block in small],
        sum(block.pixels * block.samples for block in small),
    )


def probes(block: Block) -> list[Block]:
    """Small parts of a pass, at three places, on which kernels are compared."""
    pixels = max(1, min(block.pixels // 3, PROBE_SAMPLES // block.samples))
    places = sorted({(block.pixels - pixels) * k // 4 for k in (1, 2, 3)})
    return [replace(block, first=block.first + place, pixels=pixels) for place in places]


def _render_block(
    scene: Any,
    table: InlineTable,
    options: PathOptions,
    camera: Any,
    window: Window,
    cone: Cone,
    block: Block,
    seed: int,
) -> tuple[np.ndarray, int]:
    """Sums over groups of samples (pixels, groups, 6), and how many samples were not finite."""
    x, y, rng = start_paths(window, block, seed)
    ray, weight = primary_rays(camera, window, x, y, rng)
    radiance = weight * trace_paths(scene, table, options, ray, rng, cone)
    bad = ~dr.isfinite(radiance.x + radiance.y + radiance.z)
    radiance = dr.select(bad, 0.0, radiance)
    bad = dr.select(bad, mi.UInt(1), mi.UInt(0))
    channels = [*radiance, *(radiance * radiance)]
    dr.eval(channels, bad)
    sums = [dr.block_sum(channel, block.group).numpy() for channel in channels]
    shape = (block.pixels, block.samples // block.group)
    return np.stack([s.reshape(shape) for s in sums], -1), int(dr.sum(bad)[0])


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
