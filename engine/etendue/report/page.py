"""`write_report`: pictures, figures and plots of a bake in one self-contained HTML page."""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from etendue.artifact import Artifact, byte_size
from etendue.core.files import atomic_path
from etendue.core.image import write_exr, write_png
from etendue.core.metrics import difference_picture
from etendue.formats.material import plain
from etendue.report.flyout import fly_out, strip, summary
from etendue.report.views import VIEWS, Comparison, compare_view, time_to_equal_error
from etendue.scene.material import LayeredMaterial

POLAR_DEGREES = (5.0, 30.0, 55.0, 75.0)
POLAR_UV = (0.37, 0.61)
Advance = Callable[[str], None]


@dataclass(frozen=True)
class ReportSettings:
    """How much work a report does."""

    size: tuple[int, int] = (240, 180)
    spp: int = 256
    views: int = 5
    equal_error_spp: int = 16
    repeats: int = 3
    mips: bool = True  # whether chi-squared is also run on every coarser level
    flyout_samples: int = 1 << 22  # of each picture of the fly-out, 0 leaves it out


def write_report(
    folder: Path,
    material: LayeredMaterial,
    artifact: Artifact,
    path: Path,
    figures: dict[str, Any],
    settings: ReportSettings | None = None,
    advance: Advance = lambda what: None,
) -> Path:
    """Render the held-out views both ways, measure, and write `folder/report.html`.

    Beside the page lie per view `reference`, `neural` (EXR and PNG) and `flip.png`, and
    `report.json` with every figure. `figures` are the bake's own (steps, seconds, command).
    """
    settings = settings or ReportSettings()
    reference, neural = _both(material, artifact, path)
    comparisons = [
        compare_view(
            view, path, reference, neural, size=settings.size, spp=settings.spp, advance=advance
        )
        for view in VIEWS[: settings.views]
    ]
    for number, comparison in enumerate(comparisons):
        _write_pictures(folder, number, comparison)
    advance("time to equal error")
    speed = time_to_equal_error(
        VIEWS[0],
        path,
        reference,
        neural,
        comparisons[0].reference,
        size=settings.size,
        spp=settings.equal_error_spp,
        repeats=settings.repeats,
    )
    advance("chi-squared, albedo, polar plots")
    data = _common(material, artifact, path, figures, comparisons, speed)
    if settings.flyout_samples:
        size, samples = settings.size, settings.flyout_samples
        stops = fly_out(path, reference, neural, size=size, samples=samples, advance=advance)
        write_png(folder / "flyout.png", strip(stops))
        data["flyout"] = summary(stops)
    if material.transmits:
        from etendue.report.transmission import collect, plot

        data |= collect(reference, neural)
        plots = plot(data)
    else:
        data |= _collect(material, artifact, reference, neural, settings)
        plots = _plots(material, artifact, reference, neural, data)
    with atomic_path(folder / "report.json") as temporary:
        temporary.write_text(json.dumps(data, indent=1, sort_keys=True))
    page = _render(folder, data, plots)
    with atomic_path(folder / "report.html") as temporary:
        temporary.write_text(page)
    return folder / "report.html"


def _both(material: LayeredMaterial, artifact: Artifact, path: Path) -> tuple[Any, Any]:
    """The layered reference and the neural material."""
    from etendue.bsdf.neural import NeuralBSDF
    from etendue.bsdf.neural_transmission import NeuralTransmission
    from etendue.bsdf.transmission import reference

    neural = NeuralTransmission if material.transmits else NeuralBSDF
    return reference(material), neural(artifact, path)


def _common(
    material: LayeredMaterial,
    artifact: Artifact,
    path: Path,
    figures: dict[str, Any],
    comparisons: list[Comparison],
    speed: dict[str, float],
) -> dict[str, Any]:
    """Figures of every kind of material, as plain JSON values."""
    latent_bytes = sum(v.nbytes for n, v in artifact.tensors.items() if "latents" in n.split("."))
    return {
        "name": material.name,
        "transmits": material.transmits,
        "views": [{"name": c.name, **c.figures} for c in comparisons],
        "mean_flip": float(np.mean([c.figures["flip"] for c in comparisons])),
        "mean_flip_on_material": float(
            np.mean([c.figures["flip_on_material"] for c in comparisons])
        ),
        "speed": speed,
        "sizes": {
            "artifact_bytes": path.stat().st_size,
            "tensor_bytes": byte_size(artifact),
            "latent_bytes": latent_bytes,
            "network_bytes": byte_size(artifact) - latent_bytes,
            "parameter_texture_bytes": int(material.texture.data.nbytes),
        },
        "layers": [layer.name or layer.kind.name.lower() for layer in material.layers],
        "stacks": len(material.stacks),
        "notes": list(material.notes),
        "bake": figures,
        "settings": artifact.header["provenance"]["settings"],
    }


def _collect(
    material: LayeredMaterial,
    artifact: Artifact,
    reference: Any,
    neural: Any,
    settings: ReportSettings,
) -> dict[str, Any]:
    """Figures of opaque materials, as plain JSON values."""
    from etendue.bake import checks
    from etendue.bake.quality import worst_texels
    from etendue.bake.variance import sampler_variance
    from etendue.bsdf.layered import Layered

    tensors = plain(artifact.header, artifact.tensors)
    return {
        "chi_squared": checks.chi_squared_table(neural, POLAR_UV),
        "chi_squared_mips": checks.chi_squared_mips(neural, POLAR_UV) if settings.mips else [],
        "chi_squared_reference": checks.chi_squared_table(reference, POLAR_UV),
        "albedo": checks.albedo_check(neural, len(tensors["latents"])),
        "reciprocity": checks.reciprocity(tensors),
        "sampler": dataclasses.asdict(sampler_variance(tensors)),
        "outliers": artifact.header["quality"].get("outliers"),
        "worst_texels": worst_texels(artifact, Layered(material, walks=64)),
    }


def _write_pictures(folder: Path, number: int, c: Comparison) -> None:
    stem = "" if number == 0 else f"view{number + 1}_"
    for name, picture in (("reference", c.reference), ("neural", c.neural)):
        write_exr(folder / f"{stem}{name}.exr", {"": picture}, {"view": c.name})
        write_png(folder / f"{stem}{name}.png", picture)
    write_png(folder / f"{stem}flip.png", difference_picture(c.flip))


def _plots(
    material: LayeredMaterial, artifact: Artifact, reference: Any, neural: Any, data: dict[str, Any]
) -> dict[str, bytes]:
    from etendue.bake import checks
    from etendue.bsdf.layered import Layered
    from etendue.report import plots

    smooth = Layered(material, walks=512)
    curves = [
        (degrees, *checks.polar_curves(smooth, neural, POLAR_UV, degrees))
        for degrees in POLAR_DEGREES
    ]
    title = (
        f"f cos in the plane of incidence at uv {POLAR_UV}: reference in colour, neural dashed; "
        "the radius is the cube root"
    )
    return {
        "polar": plots.polar(curves, title),
        "training": plots.training(artifact.header["quality"]["history"]),
        "energy": plots.energy(data["albedo"], data["reciprocity"]),
    }


def _render(folder: Path, data: dict[str, Any], plots: dict[str, bytes]) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined
    )
    pictures = []
    for number in range(len(data["views"])):
        stem = "" if number == 0 else f"view{number + 1}_"
        pictures.append(
            {
                name: _inline((folder / f"{stem}{name}.png").read_bytes())
                for name in ("reference", "neural", "flip")
            }
        )
    inline = {name: _inline(png) for name, png in plots.items()}
    if "flyout" in data:
        inline["flyout"] = _inline((folder / "flyout.png").read_bytes())
    return environment.get_template("report.html.j2").render(
        data=data, pictures=pictures, plots=inline
    )


def _inline(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()
