"""glTF 2.0 scenes: the node graph flattened to shapes, cameras and lights in world space."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from etendue.core.errors import InputError
from etendue.scene.camera import Camera
from etendue.scene.gltf_accessor import checked_floats, read_accessor, read_floats
from etendue.scene.gltf_draco import Unpacked, unpack
from etendue.scene.gltf_file import GltfFile, read_gltf
from etendue.scene.gltf_surface import ImportedSurface, import_surface
from etendue.scene.mesh import Mesh, triangles_of, unit_rows
from etendue.scene.scene import Light, Scene, Shape

_MAX_DEPTH = 256
_NEUTRAL = {  # clearer to look at than the white metal that the standard names
    "name": "neutral",
    "pbrMetallicRoughness": {
        "baseColorFactor": (0.4, 0.4, 0.4, 1.0),
        "metallicFactor": 0.0,
        "roughnessFactor": 0.5,
    },
}


@dataclass
class _Gathered:
    """What the walk over the node graph collects."""

    file: GltfFile
    shapes: list[Shape] = field(default_factory=list)
    cameras: list[Camera] = field(default_factory=list)
    lights: list[Light] = field(default_factory=list)
    notes: dict[str, None] = field(default_factory=dict)  # ordered set
    names: set[str] = field(default_factory=set)
    visited: set[int] = field(default_factory=set)
    surfaces: dict[int, ImportedSurface] = field(default_factory=dict)
    meshes: dict[tuple[int, int], Mesh | None] = field(default_factory=dict)

    def unique(self, wanted: str) -> str:
        name, number = wanted, 1
        while name in self.names:
            name, number = f"{wanted}.{number}", number + 1
        self.names.add(name)
        return name


def load_gltf(path: Path, assignments: Mapping[str, Path]) -> Scene:
    """Read a glTF 2.0 file; a mesh used by several nodes becomes one shape per node."""
    path = path.resolve()
    try:
        return load_document(path, read_gltf(path), assignments)
    except (TypeError, ValueError, KeyError, AttributeError, IndexError, OverflowError) as error:
        # JSON has no schema here: a value of the wrong kind shows up where it is used
        raise InputError(path, f"is damaged ({type(error).__name__}: {error})") from error


def load_document(path: Path, file: GltfFile, assignments: Mapping[str, Path]) -> Scene:
    """The scene of a document that is in memory."""
    gathered = _Gathered(file)
    scenes = file.json.get("scenes", [])
    if scenes:
        roots = file.item("scenes", file.json.get("scene", 0), '"scene"').get("nodes", [])
    else:
        children = {c for node in file.json.get("nodes", []) for c in node.get("children", [])}
        roots = [i for i in range(len(file.json.get("nodes", []))) if i not in children]
    for root in roots:
        _walk(gathered, root, np.eye(4), 0)
    if not gathered.shapes:
        raise InputError(path, "has no triangles to show")
    used = {name for shape in gathered.surfaces.values() for name in shape.notes}
    notes = [*gathered.notes, *sorted(used)]
    if file.json.get("animations"):
        notes.append("animations are not played; the rest pose is shown")
    return Scene(
        path,
        "gltf",
        shapes=tuple(gathered.shapes),
        cameras=tuple(gathered.cameras),
        lights=tuple(gathered.lights),
        assignments=assignments,
        notes=tuple(notes),
    )


def _walk(out: _Gathered, index: int, parent: np.ndarray, depth: int) -> None:
    node = out.file.item("nodes", index, "the node graph")
    if index in out.visited:
        raise InputError(out.file.path, f"nodes[{index}] is reached twice", expected="a tree")
    if depth > _MAX_DEPTH:
        raise InputError(out.file.path, "its nodes nest too deeply", expected=_MAX_DEPTH)
    out.visited.add(index)
    matrix = parent @ _local_matrix(out.file, node, index)
    if "mesh" in node:
        _add_mesh(out, node, index, matrix)
    if "camera" in node:
        _add_camera(out, node, matrix)
    light = node.get("extensions", {}).get("KHR_lights_punctual")
    if light is not None:
        _add_light(out, light, matrix)
    for child in node.get("children", []):
        _walk(out, child, matrix, depth + 1)


def _local_matrix(file: GltfFile, node: Mapping[str, Any], index: int) -> np.ndarray:
    """M = T R S, or the node's own column-major matrix (glTF 2.0, section 3.5.3)."""
    if "matrix" in node:
        matrix = numbers(file, node["matrix"], 16, f"nodes[{index}].matrix").reshape(4, 4).T
        return matrix
    scale = numbers(file, node.get("scale", (1, 1, 1)), 3, f"nodes[{index}].scale")
    shift = numbers(file, node.get("translation", (0, 0, 0)), 3, f"nodes[{index}].translation")
    q = numbers(file, node.get("rotation", (0, 0, 0, 1)), 4, f"nodes[{index}].rotation")
    x, y, z, w = q / (np.linalg.norm(q) or 1.0)
    rotation = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    matrix = np.eye(4)
    matrix[:3, :3] = rotation * scale
    matrix[:3, 3] = shift
    return matrix


def numbers(file: GltfFile, value: Any, count: int, user: str) -> np.ndarray:
    """`value` as `count` finite floats, or `InputError`."""
    try:
        array = np.asarray(value, np.float64).reshape(-1)
    except (TypeError, ValueError):
        array = np.empty(0)
    if array.size != count or not np.isfinite(array).all():
        raise InputError(file.path, f"{user} is damaged", got=value, expected=f"{count} numbers")
    return array


def _add_mesh(out: _Gathered, node: Mapping[str, Any], index: int, matrix: np.ndarray) -> None:
    number = node["mesh"]
    mesh = out.file.item("meshes", number, f"nodes[{index}]")
    if "skin" in node:
        out.notes["skins are not applied; the bind pose is shown"] = None
    primitives = mesh.get("primitives", [])
    label = str(node.get("name") or mesh.get("name") or f"node{index}")
    for part, primitive in enumerate(primitives):
        user = f"meshes[{number}].primitives[{part}]"
        if primitive.get("mode", 4) not in (4, 5, 6):
            out.notes["points and lines are not shown"] = None
            continue
        surface = _surface(out, primitive, user)
        if (number, part) not in out.meshes:
            out.meshes[number, part] = _read_mesh(out, primitive, surface.uv_set, user)
        geometry = out.meshes[number, part]
        if geometry is None:
            continue
        if surface.uv_matrix is not None and geometry.uv is not None:
            uv = geometry.uv @ surface.uv_matrix[:2, :2].T + surface.uv_matrix[:2, 2]
            geometry = Mesh(
                geometry.positions, geometry.faces, geometry.normals, uv.astype(np.float32)
            )
        name = out.unique(label if len(primitives) == 1 else f"{label}/{part}")
        out.shapes.append(Shape(name, geometry.transformed(matrix), surface.surface))


def _surface(out: _Gathered, primitive: Mapping[str, Any], user: str) -> ImportedSurface:
    index = primitive.get("material", -1)
    if index not in out.surfaces:
        if index == -1:
            out.notes["a mesh without a material is shown in neutral grey"] = None
            material: Mapping[str, Any] = _NEUTRAL
        else:
            material = out.file.item("materials", index, user)
        out.surfaces[index] = import_surface(out.file, material, index)
    return out.surfaces[index]


def _read_mesh(out: _Gathered, primitive: Mapping[str, Any], uv_set: int, user: str) -> Mesh | None:
    file, attributes = out.file, primitive.get("attributes", {})
    if "POSITION" not in attributes:
        out.notes[f"{user} has no positions, skipped"] = None
        return None
    packed = unpack(file, primitive, user)
    positions = _floats(file, packed, attributes, "POSITION", 3, user)
    if packed is not None:
        indices = packed.indices
    elif "indices" in primitive:
        indices = read_accessor(file, primitive["indices"], f"{user} indices")[:, 0]
        if indices.dtype.kind != "u":
            raise InputError(file.path, f"{user} has indices that are not unsigned integers")
    else:
        indices = np.arange(len(positions), dtype=np.uint32)
    if len(indices) and int(indices.max()) >= len(positions):
        raise InputError(
            file.path,
            f"{user} has a vertex index out of range",
            got=int(indices.max()),
            expected=f"below {len(positions)}",
        )
    faces = triangles_of(indices, primitive.get("mode", 4) if packed is None else 4)
    if len(faces) == 0:
        out.notes[f"{user} has no triangles, skipped"] = None
        return None
    if primitive.get("targets"):
        out.notes["morph targets are not applied"] = None
    if "COLOR_0" in attributes:
        out.notes["vertex colours are not used"] = None
    normals = uv = None
    if "NORMAL" in attributes:
        normals = _floats(file, packed, attributes, "NORMAL", 3, user)
        normals = unit_rows(_same_length(file, normals, positions, f"{user} NORMAL"))
    key = f"TEXCOORD_{uv_set}"
    key = key if key in attributes else "TEXCOORD_0"
    if key in attributes:
        uv = _floats(file, packed, attributes, key, 2, user)
        uv = _same_length(file, uv, positions, f"{user} {key}")
    else:
        out.notes["a mesh without texture coordinates shows textures as one colour"] = None
    return Mesh(positions, faces, normals, uv)


def _floats(
    file: GltfFile,
    packed: Unpacked | None,
    attributes: Mapping[str, Any],
    semantic: str,
    components: int,
    user: str,
) -> np.ndarray:
    name = f"{user} {semantic}"
    if packed is None or semantic not in packed.arrays:
        return read_floats(file, attributes[semantic], components, name)
    normalized = file.item("accessors", attributes[semantic], name).get("normalized", False)
    return checked_floats(file, packed.arrays[semantic], normalized, components, name)


def _same_length(file: GltfFile, array: np.ndarray, positions: np.ndarray, user: str) -> np.ndarray:
    if len(array) != len(positions):
        raise InputError(
            file.path, f"{user} has the wrong count", got=len(array), expected=len(positions)
        )
    return array


def _add_camera(out: _Gathered, node: Mapping[str, Any], matrix: np.ndarray) -> None:
    camera = out.file.item("cameras", node["camera"], "a node")
    lens = camera.get("perspective")
    if camera.get("type") != "perspective" or not isinstance(lens, dict):
        out.notes["orthographic cameras are not used"] = None
        return
    angle = float(lens.get("yfov", np.radians(35.0)))
    if not 0.0 < angle < np.pi:
        raise InputError(out.file.path, "a camera has an impossible field of view", got=angle)
    origin = matrix[:3, 3]
    aspect = lens.get("aspectRatio")
    near = max(float(lens.get("znear", 1e-2)), 1e-6)
    out.cameras.append(
        Camera(
            origin=_triple(origin),
            target=_triple(origin - _unit(matrix[:3, 2])),
            up=_triple(_unit(matrix[:3, 1])),
            fov_deg=float(np.degrees(angle)),
            near=near,
            far=max(float(lens.get("zfar", near * 1e6)), near * 2),
            aspect=float(aspect) if aspect and 0.01 < aspect < 100 else None,
            name=str(node.get("name") or camera.get("name") or "camera"),
        )
    )


def _add_light(out: _Gathered, reference: Mapping[str, Any], matrix: np.ndarray) -> None:
    """KHR_lights_punctual: candela and lux are taken as radiometric units, without 683 lm/W."""
    lights = out.file.json.get("extensions", {}).get("KHR_lights_punctual", {}).get("lights", [])
    index = reference.get("light", -1)
    if not 0 <= index < len(lights):
        raise InputError(out.file.path, "a node refers to an unknown light", got=index)
    light = lights[index]
    kind = light.get("type")
    if kind not in ("point", "spot", "directional"):
        raise InputError(out.file.path, "unknown kind of light", got=kind)
    color = numbers(out.file, light.get("color", (1, 1, 1)), 3, "a light's color")
    cone = light.get("spot", {})
    out.lights.append(
        Light(
            kind,
            _triple(color * float(light.get("intensity", 1.0))),
            position=_triple(matrix[:3, 3]),
            direction=_triple(-_unit(matrix[:3, 2])),
            inner_angle=float(cone.get("innerConeAngle", 0.0)),
            outer_angle=float(cone.get("outerConeAngle", np.pi / 4)),
        )
    )


def _unit(v: np.ndarray) -> np.ndarray:
    return v / (np.linalg.norm(v) or 1.0)


def _triple(v: np.ndarray) -> tuple[float, float, float]:
    return float(v[0]), float(v[1]), float(v[2])
