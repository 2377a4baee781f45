"""`etendue render --sensor radar`."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from etendue.core.errors import InputError
from etendue.render.job import Options, build_scene, prepare
from etendue.render.radar.cast import Pose
from etendue.render.radar.file import check_parts, write_frame
from etendue.render.radar.frame import look_from, simulate
from etendue.render.radar.setup import Setup, load_setup
from etendue.scene.scene import load_scene


def check(idle: list[str], output: Path, parts: tuple[str, ...]) -> None:
    """Raise `InputError` for options that no radar has, and for what cannot be written."""
    for option in idle:
        raise InputError(option, "goes together with --sensor camera only")
    check_parts(output, parts)


def render(
    scene: Path, loading: dict[str, Any], output: Path, options: Options,
    setup_file: Path | None, quiet: bool,
) -> dict[str, Any]:  # fmt: skip
    """Simulate one frame from where the camera is; the figures."""
    setup = load_setup(setup_file) if setup_file is not None else Setup()

    def say(text: str) -> None:
        if not quiet:
            print(text, file=sys.stderr)

    parts, options = options.aovs, replace(options, aovs=(), backend="drjit")
    variant, _ = prepare(options, say)
    marks = [time.perf_counter()]
    built = build_scene(load_scene(scene, **loading), options, variant, say)
    marks.append(time.perf_counter())
    pose = Pose.of_camera(built.mi_scene.sensors()[0])
    frame = simulate(
        look_from(built.mi_scene, setup, pose), setup, seed=options.seed, variant=variant
    )
    marks.append(time.perf_counter())
    say(f"{len(frame.points.amplitudes)} scatterers in {marks[2] - marks[1]:.1f} s")
    write_frame(output, frame, parts or ("adc", "points"))
    marks.append(time.perf_counter())
    return {
        "output": str(output), "variant": variant, "shape": list(frame.adc.shape),
        "scatterers": len(frame.points.amplitudes),
        "build_s": round(marks[1] - marks[0], 4), "render_s": round(marks[2] - marks[1], 4),
        "write_s": round(marks[3] - marks[2], 4),
    }  # fmt: skip
