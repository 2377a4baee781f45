"""Named tensors from files and into files."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from etendue.cli_support import parse_pair
from etendue.core.errors import InputError
from etendue.core.files import atomic_path
from etendue.core.image import read_image, read_parts, write_exr, write_png
from etendue.plugins.manifest import Manifest
from etendue.plugins.slots import TensorSpec

IMAGES = (".exr", ".png", ".jpg", ".jpeg", ".hdr", ".tif", ".tiff")
COLOUR_PART = "rgb"  # first part of the pictures that `etendue render` writes


def read_inputs(manifest: Manifest, options: list[str]) -> dict[str, Any]:
    """The inputs that `--in` options name, each in the type that the manifest declares."""
    found: dict[str, Any] = {}
    for option in options:
        if "=" in option:
            name, value = parse_pair(option, "--in")
            if name not in manifest.inputs:
                raise InputError("--in", "no such input", got=name, expected=_names(manifest))
            found[name] = _read(value)
        else:
            found |= _read_all(manifest, Path(option))
    for name in found:
        found[name] = _as_declared(name, found[name], manifest.inputs[name])
    return found


def _names(manifest: Manifest) -> str:
    return ", ".join(manifest.inputs)


def _read(value: str) -> np.ndarray:
    path = Path(value)
    if path.suffix.lower() in IMAGES:
        return read_image(path)
    if path.suffix.lower() == ".npy":
        return _numpy(path)
    try:
        return np.asarray(float(value))
    except ValueError:
        raise InputError(
            "--in", "cannot be read", got=value, expected="a number, .npy or an image"
        ) from None


def _numpy(path: Path) -> Any:
    try:
        return np.load(path, allow_pickle=False)
    except FileNotFoundError as error:
        raise InputError(path, "no such file", fix="Check the path") from error
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(path, f"cannot be read as numpy data ({error})") from error


def _read_all(manifest: Manifest, path: Path) -> dict[str, np.ndarray]:
    """The parts of a file that have the names of inputs; the colour of a picture is `color`."""
    if path.suffix.lower() == ".npz":
        with _numpy(path) as archive:
            parts = {name: archive[name] for name in archive.files}
    elif path.suffix.lower() in IMAGES:
        parts = read_parts(path)
        first = next(iter(parts))
        parts["color"] = parts.get(COLOUR_PART, parts[first])
    else:
        raise InputError("--in", "cannot be read", got=path, expected="NAME=FILE, .npz or .exr")
    wanted = {name: parts[name] for name in manifest.inputs if name in parts}
    if not wanted:
        got = ", ".join(parts)
        raise InputError(path, "has no part for this plugin", got=got, expected=_names(manifest))
    return wanted


def _as_declared(name: str, value: Any, spec: TensorSpec) -> np.ndarray:
    array = np.asarray(value)
    if len(spec.shape) == array.ndim and array.ndim and spec.shape[-1] == 3 < array.shape[-1]:
        array = array[..., :3]  # colour without alpha
    if spec.dtype == "bfloat16" or array.dtype.kind not in "fiub":
        raise InputError("--in", f"{name} cannot be read from a file", got=array.dtype)
    return np.ascontiguousarray(array.astype(spec.dtype)).reshape(array.shape)


def check_outputs(manifest: Manifest, options: list[str]) -> dict[Path, str | None]:
    """File by output name (None = all), checked before anything runs."""
    wanted: dict[Path, str | None] = {}
    for option in options:
        name, path = (None, option) if "=" not in option else parse_pair(option, "--out")
        suffix = Path(path).suffix.lower()
        allowed = (".npy", ".exr", ".png") if name else (".npz", ".ply")
        if name is not None and name not in manifest.outputs:
            known = ", ".join(manifest.outputs)
            raise InputError("--out", "no such output", got=name, expected=known)
        if suffix not in allowed:
            raise InputError("--out", "unknown format", got=option, expected=" or ".join(allowed))
        if suffix == ".ply" and not {"vertices", "faces"} <= set(manifest.outputs):
            raise InputError("--out", f"{manifest.name} gives no vertices and faces", got=option)
        wanted[Path(path)] = name
    return wanted


def write_outputs(results: Mapping[str, np.ndarray], wanted: dict[Path, str | None]) -> list[Path]:
    """Write what `check_outputs` allowed, each file whole or not at all."""
    for path, name in wanted.items():
        suffix = path.suffix.lower()
        if suffix == ".exr":
            write_exr(path, {"rgb": results[name or ""]})
        elif suffix == ".png":
            write_png(path, results[name or ""])
        else:
            with atomic_path(path) as temporary:
                _write(temporary, suffix, results if name is None else {name: results[name]})
    return list(wanted)


def _write(path: Path, suffix: str, arrays: Mapping[str, np.ndarray]) -> None:
    if suffix == ".npz":
        np.savez(path, **dict(arrays))  # pyright: ignore[reportArgumentType]
    elif suffix == ".npy":
        np.save(path, next(iter(arrays.values())), allow_pickle=False)
    else:
        from trimesh import Trimesh
        from trimesh.exchange.ply import export_ply

        mesh = Trimesh(arrays["vertices"], arrays["faces"], process=False)
        path.write_bytes(export_ply(mesh))
