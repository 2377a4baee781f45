"""`etendue bake --compare FIELD=VALUE,VALUE`: one bake per value, and the front they make."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from etendue.commands._bake_checks import check_folder, check_output
from etendue.commands._bake_job import Job, bake_here
from etendue.core.errors import InputError
from etendue.core.files import atomic_path

if TYPE_CHECKING:
    from etendue.bake.settings import BakeSettings

FIELDS = ("arch", "resolution", "seed", "reciprocal", "latents", "weights")


def parse_compare(text: str, settings: BakeSettings) -> dict[str, BakeSettings]:
    """Settings by label; `InputError` for unknown fields and values."""
    from etendue.bake.settings import check_settings

    name, _, rest = text.partition("=")
    values = [value for value in rest.split(",") if value]
    if name not in FIELDS:
        raise InputError("--compare", "no such field", got=name, expected=", ".join(FIELDS))
    if len(values) < 2 or len(set(values)) < len(values):
        raise InputError("--compare", "needs two different values or more", got=text)
    kind = {f.name: type(f.default) for f in fields(settings)}[name]
    found = {}
    for value in values:
        try:
            typed = _truth(value) if kind is bool else kind(value)
        except ValueError:
            raise InputError("--compare", f"{name} is no {kind.__name__}", got=value) from None
        changed = replace(settings, **{name: typed})
        check_settings(changed)
        found[f"{name}-{value}"] = changed
    return found


def _truth(value: str) -> bool:
    if value not in ("true", "false"):
        raise ValueError(value)
    return value == "true"


def compare_bakes(job: Job, variants: dict[str, BakeSettings]) -> dict[str, Any]:
    """Bake every variant into the folder `job.output`, measure them, write `front.html`.

    A variant whose file and figures are there from an equal command is kept with `--resume`.
    """
    from etendue.report.front import Candidate, measure, write_front

    folder = job.output
    if folder.suffix == ".eta" or (folder.exists() and not folder.is_dir()):
        raise InputError("-o", "is a folder with --compare", got=folder)
    check_folder(folder)
    source = job.sources[0]
    candidates = []
    for label, settings in variants.items():
        path = folder / f"{source.file.stem}-{label}.eta"
        figures = _bake(replace(job, output=path), settings)
        candidates.append(Candidate(label, path, figures))
    material = source.load(max(v.resolution for v in variants.values()))
    rows = measure(material, candidates, folder)
    return {"front": str(write_front(folder, material.name, rows)), "rows": rows}


def _bake(job: Job, settings: BakeSettings) -> dict[str, Any]:
    from etendue.bake.material import checkpoint_path

    note = job.output.with_suffix(".json")
    wanted = {"settings": settings.record() | {"steps": job.steps}, "minutes": job.minutes}
    wanted["source"] = str(job.sources[0])
    if job.resume and job.output.is_file() and note.is_file():
        kept = json.loads(note.read_text())
        if kept["wanted"] == wanted:
            return kept["figures"]
    resume = job.resume and checkpoint_path(job.output).exists()
    job = replace(job, resume=resume)
    check_output(job.output, None, resume=job.resume, restart=job.restart)
    job.output.parent.mkdir(parents=True, exist_ok=True)
    figures = bake_here(job, settings)
    with atomic_path(note) as temporary:
        temporary.write_text(json.dumps({"wanted": wanted, "figures": figures}, indent=1))
    return figures


def describe(found: dict[str, Any]) -> list[str]:
    """Lines for the terminal."""
    width = max(len(row["label"]) for row in found["rows"])
    lines = [f"{'':{width}}  mean FLIP       bytes  render ms  bake s"]
    for row in found["rows"]:
        mark = "*" if row["best_by_size"] or row["best_by_time"] else " "
        lines.append(
            f"{row['label']:{width}}  {row['mean_flip']:9.4f}  {row['bytes']:10,}  "
            f"{row['render_ms']:9.0f}  {row['bake_s']:6.0f} {mark}"
        )
    return [*lines, f"report: {found['front']}"]


def check_compare(job: Job, target_flip: float) -> None:
    """Raise `InputError` for what a comparison does not know."""
    if len(job.sources) > 1:
        raise InputError("--compare", "takes one material", got=f"{len(job.sources)}")
    for option, given in (
        ("--report", job.report),
        ("--trace", job.trace),
        ("--metrics", job.metrics),
        ("--decoder", job.decoder),
        ("--target-flip", target_flip > 0 or None),
    ):
        if given is not None:
            raise InputError(option, "is not known to --compare", fix="Leave it out")
