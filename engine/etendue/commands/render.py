"""`etendue render`."""

from __future__ import annotations

import sys
from time import monotonic
from typing import Any

import typer

from etendue.cli_support import print_json, seconds_since_start
from etendue.commands import _render_options as options
from etendue.commands._schedule import ClusterOption, MetricsOption, TraceOption

EXAMPLES = (
    "etendue render scene.xml -o out.exr --spp 256",
    "etendue render model.glb -o out.png --size 640x480",
    "etendue render scene.xml -o out.exr --aov depth,normal --crop 100,80,64,64",
    "etendue render scene.xml -o out.png --spp 8 --denoise",
    "etendue render scene.xml -o out.exr --colors acescg",
    "etendue render scene.xml -o out.exr --time 20s",
    "etendue render scene.xml -o out.exr --noise 0.005 --checkpoint 60",
    "etendue render scene.xml -o out.exr --noise 0.005 --checkpoint 60 --resume",
    "etendue render scene.xml -o out.png --set camera.fov=35 --set emitters.scale=2",
    "etendue render scene.xml -o turn.exr --turntable 48 --denoise --resume",
    "etendue render scene.xml -o shot.####.exr --camera-path path.toml --frames 1:24",
    "etendue render scene.xml -o out.png --time 5s --watch",
    "etendue render scene.xml -o out.exr --material Ball,Ring=oak.eta --material 'Leg*=oak.mtlx'",
    "etendue render scene.xml -o out.exr --material Ball=set.eta#oak --material Leg=set.eta#tin",
    "etendue render room.glb -o out.exr --field statue.eta --lit",
    "etendue render scene.xml -o out.exr --backend slang --kernel scalar",
    "etendue render scene.xml -o out.exr -D width=320 --search ~/meshes",
    "etendue render scene.xml -o out.exr --trace trace.json",
    "etendue render scene.xml -o out.exr --cluster auto",
    "etendue render room.xml -o frame.h5 --sensor radar --radar radar.toml --aov adc,tensor",
)
INTERRUPTED = 130


def run(
    context: typer.Context,
    scene: options.Scene,
    output: options.Output,
    sensor: options.Sensor = "camera",
    radar: options.RadarFile = None,
    spp: options.Spp = None,
    seed: options.Seed = 0,
    size: options.Size = None,
    crop: options.Crop = None,
    material: options.Material = None,
    field: options.Field = None,
    lit: options.Lit = False,
    aov: options.Aov = None,
    max_depth: options.MaxDepth = None,
    camera: options.Camera = None,
    define: options.Define = None,
    set_: options.Set = None,
    search: options.Search = None,
    time: options.Time = None,
    noise: options.Noise = None,
    denoise: options.Denoise = False,
    checkpoint: options.Checkpoint = None,
    resume: options.Resume = False,
    frames: options.Frames = None,
    camera_path: options.CameraPath = None,
    turntable: options.Turntable = None,
    watch: options.Watch = False,
    colors: options.Colors = "rec709",
    backend: options.Backend = "auto",
    kernel: options.Kernel = "auto",
    device: options.Device = "auto",
    stats: options.Stats = None,
    trace: TraceOption = None,
    metrics: MetricsOption = None,
    cluster: ClusterOption = None,
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> int:
    """Path-trace a scene; Ctrl-C keeps what has been rendered so far."""
    began, aovs = monotonic() - seconds_since_start(), options.names(aov)
    options.check_numbers(spp, seed, max_depth)
    options.check_choices(backend, kernel, device, search or [])
    options.check_files((sensor, radar), (output, aovs, colors), stats)
    goals = options.check_goals(time, noise, checkpoint)
    loading = options.loading(define or [], set_ or [], search or [], material or [], field, lit)
    from etendue.render.job import Options

    wanted = Options(
        spp, seed, *options.window(size, crop), aovs, max_depth, camera, backend, kernel,
        cluster, denoise, *goals, resume, device, colors,
    )  # fmt: skip
    if sensor == "radar":
        idle = options.idle(context)
        return _radar(scene, loading, output, wanted, (radar, idle), json=json, quiet=quiet)
    how = (quiet, trace, metrics, monotonic() - began, stats is not None)
    several = (frames, camera_path, turntable)
    return _pictures((scene, loading, output, wanted), how, stats, several, watch, json=json)


def _pictures(
    what: tuple[Any, Any, Any, Any], how: tuple[Any, Any, Any, Any, Any], stats: Any,
    several: tuple[Any, Any, Any],
    watch: bool, *, json: bool,
) -> int:  # fmt: skip
    """One picture, numbered ones, or the same again and again."""
    from etendue.commands._render_run import Command, Manner
    from etendue.render.frames import Wish

    command = Command(*what, Manner(*how), stats, Wish(*several))
    if watch:
        return _watch(command, json=json)
    figures, interrupted = command.run()
    return _finish(figures, interrupted, json=json, quiet=command.manner.quiet)


def _radar(
    scene: Any, loading: dict[str, Any], output: Any, wanted: Any, radar: tuple[Any, list[str]],
    *, json: bool, quiet: bool,
) -> int:  # fmt: skip
    """A frame of a radar instead of a picture."""
    from etendue.commands._render_radar import check, render

    file, idle = radar
    check(idle, output, wanted.aovs)
    figures = render(scene, loading, output, wanted, file, quiet)
    if json:
        print_json(figures)
    elif not quiet:
        print(f"{output}: {figures['scatterers']} scatterers, samples {tuple(figures['shape'])}")
    return 0


def _watch(command: Any, *, json: bool) -> int:
    """Render again and again; Ctrl-C ends, and so does an error before the first picture."""
    from etendue.commands._render_watch import watch, watched

    def once() -> list[Any]:
        scene = command.load()
        figures, interrupted = command.render(scene)
        if _finish(figures, interrupted, json=json, quiet=command.manner.quiet) == INTERRUPTED:
            raise KeyboardInterrupt
        return watched(scene)

    watch(once, command.manner.say)
    return 0


def _finish(figures: dict[str, Any], interrupted: bool, *, json: bool, quiet: bool) -> int:
    """Print the figures; the exit code."""
    if json:
        print_json(figures)
    elif not quiet:
        _summary(figures)
    if interrupted:
        print(f"interrupted: {_kept(figures)}", file=sys.stderr)
        return INTERRUPTED
    return 0


def _kept(figures: dict[str, Any]) -> str:
    if "frames" in figures:
        return f"kept {len(figures['frames'])} frames; continue with --resume"
    wanted = figures["spp_wanted"]
    return f"kept {figures['spp']}{f' of {wanted}' if wanted else ''} samples per pixel"


def _summary(figures: dict[str, Any]) -> None:
    if "frames" in figures:
        print(f"{len(figures['frames'])} frames rendered, {figures['skipped']} were there")
        return
    mean = ", ".join(f"{value:.4g}" for value in figures["mean"])
    print(
        f"{figures['output']}: {figures['width']}x{figures['height']}, {figures['spp']} spp in "
        f"{figures['render_s']:.1f} s ({figures['backend']}), mean {mean}"
    )
