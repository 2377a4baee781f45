"""`etendue bake`."""

from __future__ import annotations

import os
import shlex
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from etendue.cli_support import print_json

if TYPE_CHECKING:
    from etendue.bake.settings import BakeSettings
    from etendue.scene.material import LayeredMaterial

EXAMPLES = (
    "etendue bake car_paint.mtlx -o car_paint.eta",
    "etendue bake car_paint.mtlx -o car_paint.eta --time 10 --report report/",
    "etendue bake car_paint.mtlx -o car_paint.eta --resume",
    "etendue bake car_paint.mtlx -o car_paint.eta --time 10 --target-flip 0.05 --reciprocal",
    "etendue bake library.mtlx --material gold -o gold.eta --arch 3x64 --steps 20000",
)
DRAFT_MINUTES = 3.0
BAKE_INSTANCES = 4
Name = Annotated[
    str | None, typer.Option("--material", help="Which material, if it holds several.")
]
Latents = Annotated[str, typer.Option(help="Stored as f16, bfp8, bfp4, cb4, cb3 or cb2.")]
Weights = Annotated[str, typer.Option(help="Networks: stored as f32, f16 or bfp8.")]


def run(
    material: Annotated[Path, typer.Argument(help="A MaterialX document (.mtlx).")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The .eta file to write.")],
    name: Name = None,
    arch: Annotated[str, typer.Option(help="Evaluator: 2x16, 2x32 or 3x64.")] = "2x32",
    resolution: Annotated[int, typer.Option(help="Texels per side, a power of two.")] = 512,
    minutes: Annotated[
        float | None, typer.Option("--time", help="Training time in minutes on this machine.")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="Training steps instead of a time; reproducible.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Same seed and steps give an equal file.")] = 0,
    reciprocal: Annotated[
        bool, typer.Option(help="f(wi, wo) = f(wo, wi) exactly; fits a little less well.")
    ] = False,
    instances: Annotated[
        int, typer.Option(help="Fits that start; the best of them goes on.")
    ] = BAKE_INSTANCES,
    target_flip: Annotated[
        float, typer.Option(help="End early when a held-out view has this LDR-FLIP; 0 = never.")
    ] = 0.0,
    latents: Latents = "f16",
    weights: Weights = "f32",
    resume: Annotated[bool, typer.Option(help="Continue an unfinished bake.")] = False,
    restart: Annotated[bool, typer.Option(help="Discard an unfinished bake.")] = False,
    report: Annotated[Path | None, typer.Option(help="Folder for report.html.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print figures as JSON.")] = False,
) -> None:
    """Bake a layered material into a neural one.

    Ctrl-C keeps the work done: run the same command with --resume.
    """
    from etendue.bake.material import bake, checkpoint_path
    from etendue.bake.quality import heldout_error
    from etendue.bake.settings import BakeSettings, check_settings
    from etendue.bsdf.layered import Layered
    from etendue.commands._progress import baking
    from etendue.device.drjit import activate
    from etendue.scene.materialx import load_material

    settings = BakeSettings(
        arch=arch,
        resolution=resolution,
        seed=seed,
        reciprocal=reciprocal,
        instances=instances,
        target_flip=target_flip,
        latents=latents,
        weights=weights,
    )
    check_settings(settings if steps is None else replace(settings, steps=steps))
    _check_plan(minutes, steps, resume=resume, restart=restart)
    _check_output(output, report, resume=resume, restart=restart)
    activate()
    source = load_material(material, name, resolution)
    _tell_notes(source)
    settings = _with_steps(source, settings, output, minutes, steps, resume)
    if restart:
        checkpoint_path(output).unlink(missing_ok=True)
    began = time.monotonic()
    with baking(settings.steps, output) as (advance, stop):
        artifact = bake(
            source,
            settings,
            output,
            resume=resume,
            progress=advance,
            stop=stop,
            good_enough=_judge(source, target_flip),
        )
    figures: dict[str, Any] = {
        "file": str(output),
        "bytes": output.stat().st_size,
        "steps": settings.steps,
        "seconds": round(time.monotonic() - began, 1),
        "seed": seed,
        "heldout": heldout_error(artifact, Layered(source, walks=64)),
        "reproduce": _command(material, name, output, settings),
    }
    if report is not None:
        from etendue.report.page import write_report

        figures["report"] = str(write_report(report, source, artifact, output, figures))
    _print(figures, json)


def _judge(source: LayeredMaterial, target: float) -> Any:
    """The test of `--target-flip`, or None."""
    if target <= 0:
        return None
    from etendue.report.target import flip_judge

    return flip_judge(source, target, lambda flip: typer.echo(f"FLIP {flip:.4f}", err=True))


def _command(material: Path, name: str | None, output: Path, settings: BakeSettings) -> str:
    """The command line that makes the same file again."""
    words = ["etendue", "bake", str(material), "-o", str(output)]
    words += ["--material", name] if name is not None else []
    words += ["--arch", settings.arch, "--resolution", str(settings.resolution)]
    words += ["--steps", str(settings.steps), "--seed", str(settings.seed)]
    words += ["--reciprocal"] if settings.reciprocal else []
    words += ["--instances", str(settings.instances)]
    words += ["--target-flip", str(settings.target_flip)] if settings.target_flip else []
    words += ["--latents", settings.latents] if settings.latents != "f16" else []
    words += ["--weights", settings.weights] if settings.weights != "f32" else []
    return shlex.join(words)


def _check_plan(minutes: float | None, steps: int | None, *, resume: bool, restart: bool) -> None:
    """Raise `InputError` for options that contradict each other and times nobody can keep."""
    from etendue.core.errors import InputError

    if steps is not None and minutes is not None:
        raise InputError("--steps", "excludes --time")
    if resume and restart:
        raise InputError("--resume", "excludes --restart")
    if minutes is not None and not 0 < minutes < 10_000:
        raise InputError("--time", "is not usable", got=minutes, expected="minutes > 0")


def _check_output(output: Path, report: Path | None, *, resume: bool, restart: bool) -> None:
    """Fail before any work when a result or the checkpoint could not be written."""
    from etendue.bake.material import checkpoint_path
    from etendue.core.errors import InputError

    if output.suffix != ".eta":
        raise InputError("-o", "needs the suffix .eta", got=output.name)
    if output.is_dir():
        raise InputError(output, "is a folder", expected="a file name")
    _check_folder(output.parent)
    if report is not None:
        _check_folder(report)
    saved = checkpoint_path(output)
    if resume and not saved.exists():
        raise InputError(saved, "there is no checkpoint to resume", fix="Bake without --resume")
    if not (resume or restart) and saved.exists():
        raise InputError(
            saved,
            "an unfinished bake is in the way",
            fix="Continue it with --resume or discard it with --restart",
        )


def _check_folder(folder: Path) -> None:
    """Raise `InputError` unless files can be made in `folder`, which need not exist yet."""
    from etendue.core.errors import InputError

    ancestor = folder.absolute()
    while not ancestor.exists():
        ancestor = ancestor.parent
    if not ancestor.is_dir():
        raise InputError(folder, f"cannot be made, {ancestor} is not a folder")
    if not os.access(ancestor, os.W_OK | os.X_OK):
        raise InputError(folder, "cannot be written", fix="Choose a writable folder")


def _tell_notes(material: LayeredMaterial) -> None:
    for note in material.notes:
        typer.echo(f"note: {material.name}: {note}", err=True)


def _with_steps(
    source: LayeredMaterial,
    settings: BakeSettings,
    output: Path,
    minutes: float | None,
    steps: int | None,
    resume: bool,
) -> BakeSettings:
    """Settings with the step count asked for, planned from a time, or found in the checkpoint."""
    from etendue.bake.checkpoint import planned_steps
    from etendue.bake.material import checkpoint_path, plan_steps

    if resume and steps is None:
        steps = planned_steps(checkpoint_path(output))
    if steps is None:
        typer.echo("measuring this machine ...", err=True)
        steps = plan_steps(source, settings, DRAFT_MINUTES if minutes is None else minutes)
    return replace(settings, steps=steps)


def _print(figures: dict[str, Any], json: bool) -> None:
    if json:
        print_json(figures)
        return
    typer.echo(
        f"{figures['file']}: {figures['bytes']} bytes, {figures['steps']} steps in "
        f"{figures['seconds']} s"
    )
    for row in figures["heldout"]:
        typer.echo(
            f"  mip {row['level']}: relative error {row['relative']:.3f}, bias {row['bias']:+.3f}"
        )
    typer.echo(f"reproduce: {figures['reproduce']}")
