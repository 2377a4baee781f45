"""`etendue bake`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from etendue.cli_support import print_json
from etendue.commands._bake_checks import (
    check_folder,
    check_output,
    check_plan,
    check_set_options,
)
from etendue.commands._bake_job import DRAFT_MINUTES, Job, bake_here, parse_sources
from etendue.commands._schedule import (
    ClusterOption,
    MetricsOption,
    TraceOption,
)
from etendue.core.errors import InputError
from etendue.device.caps import DEVICES

if TYPE_CHECKING:
    from etendue.bake.settings import BakeSettings

EXAMPLES = (
    "etendue bake car_paint.mtlx -o car_paint.eta",
    "etendue bake car_paint.mtlx -o car_paint.eta --time 10 --report report/",
    "etendue bake car_paint.mtlx -o car_paint.eta --resume",
    "etendue bake oak.mtlx gold.mtlx -o baked/ --cluster auto --seeds 0,1",
    "etendue bake car_paint.mtlx -o car_paint.eta --time 10 --target-flip 0.05 --reciprocal",
    "etendue bake oak.mtlx gold.mtlx red=paint.mtlx -o set.eta --time 20",
    "etendue bake new.mtlx -o new.eta --decoder set.eta --time 2",
    "etendue bake car_paint.mtlx -o front/ --compare arch=2x16,2x32,3x64 --time 5",
    "etendue bake library.mtlx --material gold -o gold.eta --arch 3x64 --steps 20000",
)
Name = Annotated[
    str | None, typer.Option("--material", help="Which material, if it holds several.")
]
Latents = Annotated[str, typer.Option(help="Stored as f16, bfp8, bfp4, cb4, cb3 or cb2.")]
Reciprocal = Annotated[
    bool, typer.Option(help="f(wi, wo) = f(wo, wi) exactly; fits a little less well.")
]
TargetFlip = Annotated[
    float, typer.Option(help="End early when a held-out view has this LDR-FLIP; 0 = never.")
]
Decoder = Annotated[
    Path | None,
    typer.Option(help="Take the networks of this .eta over, a set's too, fit latents only."),
]
Compare = Annotated[
    str | None, typer.Option(help="FIELD=A,B,...: a bake for each into the folder -o, compared.")
]
ProgressLines = Annotated[
    Path | None, typer.Option("--progress", help="Append steps and errors to it as lines of JSON.")
]
Device = Annotated[str, typer.Option(help="Where it trains: " + "|".join(DEVICES))]
Minutes = Annotated[
    float | None, typer.Option("--time", help="Training time in minutes on this machine.")
]
Steps = Annotated[int | None, typer.Option(help="Training steps instead of a time; reproducible.")]
Materials = Annotated[
    list[Path],
    typer.Argument(help="FILE.mtlx[#MATERIAL]; several become one set on a shared decoder."),
]
Output = Annotated[
    Path,
    typer.Option("-o", "--output", help="The .eta file; a folder with --cluster or --compare."),
]
Weights = Annotated[str, typer.Option(help="Networks: stored as f32, f16 or bfp8.")]


def run(
    material: Materials,
    output: Output,
    name: Name = None,
    arch: Annotated[str, typer.Option(help="Evaluator: 2x16, 2x32 or 3x64.")] = "2x32",
    resolution: Annotated[int, typer.Option(help="Texels per side, a power of two.")] = 512,
    minutes: Minutes = None,
    steps: Steps = None,
    seed: Annotated[int, typer.Option(help="Same seed and steps give an equal file.")] = 0,
    reciprocal: Reciprocal = False,
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
    compare: Compare = None,
    device: Device = "auto",
    json: Annotated[bool, typer.Option("--json", help="Print figures as JSON.")] = False,
) -> None:
    """Bake a layered material into a neural one, or several onto one shared decoder.

    A material of a set is then named as set.eta#NAME; NAME=FILE.mtlx chooses what it is called.
    Ctrl-C keeps the work done: run the same command with --resume.
    """
    from etendue.bake.settings import BakeSettings, check_settings

    settings = BakeSettings(
        arch=arch, resolution=resolution, seed=seed, reciprocal=reciprocal,
        target_flip=target_flip, latents=latents, weights=weights,
    )  # fmt: skip
    check_settings(settings if steps is None else replace(settings, steps=steps))
    check_plan(minutes, steps, resume=resume, restart=restart)
    if cluster is not None:
        files = report or trace or metrics or progress or decoder or compare
        alone = resume or restart or files is not None or target_flip > 0 or device == "cuda"
        _spread(cluster, material, name, output, settings, minutes, steps, seeds, alone, json)
        return
    if seeds is not None:
        raise InputError("--seeds", "needs --cluster")
    if compare is None:
        check_output(output, report, resume=resume, restart=restart)
    if len(material) > 1 and compare is None:
        check_set_options(name, report, latents, weights)
    sources = parse_sources(material, name)
    job = Job(
        sources, output, minutes, steps, resume, restart, report, trace, metrics, decoder, progress,
        device,
    )  # fmt: skip
    if compare is not None:
        _compare(compare, job, settings, json)
        return
    _print(bake_here(job, settings), json)


def _compare(text: str, job: Job, settings: BakeSettings, json: bool) -> None:
    """Bake once for every value of a field and show the front."""
    from etendue.commands._bake_compare import check_compare, compare_bakes, describe, parse_compare

    check_compare(job, settings.target_flip)
    found = compare_bakes(job, parse_compare(text, settings))
    if json:
        print_json(found)
        return
    for line in describe(found):
        typer.echo(line)


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
        options = "--resume, --restart, --report, --trace, --metrics, --progress, --decoder, "
        options += "--compare, --target-flip and --device cuda"
        raise InputError("--cluster", f"excludes {options}")
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


def _print(figures: dict[str, Any], json: bool) -> None:
    if json:
        print_json(figures)
        return
    typer.echo(
        f"{figures['file']}: {figures['bytes']} bytes, {figures['steps']} steps in "
        f"{figures['seconds']} s"
    )
    one = {"name": "", "heldout": figures.get("heldout")}
    for material in figures.get("materials", [one]):
        of = f"{material['name']}, " if material["name"] else ""
        for row in material["heldout"]:
            where = of + (row["lobe"] if "lobe" in row else f"mip {row['level']}")
            typer.echo(f"  {where}: relative error {row['relative']:.3f}, bias {row['bias']:+.3f}")
    typer.echo(f"reproduce: {figures['reproduce']}")
