"""`etendue render`."""

from __future__ import annotations

import sys
from time import monotonic
from typing import Any

from etendue.cli_support import parse_pair, print_json
from etendue.commands import _render_options as options
from etendue.commands._schedule import ClusterOption, MetricsOption, TraceOption

EXAMPLES = (
    "etendue render scene.xml -o out.exr --spp 256",
    "etendue render model.glb -o out.png --size 640x480",
    "etendue render scene.xml -o out.exr --aov depth,normal --crop 100,80,64,64",
    "etendue render scene.xml -o out.png --spp 8 --denoise",
    "etendue render scene.xml -o out.exr --time 20s",
    "etendue render scene.xml -o out.exr --noise 0.005 --checkpoint 60",
    "etendue render scene.xml -o out.exr --noise 0.005 --checkpoint 60 --resume",
    "etendue render scene.xml -o out.exr --material Ball,Ring=oak.eta --material 'Leg*=oak.mtlx'",
    "etendue render scene.xml -o out.exr --backend slang --kernel scalar",
    "etendue render scene.xml -o out.exr -D width=320 --search ~/meshes",
    "etendue render scene.xml -o out.exr --trace trace.json",
    "etendue render scene.xml -o out.exr --cluster auto",
)
INTERRUPTED = 130


def run(
    scene: options.Scene,
    output: options.Output,
    spp: options.Spp = None,
    seed: options.Seed = 0,
    size: options.Size = None,
    crop: options.Crop = None,
    material: options.Material = None,
    aov: options.Aov = None,
    max_depth: options.MaxDepth = None,
    camera: options.Camera = None,
    define: options.Define = None,
    search: options.Search = None,
    time: options.Time = None,
    noise: options.Noise = None,
    checkpoint: options.Checkpoint = None,
    resume: options.Resume = False,
    denoise: options.Denoise = False,
    backend: options.Backend = "auto",
    kernel: options.Kernel = "auto",
    trace: TraceOption = None,
    metrics: MetricsOption = None,
    cluster: ClusterOption = None,
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> int:
    """Path-trace a scene; Ctrl-C keeps what has been rendered so far."""
    began = monotonic()
    aovs = options.names(aov)
    options.check_numbers(spp, seed, max_depth)
    options.check_choices(backend, kernel, search or [])
    options.check_output(output, aovs)
    materials = options.materials(material or [])
    parameters = dict(parse_pair(d, "-D") for d in define or ())

    from etendue.commands import _render_run
    from etendue.render.job import Options
    from etendue.scene.scene import load_scene

    description = load_scene(
        scene, parameters=parameters, search=tuple(search or ()), assignments=materials
    )
    wanted = Options(
        spp, seed, *options.window(size, crop), aovs, max_depth, camera, backend, kernel,
        cluster, denoise, *options.check_goals(time, noise, checkpoint), resume,
    )  # fmt: skip
    manner = _render_run.Manner(quiet, trace, metrics, monotonic() - began)
    figures, interrupted = _render_run.render_to(description, output, wanted, manner)
    return _finish(figures, interrupted, json=json, quiet=quiet)


def _finish(figures: dict[str, Any], interrupted: bool, *, json: bool, quiet: bool) -> int:
    """Print the figures; the exit code."""
    if json:
        print_json(figures)
    elif not quiet:
        _summary(figures)
    if interrupted:
        print(
            f"interrupted: kept {figures['spp']} of {figures['spp_wanted']} samples per pixel",
            file=sys.stderr,
        )
        return INTERRUPTED
    return 0


def _summary(figures: dict[str, Any]) -> None:
    mean = ", ".join(f"{value:.4g}" for value in figures["mean"])
    print(
        f"{figures['output']}: {figures['width']}x{figures['height']}, {figures['spp']} spp in "
        f"{figures['render_s']:.1f} s ({figures['backend']}), mean {mean}"
    )
