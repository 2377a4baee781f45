"""`etendue render`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from etendue.cli_support import parse_crop, parse_pair, parse_size, print_json
from etendue.commands._schedule import ClusterOption, MetricsOption, TraceOption
from etendue.core.errors import InputError

EXAMPLES = (
    "etendue render scene.xml -o out.exr --spp 256",
    "etendue render model.glb -o out.png --size 640x480",
    "etendue render scene.xml -o out.exr --aov depth,normal --crop 100,80,64,64",
    "etendue render scene.xml -o out.exr --material Ball,Ring=oak.eta --material 'Leg*=oak.mtlx'",
    "etendue render scene.xml -o out.exr --material Ball=set.eta#oak --material Leg=set.eta#tin",
    "etendue render scene.xml -o out.exr --backend slang --kernel scalar",
    "etendue render scene.xml -o out.exr -D width=320 --search ~/meshes",
    "etendue render scene.xml -o out.exr --trace trace.json",
    "etendue render scene.xml -o out.exr --cluster auto",
)
BACKENDS = ("auto", "drjit", "slang", "naive", "mitsuba")
KERNELS = ("auto", "coherent", "divergent", "scalar")
SUFFIXES = (".exr", ".png")
INTERRUPTED = 130
MAX_SEED = 2**31


def run(
    scene: Annotated[Path, typer.Argument(help="A Mitsuba .xml or a glTF 2.0 .glb/.gltf file.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The picture, .exr or .png.")],
    spp: Annotated[int | None, typer.Option(help="Samples per pixel (else the file's).")] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same picture.")] = 0,
    size: Annotated[str | None, typer.Option(help="WIDTHxHEIGHT (else the file's).")] = None,
    crop: Annotated[str | None, typer.Option(help="X,Y,WIDTH,HEIGHT of the picture.")] = None,
    material: Annotated[
        list[str] | None,
        typer.Option(
            help="SHAPES=FILE.eta[#NAME] or FILE.mtlx[#NAME]; SHAPES: names or patterns, a,b*."
        ),
    ] = None,
    aov: Annotated[
        str | None, typer.Option(help="Extra parts of an .exr: depth,normal,albedo,uv,...")
    ] = None,
    max_depth: Annotated[
        int | None, typer.Option(help="Longest path, in segments; -1 is unlimited.")
    ] = None,
    camera: Annotated[str | None, typer.Option(help="Name or number of the camera.")] = None,
    define: Annotated[
        list[str] | None, typer.Option("-D", "--define", help="NAME=VALUE for $NAME in .xml.")
    ] = None,
    search: Annotated[
        list[Path] | None, typer.Option(help="Another folder to look for a scene's files in.")
    ] = None,
    backend: Annotated[str, typer.Option(help="|".join(BACKENDS))] = "auto",
    kernel: Annotated[
        str,
        typer.Option(help="How networks are run; scalar: slang only. " + "|".join(KERNELS)),
    ] = "auto",
    trace: TraceOption = None,
    metrics: MetricsOption = None,
    cluster: ClusterOption = None,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Errors only.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> int:
    """Path-trace a scene; Ctrl-C keeps what has been rendered so far."""
    aovs = tuple(name.strip() for name in aov.split(",") if name.strip()) if aov else ()
    _check_numbers(spp, seed, max_depth)
    _check_choices(backend, kernel, search or [])
    _check_output(output, aovs)
    materials = _materials(material or [])
    parameters = dict(parse_pair(d, "-D") for d in define or ())

    from etendue.commands import _render_run
    from etendue.scene.scene import load_scene

    description = load_scene(
        scene, parameters=parameters, search=tuple(search or ()), assignments=materials
    )
    request = _render_run.Request(
        spp, seed, *_window(size, crop), aovs, max_depth, camera, backend, kernel, quiet,
        trace, metrics, cluster,
    )  # fmt: skip
    figures, interrupted = _render_run.render_to(description, output, request)
    return _finish(figures, interrupted, json=json, quiet=quiet)


def _finish(figures: dict[str, Any], interrupted: bool, *, json: bool, quiet: bool) -> int:
    """Print the figures; the exit code."""
    if json:
        print_json(figures)
    elif not quiet:
        _summary(figures)
    if interrupted:
        print(
            f"interrupted: kept {figures['spp']} of {figures['spp_wanted']} samples per pixel",
            file=sys.stderr,
        )
        return INTERRUPTED
    return 0


def _window(size: str | None, crop: str | None) -> tuple[Any, Any]:
    """Size and crop of the picture, None where the scene file decides."""
    return (
        parse_size(size) if size is not None else None,
        parse_crop(crop) if crop is not None else None,
    )


def _materials(options: list[str]) -> dict[str, Path]:
    """`A,B=FILE` as {A: FILE, B: FILE}."""
    pairs = [parse_pair(option, "--material") for option in options]
    return {name.strip(): Path(file) for names, file in pairs for name in names.split(",")}


def _check_numbers(spp: int | None, seed: int, max_depth: int | None) -> None:
    if spp is not None and not 1 <= spp <= 1 << 24:
        raise InputError("--spp", "is out of range", got=spp, expected=f"1..{1 << 24}")
    if not 0 <= seed < MAX_SEED:
        raise InputError("--seed", "is out of range", got=seed, expected=f"0..{MAX_SEED - 1}")
    if max_depth is not None and max_depth != -1 and not 1 <= max_depth <= 4096:
        raise InputError("--max-depth", "is out of range", got=max_depth, expected="-1, 1..4096")


def _check_choices(backend: str, kernel: str, search: list[Path]) -> None:
    if backend not in BACKENDS:
        raise InputError("--backend", "is unknown", got=backend, expected=", ".join(BACKENDS))
    if kernel not in KERNELS:
        raise InputError("--kernel", "is unknown", got=kernel, expected=", ".join(KERNELS))
    for folder in search:
        if not folder.is_dir():
            raise InputError("--search", "is not a folder", got=folder)


def _check_output(output: Path, aovs: tuple[str, ...]) -> None:
    """Find out before rendering whether the picture can be written."""
    import tempfile

    if output.suffix.lower() not in SUFFIXES:
        raise InputError(
            output,
            "unknown kind of picture",
            got=output.suffix or "no suffix",
            expected=" or ".join(SUFFIXES),
        )
    if aovs and output.suffix.lower() != ".exr":
        raise InputError(output, "--aov needs an .exr to put the extra parts in")
    if output.is_dir():
        raise InputError(output, "is a folder", expected="a file name")
    folder = output.absolute().parent
    while not folder.exists():
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(
            output, f"cannot be written ({error.strerror})", fix="Choose a writable folder"
        ) from error


def _summary(figures: dict[str, Any]) -> None:
    mean = ", ".join(f"{value:.4g}" for value in figures["mean"])
    print(
        f"{figures['output']}: {figures['width']}x{figures['height']}, {figures['spp']} spp in "
        f"{figures['render_s']:.1f} s ({figures['backend']}), mean {mean}"
    )
