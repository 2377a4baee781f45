"""Radiance fields from photos and from each other: quality and time of every pair.

    python tools/bench.py fields photos/ --steps 800 --write

Every kind is trained on the photos, then every one is converted into every other. `to scratch` is
the time in which a conversion has the PSNR that its kind had at the end of its own training, over
the time that took; it is asked after every sixteenth of the steps. `rendered only` is distilled by
rendered colours alone, with a colour head of its own. Finished rows are kept in a JSON file, so an
interrupted run goes on.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
KINDS = ("mlp", "hashgrid", "vm", "grid")
PARTS = 16  # looks at the quality


def train(data: Any, kind: str, settings: Any, out: Path) -> dict[str, Any]:
    """A field of a kind from photos."""
    from etendue.bake import field_train
    from etendue.bake.material import checkpoint_path
    from etendue.field.file import make_model

    checkpoint_path(out).unlink(missing_ok=True)
    made = field_train.train(data, make_model(kind), settings, out)
    return {"seconds": made.info["seconds"], "psnr": made.info["psnr_test_db"]}


def convert(
    data: Any, source: Path, kind: str, settings: Any, goal: float, *, rendered_only: bool = False
) -> dict[str, Any]:
    """A conversion; when it first had `goal` dB on the held-out photos."""
    from etendue.bake import field_distill, field_fit
    from etendue.bake.field_train import finished, psnr
    from etendue.field.file import make_model, read_field

    teacher, model = read_field(source), make_model(kind)
    shared = model.has_features and teacher.model.has_features
    plan = field_distill.Stages.of(settings.steps, features=shared)
    heads = {n: v for n, v in teacher.params.items() if shared and n.startswith("head.")}
    plan, start = (None, {}) if rendered_only else (plan, heads)
    fit = field_fit.begin(model, settings, params=start, occupancy=teacher.occupancy)
    looks: list[tuple[float, float]] = []
    spent, mark = 0.0, time.monotonic()

    def look(step: int, total: int, loss: float) -> None:
        nonlocal spent, mark
        spent += time.monotonic() - mark
        if step * PARTS // total > (step - field_fit.POOL) * PARTS // total:
            made = finished(fit, teacher.cube, "", teacher.distance, settings)
            looks.append((spent, psnr(made, data.test)))
        mark = time.monotonic()

    loss = field_distill.teacher_loss(teacher, model, settings.rays, plan, features=shared)
    field_fit.run(fit, settings, loss, progress=look, save=lambda fit: None, stop=lambda: False)
    made = finished(fit, teacher.cube, "", teacher.distance, settings)
    reached = next((seconds for seconds, db in looks if db >= goal), None)
    return {
        "seconds": spent,
        "psnr": looks[-1][1],
        "reached": reached,
        **field_distill.agreement(teacher, made, settings.seed),
    }


def report(rows: dict[str, Any], arguments: argparse.Namespace) -> str:
    """The section of docs/numbers.md."""
    from bench_common import machine

    m = machine()
    lines = [
        "## Radiance fields",
        "",
        f"`tools/bench.py fields`, {arguments.steps} steps of {arguments.rays} rays, photos "
        f"`{arguments.photos.name}`. {m['cpu']}, {m['threads']} threads, load average "
        f"{m['load_average']}. PSNR against the teacher, and the student's and the teacher's "
        "against held-out photos; opacity error as in `field_distill.agreement`; to scratch: time "
        "to the PSNR of the same kind trained on photos, over the time of that.",
        "",
        "| teacher | student | against teacher, dB | rendered only, dB | photos, dB | "
        "teacher's, dB | opacity error | s | to scratch |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for key, row in rows.items():
        if "-" not in key:
            continue
        a, b = key.split("-")
        quick = row["reached"] / rows[b]["seconds"] if row["reached"] else None
        cells = [
            a, b, f"{row['psnr_teacher_db']:.1f}", f"{row['rendered_only_db']:.1f}",
            f"{row['psnr']:.2f}", f"{rows[a]['psnr']:.2f}", f"{row['opacity_error']:.2f}",
            f"{row['seconds']:.0f}", f"{quick:.2f}" if quick else "not reached",
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    alone = ", ".join(f"{k} {rows[k]['psnr']:.2f} dB in {rows[k]['seconds']:.0f} s"
                      for k in rows if "-" not in k)  # fmt: skip
    return "\n".join([*lines, "", f"From photos: {alone}."])


def parser() -> argparse.ArgumentParser:
    """Options."""
    p = argparse.ArgumentParser(prog="bench.py fields", description=(__doc__ or "").split("\n")[0])
    p.add_argument("photos", type=Path, help="folder of `etendue field capture`")
    p.add_argument("--steps", type=int, default=800)
    p.add_argument("--rays", type=int, default=1024)
    p.add_argument("--kinds", nargs="+", default=list(KINDS))
    p.add_argument("--folder", type=Path, default=ROOT / "out" / "bench" / "fields")
    p.add_argument("--write", action="store_true", help="update docs/numbers.md")
    return p


def main(argv: list[str]) -> int:
    """Command line."""
    from bench_common import write_section

    arguments = parser().parse_args(argv)
    from etendue.bake.field_fit import FieldSettings
    from etendue.core.files import atomic_path
    from etendue.field.data import load_photos

    plan = f"{arguments.photos.name}-{arguments.steps}x{arguments.rays}"
    folder = arguments.folder / plan  # rows of another plan are others
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / "rows.json"
    rows: dict[str, Any] = json.loads(kept.read_text()) if kept.is_file() else {}
    data = load_photos(arguments.photos)
    settings = FieldSettings(arguments.steps, arguments.rays)
    files = {kind: folder / f"{kind}.eta" for kind in arguments.kinds}
    wanted = [*files, *(f"{a}-{b}" for a in files for b in files if a != b)]
    for key in wanted:
        if key in rows:
            continue
        a, _, b = key.partition("-")
        if not b:
            rows[key] = train(data, a, settings, files[a])
        else:
            task = (data, files[a], b, settings, rows[b]["psnr"])
            rows[key] = convert(*task)
            plain = convert(*task, rendered_only=True)
            rows[key]["rendered_only_db"] = plain["psnr_teacher_db"]
        with atomic_path(kept) as temporary:
            temporary.write_text(json.dumps(rows, indent=1))
        print(f"{key}: {rows[key]}", file=sys.stderr, flush=True)
    text = report({key: rows[key] for key in wanted}, arguments)
    print(text)
    if arguments.write:
        write_section("fields", text)
    return 0
