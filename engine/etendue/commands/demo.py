"""`etendue demo`."""

from __future__ import annotations

import dataclasses
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from etendue.cli_support import parse_size, print_json

EXAMPLES = (
    "etendue demo",
    "etendue demo --material car_paint --time 5 --size 480x360",
)


def run(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to write to.")] = Path(
        "out/demo"
    ),
    material: Annotated[
        str, typer.Option(help="One of the materials that come with étendue.")
    ] = "varnished_wood",
    minutes: Annotated[float, typer.Option("--time", help="Minutes of baking.")] = 1.5,
    resolution: Annotated[int, typer.Option(help="Texels per side.")] = 256,
    size: Annotated[str, typer.Option(help="WIDTHxHEIGHT of the pictures.")] = "320x240",
    spp: Annotated[int, typer.Option(help="Samples per pixel of the pictures.")] = 192,
    seed: Annotated[int, typer.Option(help="Seed of bake and pictures.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Bake a layered material as a draft, render it beside the reference, write a report."""
    from etendue.bake.material import bake, plan_steps
    from etendue.bake.quality import heldout_error
    from etendue.bake.settings import BakeSettings, check_settings
    from etendue.bsdf.layered import Layered
    from etendue.commands._progress import baking
    from etendue.core.errors import InputError
    from etendue.device.drjit import activate
    from etendue.report.page import ReportSettings, write_report
    from etendue.scene.materialx import load_material

    began = time.monotonic()
    wanted = parse_size(size)
    settings = BakeSettings(resolution=resolution, seed=seed)
    check_settings(settings)
    source_path = _check(material, minutes, spp, output)
    activate()
    _say(f"loading {source_path.name}")
    source = load_material(source_path, None, resolution)
    if source.transmits:
        raise InputError("--material", "transmits, which the report cannot show", got=material)
    steps = plan_steps(source, settings, minutes)
    settings = dataclasses.replace(settings, steps=steps)
    eta = output / "material.eta"
    bake_began = time.monotonic()
    with baking(steps, eta) as (advance, stop):
        artifact = bake(source, settings, eta, progress=advance, stop=stop)
    figures: dict[str, Any] = {
        "seconds": round(time.monotonic() - bake_began, 1),
        "heldout": heldout_error(artifact, Layered(source, walks=64)),
        "reproduce": f"etendue bake assets/materials/{source_path.name} -o material.eta "
        f"--arch {settings.arch} --resolution {resolution} --steps {steps} --seed {seed}\n"
        f"etendue demo --material {material} --time {minutes} --size {size} --spp {spp}",
    }
    quick = ReportSettings(size=wanted, spp=spp, views=3, mips=False)
    page = write_report(output, source, artifact, eta, figures, quick, _say)
    _finish(page, output, time.monotonic() - began, json)


def _check(material: str, minutes: float, spp: int, output: Path) -> Path:
    """Document of the named material, after a look at everything that could fail later."""
    from etendue.cli_support import positive
    from etendue.core.errors import InputError
    from etendue.core.files import atomic_path
    from etendue.layout import assets

    found = {p.stem: p for p in sorted((assets() / "materials").glob("*.mtlx"))}
    if material not in found:
        raise InputError("--material", "unknown", got=material, expected=" | ".join(found))
    if not 0 < minutes < 10_000:
        raise InputError("--time", "is not usable", got=minutes, expected="minutes > 0")
    positive(spp, "--spp")
    with atomic_path(output / "report.html.probe") as probe:
        probe.touch()
    (output / "report.html.probe").unlink()
    return found[material]


def _finish(page: Path, output: Path, seconds: float, json: bool) -> None:
    from json import loads

    data = loads((output / "report.json").read_text())
    if json:
        print_json({"report": str(page), "seconds": round(seconds, 1), **data})
        return
    speed = data["speed"]["time_ratio_equal_error"]
    print(f"{data['name']}: mean FLIP {data['mean_flip']:.4f} over {len(data['views'])} views")
    print(f"time to equal error, reference / neural: {speed:.1f}")
    print(f"{page} ({seconds:.0f} s)")


def _say(what: str) -> None:
    print(f"demo: {what}", file=sys.stderr, flush=True)
