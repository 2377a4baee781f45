"""Fields in `.eta` files of kind "field"."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch.overrides import TorchFunctionMode

from etendue import __version__
from etendue.artifact import Artifact, read_artifact, write_artifact
from etendue.core.errors import InputError
from etendue.field.base import Model, Params
from etendue.field.composed import HashLowRank
from etendue.field.grid import CHANNELS, POINTS, Grid
from etendue.field.hashgrid import HashGrid
from etendue.field.lowrank import VectorMatrix, Vectors
from etendue.field.march import STEP
from etendue.field.mlp import Mlp
from etendue.field.occupancy import CELLS, Occupancy, pack, unpack
from etendue.field.rays import Cube

_KINDS = (Mlp, HashGrid, VectorMatrix, Vectors, HashLowRank, Grid)
MODELS: dict[str, type[Model]] = {m.kind: m for m in _KINDS}  # type: ignore[assignment]
OCCUPANCY = "occupancy"
MOST = 4096  # largest size of any part of a model


@dataclass(frozen=True)
class Field:
    """A model with its parameters, where it lies, and what of it is empty."""

    model: Model
    params: Params
    cube: Cube
    occupancy: Occupancy
    name: str = "field"
    distance: float = 1.5  # of cameras that see it whole, from its middle, in sides
    info: Mapping[str, Any] = field(default_factory=dict)  # provenance and quality


def make_model(kind: str, options: Mapping[str, Any] | None = None) -> Model:
    """The model of a `kind` with its sizes; `InputError` for what there is not."""
    if kind not in MODELS:
        raise InputError("model", "is unknown", got=kind, expected=" | ".join(MODELS))
    made: Any = MODELS[kind]
    names = {f.name for f in dataclasses.fields(made)}
    for name, value in (options or {}).items():
        if name not in names:
            raise InputError(kind, "has no such size", got=name, expected=", ".join(sorted(names)))
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MOST:
            raise InputError(f"{kind}.{name}", "is out of range", got=value, expected=f"1..{MOST}")
    return made(**(options or {}))


def write_field(path: str | os.PathLike[str], made: Field) -> None:
    """Write a field; `InputError` when it has values that are not finite, and no file then."""
    for name, values in made.params.items():
        if not torch.isfinite(values).all():
            raise InputError(f"{path}: {name}", "has values that are not finite", fix="Train again")
    packed = getattr(made.model, "packed", None)
    params = made.params if packed is None else packed(made.params, made.occupancy)
    tensors = {n: _plain(v) for n, v in params.items()}
    header = {
        "kind": "field",
        "name": made.name,
        "model": {"kind": made.model.kind, **dataclasses.asdict(made.model)},  # type: ignore[call-overload]
        "cube": made.cube.record(),
        "unbounded": made.occupancy.contracted,
        "distance": made.distance,
        "color": "srgb",
        "provenance": {"tool": f"etendue {__version__}", **made.info},
    }
    write_artifact(path, Artifact(header, {**tensors, OCCUPANCY: pack(made.occupancy)}))


def read_field(path: str | os.PathLike[str]) -> Field:
    """Read and check a field; `InputError` for another kind of file and for what does not fit."""
    artifact = read_artifact(path, kind="field")
    header = dict(artifact.header)
    try:
        options = dict(header["model"])
        model = make_model(options.pop("kind"), options)
        centre, side = header["cube"]["centre"], float(header["cube"]["side"])
        x, y, z = (float(v) for v in centre)
        distance = float(header.get("distance", 1.5))
        contracted = header.get("unbounded", False) is True
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(path, f"its header is not usable ({error})") from None
    shapes = shapes_of(model)
    stored = {n: torch.from_numpy(_readable(v)) for n, v in artifact.tensors.items()}
    unpacked = getattr(model, "unpacked", None)
    if unpacked is not None:
        _check_bits(path, model, stored)
        require_room(model)
        stored = unpacked(stored)
    params: Params = {}
    for name, shape in shapes.items():
        values = stored.get(name)
        if values is None or tuple(values.shape) != shape:
            got = "none" if values is None else tuple(values.shape)
            raise InputError(f"{path}: {name}", "does not fit", got=got, expected=shape)
        params[name] = values
    bits = artifact.tensors.get(OCCUPANCY)
    if bits is None or bits.dtype != np.uint8 or bits.shape != (-(-(CELLS**3) // 8),):
        raise InputError(f"{path}: {OCCUPANCY}", "is not usable")
    return Field(
        model, params, Cube((x, y, z), side), unpack(bits, CELLS, STEP, contracted),
        str(header.get("name")), distance, dict(header.get("provenance", {})),
    )  # fmt: skip


def shapes_of(model: Model) -> dict[str, tuple[int, ...]]:
    """Shapes of a model's parameters, found without making them."""
    with _Shapes():
        made = model.init(torch.Generator())
    return {name: tuple(value.shape) for name, value in made.items()}


def require_room(model: Model, copies: int = 1) -> None:
    """`InputError` for a model of which `copies` are more than the machine's memory."""
    count = sum(math.prod(shape) for shape in shapes_of(model).values())
    wanted = 4 * count * copies
    try:
        there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not every system tells
        return
    if wanted > there:
        raise InputError(
            model.kind, "is larger than the memory of this machine",
            got=f"{wanted / 2**30:.1f} GiB", expected=f"below {there / 2**30:.1f} GiB",
            fix="Choose a smaller --size",
        )  # fmt: skip


class _Shapes(TorchFunctionMode):
    """Tensors that are made have a shape and no content."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        options = dict(kwargs or {})
        if func in (torch.rand, torch.randn, torch.zeros):
            options.pop("generator", None)
            options["device"] = "meta"
        return func(*args, **options)


def _plain(values: torch.Tensor) -> np.ndarray:
    array = values.detach().numpy()
    return array if array.dtype == np.uint8 else array.astype(np.float32)


def _readable(values: np.ndarray) -> np.ndarray:
    return values if values.dtype == np.uint8 else values.astype(np.float32)


def _check_bits(path: object, model: Any, stored: Params) -> None:
    """A sparse grid has as many values as bits that are set."""
    bits, values = stored.get(POINTS), stored.get("values")
    if bits is None or values is None:
        return
    room = -(-(model.size**3) // 8)
    sound = bits.dtype == torch.uint8 and tuple(bits.shape) == (room,)
    count = int(np.unpackbits(bits.numpy(), count=model.size**3).sum()) if sound else -1
    if tuple(values.shape) != (count, CHANNELS):
        expected = f"({count}, {CHANNELS})" if sound else "a bit for each point"
        raise InputError(
            f"{path}: values", "does not fit", got=tuple(values.shape), expected=expected
        )
