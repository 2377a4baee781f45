"""Radiance fields from photos and from each other: quality and time of every pair.

    etendue field capture assets/scenes/toy.xml -o out/toy --tests 8
    python tools/bench.py fields out/toy --write

Every kind is trained on the photos, which makes the teachers. A student is then trained from
scratch on its teacher's pictures from where the photos were taken, and converted: by stages, by
rendered colours alone, and without the first stage. `to scratch` is the time in which the
conversion is as close to the teacher, in pictures from elsewhere, as the scratch training was at
its end, over the time that took. Finished rows are kept in a JSON file, so an interrupted run
goes on; runs on several sets may go on at once with `--threads 1`, and `--report` joins them.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
KINDS = ("mlp", "hashgrid", "vm", "grid")
SIZES = {"hashgrid": {"finest": 64}, "mlp": {"bands": 6}}  # all of them of 64 points a side
LOOKS = 10  # at the quality, on the way
TEACHER = (1600, 512)  # steps and rays of the trainings on photos
SCRATCH = 2  # times the steps of a conversion


def _model(kind: str) -> Any:
    from etendue.field.file import make_model

    return make_model(kind, SIZES.get(kind))


def train(data: Any, kind: str, settings: Any, out: Path) -> dict[str, Any]:
    """A field of a kind from photos."""
    from etendue.bake import field_train
    from etendue.bake.material import checkpoint_path

    checkpoint_path(out).unlink(missing_ok=True)
    made = field_train.train(data, _model(kind), settings, out)
    return {"seconds": made.info["seconds"], "photos": made.info["psnr_test_db"]}


def scratch(data: Any, teacher: Any, kind: str, settings: Any, out: Path) -> dict[str, float]:
    """A student that sees nothing but pictures: its teacher's, from where the photos were taken."""
    from etendue.bake.field_judge import psnr_between
    from etendue.field.file import read_field

    row = train(data, kind, settings, out)
    return {"scratch_s": row["seconds"], "scratch_db": psnr_between(teacher, read_field(out))}


def pictures(data: Any, teacher: Any) -> Any:
    """The same set with the teacher's pictures in place of the photos."""
    from dataclasses import replace

    import torch

    from etendue.bake.field_train import look_through

    found = []
    for view in data.train.views:
        seen = look_through(teacher, view)
        color = seen.rgb / seen.alpha.clamp(min=1e-6)[:, None]
        flat = torch.cat([color.clamp(0, 1), seen.alpha[:, None]], -1)
        found.append(flat.reshape(view.height, view.width, 4).numpy())
    return replace(data, train=replace(data.train, pictures=tuple(found)))


def convert(
    data: Any, teacher: Any, kind: str, settings: Any, how: str, goal: float | None = None
) -> dict[str, Any]:
    """A conversion; when it first had `goal` dB against the teacher. `how`: see the columns."""
    from etendue.bake import field_distill, field_fit
    from etendue.bake.field_judge import agreement, psnr_between
    from etendue.bake.field_train import finished, psnr

    mark, spent = time.monotonic(), 0.0
    model = _model(kind)
    shared = model.has_features and teacher.model.has_features
    plan = field_distill.Stages.between(teacher.model, model, settings.steps)
    start = {} if how == "rendered" else field_distill.first_guess(teacher, model)
    cut = {"no_features": field_distill.Stages(0, plan.rendered), "rendered": None}
    cut |= {"stages": plan, "no_volume": field_distill.Stages(0, 0)}
    plan = cut[how]
    shared = shared and how == "stages"
    fit = field_fit.begin(model, settings, params=start, occupancy=teacher.occupancy)
    looks: list[tuple[float, float]] = []

    def student() -> Any:
        return finished(fit, teacher.cube, "", teacher.distance, settings)

    def look(step: int, total: int, loss: float) -> None:
        nonlocal spent, mark
        spent += time.monotonic() - mark
        if goal is not None and step * LOOKS // total > (step - field_fit.POOL) * LOOKS // total:
            looks.append((spent, psnr_between(teacher, student())))
        mark = time.monotonic()

    if goal is not None:
        look(0, 1 << 30, 0.0)
        looks.append((spent, psnr_between(teacher, student())))
        mark = time.monotonic()
    loss = field_distill.teacher_loss(teacher, model, settings, plan, features=shared)
    field_fit.run(fit, settings, loss, progress=look, save=lambda fit: None, stop=lambda: False)
    made = student()
    reached = next((s for s, db in looks if goal is not None and db >= goal), None)
    return {"seconds": spent, "photos": psnr(made, data.test), "reached": reached,
            **agreement(teacher, made, settings.seed)}  # fmt: skip


def rows_of(arguments: argparse.Namespace, photos: Path) -> dict[str, Any]:
    """Every row that there is not yet, of one set."""
    from etendue.bake.field_fit import FieldSettings
    from etendue.core.files import atomic_path
    from etendue.field.data import load_photos
    from etendue.field.file import read_field

    folder = arguments.folder / f"{photos.name}-{arguments.steps}x{arguments.rays}"
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / "rows.json"
    rows: dict[str, Any] = json.loads(kept.read_text()) if kept.is_file() else {}
    if arguments.report:
        return rows
    data = load_photos(photos)
    settings = FieldSettings(arguments.steps, arguments.rays)
    longer = FieldSettings(SCRATCH * arguments.steps, arguments.rays)
    kinds = arguments.kinds
    for key in [*kinds, *(f"{a}-{b}" for a in kinds for b in kinds if a != b)]:
        if key in rows:
            continue
        a, _, b = key.partition("-")
        if not b:
            rows[key] = train(data, a, FieldSettings(*TEACHER), folder / f"{a}.eta")
        else:
            teacher = read_field(folder / f"{a}.eta")
            alone = scratch(pictures(data, teacher), teacher, b, longer, folder / "scratch.eta")
            row = {**alone, **convert(data, teacher, b, settings, "stages", alone["scratch_db"])}
            for how in ("rendered", "no_features", "no_volume"):
                if how != "no_features" or {a, b}.isdisjoint({"grid"}):
                    row[how] = convert(data, teacher, b, settings, how)["psnr_teacher_db"]
            rows[key] = row
        with atomic_path(kept) as temporary:
            temporary.write_text(json.dumps(rows, indent=1))
        print(f"{photos.name} {key}: {rows[key]}", file=sys.stderr, flush=True)
    return rows


def report(sets: dict[str, dict[str, Any]], arguments: argparse.Namespace) -> str:
    """The section of docs/numbers.md."""
    from bench_common import machine

    m = machine()
    steps, rays = arguments.steps, arguments.rays
    lines = [
        "## Radiance fields",
        "",
        f"`tools/bench.py fields`: teachers {TEACHER[0]} steps of {TEACHER[1]} rays on photos, "
        f"students {SCRATCH * steps} steps of {rays} rays from scratch on their teacher's pictures "
        f"or {steps} steps converted, all of 64 points a side. {m['cpu']}, {arguments.threads} "
        "thread each, n = 1. PSNR in dB: against the teacher in four pictures of 96 x 96 from "
        "elsewhere, and (photos) the student's and the teacher's against held-out photos. Errors "
        "of density as in `field_judge.agreement`. To scratch: the time in which the conversion "
        "was as close to the teacher as scratch at its end, over the time of that.",
        "",
        "| set | teacher | student | by stages | rendered colours alone | without features | "
        "without volume | scratch | photos | teacher's | density error | opacity error | s | "
        "scratch, s | to scratch |",
        f"|{'---|' * 15}",
    ]
    for name, rows in sets.items():
        for key, row in rows.items():
            if "-" in key:
                a, b = key.split("-")
                cells = [name, a, b, *_cells(row, rows[a])]
                lines.append(f"| {' | '.join(cells)} |")
    lines += ["", *_summary(sets)]
    for name, rows in sets.items():
        alone = ", ".join(f"{k} {r['photos']:.2f} dB in {r['seconds']:.0f} s"
                          for k, r in rows.items() if "-" not in k)  # fmt: skip
        lines.append(f"* From photos, {name}: {alone}.")
    return "\n".join(lines)


def _cells(row: dict[str, Any], teacher: dict[str, Any]) -> list[str]:
    quick = f"{row['reached'] / row['scratch_s']:.2f}" if row["reached"] else "not reached"
    bare = f"{row['no_features']:.1f}" if "no_features" in row else ""
    return [
        f"{row['psnr_teacher_db']:.1f}", f"{row['rendered']:.1f}", bare, f"{row['no_volume']:.1f}",
        f"{row['scratch_db']:.1f}", f"{row['photos']:.2f}", f"{teacher['photos']:.2f}",
        f"{row['density_error']:.2f}", f"{row['opacity_error']:.2f}", f"{row['seconds']:.0f}",
        f"{row['scratch_s']:.0f}", quick,
    ]  # fmt: skip


def _summary(sets: dict[str, dict[str, Any]]) -> list[str]:
    pairs = [(key, row, rows) for rows in sets.values() for key, row in rows.items() if "-" in key]
    gains = [row["psnr_teacher_db"] - row["rendered"] for _, row, _ in pairs]
    times = [row["reached"] / row["scratch_s"] if row["reached"] else 9.99 for _, row, _ in pairs]
    losses = [rows[key.split("-")[0]]["photos"] - row["photos"] for key, row, rows in pairs]
    good = sum(row["psnr_teacher_db"] >= 30 for _, row, _ in pairs)
    near = sum(loss <= 0.5 for loss in losses)
    return [
        f"* {good} of {len(pairs)} conversions have 30 dB against their teacher; {near} lose no "
        f"more than 0.5 dB against photos (median {median(losses):.2f}).",
        f"* Stages gain {median(gains):.1f} dB over rendered colours alone at equal steps (median; "
        f"least {min(gains):.1f}); time to scratch: median {median(times):.2f}.",
    ]


def plot(sets: dict[str, dict[str, Any]], path: Path) -> None:
    """The matrix as a picture: PSNR against the teacher, and time over that from scratch."""
    import matplotlib.pyplot as plt
    import numpy as np

    figure, axes = plt.subplots(len(sets), 2, figsize=(9, 4 * len(sets)), squeeze=False)
    for line, (name, rows) in zip(axes, sets.items(), strict=True):
        kinds = [key for key in rows if "-" not in key]
        for axis, what in zip(line, ("dB against the teacher", "time / scratch"), strict=True):
            grid = np.full((len(kinds), len(kinds)), np.nan)
            for i, a in enumerate(kinds):
                for j, b in enumerate(kinds):
                    row = rows.get(f"{a}-{b}")
                    if row and what.startswith("dB"):
                        grid[i, j] = row["psnr_teacher_db"]
                    elif row and row["reached"]:
                        grid[i, j] = row["reached"] / row["scratch_s"]
                    if np.isfinite(grid[i, j]):
                        axis.text(j, i, f"{grid[i, j]:.3g}", ha="center", va="center", color="w")
            axis.imshow(grid, cmap="viridis")
            axis.set(xticks=range(len(kinds)), yticks=range(len(kinds)), title=f"{name}: {what}",
                     xlabel="student", ylabel="teacher")  # fmt: skip
            axis.set_xticklabels(kinds)
            axis.set_yticklabels(kinds)
    figure.tight_layout()
    figure.savefig(path, dpi=80)


def parser() -> argparse.ArgumentParser:
    """Options."""
    p = argparse.ArgumentParser(prog="bench.py fields", description=(__doc__ or "").split("\n")[0])
    p.add_argument("photos", type=Path, nargs="+", help="folders of `etendue field capture`")
    p.add_argument("--steps", type=int, default=800)
    p.add_argument("--rays", type=int, default=256)
    p.add_argument("--kinds", nargs="+", default=list(KINDS))
    p.add_argument("--threads", type=int, default=2, help="of torch")
    p.add_argument("--folder", type=Path, default=ROOT / "out" / "bench" / "fields")
    p.add_argument("--report", action="store_true", help="of the rows that there are")
    p.add_argument("--plot", type=Path, help="draw the matrices into a .png")
    p.add_argument("--write", action="store_true", help="update docs/numbers.md")
    return p


def main(argv: list[str]) -> int:
    """Command line."""
    import torch
    from bench_common import write_section

    arguments = parser().parse_args(argv)
    torch.set_num_threads(arguments.threads)
    sets = {photos.name: rows_of(arguments, photos) for photos in arguments.photos}
    text = report(sets, arguments)
    if arguments.plot:
        plot(sets, arguments.plot)
        shown = os.path.relpath(arguments.plot.resolve(), ROOT / "docs")
        text += f"\n\n![quality and time of every pair]({shown})"
    print(text)
    if arguments.write:
        write_section("fields", text)
    return 0
