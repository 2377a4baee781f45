"""`etendue convert`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from etendue.cli_support import print_json
from etendue.commands import _field_options as options

EXAMPLES = (
    "etendue convert f.eta --to mlp -o g.eta",
    "etendue convert f.eta --to vm --size size=96 --steps 3000 --min-psnr 32 -o g.eta",
    "etendue convert f.eta --to grid -o g.eta --resume",
)


def run(
    field: Annotated[Path, typer.Argument(help="The .eta file of a radiance field.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The new .eta file.")],
    to: options.Model,
    size: options.Size = None,
    steps: options.Steps = 800,
    rays: options.Rays = 256,
    seed: options.Seed = 0,
    min_psnr: Annotated[
        float | None, typer.Option(help="dB against the old field; below it nothing is written.")
    ] = None,
    resume: options.Resume = False,
    restart: options.Restart = False,
    json: options.Json = False,
) -> None:
    """Turn a radiance field into another kind, without any photo; Ctrl-C keeps the work done."""
    from etendue.bake.field_distill import convert
    from etendue.bake.field_fit import FieldSettings
    from etendue.bake.material import checkpoint_path
    from etendue.commands._progress import baking
    from etendue.field.file import make_model, read_field

    options.check_output(output)
    made = make_model(to, options.sizes(size))
    settings = FieldSettings(steps, rays, seed)
    settings.check()
    teacher = read_field(field)
    if restart:
        checkpoint_path(output).unlink(missing_ok=True)
    with baking(steps, output) as (progress, stop):
        student = convert(
            teacher, made, settings, output,
            min_psnr=min_psnr, resume=resume, progress=progress, stop=stop,
        )  # fmt: skip
    info = student.info
    if json:
        print_json({"output": str(output), "model": to, **info})
        return
    print(f"{output}: {output.stat().st_size} bytes, {steps} steps in {info['seconds']} s, "
          f"{info['psnr_teacher_db']} dB against {field}")  # fmt: skip
