"""glTF 2.0 import: geometry, node graph, cameras and lights, and everything that can be wrong."""

from __future__ import annotations

import base64
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from etendue.core.errors import EtendueError, InputError
from etendue.scene.scene import Scene, load_scene

DATA = Path(__file__).parents[2] / "../shared/data/materialx/resources/Geometry"
CODES = {"int8": 5120, "uint8": 5121, "int16": 5122, "uint16": 5123, "uint32": 5125}
KINDS = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4"}
SQUARE = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], np.float32)
TWO_FACES = np.array([0, 1, 2, 0, 2, 3], np.uint16)


class Builder:
    """Collects arrays into one buffer and makes the JSON around it."""

    def __init__(self) -> None:
        self.data = b""
        self.json: dict[str, Any] = {
            "asset": {"version": "2.0"},
            "accessors": [],
            "bufferViews": [],
            "meshes": [],
            "nodes": [],
        }

    def view(self, raw: bytes, **extra: Any) -> int:
        self.data += b"\0" * (-len(self.data) % 4)
        self.json["bufferViews"].append(
            {"buffer": 0, "byteOffset": len(self.data), "byteLength": len(raw), **extra}
        )
        self.data += raw
        return len(self.json["bufferViews"]) - 1

    def array(self, values: np.ndarray, **extra: Any) -> int:
        values = np.asarray(values)
        rows = values.reshape(len(values), -1)
        self.json["accessors"].append(
            {
                "bufferView": self.view(np.ascontiguousarray(rows).tobytes()),
                "componentType": CODES.get(str(values.dtype), 5126),
                "count": len(rows),
                "type": KINDS[rows.shape[1]],
                **extra,
            }
        )
        return len(self.json["accessors"]) - 1

    def mesh(self, positions: np.ndarray = SQUARE, **primitive: Any) -> int:
        attributes = {"POSITION": self.array(positions), **primitive.pop("attributes", {})}
        self.json["meshes"].append({"primitives": [{"attributes": attributes, **primitive}]})
        return len(self.json["meshes"]) - 1

    def square(self, **node: Any) -> Builder:
        self.json["nodes"].append(
            {"mesh": self.mesh(indices=self.array(TWO_FACES)), "name": "Square", **node}
        )
        return self

    def glb(self) -> bytes:
        self.json["buffers"] = [{"byteLength": len(self.data)}]
        text = json.dumps(self.json).encode()
        text += b" " * (-len(text) % 4)
        data = self.data + b"\0" * (-len(self.data) % 4)
        chunks = struct.pack("<II", len(text), 0x4E4F534A) + text
        chunks += struct.pack("<II", len(data), 0x004E4942) + data
        return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks

    def load(self, folder: Path) -> Scene:
        path = folder / "scene.glb"
        path.write_bytes(self.glb())
        return load_scene(path)


def test_square_arrives_with_its_triangles(tmp_path: Path) -> None:
    scene = Builder().square().load(tmp_path)
    (shape,) = scene.shapes
    assert shape.name == "Square"
    np.testing.assert_array_equal(shape.mesh.positions, SQUARE)
    np.testing.assert_array_equal(shape.mesh.faces, TWO_FACES.reshape(-1, 3))
    assert shape.mesh.normals is None and shape.mesh.uv is None


def test_node_transforms_multiply_and_each_node_is_a_shape(tmp_path: Path) -> None:
    b = Builder().square()
    half = np.sqrt(0.5)
    b.json["nodes"] = [
        {"children": [1, 2], "translation": [10, 0, 0]},
        {"mesh": 0, "name": "A", "rotation": [0, 0, half, half], "scale": [2, 1, 1]},
        {"mesh": 0, "name": "A", "matrix": [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, -1, 0, 0, 5, 0, 1]},
    ]
    b.json["scenes"] = [{"nodes": [0]}]
    first, second = b.load(tmp_path).shapes
    assert (first.name, second.name) == ("A", "A.1")
    # a quarter turn about z takes (2 x, y) to (-y, 2 x)
    np.testing.assert_allclose(first.mesh.positions[1], [10, 2, 0], atol=1e-5)
    np.testing.assert_allclose(first.mesh.positions[3], [9, 0, 0], atol=1e-5)
    np.testing.assert_allclose(second.mesh.positions[2], [11, 6, 0], atol=1e-5)
    # the mirroring node keeps its faces counter-clockwise
    np.testing.assert_array_equal(second.mesh.faces, TWO_FACES.reshape(-1, 3)[:, ::-1])


def test_normals_follow_the_inverse_transpose(tmp_path: Path) -> None:
    b = Builder()
    slanted = np.tile(np.float32([0, 1, 1]), (4, 1))
    b.json["nodes"] = [
        {"mesh": b.mesh(attributes={"NORMAL": b.array(slanted)}), "scale": [1, 2, 1]}
    ]
    (shape,) = b.load(tmp_path).shapes
    assert shape.mesh.normals is not None
    np.testing.assert_allclose(shape.mesh.normals[0], np.array([0, 1, 2]) / np.sqrt(5), atol=1e-6)


@pytest.mark.parametrize(
    ("mode", "indices", "faces"),
    [
        (4, [0, 1, 2, 2, 2, 3], [[0, 1, 2]]),
        (5, [0, 1, 2, 3], [[0, 1, 2], [1, 3, 2]]),
        (6, [0, 1, 2, 3], [[1, 2, 0], [2, 3, 0]]),
    ],
)
def test_primitive_modes(tmp_path: Path, mode: int, indices: list[int], faces: list) -> None:
    b = Builder()
    mesh = b.mesh(indices=b.array(np.array(indices, np.uint8)), mode=mode)
    b.json["nodes"] = [{"mesh": mesh}]
    np.testing.assert_array_equal(b.load(tmp_path).shapes[0].mesh.faces, faces)


def test_positions_without_indices_are_a_list(tmp_path: Path) -> None:
    b = Builder()
    b.json["nodes"] = [{"mesh": b.mesh(SQUARE[[0, 1, 2, 0, 2, 3]])}]
    faces = b.load(tmp_path).shapes[0].mesh.faces
    np.testing.assert_array_equal(faces, [[0, 1, 2], [3, 4, 5]])


def test_normalised_integers_and_strides(tmp_path: Path) -> None:
    b = Builder()
    rows = np.zeros((4, 4), np.uint16)
    rows[:, 0], rows[:, 1] = [0, 65535, 65535, 0], [0, 0, 32768, 65535]
    view = b.view(rows.tobytes(), byteStride=8)
    b.json["accessors"].append(
        {"bufferView": view, "componentType": 5123, "count": 4, "type": "VEC2", "normalized": True}
    )
    uv = len(b.json["accessors"]) - 1
    b.json["nodes"] = [{"mesh": b.mesh(attributes={"TEXCOORD_0": uv})}]
    mesh = b.load(tmp_path).shapes[0].mesh
    expected = [[0, 0], [1, 0], [1, 32768 / 65535], [0, 1]]
    np.testing.assert_allclose(mesh.uv, expected, atol=1e-6)


def test_sparse_values_replace_the_base(tmp_path: Path) -> None:
    b = Builder().square()
    b.json["accessors"][1]["sparse"] = {
        "count": 2,
        "indices": {"bufferView": b.view(np.uint16([1, 3]).tobytes()), "componentType": 5123},
        "values": {"bufferView": b.view(np.float32([[5, 5, 5], [7, 7, 7]]).tobytes())},
    }
    positions = b.load(tmp_path).shapes[0].mesh.positions
    np.testing.assert_array_equal(positions, [[0, 0, 0], [5, 5, 5], [1, 1, 0], [7, 7, 7]])


def test_camera_and_lights_in_world_space(tmp_path: Path) -> None:
    b = Builder().square()
    b.json["cameras"] = [{"type": "perspective", "perspective": {"yfov": 0.5, "znear": 0.1}}]
    b.json["extensions"] = {
        "KHR_lights_punctual": {
            "lights": [
                {"type": "point", "intensity": 3, "color": [1, 0.5, 0]},
                {"type": "spot", "spot": {"outerConeAngle": 0.3}},
                {"type": "directional"},
            ]
        }
    }
    lit = [{"extensions": {"KHR_lights_punctual": {"light": i}}} for i in range(3)]
    turn = {"rotation": [0, np.sqrt(0.5), 0, np.sqrt(0.5)]}  # -z becomes -x
    b.json["nodes"] += [{"camera": 0, "translation": [0, 0, 4], "name": "Cam"}, *lit]
    b.json["nodes"][2] |= {"translation": [1, 2, 3]}
    b.json["nodes"][4] |= turn
    scene = b.load(tmp_path)
    (camera,) = scene.cameras
    assert camera.name == "Cam" and camera.fov_deg == pytest.approx(np.degrees(0.5))
    assert camera.origin == (0, 0, 4) and camera.target == pytest.approx((0, 0, 3))
    point, spot, sun = scene.lights
    assert point.position == (1, 2, 3) and point.intensity == (3, 1.5, 0)
    assert spot.outer_angle == pytest.approx(0.3)
    assert sun.direction == pytest.approx((-1, 0, 0), abs=1e-6)


def test_buffers_beside_the_file_and_in_data_uris(tmp_path: Path) -> None:
    b = Builder().square()
    b.glb()
    for uri in ("mesh%201.bin", "data:;base64," + base64.b64encode(b.data).decode()):
        b.json["buffers"][0]["uri"] = uri
        (tmp_path / "mesh 1.bin").write_bytes(b.data)
        path = tmp_path / "scene.gltf"
        path.write_text(json.dumps(b.json))
        np.testing.assert_array_equal(load_scene(path).shapes[0].mesh.positions, SQUARE)


def test_what_is_not_shown_is_noted(tmp_path: Path) -> None:
    b = Builder().square(skin=0)
    b.json["meshes"][0]["primitives"] += [{"mode": 1, "attributes": {}}]
    b.json["animations"] = [{}]
    notes = " / ".join(b.load(tmp_path).notes)
    assert "bind pose" in notes and "lines" in notes and "animations" in notes


def _with(**changes: Any) -> dict[str, Any]:
    b = Builder().square()
    b.glb()
    b.json["buffers"][0]["uri"] = "data:;base64," + base64.b64encode(b.data).decode()
    return {**b.json, **changes}


def _accessor(**changes: Any) -> dict[str, Any]:
    document = _with()
    document["accessors"][1] |= changes
    return document


BAD = {
    "outside": (_with(buffers=[{"uri": "../x.bin", "byteLength": 4}]), "outside"),
    "absolute": (_with(buffers=[{"uri": "/etc/passwd", "byteLength": 4}]), "outside"),
    "escaped": (_with(buffers=[{"uri": "%2e%2e/x.bin", "byteLength": 4}]), "outside"),
    "network": (_with(buffers=[{"uri": "http://x/y.bin", "byteLength": 4}]), "outside"),
    "missing bin": (_with(buffers=[{"uri": "x.bin", "byteLength": 4}]), "not there"),
    "short buffer": (_with(buffers=[{"uri": "data:;base64,AAAA", "byteLength": 9}]), "truncated"),
    "bad base64": (_with(buffers=[{"uri": "data:;base64,A?", "byteLength": 1}]), "damaged"),
    "version": (_with(asset={"version": "1.0"}), "unsupported glTF version"),
    "extension": (
        _with(extensionsRequired=["EXT_meshopt_compression"]),
        "EXT_meshopt_compression",
    ),
    "cycle": (
        _with(nodes=[{"mesh": 0, "children": [0]}], scenes=[{"nodes": [0]}]),
        "reached twice",
    ),
    "mesh index": (_with(nodes=[{"mesh": 7}]), "meshes[7]"),
    "no shapes": (_with(nodes=[]), "no triangles"),
    "count": (_accessor(count=1 << 40), "count"),
    "past the end": (_accessor(count=400), "reaches past the end"),
    "offset": (_accessor(byteOffset=-4), "reaches past the end"),
    "type": (_accessor(type="VEC9"), "unknown type"),
    "components": (_accessor(type="VEC2"), "components"),
    "wrong kind": (_accessor(count={}), "is damaged"),
    "vertex index": (_accessor(count=2), "out of range"),
    "nan": (
        _with(nodes=[{"mesh": 0, "translation": [0, float("nan"), 0]}]),
        "nodes[0].translation",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_documents_are_one_clear_error(tmp_path: Path, name: str) -> None:
    document, words = BAD[name]
    path = tmp_path / "bad.gltf"
    path.write_text(json.dumps(document))
    with pytest.raises(InputError) as caught:
        load_scene(path)
    assert words in str(caught.value) and "bad.gltf" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bad_files(tmp_path: Path) -> None:
    path = tmp_path / "bad.glb"
    with pytest.raises(InputError, match="no such file"):
        load_scene(path)
    for data, words in (
        (b"", "empty"),
        (b"PK\3\4" + b"\0" * 40, "not a GLB"),
        (b"glTF\1\0\0\0" + b"\0" * 40, "GLB version"),
        (Builder().square().glb()[:-10], "truncated"),
        (b"glTF\2\0\0\0", "truncated"),
    ):
        path.write_bytes(data)
        with pytest.raises(InputError, match=words):
            load_scene(path)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(at=st.floats(0, 1, exclude_max=True), byte=st.integers(0, 255), cut=st.booleans())
def test_damage_never_escapes_as_another_error(
    tmp_path: Path, at: float, byte: int, cut: bool
) -> None:
    data = bytearray(Builder().square().glb())
    position = int(at * len(data))
    if cut:
        del data[position:]
    else:
        data[position] = byte
    path = tmp_path / "damaged.glb"
    path.write_bytes(bytes(data))
    try:
        scene = load_scene(path)
    except EtendueError:
        return
    assert all(np.isfinite(shape.mesh.positions).all() for shape in scene.shapes)


@pytest.mark.skipif(not DATA.is_dir(), reason="shared test data is absent")
def test_shaderball_has_two_smooth_textured_meshes() -> None:
    scene = load_scene(DATA / "shaderball.glb")
    assert [shape.name for shape in scene.shapes] == ["Preview_Mesh", "Calibration_Mesh"]
    preview = scene.shapes[0].mesh
    assert len(preview.faces) == 70808 and preview.uv is not None and preview.normals is not None
    corners = preview.positions[preview.faces]
    flat = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    smooth = preview.normals[preview.faces].mean(1)
    agree = np.einsum("ij,ij->i", flat, smooth) > 0
    assert agree.mean() > 0.99  # counter-clockwise faces agree with the normals
