"""The options of `etendue render`, each with its help, and the checks of their values."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from etendue.cli_support import parse_crop, parse_pair, parse_size, parse_time, positive
from etendue.core.color import SPACES
from etendue.core.errors import InputError
from etendue.device.caps import DEVICES
from etendue.scene.edit import parse_edits

BACKENDS = ("auto", "drjit", "slang", "naive", "mitsuba")
RADAR = ("scene", "output", "sensor", "radar", "seed", "material", "aov", "camera", "define",
         "set_", "search", "device", "quiet", "json")  # fmt: skip
SENSORS = ("camera", "radar")
KERNELS = ("auto", "coherent", "divergent", "scalar", "wavefront")
SUFFIXES = (".exr", ".png")
MAX_SEED = 2**31
MAX_SPP = 1 << 24

Scene = Annotated[Path, typer.Argument(help="A Mitsuba .xml or a glTF 2.0 .glb/.gltf file.")]
Output = Annotated[
    Path,
    typer.Option("-o", "--output", help="The picture, .exr or .png; of a radar .h5, .npy or .png."),
]
Spp = Annotated[int | None, typer.Option(help="Samples per pixel (else the file's).")]
Seed = Annotated[int, typer.Option(help="Same seed, same picture.")]
Sensor = Annotated[
    str, typer.Option(help="camera|radar: a picture, or a frame of a radar in the camera's place.")
]
RadarFile = Annotated[
    Path | None, typer.Option("--radar", help="Waveform, array, materials and motion (.toml).")
]
Size = Annotated[str | None, typer.Option(help="WIDTHxHEIGHT (else the file's).")]
Crop = Annotated[str | None, typer.Option(help="X,Y,WIDTH,HEIGHT of the picture.")]
Material = Annotated[
    list[str] | None,
    typer.Option(
        help="SHAPES=FILE.eta[#NAME] or FILE.mtlx[#NAME]; SHAPES: names or patterns, a,b*."
    ),
]
Field = Annotated[
    list[Path] | None,
    typer.Option(help="The .eta file of a radiance field that stands where its photos were taken."),
]
Lit = Annotated[bool, typer.Option("--lit", help="The scene lights the fields, not their photos.")]
Aov = Annotated[
    str | None,
    typer.Option(
        help="Extra parts of an .exr: depth,normal,albedo,uv,...; of a radar's .h5: tensor,grid,..."
    ),
]
MaxDepth = Annotated[int | None, typer.Option(help="Longest path, in segments; -1 is unlimited.")]
Camera = Annotated[str | None, typer.Option(help="Name or number of the camera.")]
Define = Annotated[
    list[str] | None, typer.Option("-D", "--define", help="NAME=VALUE for $NAME in .xml.")
]
Search = Annotated[
    list[Path] | None, typer.Option(help="Another folder to look for a scene's files in.")
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set", help="OBJECT.NAME=VALUE: camera.fov=35, emitters.scale=2, floor.alpha=.1"
    ),
]
Frames = Annotated[str | None, typer.Option(help="FIRST:LAST of a camera path or turntable.")]
CameraPath = Annotated[
    Path | None, typer.Option(help="Keyframes of the camera, .toml or .json; numbered pictures.")
]
Turntable = Annotated[int | None, typer.Option(help="Turn around the target in N pictures.")]
Watch = Annotated[bool, typer.Option("--watch", help="Render again whenever a file changes.")]
Stats = Annotated[
    Path | None, typer.Option(help="Write rays, samples, times and noise of the passes (.json).")
]
Time = Annotated[
    str | None, typer.Option(help="MINUTES, or such as 20s: as many samples as fit into it.")
]
Noise = Annotated[
    float | None,
    typer.Option(help="Sample each tile until its noise on a display is this, e.g. 0.01."),
]
Checkpoint = Annotated[
    float | None, typer.Option(help="Keep the work on disk every so many SECONDS.")
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the work kept on disk.")]
Denoise = Annotated[
    bool, typer.Option("--denoise", help="Remove noise; an .exr keeps it as the part `noisy`.")
]
Colors = Annotated[str, typer.Option(help="Primaries of an .exr: " + "|".join(SPACES))]
Backend = Annotated[str, typer.Option(help="|".join(BACKENDS))]
Kernel = Annotated[
    str, typer.Option(help="How networks are run; the last two: slang only. " + "|".join(KERNELS))
]
Device = Annotated[str, typer.Option(help="Which arrays: " + "|".join(DEVICES))]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Errors only.")]
Json = Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")]


def window(size: str | None, crop: str | None) -> tuple[Any, Any]:
    """Size and crop of the picture, None where the scene file decides."""
    return (
        parse_size(size) if size is not None else None,
        parse_crop(crop) if crop is not None else None,
    )


def loading(
    define: list[str],
    edits: list[str],
    search: list[Path],
    material: list[str],
    fields: list[Path] | None = None,
    lit: bool = False,
) -> dict[str, Any]:
    """What `load_scene` gets."""
    if lit and not fields:
        raise InputError("--lit", "goes together with --field only",
                         fix="In XML: lit in the volume of the field")  # fmt: skip
    return {
        "parameters": dict(parse_pair(text, "-D") for text in define),
        "search": tuple(search),
        "assignments": materials(material),
        "edits": parse_edits(edits),
        "fields": tuple(fields or []),
        "lit": lit,
    }


def check_sensor(sensor: str, radar: Path | None) -> None:
    """Raise `InputError` for an unknown sensor, or a radar's file without a radar."""
    if sensor not in SENSORS:
        raise InputError("--sensor", "is unknown", got=sensor, expected=", ".join(SENSORS))
    if radar is not None and sensor != "radar":
        raise InputError("--radar", "goes together with --sensor radar only")


def idle(context: typer.Context) -> list[str]:
    """Options on the command line that a radar has no use for."""
    found = []
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if parameter.name not in RADAR and source is not None and source.name == "COMMANDLINE":
            found.append(parameter.opts[-1])
    return found


def check_files(
    sensor: tuple[str, Path | None],
    output: tuple[Path, tuple[str, ...], str],
    stats: Path | None,
) -> None:
    """Raise `InputError` unless there is such a sensor, and what it sees can be written."""
    check_sensor(*sensor)
    if sensor[0] == "camera":
        check_output(*output)
    check_stats(stats)


def check_stats(path: Path | None) -> None:
    """Raise `InputError` unless figures can be written to `path`."""
    if path is not None and path.suffix.lower() != ".json":
        raise InputError("--stats", "unknown kind of file", got=path, expected=".json")
    if path is not None and (path.is_dir() or not path.absolute().parent.is_dir()):
        raise InputError("--stats", "cannot be written", got=path, fix="Choose another folder")


def materials(options: list[str]) -> dict[str, Path]:
    """`A,B=FILE` as {A: FILE, B: FILE}."""
    pairs = [parse_pair(option, "--material") for option in options]
    return {name.strip(): Path(file) for names, file in pairs for name in names.split(",")}


def names(aov: str | None) -> tuple[str, ...]:
    """`a, b` as ("a", "b")."""
    return tuple(name.strip() for name in (aov or "").split(",") if name.strip())


def check_numbers(spp: int | None, seed: int, max_depth: int | None) -> None:
    """Raise `InputError` for a number out of range."""
    if spp is not None and not 1 <= spp <= MAX_SPP:
        raise InputError("--spp", "is out of range", got=spp, expected=f"1..{MAX_SPP}")
    if not 0 <= seed < MAX_SEED:
        raise InputError("--seed", "is out of range", got=seed, expected=f"0..{MAX_SEED - 1}")
    if max_depth is not None and max_depth != -1 and not 1 <= max_depth <= 4096:
        raise InputError("--max-depth", "is out of range", got=max_depth, expected="-1, 1..4096")


def check_goals(
    time: str | None, noise: float | None, checkpoint: float | None
) -> tuple[float | None, float | None, float | None]:
    """Seconds, noise and seconds between checkpoints, each None or positive."""
    return (
        parse_time(time) if time is not None else None,
        positive(noise, "--noise") if noise is not None else None,
        positive(checkpoint, "--checkpoint") if checkpoint is not None else None,
    )


def check_choices(backend: str, kernel: str, device: str, search: list[Path]) -> None:
    """Raise `InputError` for an unknown back end, kernel or folder."""
    if device not in DEVICES:
        raise InputError("--device", "is unknown", got=device, expected=", ".join(DEVICES))
    if backend not in BACKENDS:
        raise InputError("--backend", "is unknown", got=backend, expected=", ".join(BACKENDS))
    if kernel not in KERNELS:
        raise InputError("--kernel", "is unknown", got=kernel, expected=", ".join(KERNELS))
    for folder in search:
        if not folder.is_dir():
            raise InputError("--search", "is not a folder", got=folder)


def _check_colors(colors: str, output: Path) -> None:
    if colors not in SPACES:
        raise InputError("--colors", "is unknown", got=colors, expected=", ".join(SPACES))
    if colors != "rec709" and output.suffix.lower() != ".exr":
        raise InputError("--colors", f"{colors} needs an .exr", got=output)


def check_output(output: Path, aovs: tuple[str, ...], colors: str = "rec709") -> None:
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
    _check_colors(colors, output)
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
