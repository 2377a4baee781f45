"""Draco compressed glTF: equal to the same mesh without it, and everything that can be wrong."""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from typing import Any

import DracoPy
import numpy as np
import pytest

from etendue.core.errors import InputError
from etendue.scene.scene import Scene, load_scene

ENGINE = Path("/usr/share/assimp/models/glTF2/draco/2CylinderEngine.gltf")
DRACO = "KHR_draco_mesh_compression"
SIDE = 9


def grid() -> dict[str, np.ndarray]:
    """A bent sheet with normals and texture coordinates."""
    u, v = (a.reshape(-1) for a in np.meshgrid(*[np.linspace(0, 1, SIDE)] * 2, indexing="ij"))
    positions = np.stack([u, v, 0.25 * u * u], 1).astype(np.float32)
    normals = np.stack([-0.5 * u, np.zeros_like(u), np.ones_like(u)], 1)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    corner = (np.arange(SIDE - 1)[:, None] * SIDE + np.arange(SIDE - 1)).reshape(-1, 1)
    faces = np.concatenate([corner + np.array(c) for c in ([0, SIDE, 1], [1, SIDE, SIDE + 1])])
    return {
        "positions": positions,
        "normals": normals,
        "uv": np.stack([u, v], 1),
        "faces": faces.astype(np.uint32),
    }


def packed(**options: Any) -> bytes:
    mesh = grid()
    return DracoPy.encode(
        mesh["positions"],
        mesh["faces"],
        tex_coord=mesh["uv"],
        normals=mesh["normals"],
        quantization_bits=16,
        compression_level=5,
        **{"preserve_order": True, **options},
    )


def document(data: bytes, attributes: dict[str, int] | None = None) -> dict[str, Any]:
    """One primitive whose accessors have no data but that of Draco."""
    count = SIDE * SIDE
    kinds = {"POSITION": "VEC3", "NORMAL": "VEC3", "TEXCOORD_0": "VEC2"}
    stored = {a["unique_id"]: a["attribute_type"] for a in DracoPy.decode(packed()).attributes}
    types = {0: "POSITION", 1: "NORMAL", 3: "TEXCOORD_0"}
    numbers = {types[int(kind)]: number for number, kind in stored.items()}
    return {
        "asset": {"version": "2.0"},
        "extensionsUsed": [DRACO],
        "extensionsRequired": [DRACO],
        "buffers": [
            {
                "byteLength": len(data),
                "uri": "data:;base64," + base64.b64encode(data).decode(),
            }
        ],
        "bufferViews": [{"buffer": 0, "byteOffset": 0, "byteLength": len(data)}],
        "accessors": [
            {"componentType": 5126, "count": count, "type": kind} for kind in kinds.values()
        ]
        + [{"componentType": 5125, "count": 6 * (SIDE - 1) ** 2, "type": "SCALAR"}],
        "meshes": [
            {
                "primitives": [
                    {
                        "attributes": {name: i for i, name in enumerate(kinds)},
                        "indices": 3,
                        "extensions": {
                            DRACO: {"bufferView": 0, "attributes": attributes or numbers}
                        },
                    }
                ]
            }
        ],
        "nodes": [{"mesh": 0, "name": "Sheet"}],
    }


def load(folder: Path, described: dict[str, Any]) -> Scene:
    path = folder / "scene.gltf"
    path.write_text(json.dumps(described))
    return load_scene(path)


def test_compressed_sheet_is_the_sheet(tmp_path: Path) -> None:
    (shape,) = load(tmp_path, document(packed())).shapes
    mesh, wanted = shape.mesh, grid()
    np.testing.assert_array_equal(mesh.faces, wanted["faces"])
    np.testing.assert_allclose(mesh.positions, wanted["positions"], atol=2**-15)
    assert mesh.normals is not None and mesh.uv is not None
    np.testing.assert_allclose(mesh.normals, wanted["normals"], atol=0.01)  # 8 bits as a rule
    np.testing.assert_allclose(mesh.uv, wanted["uv"], atol=2**-9)


def test_another_order_of_vertices_is_the_same_surface(tmp_path: Path) -> None:
    (shape,) = load(tmp_path, document(packed(preserve_order=False))).shapes
    wanted = grid()
    centres = [
        points[faces].mean(1)
        for points, faces in (
            (shape.mesh.positions, shape.mesh.faces),
            (wanted["positions"], wanted["faces"]),
        )
    ]
    assert len(centres[0]) == len(centres[1])
    distances = np.linalg.norm(centres[0][:, None] - centres[1][None], axis=-1)
    assert distances.min(0).max() < 1e-4


def test_damage_is_one_clear_error(tmp_path: Path) -> None:
    data = packed()
    for bad in (data[: len(data) // 2], b"DRACO" + bytes(40), bytes(len(data))):
        with pytest.raises(InputError, match="damaged Draco data"):
            load(tmp_path, document(bad))


def test_attribute_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="NORMAL is not in its Draco data"):
        load(tmp_path, document(packed(), {"POSITION": 0, "NORMAL": 77}))


def test_points_are_no_mesh(tmp_path: Path) -> None:
    cloud = DracoPy.encode(grid()["positions"], quantization_bits=12)
    with pytest.raises(InputError, match="holds points"):
        load(tmp_path, document(cloud))


def test_without_the_package_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "DracoPy", None)
    with pytest.raises(InputError) as caught:
        load(tmp_path, document(packed()))
    assert "etendue[draco]" in str(caught.value)


def test_without_the_package_plain_accessors_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mesh, described = grid(), document(packed())
    arrays = [
        mesh["positions"],
        mesh["normals"].astype(np.float32),
        mesh["uv"].astype(np.float32),
        mesh["faces"].reshape(-1),
    ]
    data = packed()
    data += bytes(-len(data) % 4)
    for accessor, array in zip(described["accessors"], arrays, strict=True):
        accessor["bufferView"] = len(described["bufferViews"])
        described["bufferViews"].append(
            {"buffer": 0, "byteOffset": len(data), "byteLength": array.nbytes}
        )
        data += array.tobytes()
    uri = "data:;base64," + base64.b64encode(data).decode()
    described["buffers"] = [{"byteLength": len(data), "uri": uri}]
    del described["extensionsRequired"]
    monkeypatch.setitem(sys.modules, "DracoPy", None)
    (shape,) = load(tmp_path, described).shapes
    np.testing.assert_array_equal(shape.mesh.positions, mesh["positions"])
    np.testing.assert_array_equal(shape.mesh.faces, mesh["faces"])


@pytest.mark.skipif(not ENGINE.is_file(), reason="the package assimp-testmodels is absent")
def test_a_real_engine() -> None:
    scene = load_scene(ENGINE)
    assert len(scene.shapes) == 115
    assert sum(len(shape.mesh.faces) for shape in scene.shapes) == 110_336
