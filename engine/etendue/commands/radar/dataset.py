"""`etendue radar dataset`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from etendue.cli_support import parse_size, print_json
from etendue.commands import _render_options as options

EXAMPLES = (
    "etendue radar dataset -o people/ --sequences 40 --seed 1",
    "etendue radar dataset -o people/ --motion walk.bvh --motion boxing.bvh --frames 30",
    "etendue radar dataset -o people/ --through-wall 0.3 --camera 160x90 --lidar",
)


def run(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the data set.")],
    sequences: Annotated[int, typer.Option(help="Recordings, a fifth of them for testing.")] = 40,
    frames: Annotated[int, typer.Option(help="Of a sequence, ten a second.")] = 16,
    seed: options.Seed = 0,
    motion: Annotated[
        list[Path] | None, typer.Option(help="A .bvh or DeepMimic file, beside gestures.")
    ] = None,
    speeds: Annotated[int, typer.Option(help="Bins of speed that are kept.")] = 16,
    through_wall: Annotated[
        float, typer.Option(help="Share of the rooms with a wall before the radar.")
    ] = 0.0,
    bodies: Annotated[str, typer.Option(help="auto|makehuman|capsules")] = "auto",
    radar: options.RadarFile = None,
    complex_: Annotated[
        bool, typer.Option("--complex", help="Keep complex tensors of all speeds, too.")
    ] = False,
    lidar: Annotated[bool, typer.Option("--lidar", help="Points of a lidar, too.")] = False,
    camera: Annotated[str | None, typer.Option(help="WIDTHxHEIGHT of pictures, too.")] = None,
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> None:
    """Simulate people in rooms before a radar, with exact poses, in the folders of RT-Pose.

    What is there already is left alone, so an interrupted data set goes on with the same command.
    """
    from etendue.commands._render_progress import Progress
    from etendue.render.radar.dataset import Wish, generate
    from etendue.render.radar.setup import load_setup

    wish = Wish(
        sequences, frames, seed, speeds, tuple(str(path) for path in motion or ()), through_wall,
        bodies, complex_, lidar, parse_size(camera) if camera else None,
    )  # fmt: skip
    if radar is not None:
        wish = replace(wish, setup=load_setup(radar))
    with Progress("simulating", shown=not quiet) as progress:
        figures = generate(wish, output, progress)
    if json:
        print_json({"output": str(output), **figures})
    elif not quiet:
        print(f"{output}: {figures['train']} sequences to train on, {figures['test']} to judge by")
