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
from etendue.commands._schedule import (
    ClusterOption,
    MetricsOption,
    TraceOption,
    scheduled,
    stepwise,
)
from etendue.core.errors import InputError

if TYPE_CHECKING:
    from etendue.artifact import Artifact
    from etendue.bake.settings import BakeSettings
    from etendue.scene.material import LayeredMaterial

EXAMPLES = (
    "etendue bake car_paint.mtlx -o car_paint.eta",
    "etendue bake car_paint.mtlx -o car_paint.eta --time 10 --report report/",
    "etendue bake car_paint.mtlx -o car_paint.eta --resume",
    "etendue bake oak.mtlx gold.mtlx -o baked/ --cluster auto --seeds 0,1",
    "etendue bake car_paint.mtlx -o car_paint.eta --time 10 --target-flip 0.05 --reciprocal",
    "etendue bake library.mtlx --material gold -o gold.eta --arch 3x64 --steps 20000",
)
DRAFT_MINUTES = 3.0
BAKE_INSTANCES = 4


def run(
    material: Annotated[
        list[Path], typer.Argument(help="A MaterialX document (.mtlx); several with --cluster.")
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="The .eta file; with --cluster a folder.")
    ],
    name: Annotated[
        str | None, typer.Option("--material", help="Which material, if it holds several.")
    ] = None,
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
    resume: Annotated[bool, typer.Option(help="Continue an unfinished bake.")] = False,
    restart: Annotated[bool, typer.Option(help="Discard an unfinished bake.")] = False,
    report: Annotated[Path | None, typer.Option(help="Folder for report.html.")] = None,
    trace: TraceOption = None,
    metrics: MetricsOption = None,
    cluster: ClusterOption = None,
    seeds: Annotated[str | None, typer.Option(help="With --cluster: one bake for each.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print figures as JSON.")] = False,
) -> None:
    """Bake a layered material into a neural one.

    Ctrl-C keeps the work done: run the same command with --resume.
    """
    from etendue.bake.settings import BakeSettings, check_settings

    settings = BakeSettings(
        arch=arch, resolution=resolution, seed=seed,
        reciprocal=reciprocal, instances=instances, target_flip=target_flip,
    )  # fmt: skip
    check_settings(settings if steps is None else replace(settings, steps=steps))
    _check_plan(minutes, steps, resume=resume, restart=restart)
    if cluster is not None:
        files = report or trace or metrics
        alone = resume or restart or files is not None or target_flip > 0
        _spread(cluster, material, name, output, settings, minutes, steps, seeds, alone, json)
        return
    if len(material) > 1 or seeds is not None:
        raise InputError("bake", "several materials or seeds need --cluster")
    _check_output(output, report, resume=resume, restart=restart)
    plan = (minutes, steps, resume, restart)
    _print(_here(material[0], name, output, settings, plan, report, trace, metrics), json)


def _here(
    material: Path,
    name: str | None,
    output: Path,
    settings: BakeSettings,
    plan: tuple[float | None, int | None, bool, bool],
    report: Path | None,
    trace: Path | None,
    metrics: Path | None,
) -> dict[str, Any]:
    """Bake one material in this process; `plan` is minutes, steps, resume, restart."""
    from etendue.bake.material import checkpoint_path
    from etendue.device.drjit import activate
    from etendue.scene.materialx import load_material

    minutes, steps, resume, restart = plan
    activate()
    source = load_material(material, name, settings.resolution)
    _tell_notes(source)
    if source.transmits and (report is not None or settings.target_flip > 0):
        what = "--report" if report is not None else "--target-flip"
        raise InputError(what, "does not know materials that transmit", fix="Leave it out")
    settings = _with_steps(source, settings, output, minutes, steps, resume)
    if restart:
        checkpoint_path(output).unlink(missing_ok=True)
    began = time.monotonic()
    artifact = _train(source, settings, output, resume, trace, metrics)
    figures: dict[str, Any] = {
        "file": str(output),
        "bytes": output.stat().st_size,
        "steps": settings.steps,
        "seconds": round(time.monotonic() - began, 1),
        "seed": settings.seed,
        "heldout": _heldout(artifact, source),
        "reproduce": _command(material, name, output, settings),
    }
    if report is not None:
        from etendue.report.page import write_report

        figures["report"] = str(write_report(report, source, artifact, output, figures))
    return figures


def _train(
    source: LayeredMaterial,
    settings: BakeSettings,
    output: Path,
    resume: bool,
    trace: Path | None,
    metrics: Path | None,
) -> Artifact:
    """The bake as a task of the scheduler."""
    from etendue.bake.material import bake
    from etendue.commands._progress import baking
    from etendue.schedule import Priority, Task

    def work() -> Artifact:
        with baking(settings.steps, output) as (advance, stop):
            step = stepwise(advance)  # a step of the task is a pool of samples
            return bake(
                source,
                settings,
                output,
                resume=resume,
                progress=step,
                stop=stop,
                good_enough=_judge(source, settings.target_flip),
            )

    with scheduled(trace, metrics) as scheduler:
        task = Task("bake", work, priority=Priority.BAKE, shape=(settings.resolution,))
        return scheduler.submit(task)[0].result()


def _spread(
    address: str,
    materials: list[Path],
    name: str | None,
    folder: Path,
    settings: BakeSettings,
    minutes: float | None,
    steps: int | None,
    seeds: str | None,
    alone: bool,
    json: bool,
) -> None:
    """Bake on a cluster, each material and seed in a worker."""
    from etendue.commands._bake_cluster import Wanted, bake_on_cluster, parse_seeds

    if alone:
        options = "--resume, --restart, --report, --trace, --metrics and --target-flip"
        raise InputError("--cluster", f"excludes {options}")
    if folder.suffix == ".eta" or (folder.exists() and not folder.is_dir()):
        raise InputError("-o", "is a folder with --cluster", got=folder)
    _check_folder(folder)
    each = (settings.seed,) if seeds is None else parse_seeds(seeds)
    if steps is not None:
        settings = replace(settings, steps=steps)
    elif minutes is None:
        minutes = DRAFT_MINUTES
    wanted = Wanted(tuple(materials), name, each, folder, settings, minutes)
    figures = bake_on_cluster(address, wanted)
    if json:
        print_json(figures)
        return
    for row in figures["files"]:
        done = f"{row['steps']} steps in {row['seconds']} s"
        typer.echo(f"{row['file']}: {row['bytes']} bytes, {done}")


def _judge(source: LayeredMaterial, target: float) -> Any:
    """The test of `--target-flip`, or None."""
    if target <= 0:
        return None
    from etendue.report.target import flip_judge

    return flip_judge(source, target, lambda flip: typer.echo(f"FLIP {flip:.4f}", err=True))


def _heldout(artifact: Any, source: LayeredMaterial) -> list[dict[str, Any]]:
    """Errors by mip level or, where light passes through, by pair of hemispheres."""
    if source.transmits:
        from etendue.bake import transmission

        return transmission.heldout_error(artifact, source)
    from etendue.bake.quality import heldout_error
    from etendue.bsdf.layered import Layered

    return heldout_error(artifact, Layered(source, walks=64))


def _command(material: Path, name: str | None, output: Path, settings: BakeSettings) -> str:
    """The command line that makes the same file again."""
    words = ["etendue", "bake", str(material), "-o", str(output)]
    words += ["--material", name] if name is not None else []
    words += ["--arch", settings.arch, "--resolution", str(settings.resolution)]
    words += ["--steps", str(settings.steps), "--seed", str(settings.seed)]
    words += ["--reciprocal"] if settings.reciprocal else []
    words += ["--instances", str(settings.instances)]
    words += ["--target-flip", str(settings.target_flip)] if settings.target_flip else []
    return shlex.join(words)


def _check_plan(minutes: float | None, steps: int | None, *, resume: bool, restart: bool) -> None:
    """Raise `InputError` for options that contradict each other and times nobody can keep."""

    if steps is not None and minutes is not None:
        raise InputError("--steps", "excludes --time")
    if resume and restart:
        raise InputError("--resume", "excludes --restart")
    if minutes is not None and not 0 < minutes < 10_000:
        raise InputError("--time", "is not usable", got=minutes, expected="minutes > 0")


def _check_output(output: Path, report: Path | None, *, resume: bool, restart: bool) -> None:
    """Fail before any work when a result or the checkpoint could not be written."""
    from etendue.bake.material import checkpoint_path

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
        where = row["lobe"] if "lobe" in row else f"mip {row['level']}"
        typer.echo(f"  {where}: relative error {row['relative']:.3f}, bias {row['bias']:+.3f}")
    typer.echo(f"reproduce: {figures['reproduce']}")
