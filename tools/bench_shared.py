"""A material that was held back, baked alone and on the frozen decoder of a set.

    python tools/bench.py shared --set a.mtlx b.mtlx ... --held c.mtlx d.mtlx --steps 960 --write

The set is baked once and kept. Each held-back material is baked for `--steps` steps alone and for a
share of them with its latents only, on the decoder of the set; errors are held-out relative errors
(`bake.quality`), mip levels weighted as they are drawn. Finished rows are kept in a JSON file.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
WALKS, TEXELS = 64, 8192  # of the reference that errors are measured against


def bake_shared(arguments: argparse.Namespace, settings: Any) -> dict[str, Any]:
    """The set, unless its file is there; what it holds and cost."""
    from etendue.bake.material_set import bake_set
    from etendue.scene.materialx import load_material

    out = arguments.folder / f"{arguments.name}.eta"
    note = out.with_suffix(".json")
    if out.is_file() and note.is_file():
        return json.loads(note.read_text())
    materials = [load_material(path, None, settings.resolution) for path in arguments.set]
    settings = replace(settings, steps=arguments.set_steps, texels=arguments.set_texels)
    began = time.monotonic()
    bake_set(materials, settings, out, progress=_progress(out.stem))
    figures = {
        "names": [m.name for m in materials],
        "steps": settings.steps,
        "texels": settings.texels,
        "seconds": round(time.monotonic() - began, 1),
        "bytes": out.stat().st_size,
    }
    note.write_text(json.dumps(figures))
    return figures


def measure(path: Path, settings: Any, decoder: Any, out: Path) -> dict[str, Any]:
    """One bake of a held-back material to `out`, alone or on `decoder`, and its times."""
    from etendue.bake.material import bake
    from etendue.scene.materialx import load_material

    material = load_material(path, None, settings.resolution)
    marks = [time.monotonic()]

    def advance(step: int, total: int, loss: float) -> None:
        marks.append(time.monotonic())
        _progress(out.stem)(step, total, loss)

    out.with_name(out.name + ".checkpoint").unlink(missing_ok=True)
    bake(material, settings, out, progress=advance, decoder=decoder)
    marks.append(time.monotonic())
    return {
        "steps": settings.steps,
        "seconds": marks[-1] - marks[0],
        # the first pool compiles and waits for the reference, the last mark is the export
        "training_s": marks[-2] - marks[0],
    }


def judge(path: Path, artifact: Any, resolution: int) -> dict[str, Any]:
    """Held-out errors of a baked material; mip levels weighted as they are drawn."""
    from etendue.bake.quality import heldout_error, heldout_loss
    from etendue.bsdf.layered import Layered
    from etendue.scene.materialx import load_material

    reference = Layered(load_material(path, None, resolution), walks=WALKS)
    rows = heldout_error(artifact, reference, TEXELS)
    weight = [0.5 ** row["level"] for row in rows]
    error, bias = (
        sum(w * row[key] for w, row in zip(weight, rows, strict=True)) / sum(weight)
        for key in ("relative", "bias")
    )
    return {
        "error": error,
        "bias": bias,
        "log": heldout_loss(artifact, reference, TEXELS) ** 0.5,
        "outliers": artifact.header["quality"]["outliers"],
        "peak": artifact.header["quality"]["peak_albedo_before_bound"],
    }


def report(rows: dict[str, Any], made: dict[str, Any], arguments: argparse.Namespace) -> str:
    """The section of docs/numbers.md."""
    from bench_common import machine

    m = machine()
    names = ", ".join(made["names"])
    lines = [
        "## A new material on a shared decoder",
        "",
        f"`tools/bench.py shared`, {arguments.resolution}² texels, evaluator {arguments.arch}, "
        f"{arguments.texels} texels a step. The set ({names}) took {made['steps']} steps of "
        f"{made['texels']} texels, {made['seconds']:.0f} s. None of the materials below is in it; "
        f"errors are held out, {WALKS} walks at {TEXELS} places x 4 directions: the root of the "
        "mean squared error of logarithms, which bakes minimise, and the mean relative error, "
        "which is ruled by the brightest directions and by what the energy bound takes off them.",
        f"{m['cpu']}, {m['threads']} threads, load average {m['load_average']}: other work went on "
        "beside. Export (outliers, energy bound) costs the same for both, whatever the steps.",
        "",
        "| material | steps alone, shared | log error alone, shared | shared / alone | relative "
        "error alone, shared | shared / alone | outliers alone, shared | training s alone, shared "
        "| shared / alone | with export, s | shared / alone |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, pair in rows.items():
        cells = [name, _both(pair, "steps", ".0f")]
        for key, form in (("log", ".3f"), ("error", ".3f")):
            cells += [_both(pair, key, form), f"{pair[1][key] / pair[0][key]:.2f}"]
        cells.append(_both(pair, "outliers", ".0f"))
        for key in ("training_s", "seconds"):
            cells += [_both(pair, key, ".0f"), f"{pair[1][key] / pair[0][key]:.2f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _both(pair: list[dict[str, Any]], key: str, form: str) -> str:
    return ", ".join(format(row[key], form) for row in pair)


def _progress(name: str) -> Any:
    began = time.monotonic()

    def tell(step: int, total: int, loss: float) -> None:
        passed = time.monotonic() - began
        left = passed / max(step, 1) * (total - step)
        print(f"  {name}: {step}/{total}, loss {loss:.4f}, {left:.0f} s left", file=sys.stderr)

    return tell


def parser() -> argparse.ArgumentParser:
    """Options."""
    p = argparse.ArgumentParser(prog="bench.py shared", description=(__doc__ or "").split("\n")[0])
    p.add_argument("--set", nargs="+", type=Path, required=True, help="MaterialX documents")
    p.add_argument("--held", nargs="+", type=Path, required=True, help="materials held back")
    p.add_argument("--name", default="set", help="under which the set is kept")
    p.add_argument("--arch", default="2x32")
    p.add_argument("--resolution", type=int, default=128)
    p.add_argument("--steps", type=int, default=960, help="of a bake alone")
    p.add_argument("--share", type=float, default=0.3, help="of these steps on the decoder")
    p.add_argument("--texels", type=int, default=512, help="per step of one material")
    p.add_argument("--set-steps", type=int, default=1600)
    p.add_argument("--set-texels", type=int, default=1024)
    p.add_argument("--folder", type=Path, default=ROOT / "out" / "bench" / "shared")
    p.add_argument("--write", action="store_true", help="update docs/numbers.md")
    return p


def main(argv: list[str]) -> int:
    """Command line."""
    from bench_common import write_section

    arguments = parser().parse_args(argv)
    from etendue.artifact import read_material
    from etendue.bake.decoder import read_donor
    from etendue.bake.settings import BakeSettings
    from etendue.device.drjit import activate

    activate()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    settings = BakeSettings(
        arch=arguments.arch, resolution=arguments.resolution, texels=arguments.texels
    )
    made = bake_shared(arguments, settings)
    decoder = read_donor(arguments.folder / f"{arguments.name}.eta")
    rows: dict[str, Any] = {}
    for path in arguments.held:
        plans = (
            ("alone", replace(settings, steps=arguments.steps), None),
            (
                arguments.name,
                replace(settings, steps=round(arguments.share * arguments.steps)),
                decoder,
            ),
        )
        row = []
        for label, plan, donor in plans:
            out = arguments.folder / f"{path.stem}-{label}-{plan.steps}.eta"
            kept = out.with_suffix(".json")
            if not kept.is_file():
                figures = measure(path, plan, donor, out)
                kept.write_text(json.dumps(figures))
            figures = json.loads(kept.read_text())
            row.append(figures | judge(path, read_material(out), settings.resolution))
        rows[path.stem] = row
        ratio = row[1]["log"] / row[0]["log"]
        print(f"{path.stem}: log error / alone {ratio:.3f}", file=sys.stderr, flush=True)
    text = report(rows, made, arguments)
    print(text)
    if arguments.write:
        write_section("shared", text)
    return 0
