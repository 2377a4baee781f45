"""A bake in this process, of one material or of several onto one decoder, as a job."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from etendue.commands._schedule import scheduled, stepwise
from etendue.core.errors import InputError

if TYPE_CHECKING:
    from etendue.artifact import Artifact
    from etendue.bake.decoder import Donor
    from etendue.bake.settings import BakeSettings
    from etendue.scene.material import LayeredMaterial

DRAFT_MINUTES = 3.0


@dataclass(frozen=True)
class Source:
    """A material on the command line: `FILE.mtlx`, `FILE.mtlx#MATERIAL`, `NAME=FILE.mtlx`."""

    file: Path
    material: str | None = None  # which one of the file
    label: str | None = None  # what it is called in a set

    @classmethod
    def parse(cls, text: Path) -> Source:
        """A file that has the whole name is meant first."""
        from etendue.artifact import split_name

        label, rest = None, text
        if not text.is_file() and "=" in str(text):
            label, _, file = str(text).partition("=")
            rest = Path(file)
        return cls(*split_name(rest), label or None)

    def __str__(self) -> str:
        label = f"{self.label}=" if self.label else ""
        return f"{label}{self.file}" + (f"#{self.material}" if self.material else "")

    def load(self, resolution: int) -> LayeredMaterial:
        """Read the material."""
        from etendue.scene.materialx import load_material

        material = load_material(self.file, self.material, resolution)
        return replace(material, name=self.label) if self.label else material


def parse_sources(texts: Sequence[Path], name: str | None) -> tuple[Source, ...]:
    """All materials; `name` (--material) says which one of the first file."""
    first, *others = [Source.parse(text) for text in texts]
    if name is not None:
        if first.material is not None:
            raise InputError("--material", f"excludes naming it as {texts[0]}")
        first = replace(first, material=name)
    return first, *others


@dataclass(frozen=True)
class Job:
    """What one bake in this process reads and writes, and how long it may take."""

    sources: tuple[Source, ...]
    output: Path
    minutes: float | None
    steps: int | None
    resume: bool
    restart: bool
    report: Path | None
    trace: Path | None
    metrics: Path | None
    decoder: Path | None
    lines: Path | None = None  # where progress is appended as lines of JSON
    device: str = "auto"


def bake_here(job: Job, settings: BakeSettings) -> dict[str, Any]:
    """Bake one material, or a set of several; what was written and how good it is."""
    from etendue.bake.decoder import read_donor, with_decoder
    from etendue.bake.material import checkpoint_path
    from etendue.device.caps import array_variant
    from etendue.device.drjit import activate

    activate(array_variant(job.device))
    donor = None
    if job.decoder is not None:
        donor = read_donor(job.decoder)
        settings = with_decoder(settings, donor)
    materials = [source.load(settings.resolution) for source in job.sources]
    for material in materials:
        for note in material.notes:
            typer.echo(f"note: {material.name}: {note}", err=True)
    _check(materials, settings, job)
    settings = _with_steps(materials, settings, job, donor)
    if job.restart:
        checkpoint_path(job.output).unlink(missing_ok=True)
    began = time.monotonic()
    artifact = _train(materials, settings, job, donor)
    figures: dict[str, Any] = {
        "file": str(job.output),
        "bytes": job.output.stat().st_size,
        "steps": settings.steps,
        "seconds": round(time.monotonic() - began, 1),
        "seed": settings.seed,
        **_quality(artifact, materials),
        "reproduce": _command(job, settings),
    }
    if job.report is not None:
        from etendue.report.page import write_report

        page = write_report(job.report, materials[0], artifact, job.output, figures)
        figures["report"] = str(page)
    return figures


def _check(materials: Sequence[LayeredMaterial], settings: BakeSettings, job: Job) -> None:
    if len(materials) > 1:
        from etendue.bake.material_set import check_set

        check_set(materials, settings)
    elif materials[0].transmits:
        _check_transmitting(job, settings)


def _check_transmitting(job: Job, settings: BakeSettings) -> None:
    """Raise `InputError` for what is not known of materials that let light through."""
    for option, given in (
        ("--decoder", job.decoder is not None),
        ("--target-flip", settings.target_flip > 0),
        ("--reciprocal", settings.reciprocal),
        ("--latents", settings.latents != "f16"),
        ("--weights", settings.weights != "f32"),
    ):
        if given:
            raise InputError(option, "does not know materials that transmit", fix="Leave it out")


def _train(
    materials: Sequence[LayeredMaterial], settings: BakeSettings, job: Job, donor: Donor | None
) -> Artifact:
    """The bake as a task of the scheduler."""
    from etendue.bake.material import bake
    from etendue.bake.material_set import bake_set
    from etendue.commands._progress import baking
    from etendue.schedule import Priority, Task

    judges = [_judge(material, settings.target_flip) for material in materials]

    def work() -> Artifact:
        with baking(settings.steps, job.output, job.lines) as (advance, stop):
            options: dict[str, Any] = {
                "resume": job.resume,
                "progress": stepwise(advance),  # a step of the task is a pool of samples
                "stop": stop,
                "decoder": donor,
            }
            if len(materials) == 1:
                one = materials[0]
                return bake(one, settings, job.output, good_enough=judges[0], **options)
            enough = _all_of(judges) if settings.target_flip > 0 else None
            return bake_set(materials, settings, job.output, good_enough=enough, **options)

    with scheduled(job.trace, job.metrics) as scheduler:
        task = Task("bake", work, priority=Priority.BAKE, shape=(settings.resolution,))
        return scheduler.submit(task)[0].result()


def _judge(source: LayeredMaterial, target: float) -> Any:
    """The test of `--target-flip`, or None."""
    if target <= 0:
        return None
    from etendue.report.target import flip_judge

    return flip_judge(source, target, lambda flip: typer.echo(f"FLIP {flip:.4f}", err=True))


def _all_of(judges: Sequence[Any]) -> Any:
    """Whether every material is good enough; asks no further after the first that is not."""
    return lambda artifacts: all(j(a) for j, a in zip(judges, artifacts, strict=True))


def _quality(artifact: Artifact, materials: Sequence[LayeredMaterial]) -> dict[str, Any]:
    """Held-out errors, for a set those of every material."""
    if len(materials) == 1:
        return {"heldout": _heldout(artifact, materials[0])}
    from etendue.bake.material_set import members_of

    rows = zip(members_of(artifact), materials, strict=True)
    return {"materials": [{"name": m.name, "heldout": _heldout(a, m)} for a, m in rows]}


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
    words = ["etendue", "bake", *map(str, job.sources), "-o", str(job.output)]
    if len(job.sources) == 1:
        only = job.sources[0]
        words[2] = str(only.file)
        words += ["--material", only.material] if only.material is not None else []
    words += ["--decoder", str(job.decoder)] if job.decoder is not None else []
    words += ["--arch", settings.arch, "--resolution", str(settings.resolution)]
    words += ["--steps", str(settings.steps), "--seed", str(settings.seed)]
    words += ["--device", job.device] if job.device != "auto" else []
    words += ["--reciprocal"] if settings.reciprocal else []
    words += ["--target-flip", str(settings.target_flip)] if settings.target_flip else []
    words += ["--latents", settings.latents] if settings.latents != "f16" else []
    words += ["--weights", settings.weights] if settings.weights != "f32" else []
    return shlex.join(words)


def _with_steps(
    materials: Sequence[LayeredMaterial], settings: BakeSettings, job: Job, donor: Donor | None
) -> BakeSettings:
    """Settings with the step count asked for, planned from a time, or found in the checkpoint."""
    from etendue.bake.checkpoint import planned_steps
    from etendue.bake.material import checkpoint_path, plan_steps
    from etendue.bake.material_set import plan_set

    steps = job.steps
    if job.resume and steps is None:
        steps = planned_steps(checkpoint_path(job.output))
    if steps is None:
        typer.echo("measuring this machine ...", err=True)
        minutes = DRAFT_MINUTES if job.minutes is None else job.minutes
        if len(materials) == 1:
            steps = plan_steps(materials[0], settings, minutes, donor)
        else:
            steps = plan_set(materials, settings, minutes, donor)
    return replace(settings, steps=steps)
