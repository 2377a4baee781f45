"""A Mitsuba scene as the arrays that the shaders read (`shaders/render/scene.slang`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mitsuba as mi
import numpy as np

from etendue.core.errors import InputError
from etendue.render.path.slang_bvh import build_bvh
from etendue.render.path.slang_emitters import EMITTER, NONE, area_row, light_row, matrix, unit
from etendue.render.path.slang_layered import layered_constants, layered_features
from etendue.render.path.slang_materials import Materials
from etendue.render.path.slang_neural import DataBuilder, bits, capacity, deepest
from etendue.render.path.slang_textures import SLANG_LIMIT, numbers

Array = np.ndarray
VERTEX = np.dtype([("p", "<f4", 3), ("u", "<f4"), ("n", "<f4", 3), ("v", "<f4")])
SHAPE = np.dtype([("material", "<u4"), ("emitter", "<u4"), ("flags", "<u4"), ("data", "<u4")])
HAS_NORMALS, HAS_UV, FLIPPED, SPHERE = 1, 2, 4, 8
TEXTURES, SPHERES, HIDDEN = 1, 2, 4  # bits of `core/features.slang`


@dataclass(frozen=True)
class SceneData:
    """Everything that is uploaded, and what shaders are specialised to."""

    vertices: Array  # VERTEX
    faces: Array  # uint32 (n, 4): three vertices, shape
    shapes: Array  # SHAPE
    materials: Array
    emitters: Array
    data: Array  # float32 (n, 4), `g_data`
    halves: Array  # float16 weights for cooperative kernels
    spheres: int
    sphere_data: int
    bvh: int  # nodes and leaves in `data`
    leaves: int
    environment: int  # emitter number or NONE
    emitter_count: int
    neural_materials: int
    constants: Mapping[str, int]  # extern constants of the shaders


def extract(scene: Any, baked: Mapping[str, Path] | None = None) -> SceneData:
    """Read all shapes, materials and lights of a Mitsuba scene.

    `baked` names the `.eta` file of shapes that have one. Anything the shaders cannot do is an
    `InputError` that names the object.
    """
    reader = _Reader(baked or {})
    for number, shape in enumerate(scene.shapes()):
        reader.add_shape(shape, number)
    lights = [e for e in scene.emitters() if e.class_name() != "AreaLight"]
    for light in lights:
        if light.is_environment():
            reader.environment = len(reader.emitters)
        reader.emitters.append(light_row(reader.builder, light))
    return reader.result()


class _Reader:
    def __init__(self, baked: Mapping[str, Path]) -> None:
        self.builder = DataBuilder()
        self.builder.add(np.zeros((1, 4), np.float32))  # 0 means "no texture"
        self.materials = Materials(self.builder, baked)
        self.vertices: list[Array] = []
        self.faces: list[Array] = []
        self.shapes: list[Array] = []
        self.emitters: list[Array] = []
        self.spheres: list[Array] = []
        self.environment = NONE
        self.vertex_count = self.face_count = 0

    def add_shape(self, shape: Any, number: int) -> None:
        row = np.zeros((), SHAPE)
        kind = shape.class_name()
        if not (shape.is_mesh() or kind == "Sphere"):
            raise InputError(
                f"shape {shape.id()}", "is of a kind that shaders lack", got=kind, fix=SLANG_LIMIT
            )
        row["material"], row["emitter"] = self.materials.number(shape), NONE
        if shape.has_flipped_normals():
            row["flags"] |= FLIPPED
        if kind == "Sphere":
            first, areas = self._sphere(shape, number, row)
        else:
            first, areas = self._mesh(shape, number, row)
        if shape.is_emitter():
            row["emitter"] = len(self.emitters)
            total = float(numbers(shape.surface_area())[0])
            owner = f"light of shape {shape.id()}"
            self.emitters.append(
                area_row(self.builder, shape.emitter(), owner, first, areas, total)
            )
        self.shapes.append(row)

    def _mesh(self, shape: Any, number: int, row: Array) -> tuple[int, Array]:
        vertices = np.zeros(shape.vertex_count(), VERTEX)
        vertices["p"] = _rows(shape.vertex_positions_buffer(), 3)
        if shape.has_vertex_normals() and not shape.has_face_normals():
            vertices["n"] = _rows(shape.vertex_normals_buffer(), 3)
            row["flags"] |= HAS_NORMALS
        if shape.has_vertex_texcoords():
            uv = _rows(shape.vertex_texcoords_buffer(), 2)
            vertices["u"], vertices["v"] = uv.T
            row["flags"] |= HAS_UV
        corners = np.asarray(shape.faces_buffer(), np.uint32).reshape(-1, 3)
        faces = np.empty((len(corners), 4), np.uint32)
        faces[:, :3], faces[:, 3] = corners + self.vertex_count, number
        first = self.face_count
        self.vertices.append(vertices)
        self.faces.append(faces)
        self.vertex_count += len(vertices)
        self.face_count += len(faces)
        a, b, c = (vertices["p"][corners[:, k]].astype(np.float64) for k in range(3))
        return first, np.linalg.norm(np.cross(b - a, c - a), axis=1)

    def _sphere(self, shape: Any, number: int, row: Array) -> tuple[int, None]:
        """Centre and radius, columns of the map to world, shape and flags."""
        frame = matrix(mi.traverse(shape)["to_world"])
        columns = frame[:3, :3]
        radius = float(np.linalg.norm(columns[:, 0]))
        flipped = int(row["flags"]) & FLIPPED
        row["flags"] |= SPHERE
        block = np.zeros((4, 4), np.float32)
        block[0] = [*frame[:3, 3], radius]
        block[1:, :3] = columns.T
        block = np.concatenate([block, bits([number, flipped])])
        self.spheres.append(block)
        return len(self.spheres) - 1, None

    def result(self) -> SceneData:
        spheres = self.builder.add(np.concatenate([*self.spheres, np.zeros((1, 4), np.float32)]))
        vertices = _joined(self.vertices, np.zeros(3, VERTEX))
        faces = _joined(self.faces, np.zeros((0, 4), np.uint32))
        tree = build_bvh(vertices["p"], faces[:, :3])
        bvh = self.builder.add(tree.elements())
        return SceneData(
            vertices=vertices,
            faces=faces,
            shapes=np.array(self.shapes or np.zeros(1, SHAPE), SHAPE),
            materials=self.materials.table(),
            emitters=np.array(self.emitters or np.zeros(1, EMITTER), EMITTER),
            data=self.builder.data(),
            bvh=bvh,
            leaves=tree.leaves,
            halves=self.builder.halves(),
            spheres=len(self.spheres),
            sphere_data=spheres,
            environment=self.environment,
            emitter_count=len(self.emitters),
            neural_materials=len(self.builder.artifacts),
            constants={
                "CAPACITY": capacity(self.builder.artifacts),
                "LAYERS": deepest(self.builder.artifacts),
                "KINDS": sum({1 << int(row["kind"]) for row in self.materials.rows}),
                "LIGHTS": sum({1 << int(row["kind"]) for row in self.emitters}),
                "FEATURES": self._features(),
                **layered_constants(self.materials.layered),
            },
        )

    def _features(self) -> int:
        values = [row[name] for row in self.materials.rows for name in ("color", "second", "alpha")]
        values += [row["radiance"] for row in self.emitters]
        textured = any(int(value["texture"]) != 0 for value in values)
        plain = (TEXTURES if textured else 0) | (SPHERES if self.spheres else 0)
        return plain | layered_features(self.materials.layered)


def _rows(buffer: Any, columns: int) -> Array:
    return np.asarray(buffer, np.float32).reshape(-1, columns)


def _joined(parts: list[Array], empty: Array) -> Array:
    return np.concatenate(parts) if parts else empty


def camera(sensor: Any) -> dict[str, Any]:
    """Pinhole parameters of `Settings`, measured on rays of the sensor itself.

    Directions of unit depth are linear over the film, so three of them say everything.
    """
    if sensor.class_name() != "PerspectiveCamera":
        raise InputError(
            "camera", "is of a kind that shaders lack", got=sensor.class_name(), fix=SLANG_LIMIT
        )
    parameters = mi.traverse(sensor)
    frame = matrix(parameters["to_world"])
    axis, near = unit(frame[:3, 2]), float(numbers(parameters["near_clip"])[0])
    directions = []
    for at in ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0)):
        ray, _ = sensor.sample_ray(0.0, 0.5, mi.Point2f(*at), mi.Point2f(0.5))
        d = numbers(ray.d)
        directions.append(d / (d @ axis))
    corner, right, down = directions
    return {
        "origin": frame[:3, 3],
        "near": near,
        "far": float(numbers(parameters["far_clip"])[0]),
        "corner": corner,
        "dx": right - corner,
        "dy": down - corner,
    }


def cone(pinhole: Mapping[str, Any], size: tuple[int, int]) -> tuple[float, float]:
    """Width and spread of the cone through the pixel at the centre of the film.

    Twin of `camera_rays.pixel_cone`: the side of the square with the area that two steps span.
    """
    steps = np.array([[0.0, 0.0], [1.0 / size[0], 0.0], [0.0, 1.0 / size[1]]]) + 0.5
    d = pinhole["corner"] + steps[:, :1] * pinhole["dx"] + steps[:, 1:] * pinhole["dy"]
    o = pinhole["near"] * d
    d = d / np.linalg.norm(d, axis=1, keepdims=True)
    areas = [float(np.linalg.norm(np.cross(x[1] - x[0], x[2] - x[0]))) for x in (o, d)]
    return areas[0] ** 0.5, areas[1] ** 0.5
