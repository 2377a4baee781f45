"""Bakes materials and measures them against their layered reference, for docs/numbers.md.

    python tools/bench.py bake assets/materials/*.mtlx --time 10 --write
    python tools/bench.py bake car_paint.mtlx --steps 3000 --seeds 8
    python tools/bench.py bake car_paint.mtlx --steps 3000 --variant late:encoder_share=0.8

One row per material, variant and seed is kept in a JSON file, so that an interrupted run goes on
where it stopped. A variant changes fields of `bake.settings.BakeSettings`; one whose label is
`unframed` has no learned frames.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
PLAIN, UNFRAMED = "plain", "unframed"
CHI_UV = (0.37, 0.61)


def parse_variant(text: str) -> tuple[str, dict[str, Any]]:
    """`label:field=value,field=value`, or a label alone."""
    from etendue.bake.settings import BakeSettings

    label, _, rest = text.partition(":")
    types = {f.name: type(f.default) for f in dataclasses.fields(BakeSettings)}
    changes: dict[str, Any] = {}
    for part in filter(None, rest.split(",")):
        name, _, value = part.partition("=")
        if name not in types:
            raise SystemExit(f"--variant: unknown field; got {name}, expected {', '.join(types)}")
        kind = types[name]
        changes[name] = value == "true" if kind is bool else kind(value)
    return label, changes


@contextmanager
def without_frames() -> Iterator[None]:
    """Bakes whose two frames stay those of the surface."""
    from etendue.bake import fit

    init, make = fit.init_params, fit.make_fit

    def zero(*words: Any) -> Any:
        params = init(*words)
        params["frames"].zero_()
        return params

    def freeze(settings: Any, params: Any, features: Any) -> Any:
        made = make(settings, params, features)
        made.params["frames"].requires_grad_(False)
        return made

    fit.init_params, fit.make_fit = zero, freeze
    try:
        yield
    finally:
        fit.init_params, fit.make_fit = init, make


def measure(path: Path, settings: Any, arguments: argparse.Namespace) -> dict[str, Any]:
    """Bake one material and compare it in every held-out view."""
    from etendue.bake.material import bake, checkpoint_path, plan_steps
    from etendue.bsdf.neural import NeuralBSDF
    from etendue.bsdf.neural_transmission import NeuralTransmission
    from etendue.bsdf.transmission import reference as layered
    from etendue.report.views import VIEWS, compare_view
    from etendue.scene.materialx import load_material

    material = load_material(path, None, settings.resolution)
    if arguments.steps is None:
        steps = plan_steps(material, settings, arguments.time)
        settings = dataclasses.replace(settings, steps=steps)
    folder = arguments.json.parent / "artifacts"
    out = folder / f"{path.stem}-{settings.arch}.eta"
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint_path(out).unlink(missing_ok=True)
    began, busy = time.monotonic(), time.process_time()
    artifact = bake(material, settings, out)
    seconds, busy = time.monotonic() - began, time.process_time() - busy
    neural = (NeuralTransmission if material.transmits else NeuralBSDF)(artifact, out)
    reference = layered(material)
    width, _, height = arguments.size.partition("x")
    size = (int(width), int(height))
    views = [
        compare_view(view, out, reference, neural, size=size, spp=arguments.spp).figures
        for view in VIEWS[: arguments.views]
    ]
    own = glass_figures if material.transmits else opaque_figures
    if arguments.errors_only:
        own = errors
    return {
        "steps": settings.steps,
        "seconds": round(seconds, 1),
        "processor_s": round(busy, 1),
        "flip": [v["flip"] for v in views],
        "flip_on_material": [v["flip_on_material"] for v in views],
        "rim": [v["bias_on_rim"] for v in views],
        **own(material, artifact, neural),
        "load_average": round(os.getloadavg()[0], 1),
    }


def errors(material: Any, artifact: Any, _: Any) -> dict[str, Any]:
    """Held-out errors by level, and of logarithms, of an opaque material."""
    from etendue.bake.quality import heldout_error, heldout_loss
    from etendue.bsdf.layered import Layered

    reference = Layered(material, walks=64)
    return {
        "heldout": heldout_error(artifact, reference, texels=8192),
        "log_error": heldout_loss(artifact, reference, 8192) ** 0.5,
    }


def opaque_figures(material: Any, artifact: Any, neural: Any) -> dict[str, Any]:
    """Errors by level, largest albedo, reciprocity, chi-squared on every level, the sampler."""
    from etendue.bake import checks
    from etendue.bake.quality import heldout_error
    from etendue.bake.variance import sampler_variance
    from etendue.bsdf.layered import Layered

    table = checks.chi_squared_table(neural, CHI_UV)
    mips = checks.chi_squared_mips(neural, CHI_UV)
    passed = sum(row["passed"] for row in (*table, *mips))
    return {
        "heldout": heldout_error(artifact, Layered(material, walks=64), texels=8192),
        "albedo": checks.albedo_check(neural, len(artifact.tensors["latents"]))["largest"],
        "outliers": artifact.header["quality"]["outliers"],
        "reciprocity": checks.reciprocity(dict(artifact.tensors))["mean"],
        "chi_squared": passed / (len(table) + sum(row["of"] for row in mips)),
        "sampler": dataclasses.asdict(sampler_variance(artifact.tensors)),
    }


def glass_figures(material: Any, artifact: Any, neural: Any) -> dict[str, Any]:
    """Errors by lobe, reflected and transmitted light together, chi-squared over the sphere."""
    from etendue.bake.transmission import heldout_error
    from etendue.bsdf.transmission import Transmissive
    from etendue.report.transmission import collect

    found = collect(Transmissive(material), neural)
    table = found["chi_squared"]
    figures = {"heldout": heldout_error(artifact, material), "albedo": found["largest_energy"]}
    if table:
        figures["chi_squared"] = sum(row["neural"] for row in table) / len(table)
    return figures


def mean_flip(rows: list[dict[str, Any]]) -> float:
    """Mean over the views of all rows."""
    return float(np.mean([np.mean(row["flip"]) for row in rows]))


def report(rows: dict[str, dict[str, Any]], arguments: argparse.Namespace) -> str:
    """The section of docs/numbers.md."""
    from bench_common import machine

    m = machine()
    first = next(iter(rows.values()))
    lines = [
        "## Bakes",
        "",
        f"`tools/bench.py bake`, {arguments.resolution}² texels; LDR-FLIP of {arguments.size} "
        f"pixels at {arguments.spp} samples per pixel against the layered reference at as many, "
        f"over {len(first['flip'])} held-out views, noise of both included.",
        f"{m['cpu']}, {m['threads']} threads; the load average at the end of each bake is in the "
        "last column (the bake itself is about 1.5). Sampler: variance of cosine sampling and of "
        "the best single GGX lobe over that of the learned one. χ²: passes over 8 incidences on "
        "every level. Rim: bias of the pixels at the material's silhouette. Where light passes "
        "through, errors are those of the first and the worst lobe, and albedo is all that leaves.",
        "",
        "| material | variant | seed | steps | seconds | FLIP | on material | rim | "
        "level 0 error | worst mip | albedo | reciprocity | χ² | cosine | GGX | load |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [_line(key, row) for key, row in rows.items()]
    lines += ["", *_summary(rows)]
    return "\n".join(lines)


def _line(key: str, row: dict[str, Any]) -> str:
    material, variant, seed = key.split("|")
    errors = [level["relative"] for level in row["heldout"]]
    sampler = row.get("sampler")
    cells = [
        material, variant, seed, row["steps"], f"{row['seconds']:.0f}",
        f"{np.mean(row['flip']):.4f}", f"{np.mean(row['flip_on_material']):.4f}",
        f"{100 * np.mean(row['rim']):+.1f} %" if "rim" in row else "–",
        f"{errors[0]:.3f}" if errors else "–", f"{max(errors):.3f}" if errors else "–",
        f"{row['albedo']:.3f}" if "albedo" in row else f"log error {row['log_error']:.3f}",
        f"{100 * row['reciprocity']:.1f} %" if "reciprocity" in row else "–",
        f"{row['chi_squared']:.0%}" if "chi_squared" in row else "–",
        f"{sampler['cosine'] / sampler['learned']:.0f}" if sampler else "–",
        f"{sampler['ggx'] / sampler['learned']:.1f}" if sampler else "–",
        row["load_average"],
    ]  # fmt: skip
    return "| " + " | ".join(map(str, cells)) + " |"


def _summary(rows: dict[str, dict[str, Any]]) -> list[str]:
    """Means per variant, and the worst seed over the median."""
    lines = []
    for variant in dict.fromkeys(key.split("|")[1] for key in rows):
        mine = {k: r for k, r in rows.items() if k.split("|")[1] == variant}
        text = f"{variant}: mean FLIP {mean_flip(list(mine.values())):.4f}"
        spread = []
        for material in dict.fromkeys(key.split("|")[0] for key in mine):
            flips = [np.mean(r["flip"]) for k, r in mine.items() if k.startswith(f"{material}|")]
            if len(flips) > 2:
                spread.append(f"{material} {max(flips) / np.median(flips):.3f} ({len(flips)})")
        if spread:
            text += "; worst seed / median: " + ", ".join(spread)
        lines.append(f"* {text}.")
    return lines


def parser() -> argparse.ArgumentParser:
    """Options."""
    p = argparse.ArgumentParser(prog="bench.py bake", description=(__doc__ or "").splitlines()[0])
    p.add_argument("material", nargs="+", type=Path, help="MaterialX documents")
    p.add_argument("--arch", default="2x32")
    p.add_argument("--resolution", type=int, default=512)
    length = p.add_mutually_exclusive_group()
    length.add_argument("--time", type=float, default=10.0, help="minutes per bake")
    length.add_argument("--steps", type=int)
    p.add_argument("--seeds", type=int, default=1)
    p.add_argument("--variant", action="append", help="label:field=value,...")
    p.add_argument("--views", type=int, default=5)
    p.add_argument("--size", default="240x180")
    p.add_argument("--spp", type=int, default=256)
    p.add_argument("--errors-only", action="store_true", help="no chi-squared, albedo, sampler")
    p.add_argument("--section", default="bake", help="section of docs/numbers.md")
    p.add_argument("--json", type=Path, default=ROOT / "out" / "bench" / "bake.json")
    p.add_argument("--write", action="store_true", help="update docs/numbers.md")
    return p


def main(argv: list[str]) -> int:
    """Command line."""
    from bench_common import write_section

    arguments = parser().parse_args(argv)
    from etendue.bake.settings import BakeSettings
    from etendue.core.files import atomic_path
    from etendue.device.drjit import activate

    activate()
    rows: dict[str, dict[str, Any]] = {}
    if arguments.json.is_file():
        rows = json.loads(arguments.json.read_text())
    wanted = []
    for path in arguments.material:
        for text in arguments.variant or [PLAIN]:
            label, changes = parse_variant(text)
            for seed in range(arguments.seeds):
                settings = BakeSettings(
                    arch=arguments.arch, resolution=arguments.resolution, seed=seed
                )
                if arguments.steps is not None:
                    settings = dataclasses.replace(settings, steps=arguments.steps)
                settings = dataclasses.replace(settings, **changes)
                wanted.append((f"{path.stem}|{label} {settings.arch}|{seed}", path, settings))
    for key, path, settings in wanted:
        if key not in rows:
            with without_frames() if f"|{UNFRAMED} " in key else nullcontext():
                rows[key] = measure(path, settings, arguments)
            with atomic_path(arguments.json) as temporary:
                temporary.write_text(json.dumps(rows, indent=1))
        print(f"{key}: FLIP {np.mean(rows[key]['flip']):.4f}", file=sys.stderr, flush=True)
    text = report({key: rows[key] for key, _, _ in wanted}, arguments)
    print(text)
    if arguments.write:
        write_section(arguments.section, text)
    return 0
