"""Size, error and speed of the number formats: `tools/bench.py formats`.

Every artifact is stored anew in each format and rendered from the report's held-out views beside
the layered reference. All neural pictures of a view share their seed, so that the noise cancels in
the differences of FLIP as far as paths stay the same; the reference has another.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from bench_common import ROOT, Case, alternate, machine, ratio, write_section

PLANS = (
    ("f16", "f32"),
    ("bfp8", "f32"),
    ("bfp4", "f32"),
    ("cb4", "f32"),
    ("cb3", "f32"),
    ("cb2", "f32"),
    ("cb3", "bfp8"),
)
TIMED = (("f16", "f32"), ("bfp8", "f32"), ("bfp4", "f32"), ("cb3", "f32"))


@dataclass(frozen=True)
class Setup:
    """Pictures per artifact."""

    size: tuple[int, int]
    spp: int
    views: int
    runs: int
    plans: tuple[tuple[str, str], ...] = PLANS


def plan_name(plan: tuple[str, str]) -> str:
    """`cb3` or, with weights that are not f32, `cb3 + bfp8 weights`."""
    return plan[0] if plan[1] == "f32" else f"{plan[0]} + {plan[1]} weights"


def measure(artifact: Path, document: Path, setup: Setup) -> dict[str, Any]:
    """Figures of one material in every plan."""
    from etendue.artifact import read_artifact, read_material, split_name, write_artifact
    from etendue.bake.requantise import requantise
    from etendue.bsdf.layered import Layered
    from etendue.bsdf.neural import NeuralBSDF
    from etendue.commands.inspect import format_figures
    from etendue.core.metrics import flip_ldr
    from etendue.report.views import VIEWS, Stage
    from etendue.scene.materialx import load_material

    original = read_material(*split_name(artifact))
    side = int(original.header["lod"]["resolution"])
    reference = Layered(load_material(document, None, max(side, 4)))
    stages = [Stage(view, artifact, setup.size) for view in VIEWS[: setup.views]]
    say(f"{document.stem}: reference")
    truth = [stage.shoot(reference, setup.spp, 1).rgb for stage in stages]
    rows, first, timed = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        for plan in setup.plans:
            path = Path(folder, "-".join(plan) + ".eta")
            write_artifact(path, requantise(original, latents=plan[0], weights=plan[1]))
            material = NeuralBSDF.load(path)
            pictures = [stage.shoot(material, setup.spp, 2).rgb for stage in stages]
            first = first or pictures
            cost = format_figures(read_artifact(path))
            row = {
                "plan": plan_name(plan),
                "latent_bytes": cost["latents"]["bytes"],
                "bits_per_value": cost["latents"]["bits_per_value"],
                "smaller_than_f16": cost["latents"]["smaller_than_f16"],
                "weight_bytes": cost["weights"]["bytes"],
                "file_bytes": path.stat().st_size,
                "max_error": cost["latents"]["max_error"],
                "flip": float(np.mean([flip_ldr(a, b).mean() for a, b in paired(truth, pictures)])),
                "flip_to_f16": float(
                    np.mean([flip_ldr(a, b).mean() for a, b in paired(first, pictures)])
                ),
            }
            row["delta_flip"] = row["flip"] - (rows[0]["flip"] if rows else row["flip"])
            say(f"{document.stem}: {row['plan']}: {row['delta_flip']:+.5f}")
            rows.append(row)
            if plan in TIMED:
                timed.append(Case(row["plan"], lambda seed, m=material: shoot(stages[0], m, seed)))
        alternate(timed, setup.runs)
    return {
        "material": str(original.header.get("name")),
        "resolution": side,
        "rows": rows,
        "speed": [
            {
                "plan": c.name,
                "median_ms": c.median * 1e3,
                "p95_ms": c.p95 * 1e3,
                "n": len(c.seconds),
            }
            | {"over_f16": ratio(c, timed[0])}
            for c in timed
        ],
    }


def shoot(stage: Any, material: Any, seed: int) -> float:
    """One timed rendering; the picture itself is not kept."""
    return float(stage.shoot(material, 16, seed).rgb.mean())


def paired(truth: list[np.ndarray], pictures: list[np.ndarray]) -> Any:
    """Pictures of the same view."""
    return zip(truth, pictures, strict=True)


def say(text: str) -> None:
    """Progress, to stderr."""
    print(f"  {text}", file=sys.stderr, flush=True)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """All figures of `formats`."""
    from etendue.device.drjit import activate

    activate()
    width, _, height = arguments.size.partition("x")
    wanted = arguments.plans.split(",") if arguments.plans else None
    plans = tuple(p for p in PLANS if wanted is None or "+".join(p) in wanted)
    size = (int(width), int(height))
    setup = Setup(size, arguments.spp, arguments.views, arguments.runs, plans)
    materials = [
        measure(Path(artifact), Path(document), setup)
        for artifact, _, document in (pair.partition("=") for pair in arguments.pair)
    ]
    where = machine()  # after the work, so that the load is that of the work
    return {
        "machine": where,
        "size": setup.size,
        "spp": setup.spp,
        "views": setup.views,
        "materials": materials,
    }


def report(figures: dict[str, Any]) -> str:
    """The section of docs/numbers.md."""
    m = figures["machine"]
    lines = [
        "## Number formats of latents and weights",
        "",
        f"`tools/bench.py formats`, {figures['views']} held-out views of the report at "
        f"{figures['size'][0]} x {figures['size'][1]} pixels, {figures['spp']} samples per pixel. "
        f"{m['cpu']}, {m['threads']} threads, load average {m['load_average']}; "
        f"Mitsuba {m['mitsuba']}, Dr.Jit {m['drjit']}, `{m['variant']}`.",
        "",
        "FLIP is the mean LDR-FLIP against the layered reference, ΔFLIP its difference to f16 (all"
        " neural pictures share their seed), the last column the FLIP between the format and f16."
        " Bits per value and the ratio to f16 count everything: exponents, means, tables.",
        "",
        "| material | format | bits per value | smaller than f16 | file, bytes | largest error |"
        " FLIP | ΔFLIP | FLIP to f16 |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for one in figures["materials"]:
        lines += [
            f"| {one['material']}, {one['resolution']}² | {row['plan']} | "
            f"{row['bits_per_value']:.3f} | {row['smaller_than_f16']:.2f} | {row['file_bytes']} | "
            f"{row['max_error']:.2g} | {row['flip']:.4f} | {row['delta_flip']:+.4f} | "
            f"{row['flip_to_f16']:.4f} |"
            for row in one["rows"]
        ]
    lines += [
        "",
        "Time of the first view at 16 samples per pixel, decoding in the kernel:",
        "",
        "| material | format | median, ms | p95, ms | n | / f16 |",
        "|---|---|---|---|---|---|",
    ]
    for one in figures["materials"]:
        lines += [
            f"| {one['material']} | {row['plan']} | {row['median_ms']:.0f} | {row['p95_ms']:.0f} | "
            f"{row['n']} | {row['over_f16']:.2f} |"
            for row in one["speed"]
        ]
    return "\n".join(lines)


def main(argv: list[str]) -> int:
    """Command line."""
    two = argparse.ArgumentParser(
        prog="bench.py formats", description=(__doc__ or "").splitlines()[0]
    )
    two.add_argument("pair", nargs="+", help="ARTIFACT.eta=MATERIAL.mtlx")
    two.add_argument("--plans", help="only these, f16+f32 first; such as f16+f32,cb3+f32,cb3+bfp8")
    two.add_argument("--size", default="240x180")
    two.add_argument("--spp", type=int, default=128)
    two.add_argument("--views", type=int, default=3)
    two.add_argument("--runs", type=int, default=5)
    two.add_argument("--json", type=Path, default=ROOT / "out" / "bench" / "formats.json")
    two.add_argument("--write", action="store_true", help="update docs/numbers.md")
    arguments = two.parse_args(argv)
    figures = run(arguments)
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(figures, indent=2, ensure_ascii=False) + "\n")
    text = report(figures)
    print(text)
    if arguments.write:
        write_section("formats", text)
    return 0
