"""`etendue field capture`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from etendue.cli_support import parse_size, print_json
from etendue.commands import _render_options as options

EXAMPLES = (
    "etendue field capture scene.xml -o photos/",
    "etendue field capture scene.xml -o photos/ --material Ball=oak.eta --views 100 --size 128x128",
)


def run(
    scene: options.Scene,
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the pictures.")],
    views: Annotated[int, typer.Option(help="Pictures to train on.")] = 60,
    tests: Annotated[int, typer.Option(help="Pictures to judge by.")] = 10,
    size: Annotated[str, typer.Option(help="WIDTHxHEIGHT")] = "96x96",
    spp: Annotated[int, typer.Option(help="Samples per pixel.")] = 64,
    seed: options.Seed = 0,
    fov: Annotated[float, typer.Option(help="Degrees.")] = 40.0,
    lowest: Annotated[
        float, typer.Option(help="Lowest camera: -1 straight below, 0 level, 1 straight above.")
    ] = -0.3,
    material: options.Material = None,
    define: options.Define = None,
    set_: options.Set = None,
    search: options.Search = None,
    json: options.Json = False,
) -> None:
    """Render posed pictures from all around a scene, with exact alpha and depth.

    What is there already is left alone, so an interrupted capture goes on with the same command.
    """

    from etendue.commands._render_progress import Progress
    from etendue.render.capture import Shoot, capture
    from etendue.scene.scene import load_scene

    shoot = Shoot(views, tests, parse_size(size), spp, seed, fov, lowest)
    shoot.check()
    loading = options.loading(define or [], set_ or [], search or [], material or [])
    loaded = load_scene(scene, **loading)
    with Progress("capturing") as progress:
        note = capture(loaded, output, shoot, progress)
    if json:
        print_json({"output": str(output), **note})
        return
    print(f"{output}: {views} pictures to train on, {tests} to judge by")
