"""`etendue field train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from etendue.cli_support import print_json
from etendue.commands import _field_options as options

EXAMPLES = (
    "etendue field train photos/ -o f.eta",
    "etendue field train photos/ --model vm --size size=96 --steps 4000 -o f.eta",
    "etendue field train garden/ --unbounded -o garden.eta",
    "etendue field train lego/ --box=-1.5,-1.5,-1.5,1.5,1.5,1.5 -o lego.eta --resume",
)


def run(
    data: Annotated[Path, typer.Argument(help="Folder with transforms.json or a COLMAP model.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The .eta file.")],
    model: options.Model = "hashgrid",
    size: options.Size = None,
    steps: options.Steps = 2000,
    rays: options.Rays = 1024,
    seed: options.Seed = 0,
    box: Annotated[
        str | None, typer.Option(help="What the photos show: X0,Y0,Z0,X1,Y1,Z1 in their units.")
    ] = None,
    unbounded: Annotated[
        bool, typer.Option("--unbounded", help="Learn what surrounds the box, too, to the horizon.")
    ] = False,
    resume: options.Resume = False,
    restart: options.Restart = False,
    json: options.Json = False,
) -> None:
    """Fit a radiance field to posed photos; Ctrl-C keeps the work done for --resume."""
    from etendue.bake.field_fit import FieldSettings
    from etendue.bake.field_train import train
    from etendue.bake.material import checkpoint_path
    from etendue.commands._progress import baking
    from etendue.field.data import load_photos
    from etendue.field.file import make_model

    options.check_output(output)
    made = make_model(model, options.sizes(size))
    settings = FieldSettings(steps, rays, seed)
    settings.check()
    photos = load_photos(data, None if box is None else options.box("--box", box))
    if restart:
        checkpoint_path(output).unlink(missing_ok=True)
    with baking(steps, output) as (progress, stop):
        field = train(
            photos, made, settings, output,
            name=output.stem, unbounded=unbounded, resume=resume, progress=progress, stop=stop,
        )  # fmt: skip
    if json:
        print_json({"output": str(output), "model": model, **field.info})
        return
    info = field.info
    print(f"{output}: {output.stat().st_size} bytes, {steps} steps in {info['seconds']} s, "
          f"{info['psnr_test_db']} dB on {len(photos.test)} held-out photos")  # fmt: skip
