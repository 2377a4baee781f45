"""The path tracer on a Slang device; oracle: `drjit`, whose random streams it shares.

The same seed draws the same camera rays as `drjit` does, so auxiliary images agree to rounding;
pictures agree in distribution.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from etendue.core.errors import InputError
from etendue.device.slang import SlangDevice, open_device
from etendue.render.aov import CHANNELS, IDS, check_aovs
from etendue.render.film import Accumulator, Film
from etendue.render.path.camera_rays import Block, Window, full_film, passes, pixel_cone
from etendue.render.path.drjit import _check as check_options
from etendue.render.path.interrupt import Interrupt
from etendue.render.path.loop import STRATEGIES
from etendue.render.path.slang_scene import camera, extract
from etendue.render.path.slang_upload import TRACERS, Kernel, Uploaded, buffer, upload

PASS_SAMPLES = 1 << 18  # largest number of paths between two looks at the clock
SUMS = 7  # numbers per group of samples: colour, its square, samples that were not finite
_AOV_AT = {"depth": 0, "position": 1, "normal": 4, "uv": 7, "albedo": 9}
_AOV_AT |= {"shape_id": 12, "material_id": 13}
_AOV_CHANNELS = 14


def render(
    scene: Any,
    baked: Mapping[str, Path] | None = None,
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
    progress: Callable[[int, int], None] | None = None,
    cancel: Callable[[], bool] | None = None,
    tracer: str = "auto",
    linear: str = "scalar",
    device: SlangDevice | None = None,
    uploaded: Uploaded | None = None,
) -> Film:
    """Path-trace a Mitsuba scene; options as in `drjit.render`.

    `baked` names the `.eta` file of shapes that show one. `tracer` is "rq" (ray queries), "rt"
    (ray-tracing pipeline), "bvh" (software) or "auto"; `linear` the network layer to link.
    """
    check_options(spp, seed, max_depth, rr_depth, strategy, pass_samples)
    check_aovs(aovs)
    if uploaded is None:
        device = device or open_device()
        uploaded = upload(device, extract(scene, baked))
    tracer = choose_tracer(uploaded.device, tracer)
    limit = max_depth if max_depth >= 0 else 0xFFFFFFFF
    eye = scene.sensors()[sensor]
    with full_film(eye, crop) as window, Interrupt(cancel) as stop:
        fixed = {
            **_settings(uploaded, eye, window),
            "seed": seed,
            "max_depth": limit,
            "rr_depth": rr_depth,
            "strategy": STRATEGIES.index(strategy),
            "hide_emitters": int(hide_emitters),
        }
        blocks = list(passes(window, spp, pass_samples))
        guides = _aovs(uploaded, tracer, linear, fixed, blocks, window, aovs, spp)
        sums = Accumulator(window.height, window.width)
        total, done = window.width * window.height * spp, 0
        kernel = Kernel(uploaded, tracer, "path_main", linear)
        if progress is not None:
            progress(0, total)
        for block in blocks:
            if stop():
                break
            values = _run(kernel, fixed, block, SUMS)
            sums.add(block.first, values[..., :6], block.samples, int(values[..., 6].sum()))
            done += block.pixels * block.samples
            if progress is not None:
                progress(done, total)
    facts = {"max_depth": max_depth, "strategy": strategy, "tracer": tracer, "linear": linear}
    return sums.film(spp, seed, guides, {**facts, "device": uploaded.device.name})


def choose_tracer(device: SlangDevice, wanted: str) -> str:
    """The way to trace rays: the wanted one, or ray queries where the device has them."""
    if wanted == "auto":
        return "rq" if {"ray_query", "acceleration_structure"} <= device.features else "bvh"
    if wanted not in TRACERS:
        raise InputError("tracer", "is unknown", got=wanted, expected=f"auto, {', '.join(TRACERS)}")
    device.require(f"render/path.{wanted}")
    return wanted


def _settings(uploaded: Uploaded, eye: Any, window: Window) -> dict[str, Any]:
    data, cone = uploaded.scene, pixel_cone(eye, window)
    size = (window.full_width, window.full_height)
    pinhole = camera(eye, size)
    vectors = {
        name: [float(x) for x in pinhole[name]] for name in ("origin", "corner", "dx", "dy")
    }
    return {
        **vectors,
        "near": pinhole["near"],
        "far": pinhole["far"],
        "cone_width": float(cone.width[0]),
        "cone_spread": float(cone.spread[0]),
        "full": list(size),
        "at": [window.x, window.y],
        "width": window.width,
        "emitters": data.emitter_count,
        "environment": data.environment,
        "faces": len(data.faces),
        "spheres": data.spheres,
        "sphere_data": data.sphere_data,
        "bvh": data.bvh,
        "leaves": data.leaves,
    }


def _run(kernel: Kernel, fixed: Mapping[str, Any], block: Block, channels: int) -> np.ndarray:
    """Results of one pass (pixels, groups, channels)."""
    groups = block.samples // block.group
    settings = {
        **fixed,
        "first": block.first,
        "pixels": block.pixels,
        "sample": block.sample,
        "groups": groups,
        "group": block.group,
    }
    threads = block.pixels * groups
    out = buffer(kernel.scene.device, np.full(threads * channels, np.nan, np.float32), 4)
    kernel.run(threads, settings, out)
    return out.to_numpy().view(np.float32).reshape(block.pixels, groups, channels)


def _aovs(
    uploaded: Uploaded,
    tracer: str,
    linear: str,
    fixed: Mapping[str, Any],
    blocks: list[Block],
    window: Window,
    names: tuple[str, ...],
    spp: int,
) -> dict[str, np.ndarray]:
    """Auxiliary images as `render.aov.render_aovs` gives them."""
    if not names:
        return {}
    kernel = Kernel(uploaded, tracer, "aov_main", linear)
    sums = np.zeros((window.height * window.width, _AOV_CHANNELS))
    ids = np.zeros((len(sums), 2))
    for block in blocks:
        values = _run(kernel, fixed, block, _AOV_CHANNELS)
        where = slice(block.first, block.first + block.pixels)
        for group in range(values.shape[1]):
            sums[where] += values[:, group]
        if block.sample == 0:
            ids[where] = values[:, 0, 12:]
    means = (sums / spp).astype(np.float32)
    means[:, 12:] = ids
    means = means.reshape(window.height, window.width, _AOV_CHANNELS)
    result = {}
    for name in names:
        at, count = _AOV_AT[name], CHANNELS.get(name, 1)
        plain = name in IDS or count == 1
        result[name] = means[..., at] if plain else means[..., at : at + count]
    return result
