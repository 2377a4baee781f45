"""`etendue convert`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from etendue.cli_support import print_json
from etendue.commands import _field_options as options
from etendue.core.errors import InputError

if TYPE_CHECKING:
    from etendue.field.file import Field

EXAMPLES = (
    "etendue convert f.eta --to mlp -o g.eta",
    "etendue convert f.eta --to vm --size size=96 --steps 3000 --min-psnr 32 -o g.eta",
    "etendue convert f.eta --to grid -o g.eta --resume",
    "etendue convert room.eta --to hashgrid --edit keep:-1,0,-1,1,2,1 -o chair.eta",
)


def run(
    field: Annotated[Path, typer.Argument(help="The .eta file of a radiance field.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The new .eta file.")],
    to: options.Model,
    size: options.Size = None,
    steps: options.Steps = 800,
    rays: options.Rays = 256,
    seed: options.Seed = 0,
    hard: Annotated[
        int,
        typer.Option(
            help="Look at so many rays and points for each learned from, and more where it errs."
        ),
    ] = 1,
    edit: Annotated[
        str | None,
        typer.Option(help="cut:BOX or keep:BOX of the old field; BOX: X0,Y0,Z0,X1,Y1,Z1."),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(help="A .png: the old field from around, the new one, 4 x the difference."),
    ] = None,
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
    if report is not None and report.suffix.lower() != ".png":
        raise InputError(report, "unknown kind of picture", expected=".png")
    made = make_model(to, options.sizes(size))
    settings = FieldSettings(steps, rays, seed)
    settings.check()
    if not 1 <= hard <= 16:
        raise InputError("--hard", "is out of range", got=hard, expected="1..16")
    teacher = options.change(read_field(field), edit)
    if restart:
        checkpoint_path(output).unlink(missing_ok=True)
    with baking(steps, output) as (progress, stop):
        student = convert(
            teacher, made, settings, output,
            min_psnr=min_psnr, hard=hard, resume=resume, progress=progress, stop=stop,
        )  # fmt: skip
    if report is not None:
        _report(teacher, student, report)
    info = student.info
    if json:
        print_json({"output": str(output), "model": to, **info})
        return
    print(f"{output}: {output.stat().st_size} bytes, {steps} steps in {info['seconds']} s, "
          f"{info['psnr_teacher_db']} dB against {field}")  # fmt: skip


def _report(teacher: Field, student: Field, path: Path) -> None:
    """Pictures of both from the same places, and what tells them apart."""
    import numpy as np

    from etendue.bake.field_judge import around, picture
    from etendue.core.image import write_png

    views = around(teacher, 4, 192)
    rows = [np.concatenate([picture(f, view).numpy() for view in views], 1)
            for f in (teacher, student)]  # fmt: skip
    rows.append(1 - np.clip(4 * np.abs(rows[0] - rows[1]), 0, 1))
    write_png(path, np.concatenate(rows, 0), encode=False)
