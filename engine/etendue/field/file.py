"""Fields in `.eta` files of kind "field"."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from etendue import __version__
from etendue.artifact import Artifact, read_artifact, write_artifact
from etendue.core.errors import InputError
from etendue.field.base import Model, Params
from etendue.field.composed import HashLowRank
from etendue.field.grid import Grid
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
    tensors = {n: v.detach().numpy().astype(np.float32) for n, v in made.params.items()}
    for name, values in tensors.items():
        if not np.isfinite(values).all():
            raise InputError(f"{path}: {name}", "has values that are not finite", fix="Train again")
    header = {
        "kind": "field",
        "name": made.name,
        "model": {"kind": made.model.kind, **dataclasses.asdict(made.model)},  # type: ignore[call-overload]
        "cube": made.cube.record(),
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
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(path, f"its header is not usable ({error})") from None
    shapes = {n: v.shape for n, v in model.init(torch.Generator().manual_seed(0)).items()}
    params: Params = {}
    for name, shape in shapes.items():
        values = artifact.tensors.get(name)
        if values is None or values.shape != tuple(shape):
            got = "none" if values is None else values.shape
            raise InputError(f"{path}: {name}", "does not fit", got=got, expected=tuple(shape))
        params[name] = torch.from_numpy(values.astype(np.float32))
    bits = artifact.tensors.get(OCCUPANCY)
    if bits is None or bits.dtype != np.uint8 or bits.shape != (-(-(CELLS**3) // 8),):
        raise InputError(f"{path}: {OCCUPANCY}", "is not usable")
    return Field(
        model, params, Cube((x, y, z), side), unpack(bits, CELLS, STEP), str(header.get("name")),
        distance, dict(header.get("provenance", {})),
    )  # fmt: skip
