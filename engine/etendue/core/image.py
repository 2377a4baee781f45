"""Image files as float32 arrays (rows, columns, channels), row 0 at the top, values as stored."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from etendue.core.color import REC709, convert_primaries, linear_to_srgb, srgb_to_linear
from etendue.core.errors import InputError
from etendue.core.files import atomic_path

MAX_PIXELS = 1 << 28  # 16384 squared; a larger claim in a header is taken for damage


def require_finite(subject: object, array: np.ndarray) -> np.ndarray:
    """Return `array`, or raise `InputError` that counts its NaN and infinite values."""
    bad = ~np.isfinite(array)
    if bad.any():
        first = tuple(int(i) for i in np.argwhere(bad)[0])
        raise InputError(
            subject,
            "holds NaN or infinite values",
            got=f"{int(bad.sum())} of {bad.size}, the first at {first}",
            expected="finite values",
        )
    return array


def read_image(path: str | Path) -> np.ndarray:
    """Read the first part of an image: float32 (H, W, C), row 0 = top, no colour conversion.

    Integer formats are scaled to [0, 1]; alpha is not multiplied in. Values may be non-finite:
    pass them through `require_finite` where that matters.
    """
    return next(iter(read_parts(path, first_only=True).values()))


def read_linear(path: str | Path) -> np.ndarray:
    """`read_image` as linear Rec. 709 values: EXR, HDR and PFM files are linear, the others sRGB.

    Colours of an EXR file that states other `chromaticities` (ACEScg, ...) are converted.
    """
    pixels = read_image(path)
    if Path(path).suffix.lower() not in (".exr", ".hdr", ".pfm"):
        return srgb_to_linear(pixels)
    primaries = _chromaticities(path)
    if pixels.shape[2] < 3 or np.allclose(primaries, REC709, atol=1e-4):
        return pixels
    return convert_primaries(pixels, primaries, REC709)


def read_parts(path: str | Path, *, first_only: bool = False) -> dict[str, np.ndarray]:
    """Read every part of a (multi-part EXR) image by name, in file order."""
    import OpenImageIO

    path = Path(path)
    if not path.exists():
        raise InputError(path, "no such image file", fix="Check the path")
    if path.is_dir():
        raise InputError(path, "is a folder", expected="an image file")
    config = OpenImageIO.ImageSpec()
    config.attribute("oiio:UnassociatedAlpha", 1)
    source = OpenImageIO.ImageInput.open(str(path), config)
    if source is None:
        raise InputError(path, f"cannot be read as an image ({_reason(OpenImageIO)})")
    parts: dict[str, np.ndarray] = {}
    try:
        while source.seek_subimage(len(parts), 0):
            spec = source.spec()
            name = _part_name(spec) or f"part{len(parts)}"
            if name in parts:
                name = f"{name}.{len(parts)}"
            parts[name] = _read_part(path, source, len(parts))
            if first_only:
                break
    finally:
        source.close()
    if not parts:
        raise InputError(path, "holds no image")
    return parts


def read_metadata(path: str | Path, prefix: str = "etendue:") -> dict[str, Any]:
    """What is stored beside the pixels of a file under names with `prefix`, without it.

    Empty where there is nothing or the file cannot be read.
    """
    import OpenImageIO

    source = OpenImageIO.ImageInput.open(str(path))
    if source is None:
        _reason(OpenImageIO)  # which it then forgets
        return {}
    try:
        attributes = source.spec().extra_attribs
        found = {a.name: a.value for a in attributes if a.name.startswith(prefix)}
    except UnicodeDecodeError:
        return {}
    finally:
        source.close()
    return {name.removeprefix(prefix): value for name, value in found.items()}


def _chromaticities(path: str | Path) -> tuple[float, ...]:
    """Those that an image file states, Rec. 709 where it states none."""
    stated = read_metadata(path, "chromaticities").get("")
    if stated is None:
        return REC709
    sound = isinstance(stated, tuple) and all(isinstance(v, float) for v in stated)
    values = np.array(stated if sound else ())
    if len(values) == 8 and np.isfinite(values).all() and values[7] > 1e-3:
        red, green, blue, _ = np.column_stack([values.reshape(4, 2), np.ones(4)])
        if abs(np.dot(np.cross(red, green), blue)) > 1e-4:  # twice the area of the triangle
            return tuple(values.tolist())
    raise InputError(path, "states impossible chromaticities", got=stated)


def _read_part(path: Path, source: Any, index: int) -> np.ndarray:
    spec = source.spec()
    if min(spec.width, spec.height, spec.nchannels) < 1:
        raise InputError(path, "has zero size", got=f"{spec.width}x{spec.height}")
    if spec.width * spec.height * spec.depth > MAX_PIXELS:
        raise InputError(
            path, "is too large", got=f"{spec.width}x{spec.height}", expected=f"<= {MAX_PIXELS} px"
        )
    pixels = source.read_image(index, 0, 0, spec.nchannels, "float")
    if pixels is None:
        raise InputError(path, f"is damaged ({_reason(source)})")
    array = np.asarray(pixels, np.float32)
    return np.ascontiguousarray(array.reshape(spec.height, spec.width, spec.nchannels))


def _part_name(spec: Any) -> str:
    try:
        return str(spec.get_string_attribute("oiio:subimagename"))
    except UnicodeDecodeError:
        return ""


def _reason(failed: Any) -> str:
    """The first line of what OpenImageIO, or a file of it, says went wrong."""
    try:
        lines = str(failed.geterror()).strip().splitlines()
    except UnicodeDecodeError:  # it quotes the damaged file
        lines = []
    return lines[0] if lines else "unknown reason"


_CHANNELS = {1: ("Y",), 2: ("X", "Y"), 3: ("R", "G", "B"), 4: ("R", "G", "B", "A")}


def write_exr(
    path: str | Path,
    parts: Mapping[str, np.ndarray],
    metadata: Mapping[str, str | int | float] | None = None,
    *,
    channels: Mapping[str, tuple[str, ...]] | None = None,
    place: tuple[int, int, int, int] | None = None,
    matrices: Mapping[str, tuple[float, ...]] | None = None,
    primaries: tuple[float, ...] = REC709,
) -> None:
    """Write float32 arrays (H, W) or (H, W, C <= 4) as the named parts of one EXR, atomically.

    The first part is what single-part readers show. Linear values, ZIP compression, the same
    bytes for the same input. `channels` names those of a part (else R, G, B, A); `place` is where
    the pixels lie in a whole picture (x, y, its width, its height); `matrices` are 4x4, by rows;
    `primaries` are those of the colours, stated in the file unless they are Rec. 709.
    """
    import OpenImageIO

    if not parts:
        raise InputError(path, "no image part to write")
    arrays = {name: _as_planes(path, array) for name, array in parts.items()}
    specs = []
    for name, array in arrays.items():
        spec = OpenImageIO.ImageSpec(array.shape[1], array.shape[0], array.shape[2], "float")
        spec.channelnames = (channels or {}).get(name, _CHANNELS[array.shape[2]])
        if place is not None:
            spec.x, spec.y, spec.full_width, spec.full_height = place
        for key, matrix in (matrices or {}).items():
            spec.attribute(key, OpenImageIO.TypeDesc("matrix"), matrix)
        if primaries != REC709:  # which a file without has; all parts of one file must agree
            spec.attribute("chromaticities", OpenImageIO.TypeDesc("float[8]"), primaries)
        spec.attribute("compression", "zip")
        spec.attribute("DateTime", "1970:01:01 00:00:00")  # or OpenImageIO stores the present
        spec.attribute("oiio:subimagename", name or "rgb")
        for key, value in (metadata or {}).items():
            spec.attribute(key, value)
        specs.append(spec)
    with atomic_path(path) as temporary:
        output = OpenImageIO.ImageOutput.create("exr")
        if output is None or not output.open(str(temporary), tuple(specs)):
            raise InputError(path, f"cannot be written ({_reason(OpenImageIO)})")
        for index, (spec, array) in enumerate(zip(specs, arrays.values(), strict=True)):
            ok = index == 0 or output.open(str(temporary), spec, "AppendSubimage")
            if not ok or not output.write_image(array):
                raise InputError(path, f"cannot be written ({_reason(output)})")
        output.close()


def write_png(path: str | Path, linear_rgb: np.ndarray, *, encode: bool = True) -> None:
    """Write (H, W) or (H, W, 1|3|4) as 8-bit PNG, atomically; values are clipped to [0, 1].

    Colour is sRGB-encoded unless `encode` is false (data such as normals); alpha never is.
    """
    pixels = require_finite(path, _as_planes(path, linear_rgb)).copy()
    colours = 3 if pixels.shape[2] == 4 else pixels.shape[2]
    if encode:
        pixels[..., :colours] = linear_to_srgb(np.clip(pixels[..., :colours], 0.0, 1.0))
    write_bytes_image(path, np.round(np.clip(pixels, 0.0, 1.0) * 255.0).astype(np.uint8))


def write_bytes_image(path: str | Path, pixels: np.ndarray, quality: int = 90) -> None:
    """Write uint8 (H, W, C) as stored, in the format of the suffix (PNG, JPEG), atomically."""
    import OpenImageIO

    spec = OpenImageIO.ImageSpec(pixels.shape[1], pixels.shape[0], pixels.shape[2], "uint8")
    spec.attribute("png:compressionLevel", 9)
    spec.attribute("compression", f"jpeg:{quality}" if _is_jpeg(path) else "zip")
    spec.attribute("jpeg:subsampling", "4:4:4")
    spec.attribute("oiio:UnassociatedAlpha", 1)
    with atomic_path(path) as temporary:
        output = OpenImageIO.ImageOutput.create(str(temporary))
        if output is None:
            raise InputError(path, "unknown image format", expected=".png or .jpg")
        if not output.open(str(temporary), spec) or not output.write_image(pixels):
            raise InputError(path, f"cannot be written ({_reason(output)})")
        output.close()


def _is_jpeg(path: str | Path) -> bool:
    return Path(path).suffix.lower() in (".jpg", ".jpeg")


def _as_planes(path: str | Path, array: np.ndarray) -> np.ndarray:
    array = np.asarray(array, np.float32)
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in _CHANNELS or 0 in array.shape:
        raise InputError(
            path, "cannot store this array", got=array.shape, expected="(H, W) or (H, W, 1..4)"
        )
    return np.ascontiguousarray(array)
