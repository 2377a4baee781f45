"""`etendue bake`."""

from __future__ import annotations

import shlex
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from etendue.cli_support import print_json
from etendue.commands._bake_checks import check_folder, check_output, check_plan
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
    "etendue bake new.mtlx -o new.eta --decoder car_paint.eta --time 2",
    "etendue bake library.mtlx --material gold -o gold.eta --arch 3x64 --steps 20000",
)
DRAFT_MINUTES = 3.0
BAKE_INSTANCES = 4
Name = Annotated[
    str | None, typer.Option("--material", help="Which material, if it holds several.")
]
Latents = Annotated[str, typer.Option(help="Stored as f16, bfp8, bfp4, cb4, cb3 or cb2.")]
Reciprocal = Annotated[
    bool, typer.Option(help="f(wi, wo) = f(wo, wi) exactly; fits a little less well.")
]
Instances = Annotated[int, typer.Option(help="Fits that start; the best of them goes on.")]
TargetFlip = Annotated[
    float, typer.Option(help="End early when a held-out view has this LDR-FLIP; 0 = never.")
]
Decoder = Annotated[
    Path | None, typer.Option(help="Take the networks of this .eta over and fit latents only.")
]
ProgressLines = Annotated[
    Path | None, typer.Option("--progress", help="Append steps and errors to it as lines of JSON.")
]
Weights = Annotated[str, typer.Option(help="Networks: stored as f32, f16 or bfp8.")]


@dataclass(frozen=True)
class Job:
    """What one bake in this process reads and writes, and how long it may take."""

    material: Path
    name: str | None
    output: Path
    minutes: float | None
    steps: int | None
    resume: bool
    restart: bool
    report: Path | None
    trace: Path | None
    metrics: Path | None
    decoder: Path | None
    lines: Path | None = None


def run(
    material: Annotated[
        list[Path], typer.Argument(help="A MaterialX document (.mtlx); several with --cluster.")
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="The .eta file; with --cluster a folder.")
    ],
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
    reciprocal: Reciprocal = False,
    instances: Instances = BAKE_INSTANCES,
    target_flip: TargetFlip = 0.0,
    decoder: Decoder = None,
    latents: Latents = "f16",
    weights: Weights = "f32",
    resume: Annotated[bool, typer.Option(help="Continue an unfinished bake.")] = False,
    restart: Annotated[bool, typer.Option(help="Discard an unfinished bake.")] = False,
    report: Annotated[Path | None, typer.Option(help="Folder for report.html.")] = None,
    trace: TraceOption = None,
    metrics: MetricsOption = None,
    progress: ProgressLines = None,
    cluster: ClusterOption = None,
    seeds: Annotated[str | None, typer.Option(help="With --cluster: one bake for each.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print figures as JSON.")] = False,
) -> None:
    """Bake a layered material into a neural one.

    Ctrl-C keeps the work done: run the same command with --resume.
    """
    from etendue.bake.settings import BakeSettings, check_settings

    settings = BakeSettings(
        arch=arch, resolution=resolution, seed=seed, reciprocal=reciprocal, instances=instances,
        target_flip=target_flip, latents=latents, weights=weights,
    )  # fmt: skip
    check_settings(settings if steps is None else replace(settings, steps=steps))
    check_plan(minutes, steps, resume=resume, restart=restart)
    if cluster is not None:
        files = report or trace or metrics or decoder or progress
        alone = resume or restart or files is not None or target_flip > 0
        _spread(cluster, material, name, output, settings, minutes, steps, seeds, alone, json)
        return
    if len(material) > 1 or seeds is not None:
        raise InputError("bake", "several materials or seeds need --cluster")
    check_output(output, report, resume=resume, restart=restart)
    job = Job(
        material[0], name, output, minutes, steps, resume, restart, report, trace, metrics, decoder,
        progress,
    )  # fmt: skip
    _print(_here(job, settings), json)


def _here(job: Job, settings: BakeSettings) -> dict[str, Any]:
    """Bake one material in this process."""
    from etendue.artifact import read_artifact
    from etendue.bake.material import checkpoint_path, with_decoder
    from etendue.bsdf.neural import check_material
    from etendue.device.drjit import activate
    from etendue.scene.materialx import load_material

    activate()
    donor = None
    if job.decoder is not None:
        donor = read_artifact(job.decoder, kind="material")
        check_material(job.decoder, donor)
        settings = with_decoder(settings, donor)[0]
    source = load_material(job.material, job.name, settings.resolution)
    _tell_notes(source)
    if source.transmits:
        _check_transmitting(job, settings)
    settings = _with_steps(source, settings, job, donor)
    if job.restart:
        checkpoint_path(job.output).unlink(missing_ok=True)
    began = time.monotonic()
    artifact = _train(source, settings, job, donor)
    figures: dict[str, Any] = {
        "file": str(job.output),
        "bytes": job.output.stat().st_size,
        "steps": settings.steps,
        "seconds": round(time.monotonic() - began, 1),
        "seed": settings.seed,
        "heldout": _heldout(artifact, source),
        "reproduce": _command(job, settings),
    }
    if job.report is not None:
        from etendue.report.page import write_report

        figures["report"] = str(write_report(job.report, source, artifact, job.output, figures))
    return figures


def _train(
    source: LayeredMaterial, settings: BakeSettings, job: Job, donor: Artifact | None
) -> Artifact:
    """The bake as a task of the scheduler."""
    from etendue.bake.material import bake
    from etendue.commands._progress import baking
    from etendue.schedule import Priority, Task

    def work() -> Artifact:
        with baking(settings.steps, job.output, job.lines) as (advance, stop):
            step = stepwise(advance)  # a step of the task is a pool of samples
            return bake(
                source,
                settings,
                job.output,
                resume=job.resume,
                progress=step,
                stop=stop,
                good_enough=_judge(source, settings.target_flip),
                decoder=donor,
            )

    with scheduled(job.trace, job.metrics) as scheduler:
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
        options = "--resume, --restart, --progress, --report, --trace, --metrics, --decoder"
        raise InputError("--cluster", f"excludes {options} and --target-flip")
    if folder.suffix == ".eta" or (folder.exists() and not folder.is_dir()):
        raise InputError("-o", "is a folder with --cluster", got=folder)
    check_folder(folder)
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


def _check_transmitting(job: Job, settings: BakeSettings) -> None:
    """Raise `InputError` for what is not known of materials that let light through."""
    for option, given in (
        ("--report", job.report is not None),
        ("--decoder", job.decoder is not None),
        ("--target-flip", settings.target_flip > 0),
        ("--reciprocal", settings.reciprocal),
        ("--latents", settings.latents != "f16"),
        ("--weights", settings.weights != "f32"),
    ):
        if given:
            raise InputError(option, "does not know materials that transmit", fix="Leave it out")


def _heldout(artifact: Any, source: LayeredMaterial) -> list[dict[str, Any]]:
    """Errors by mip level or, where light passes through, by pair of hemispheres."""
    if source.transmits:
        from etendue.bake import transmission

        return transmission.heldout_error(artifact, source)
    from etendue.bake.quality import heldout_error
    from etendue.bsdf.layered import Layered

    return heldout_error(artifact, Layered(source, walks=64))


def _command(job: Job, settings: BakeSettings) -> str:
    """The command line that makes the same file again."""
    words = ["etendue", "bake", str(job.material), "-o", str(job.output)]
    words += ["--material", job.name] if job.name is not None else []
    words += ["--decoder", str(job.decoder)] if job.decoder is not None else []
    words += ["--arch", settings.arch, "--resolution", str(settings.resolution)]
    words += ["--steps", str(settings.steps), "--seed", str(settings.seed)]
    words += ["--reciprocal"] if settings.reciprocal else []
    words += ["--instances", str(settings.instances)]
    words += ["--target-flip", str(settings.target_flip)] if settings.target_flip else []
    words += ["--latents", settings.latents] if settings.latents != "f16" else []
    words += ["--weights", settings.weights] if settings.weights != "f32" else []
    return shlex.join(words)


def _tell_notes(material: LayeredMaterial) -> None:
    for note in material.notes:
        typer.echo(f"note: {material.name}: {note}", err=True)


def _with_steps(
    source: LayeredMaterial, settings: BakeSettings, job: Job, donor: Artifact | None
) -> BakeSettings:
    """Settings with the step count asked for, planned from a time, or found in the checkpoint."""
    from etendue.bake.checkpoint import planned_steps
    from etendue.bake.material import checkpoint_path, plan_steps

    steps = job.steps
    if job.resume and steps is None:
        steps = planned_steps(checkpoint_path(job.output))
    if steps is None:
        typer.echo("measuring this machine ...", err=True)
        minutes = DRAFT_MINUTES if job.minutes is None else job.minutes
        steps = plan_steps(source, settings, minutes, donor)
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
