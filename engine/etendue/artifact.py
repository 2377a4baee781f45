"""The baked file `*.eta`: safetensors whose one metadata entry is a versioned, hashed JSON header.

`__metadata__["etendue"]` holds `{"sha256": ..., "header": {...}}`. The hash covers the header and
every tensor's name, dtype, shape and bytes, so a flipped bit anywhere is found on load. Nothing in
a file is ever executed or looked up on disk: tensors are arrays, the header is plain JSON.

A file of kind "set" holds several materials on one decoder. Its header lists them under "materials"
(name, lod, latent, provenance, quality); frames, evaluator and sampler have the names that they
have in a file of kind "material", and what belongs to the k-th material begins with `k/`.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from etendue.core.errors import InputError
from etendue.core.files import atomic_path

SCHEMA = 1
SECTIONS = (
    "arch",
    "cube",
    "latent",
    "lod",
    "model",
    "provenance",
    "transmission",
    "weights",
)
KEY = "etendue"
SET = "set"
_REBAKE = "Bake it again or fetch an intact copy"


@dataclass(frozen=True)
class Artifact:
    """Tensors by name and the JSON header that describes them."""

    header: Mapping[str, Any]  # schema, kind, name, arch, latent, provenance, quality ...
    tensors: Mapping[str, np.ndarray]


def digest(header: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> str:
    """SHA-256 over the canonical header and every tensor (name, dtype, shape, bytes)."""
    state = hashlib.sha256(_canonical(header).encode())
    for name in sorted(tensors):
        array = np.ascontiguousarray(tensors[name])
        state.update(f"{name}|{array.dtype.str}|{array.shape}|".encode())
        state.update(array.tobytes())
    return state.hexdigest()


def write_artifact(path: str | os.PathLike[str], artifact: Artifact) -> None:
    """Write `artifact` to `path` through a temporary file; equal input gives equal bytes."""
    from safetensors.numpy import save

    header = {"schema": SCHEMA, **artifact.header}
    tensors = {name: np.ascontiguousarray(a) for name, a in artifact.tensors.items()}
    record = {"sha256": digest(header, tensors), "header": header}
    with atomic_path(path) as temporary:
        temporary.write_bytes(save(tensors, metadata={KEY: _canonical(record)}))


def read_artifact(path: str | os.PathLike[str], *, kind: str | None = None) -> Artifact:
    """Read and verify an artifact; `kind` (e.g. "material") is checked when given.

    Raises `InputError` for a missing, foreign, truncated, altered or too new file.
    """
    path = Path(path)
    try:
        blob = path.read_bytes()
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})", fix="Check the path") from None
    record = _record(path, blob)
    header = record["header"]
    if header.get("schema") != SCHEMA:
        raise InputError(
            path,
            "was written in another version of the artifact format",
            got=f"schema {header.get('schema')!r}",
            expected=f"schema {SCHEMA}",
            fix="Bake it again with this version",
        )
    tensors = _tensors(path, blob)
    if digest(header, tensors) != record.get("sha256"):
        raise InputError(path, "is damaged (its SHA-256 does not match)", fix=_REBAKE)
    if kind is not None and header.get("kind") != kind:
        raise InputError(
            path, "holds the wrong kind of data", got=header.get("kind"), expected=kind
        )
    _check_sections(path, header)
    return Artifact(header, tensors)


def _check_sections(path: Path, header: Mapping[str, Any]) -> None:
    """What are objects in the headers of all kinds, and of a set's materials, are objects."""
    entries = header.get("materials")
    for record in (header, *(entries if isinstance(entries, list) else ())):
        for name in SECTIONS:
            if isinstance(record, dict) and not isinstance(record.get(name, {}), dict):
                raise InputError(
                    path, f"has an unusable header.{name}", got=record[name], expected="an object",
                    fix=_REBAKE,
                )  # fmt: skip


def join_materials(
    members: Sequence[Artifact], shared: Mapping[str, Any], decoder: Sequence[str]
) -> Artifact:
    """A set of `members`, whose tensors named in `decoder` are equal and stored once.

    `shared` is the set's own header; what the members' say likewise is left out of theirs.
    """
    tensors = {name: members[0].tensors[name] for name in decoder}
    entries = []
    for k, member in enumerate(members):
        own = {f"{k}/{n}": array for n, array in member.tensors.items() if n not in tensors}
        tensors |= own
        entries.append(
            {n: v for n, v in member.header.items() if n != "kind" and shared.get(n) != v}
        )
    return Artifact({"kind": SET, **shared, "materials": entries}, tensors)


def material_names(source: object, artifact: Artifact) -> tuple[str, ...]:
    """Names of the materials in a set; `InputError` naming `source` when its list is unusable."""
    entries = artifact.header.get("materials")
    entries = entries if isinstance(entries, list) else []
    names = [e.get("name") for e in entries if isinstance(e, dict)]
    texts = tuple(name for name in names if isinstance(name, str) and name)
    if not texts or len(set(texts)) != len(entries):
        raise InputError(source, "its list of materials is not usable", got=names, fix=_REBAKE)
    return texts


def pick_material(source: object, artifact: Artifact, name: str | None) -> Artifact:
    """The material `name` (the only one when None) of a set, as a file of its own would hold it."""
    names = material_names(source, artifact)
    listed = ", ".join(sorted(names))
    if name is None and len(names) > 1:
        raise InputError(
            source, "holds several materials", got=listed, fix=f"Name one: {source}#{names[0]}"
        )
    if name is not None and name not in names:
        raise InputError(source, "holds no such material", got=name, expected=f"one of: {listed}")
    k = 0 if name is None else names.index(name)
    tensors = {n: array for n, array in artifact.tensors.items() if "/" not in n}
    for full, array in artifact.tensors.items():
        if full.startswith(f"{k}/"):
            tensors[full.removeprefix(f"{k}/")] = array
    shared = {n: v for n, v in artifact.header.items() if n != "materials"}
    return Artifact({**shared, **artifact.header["materials"][k], "kind": "material"}, tensors)


def split_name(path: str | os.PathLike[str]) -> tuple[Path, str | None]:
    """File and material of `FILE#NAME`; a file that has the whole name is meant first."""
    path = Path(path)
    if path.is_file() or "#" not in path.name:
        return path, None
    stem, _, name = path.name.partition("#")
    return path.with_name(stem), name


def read_material(path: str | os.PathLike[str], name: str | None = None) -> Artifact:
    """Read and verify a baked material; `name` says which one of a set (of one, none is needed).

    Texts `FILE.eta#NAME` are taken apart by `split_name`.
    """
    file = Path(path)
    artifact = read_artifact(file)
    kind = artifact.header.get("kind")
    if kind == SET:
        return pick_material(file, artifact, name)
    if kind != "material":
        raise InputError(file, "holds the wrong kind of data", got=kind, expected="material")
    if name is not None and name != artifact.header.get("name"):
        found = artifact.header.get("name")
        raise InputError(file, "holds no such material", got=name, expected=found)
    return artifact


def _canonical(value: Mapping[str, Any]) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _record(path: Path, blob: bytes) -> dict[str, Any]:
    """The `etendue` metadata entry, or a clear error about what is wrong with the file."""
    foreign = InputError(path, "is not an etendue artifact", expected="a .eta file", fix=_REBAKE)
    if len(blob) < 10:
        raise InputError(path, "is truncated", got=f"{len(blob)} bytes", fix=_REBAKE)
    (length,) = struct.unpack("<Q", blob[:8])
    if length > 100_000_000 or not blob[8:9] == b"{":
        raise foreign
    if 8 + length > len(blob):
        raise InputError(path, "is truncated", got=f"{len(blob)} bytes", fix=_REBAKE)
    try:
        table = json.loads(blob[8 : 8 + length])
        record = json.loads(table["__metadata__"][KEY])
        _canonical(record)  # refuses NaN and infinity, which are no JSON
    except (ValueError, KeyError, TypeError, RecursionError):
        raise foreign from None
    if not isinstance(record, dict) or not isinstance(record.get("header"), dict):
        raise foreign
    return record


def _tensors(path: Path, blob: bytes) -> dict[str, np.ndarray]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        tensors = load(blob)
    except (SafetensorError, ValueError, KeyError) as error:
        raise InputError(path, f"is truncated or damaged ({error})", fix=_REBAKE) from None
    for name, array in tensors.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise InputError(path, f"tensor {name} holds NaN or infinity", fix=_REBAKE)
    return tensors


def require(path: object, artifact: Artifact, shapes: Mapping[str, tuple[int | None, ...]]) -> None:
    """Check that every named tensor exists with its shape (`None` = any size)."""
    for name, shape in shapes.items():
        array = artifact.tensors.get(name)
        got = None if array is None else array.shape
        fits = got is not None and len(got) == len(shape)
        if not fits or any(w is not None and g != w for g, w in zip(got or (), shape, strict=True)):
            raise InputError(path, f"tensor {name} does not fit", got=got, expected=shape)


def byte_size(artifact: Artifact) -> int:
    """Bytes of all tensors."""
    return sum(math.prod(a.shape) * a.dtype.itemsize for a in artifact.tensors.values())
