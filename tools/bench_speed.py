"""Speed of neural materials against C++ shaders and the layered reference.

python tools/bench.py speed --artifact out/demo/material.eta --reference MATERIAL.mtlx [--write]
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from bench_common import ROOT, Case, alternate, machine, ratio, write_section

SHAPES = {"showcase/showcase": ("Ball", "Ring", "Swatch"), "sphere": ("Sphere",)}
KEY_LIGHT = "sphere, key light alone"  # the scene `sphere` without its environment
REL_EPSILON = 0.01
PRINCIPLED = """<bsdf type="principled" id="material">
    <rgb name="base_color" value="0.60, 0.20, 0.10"/>
    <float name="roughness" value="0.3"/> <float name="metallic" value="0.4"/>
    <float name="clearcoat" value="1.0"/> <float name="clearcoat_gloss" value="0.9"/>
    <float name="specular" value="0.5"/>
</bsdf>"""
DIFFUSE = """<bsdf type="diffuse" id="material">
    <rgb name="reflectance" value="0.60, 0.20, 0.10"/>
</bsdf>"""


@dataclass(frozen=True)
class Bench:
    """What the cases of `speed` have in common."""

    size: tuple[int, int]
    spp: int
    runs: int

    def scene(self, name: str, material: Path | str) -> tuple[Any, int]:
        """The scene with a file (.eta, .mtlx) or an XML fragment as its material."""
        from etendue.render.build import build
        from etendue.scene.scene import load_scene

        kind = name.partition(",")[0]
        path = ROOT / "assets" / "scenes" / f"{kind}.xml"
        text = path.read_text(encoding="utf-8")
        if name == KEY_LIGHT:
            start, end = text.index('<emitter type="envmap"'), text.index("</emitter>") + 10
            text = text[:start] + text[end:]
        with tempfile.TemporaryDirectory() as folder:
            if isinstance(material, Path):
                changed = path
                if name == KEY_LIGHT:
                    changed = Path(folder, "scene.xml")
                    changed.write_text(text, encoding="utf-8")
                materials = {shape: material for shape in SHAPES[kind]}
                built = build(load_scene(changed), size=self.size, materials=materials)
                return built.mi_scene, built.max_depth
            # a copy beside the textures would be in the way; name them absolutely instead
            text = text.replace('value="showcase/', f'value="{path.parent}/showcase/')
            if "$material" in text:
                include = Path(folder, "material.xml")
                include.write_text(f'<scene version="3.0.0">{material}</scene>', encoding="utf-8")
                scene = load_scene(path, parameters={"material": str(include)})
            else:
                start, end = text.index('<bsdf type="plastic">'), text.index("</bsdf>") + 7
                changed = Path(folder, "scene.xml")
                changed.write_text(text[:start] + material + text[end:], encoding="utf-8")
                scene = load_scene(changed)
            built = build(scene, size=self.size)
            return built.mi_scene, built.max_depth

    def seen(self, name: str, material: Path) -> np.ndarray:
        """Pixels (H, W) that lie on the shapes with the material."""
        from etendue.render.path.drjit import render

        loaded, _ = self.scene(name, material)
        wanted = SHAPES[name.partition(",")[0]]
        numbers = [k for k, shape in enumerate(loaded.shapes()) if shape.id() in wanted]
        film = render(loaded, spp=1, max_depth=1, aovs=("shape_id",))
        return np.isin(film.aovs["shape_id"], numbers)

    def ours(self, name: str, scene: str, material: Path | str) -> Case:
        """A rendering by étendue's path tracer."""
        from etendue.render.path.drjit import render

        loaded, depth = self.scene(scene, material)
        return Case(name, lambda seed: render(loaded, spp=self.spp, seed=seed, max_depth=depth))

    def mitsuba(self, name: str, scene: str, material: Path | str) -> Case:
        """A rendering by Mitsuba's `path`."""
        import mitsuba as mi

        loaded, depth = self.scene(scene, material)
        path = mi.load_dict({"type": "path", "max_depth": depth})

        def run(seed: int) -> np.ndarray:
            return np.array(mi.render(loaded, integrator=path, spp=self.spp, seed=seed))

        return Case(name, run)


def versus_principled(bench: Bench, scene: str, artifact: Path) -> dict[str, Any]:
    """Neural against C++ shaders in one scene."""
    cases = [
        bench.mitsuba("Mitsuba `path`, C++ `principled`", scene, PRINCIPLED),
        bench.ours("étendue, C++ `principled`", scene, PRINCIPLED),
        bench.ours("étendue, neural inline", scene, artifact),
        bench.mitsuba("Mitsuba `path`, C++ `diffuse`", scene, DIFFUSE),
    ]
    alternate(cases, bench.runs)
    base, cheap = cases[0], cases[3]
    return {
        "scene": scene,
        "rows": [
            {
                "case": case.name,
                "median_ms": case.median * 1e3,
                "p95_ms": case.p95 * 1e3,
                "n": len(case.seconds),
                "over_principled": ratio(case, base),
                "over_diffuse": ratio(case, cheap),
            }
            for case in cases
        ],
        "neural_over_principled": ratio(cases[2], base),
        "neural_over_diffuse": ratio(cases[2], cheap),
    }


def equal_error(bench: Bench, scene: str, artifact: Path, reference: Path) -> dict[str, Any]:
    """Layered reference against neural: time to the same noise where the material is seen.

    Noise is the variance of these pixels relative to their squared mean; as it falls with 1/time,
    the times to any common level relate as the products time x noise. 1 is the neural material.
    """
    seen = bench.seen(scene, reference)
    cases = [
        bench.ours("layered reference", scene, reference),
        bench.ours("neural", scene, artifact),
    ]
    alternate(cases, bench.runs)
    rows, means, noises = [], [], []
    for case in cases:
        mean = np.mean([film.rgb[seen] for film in case.results], 0, dtype=np.float64)
        variance = np.mean([film.variance()[seen] for film in case.results], 0)
        noise = float(np.mean(variance / (mean**2 + REL_EPSILON)))
        means.append(mean)
        noises.append(noise)
        rows.append(
            {
                "case": case.name,
                "median_ms": case.median * 1e3,
                "p95_ms": case.p95 * 1e3,
                "n": len(case.seconds),
                "noise_rel_mse": noise,
                "time_to_equal_noise": ratio(case, cases[1]) * noise,
            }
        )
    for row in rows:
        row["time_to_equal_noise"] /= noises[1]
    error = float(np.mean((means[1] - means[0]) ** 2 / (means[0] ** 2 + REL_EPSILON)))
    return {
        "scene": scene,
        "rows": rows,
        "layered_over_neural": rows[0]["time_to_equal_noise"],
        "layered_over_neural_per_sample": ratio(cases[0], cases[1]),
        # the noise that is left in both means does not count as error of the fit
        "neural_rel_mse": error - sum(noises) / bench.runs,
    }


def speed(arguments: argparse.Namespace) -> dict[str, Any]:
    """All figures of `speed`."""
    from etendue.artifact import read_artifact
    from etendue.device.drjit import activate

    activate()
    width, _, height = arguments.size.partition("x")
    bench = Bench((int(width), int(height)), arguments.spp, arguments.runs)
    header = read_artifact(arguments.artifact, kind="material").header
    result: dict[str, Any] = {
        "machine": machine(),
        "size": bench.size,
        "spp": bench.spp,
        "material": header.get("name"),
        "arch": header.get("arch"),
        "shaders": [versus_principled(bench, scene, arguments.artifact) for scene in SHAPES],
    }
    if arguments.reference is not None:
        result["equal_error"] = [
            equal_error(bench, scene, arguments.artifact, arguments.reference)
            for scene in (*SHAPES, KEY_LIGHT)
        ]
    return result


def report(figures: dict[str, Any]) -> str:
    """The section of docs/numbers.md."""
    m, arch = figures["machine"], figures["arch"] or {}
    lines = [
        "## Speed of the path tracer",
        "",
        f"`tools/bench.py speed`, material `{figures['material']}`, evaluator "
        f"{arch.get('evaluator')}, sampler {arch.get('sampler')}; {figures['size'][0]} x "
        f"{figures['size'][1]} pixels, {figures['spp']} samples per pixel.",
        f"{m['cpu']}, {m['threads']} threads, load average {m['load_average']}; "
        f"Mitsuba {m['mitsuba']}, Dr.Jit {m['drjit']}, `{m['variant']}`. Ratios are medians of the "
        "ratios within a round.",
        "",
        "| scene | case | median, ms | p95, ms | n | / `principled` | / `diffuse` |",
        "|---|---|---|---|---|---|---|",
    ]
    for table in figures["shaders"]:
        for row in table["rows"]:
            lines.append(
                f"| {table['scene']} | {row['case']} | {row['median_ms']:.0f} | "
                f"{row['p95_ms']:.0f} | {row['n']} | {row['over_principled']:.2f} | "
                f"{row['over_diffuse']:.2f} |"
            )
    lines += [
        "",
        "The last column is the case where a neural material loses: a shader as cheap as `diffuse`"
        " is not worth baking.",
    ]
    if "equal_error" in figures:
        lines += [
            "",
            "Layered reference and neural material of the same asset. Noise is the mean of variance"
            " / (mean² + 0.01) over the pixels that show the material; the last column is the time"
            " to equal noise over that of the neural material.",
            "",
            "| scene | case | median, ms | p95, ms | n | noise | time to equal noise |",
            "|---|---|---|---|---|---|---|",
        ]
        for table in figures["equal_error"]:
            for row in table["rows"]:
                lines.append(
                    f"| {table['scene']} | {row['case']} | {row['median_ms']:.0f} | "
                    f"{row['p95_ms']:.0f} | {row['n']} | {row['noise_rel_mse']:.4g} | "
                    f"{row['time_to_equal_noise']:.2f} |"
                )
        errors = ", ".join(
            f"{format(t['neural_rel_mse'], '.2g') if t['neural_rel_mse'] > 0 else 'below noise'} "
            f"({t['scene']})"
            for t in figures["equal_error"]
        )
        lines += ["", f"Relative squared error of the fit itself, without noise: {errors}."]
    return "\n".join(lines)


def main(argv: list[str]) -> int:
    """Command line."""
    one = argparse.ArgumentParser(prog="bench.py speed", description=(__doc__ or "").split("\n")[0])
    one.add_argument("--artifact", type=Path, required=True, help="baked material (.eta)")
    one.add_argument("--reference", type=Path, help="the .mtlx it was baked from")
    one.add_argument("--size", default="320x240")
    one.add_argument("--spp", type=int, default=16)
    one.add_argument("--runs", type=int, default=7)
    one.add_argument("--json", type=Path, default=ROOT / "out" / "bench" / "speed.json")
    one.add_argument("--write", action="store_true", help="update docs/numbers.md")
    arguments = one.parse_args(argv)
    figures = speed(arguments)
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(figures, indent=2, ensure_ascii=False) + "\n")
    text = report(figures)
    print(text)
    if arguments.write:
        write_section("speed", text)
    return 0
