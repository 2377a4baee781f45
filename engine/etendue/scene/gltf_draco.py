"""glTF meshes that Draco compressed (KHR_draco_mesh_compression), through DracoPy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from etendue.core.errors import InputError
from etendue.scene.gltf_file import GltfFile

EXTENSION = "KHR_draco_mesh_compression"


@dataclass(frozen=True)
class Unpacked:
    """What a compressed primitive holds; `arrays` are rows per vertex, by attribute semantic."""

    indices: np.ndarray  # uint32 (3 * faces,)
    arrays: Mapping[str, np.ndarray]


def unpack(file: GltfFile, primitive: Mapping[str, Any], user: str) -> Unpacked | None:
    """The decompressed primitive; None where it is not compressed.

    Without DracoPy a primitive that also has plain accessors is read from those; one that has
    none is an `InputError` that names the extra to install.
    """
    packed = primitive.get("extensions", {}).get(EXTENSION)
    if packed is None:
        return None
    try:
        import DracoPy
    except ImportError as error:
        if _has_plain_data(file, primitive, user):
            return None
        raise InputError(
            file.path,
            f"{user} is compressed with Draco, which needs a package that is not installed",
            fix="pip install 'etendue[draco]'",
        ) from error
    data, _ = file.view(packed.get("bufferView"), f"{user} {EXTENSION}")
    try:
        mesh = DracoPy.decode(data)
    except Exception as error:  # its exceptions share no class of their own
        raise InputError(file.path, f"{user} has damaged Draco data ({error})") from error
    faces = getattr(mesh, "faces", None)
    if faces is None:
        raise InputError(file.path, f"{user} holds points in its Draco data", expected="a mesh")
    stored = {attribute["unique_id"]: attribute["data"] for attribute in mesh.attributes}
    arrays = {}
    for semantic, number in packed.get("attributes", {}).items():
        if number not in stored:
            raise InputError(
                file.path,
                f"{user} {semantic} is not in its Draco data",
                got=f"id {number}",
                expected=f"one of {sorted(stored)}",
            )
        arrays[semantic] = np.asarray(stored[number])
    return Unpacked(np.asarray(faces, np.uint32).reshape(-1), arrays)


def _has_plain_data(file: GltfFile, primitive: Mapping[str, Any], user: str) -> bool:
    index = primitive.get("attributes", {}).get("POSITION")
    return "bufferView" in file.item("accessors", index, user)
