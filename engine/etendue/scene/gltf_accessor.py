"""glTF 2.0 accessors: typed, strided, normalised and sparse arrays out of buffers (section 3.6)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from etendue.core.errors import InputError
from etendue.scene.gltf_file import GltfFile

_TYPES = {5120: "i1", 5121: "u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_COMPONENTS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}
_MAX_VALUES = 1 << 28


def read_accessor(file: GltfFile, index: Any, user: str) -> np.ndarray:
    """Array (count, components) in the stored type, sparse values substituted."""
    accessor = file.item("accessors", index, user)
    name = f"accessors[{index}]"
    dtype, components = _layout(file, accessor, name)
    count = int(accessor.get("count", 0))
    if count < 1 or count * components > _MAX_VALUES:
        raise InputError(file.path, f"{name} has an impossible count", got=count)
    if "bufferView" in accessor:
        offset = int(accessor.get("byteOffset", 0))
        array = _strided(file, accessor["bufferView"], offset, dtype, (count, components), name)
    else:
        array = np.zeros((count, components), dtype)
    if "sparse" in accessor:
        array = _substitute(file, array.copy(), accessor["sparse"], name)
    return array


def read_floats(file: GltfFile, index: Any, components: int, user: str) -> np.ndarray:
    """Array (count, components) as float32; normalised integers become max(c / c_max, -1)."""
    normalized = file.item("accessors", index, user).get("normalized", False)
    return checked_floats(file, read_accessor(file, index, user), normalized, components, user)


def checked_floats(
    file: GltfFile, array: np.ndarray, normalized: bool, components: int, user: str
) -> np.ndarray:
    """`array` as `read_floats` gives it: float32 (count, components), finite."""
    if array.shape[1] != components:
        raise InputError(
            file.path,
            f"{user} has the wrong number of components",
            got=array.shape[1],
            expected=components,
        )
    if array.dtype.kind != "f":
        scale = np.iinfo(array.dtype).max
        array = array.astype(np.float32)
        if normalized:
            array = np.maximum(array / np.float32(scale), -1.0)
    array = np.ascontiguousarray(array, np.float32)
    if not np.isfinite(array).all():
        raise InputError(file.path, f"{user} holds NaN or infinite values")
    return array


def _layout(file: GltfFile, accessor: Mapping[str, Any], name: str) -> tuple[np.dtype, int]:
    kind, code = accessor.get("type"), accessor.get("componentType")
    if kind not in _COMPONENTS or code not in _TYPES:
        raise InputError(file.path, f"{name} has an unknown type", got=f"{kind} of {code}")
    return np.dtype(_TYPES[code]), _COMPONENTS[kind]


def _strided(
    file: GltfFile, view: Any, offset: int, dtype: np.dtype, shape: tuple[int, int], name: str
) -> np.ndarray:
    data, stride = file.view(view, name)
    row = dtype.itemsize * shape[1]
    step = stride or row
    if offset < 0 or step < row or offset + step * (shape[0] - 1) + row > len(data):
        raise InputError(
            file.path,
            f"{name} reaches past the end of bufferViews[{view}]",
            got=f"{offset + step * (shape[0] - 1) + row} bytes",
            expected=f"at most {len(data)}",
        )
    return np.ndarray(shape, dtype, data, offset, (step, dtype.itemsize))


def _substitute(
    file: GltfFile, array: np.ndarray, sparse: Mapping[str, Any], name: str
) -> np.ndarray:
    count = int(sparse.get("count", 0))
    where, what = sparse.get("indices", {}), sparse.get("values", {})
    code = where.get("componentType")
    if not 0 < count <= len(array) or code not in (5121, 5123, 5125):
        raise InputError(file.path, f"{name} has a damaged sparse part", got=f"count {count}")
    rows = _strided(
        file,
        where.get("bufferView"),
        int(where.get("byteOffset", 0)),
        np.dtype(_TYPES[code]),
        (count, 1),
        f"{name}.sparse.indices",
    )[:, 0]
    if int(rows.max()) >= len(array):
        raise InputError(
            file.path,
            f"{name} has a sparse index out of range",
            got=int(rows.max()),
            expected=f"below {len(array)}",
        )
    array[rows] = _strided(
        file,
        what.get("bufferView"),
        int(what.get("byteOffset", 0)),
        array.dtype,
        (count, array.shape[1]),
        f"{name}.sparse.values",
    )
    return array
