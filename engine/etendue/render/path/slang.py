"""The path tracer on a Slang device; oracle: `drjit`, whose random streams it shares.

The same seed draws the same camera rays as `drjit` does, so auxiliary images agree to rounding;
pictures agree in distribution.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from etendue.core.errors import InputError
from etendue.device.slang import NEEDS, SlangDevice, open_device
from etendue.render.aov import check_aovs
from etendue.render.film import Accumulator, Film
from etendue.render.path.camera_rays import Block, Window, full_film, passes
from etendue.render.path.drjit import check_options
from etendue.render.path.interrupt import Interrupt
from etendue.render.path.loop import STRATEGIES
from etendue.render.path.slang_aovs import AOV_AT, AOV_CHANNELS, auxiliary, run_block
from etendue.render.path.slang_camera import camera, cone, lenses
from etendue.render.path.slang_kernels import (
    WAVEFRONT,
    Choice,
    candidates,
    choose,
    materials_per_group,
    timed,
)
from etendue.render.path.slang_materials import NEURAL
from etendue.render.path.slang_scene import HIDDEN, LENS, SceneData, extract
from etendue.render.path.slang_stage import TRACERS, Kernel
from etendue.render.path.slang_upload import Uploaded, upload
from etendue.render.path.slang_watch import Kernels
from etendue.render.path.slang_wave import WAVE, Wave
from etendue.render.placed import Placed

PASS_SAMPLES = 1 << 22  # largest number of paths between two looks at the clock,
SOFT_PASS_SAMPLES = 1 << 18  # and where the device is a software driver
PROBE_PIXELS, SOFT_PROBE_PIXELS = 1 << 16, 1024  # on which kernels are compared
SUMS = 7  # numbers per group of samples: colour, its square, samples that were not finite


def render(
    scene: Any,
    baked: Mapping[str, Path] | None = None,
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
    pass_samples: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    cancel: Callable[[], bool] | None = None,
    tracer: str = "auto",
    kernel: str = "auto",
    device: SlangDevice | None = None,
    uploaded: Uploaded | None = None,
    kernels: Kernels | None = None,
) -> Film:
    """Path-trace a Mitsuba scene; options as in `drjit.render`.

    `baked` are the `.eta` files of shapes, `fields` stand beside them. `tracer` is "rq" (queries),
    "rt" (pipeline), "bvh" (software) or "auto"; `kernel` says how networks are run (see
    `slang_kernels`); `kernels` keeps those of one uploaded scene between renderings.
    """
    _check_aovs(aovs, fields)
    if kernels is None:
        device = device or open_device()
        kernels = Kernels(uploaded or upload(device, extract(scene, baked, fields)))
    uploaded = kernels.uploaded
    if pass_samples is None:
        pass_samples = SOFT_PASS_SAMPLES if uploaded.device.software else PASS_SAMPLES
    check_options(spp, seed, max_depth, rr_depth, strategy, pass_samples)
    tracer = choose_tracer(uploaded.device, tracer, kernel)
    eye = scene.sensors()[sensor]
    with full_film(eye, crop) as window, Interrupt(cancel) as stop:
        fixed = {
            **settings_of(uploaded.scene, eye, window),
            "seed": seed,
            "max_depth": max_depth if max_depth >= 0 else 0xFFFFFFFF,
            "rr_depth": rr_depth,
            "strategy": STRATEGIES.index(strategy),
        }
        blocks = list(passes(window, spp, pass_samples))
        extra = HIDDEN * hide_emitters | LENS * eye.needs_aperture_sample()
        choice = _choose(kernels, kernel, tracer, fixed, blocks[0], extra)
        if "motion" in aovs:
            fixed |= lenses(eye, scene.sensors()[-1] if len(scene.sensors()) > 1 else eye)
        guides = auxiliary(kernels, tracer, fixed, blocks, window, aovs, spp, extra & LENS)
        program = _program(kernels, tracer, choice.kernel, choice.linear, extra)
        spent = program.device_s
        sums = _sums(program, fixed, blocks, window, stop, progress)
    facts = {"max_depth": max_depth, "strategy": strategy, "device": uploaded.device.name}
    facts |= {"tracer": tracer, "kernel": choice.kernel, "kernel_reason": choice.reason}
    facts["device_s"] = round(program.device_s - spent, 6)
    return sums.film(spp, seed, guides, facts)


def _check_aovs(aovs: tuple[str, ...], fields: tuple[Placed, ...]) -> None:
    check_aovs(aovs)
    if fields and aovs:
        raise InputError(f"aov {aovs[0]}", "does not see radiance fields here",
                         fix="Render it with --backend drjit")  # fmt: skip


def _sums(
    program: Kernel | Wave,
    fixed: Mapping[str, Any],
    blocks: list[Block],
    window: Window,
    stop: Callable[[], bool],
    progress: Callable[[int, int], None] | None,
) -> Accumulator:
    """Run all passes, or those before `stop` says so."""
    sums = Accumulator(window.height, window.width)
    total, done = sum(block.pixels * block.samples for block in blocks), 0
    if progress is not None:
        progress(0, total)
    for block in blocks:
        if stop():
            break
        values = run_block(program, fixed, block, SUMS)
        sums.add(block.first, values[..., :6], block.samples, int(values[..., 6].sum()))
        done += block.pixels * block.samples
        if progress is not None:
            progress(done, total)
    return sums


def _choose(
    kernels: Kernels,
    kernel: str,
    tracer: str,
    fixed: Mapping[str, Any],
    block: Block,
    extra: int,
) -> Choice:
    """The kernel; candidates are timed on one group of samples of the first pixels."""
    uploaded = kernels.uploaded
    most = SOFT_PROBE_PIXELS if uploaded.device.software else PROBE_PIXELS
    probe = replace(block, pixels=min(block.pixels, most), samples=block.group)

    def cost(name: str) -> float:
        linear = candidates(uploaded.device, tracer)[name]
        program = _program(kernels, tracer, name, linear, extra)
        return timed(lambda: _seconds(program, fixed, probe))

    def coherence() -> float:
        program = kernels(tracer, "aov_main", features=extra & LENS)
        numbers = run_block(program, fixed, probe, AOV_CHANNELS)[:, 0, AOV_AT["material_id"]]
        kinds = uploaded.scene.materials["kind"]
        return materials_per_group(numbers, {i: k == NEURAL for i, k in enumerate(kinds)})

    networks = uploaded.scene.neural_materials
    return choose(uploaded.device, kernel, tracer, networks, cost, coherence)


def _program(kernels: Kernels, tracer: str, kernel: str, linear: str, extra: int) -> Kernel | Wave:
    return kernels(tracer, WAVE if kernel == WAVEFRONT else "path_main", linear, extra)


def _seconds(program: Kernel | Wave, fixed: Mapping[str, Any], block: Block) -> float:
    """Time of one pass, by the device's clock where it has one."""
    start, before = time.perf_counter(), program.device_s
    run_block(program, fixed, block, SUMS)
    return program.device_s - before or time.perf_counter() - start


def choose_tracer(device: SlangDevice, wanted: str, kernel: str = "auto") -> str:
    """The way to trace rays: the wanted one, or the best that the device has.

    Ray queries come first, since networks may then run on cooperative matrices in the same shader;
    a software driver compiles the pipeline several times sooner. The `kernel` coherent is not for
    the pipeline.
    """
    if wanted == "auto":
        order = ("rt", "rq", "bvh") if device.software else ("rq", "rt", "bvh")
        order = [tracer for tracer in order if tracer != "rt" or kernel != "coherent"]
        needs = {tracer: set(NEEDS.get(f"render/path.{tracer}", ())) for tracer in order}
        return next(tracer for tracer in order if needs[tracer] <= device.features)
    if wanted not in TRACERS:
        raise InputError("tracer", "is unknown", got=wanted, expected=f"auto, {', '.join(TRACERS)}")
    device.require(f"render/path.{wanted}")
    return wanted


def settings_of(data: SceneData, eye: Any, window: Window) -> dict[str, Any]:
    """Fields of `Settings` (`render/scene.slang`) that do not change from pass to pass."""
    size = (window.full_width, window.full_height)
    pinhole = camera(eye)
    width, spread = cone(pinhole, size)
    names = ("origin", "corner", "dx", "dy", "lens_x", "lens_y")
    vectors = {name: [float(x) for x in pinhole[name]] for name in names}
    return {
        **vectors,
        "near": pinhole["near"],
        "far": pinhole["far"],
        "focus": pinhole["focus"],
        "cone_width": width,
        "cone_spread": spread,
        "full": list(size),
        "at": [window.x, window.y],
        "width": window.width,
        "emitters": data.emitter_count,
        "environment": data.environment,
        "faces": len(data.faces),
        "instances": data.instances,
        "instance_count": len(data.placed),
        "spheres": data.spheres,
        "sphere_data": data.sphere_data,
        "fields": data.fields,
        "field_count": data.field_count,
    }
