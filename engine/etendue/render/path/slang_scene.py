"""A Mitsuba scene as the arrays that the shaders read (`shaders/render/scene.slang`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mitsuba as mi
import numpy as np

from etendue.core.errors import InputError
from etendue.render.groups import group_name, is_instance, shape_groups
from etendue.render.path.slang_emitters import EMITTER, NONE, area_row, light_row, matrix
from etendue.render.path.slang_fields import add_fields
from etendue.render.path.slang_instances import Instance, add_instances
from etendue.render.path.slang_layered import layered_constants, layered_features
from etendue.render.path.slang_materials import MASKED, VALUES, Materials
from etendue.render.path.slang_neural import DataBuilder, bits, capacity, deepest
from etendue.render.path.slang_textures import SLANG_LIMIT, numbers
from etendue.render.placed import Placed

Array = np.ndarray
VERTEX = np.dtype([("p", "<f4", 3), ("u", "<f4"), ("n", "<f4", 3), ("v", "<f4")])
SHAPE = np.dtype([("material", "<u4"), ("emitter", "<u4"), ("flags", "<u4"), ("data", "<u4")])
HAS_NORMALS, HAS_UV, FLIPPED, SPHERE = 1, 2, 4, 8
# bits of `core/features.slang`
TEXTURES, SPHERES, HIDDEN, LENS, INSTANCES, MASKS, ALPHA = 1, 2, 4, 64, 128, 256, 512
FIELDS = 1024


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
    instances: int  # in `data`, see `slang_instances.py`
    placed: tuple[Instance, ...]
    environment: int  # emitter number or NONE
    emitter_count: int
    neural_materials: int
    fields: int  # in `data`, see `slang_fields.py`
    field_count: int
    constants: Mapping[str, int]  # extern constants of the shaders
    shape_names: tuple[str, ...]
    material_names: tuple[str, ...]


def extract(
    scene: Any, baked: Mapping[str, Path] | None = None, fields: tuple[Placed, ...] = ()
) -> SceneData:
    """Read all shapes, materials and lights of a Mitsuba scene.

    `baked` names the `.eta` file of shapes that have one, `fields` are radiance fields beside them.
    Anything the shaders cannot do is an `InputError` that names the object.
    """
    reader = _Reader(baked or {}, fields)
    shapes = scene.shapes()
    for shape in shapes:
        if not is_instance(shape):
            reader.add_shape(shape)
    reader.end_group("")
    groups = shape_groups(scene)
    for name, parts in groups.items():
        for shape in parts:
            if shape.is_mesh():
                reader.add_shape(shape)
        reader.end_group(name)
    for shape in shapes:
        if is_instance(shape):
            reader.add_instance(shape, groups)
    lights = [e for e in scene.emitters() if e.class_name() != "AreaLight"]
    for light in lights:
        if light.is_environment():
            reader.environment = len(reader.emitters)
        reader.emitters.append(light_row(reader.builder, light))
    return reader.result()


class _Reader:
    def __init__(self, baked: Mapping[str, Path], fields: tuple[Placed, ...]) -> None:
        self.fields = fields
        self.builder = DataBuilder()
        self.builder.add(np.zeros((1, 4), np.float32))  # 0 means "no texture"
        self.materials = Materials(self.builder, baked)
        self.vertices: list[Array] = []
        self.faces: list[Array] = []
        self.shapes: list[Array] = []
        self.names: list[str] = []
        self.emitters: list[Array] = []
        self.spheres: list[Array] = []
        self.environment = NONE
        self.vertex_count = self.face_count = self.grouped = 0
        self.groups: dict[str, tuple[int, int]] = {}  # first face, faces
        self.placed: list[Instance] = []

    def end_group(self, name: str) -> None:
        """All faces since the last group belong to `name`; "" for the scene's own."""
        self.groups[name] = (self.grouped, self.face_count - self.grouped)
        self.grouped = self.face_count
        if not name:
            self.placed.append(Instance(*self.groups[name], np.eye(4)))

    def add_instance(self, instance: Any, groups: Mapping[str, list[Any]]) -> None:
        """Meshes of a group are shared; its spheres are few and copied."""
        name, frame = group_name(instance), matrix(mi.traverse(instance)["to_world"])
        if self.groups[name][1]:
            self.placed.append(Instance(*self.groups[name], frame))
        for shape in groups[name]:
            if not shape.is_mesh():
                self.add_shape(shape, frame)

    def add_shape(self, shape: Any, placed: Array | None = None) -> None:
        """Append a shape; `placed` is where an instance puts it."""
        row, number = np.zeros((), SHAPE), len(self.shapes)
        kind = shape.class_name()
        if not (shape.is_mesh() or kind == "Sphere"):
            raise InputError(
                f"shape {shape.id()}", "is of a kind that shaders lack", got=kind, fix=SLANG_LIMIT
            )
        row["material"], row["emitter"] = self.materials.number(shape), NONE
        if shape.has_flipped_normals():
            row["flags"] |= FLIPPED
        if kind == "Sphere":
            first, areas = self._sphere(shape, number, row, placed)
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
        self.names.append(str(shape.id()))

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

    def _sphere(
        self, shape: Any, number: int, row: Array, placed: Array | None
    ) -> tuple[int, None]:
        """Centre and radius, columns of the map to world, shape and flags."""
        frame = matrix(mi.traverse(shape)["to_world"])
        if placed is not None:
            frame = placed @ frame
        columns = frame[:3, :3]
        scales = columns.T @ columns
        if np.abs(scales / scales[0, 0] - np.eye(3)).max() > 1e-4:
            raise InputError(
                f"shape {shape.id()}", "is an instance that is no sphere", fix=SLANG_LIMIT
            )
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
        placed = add_fields(self.builder, self.fields)
        instances = add_instances(self.builder, vertices["p"], faces, self.placed)
        return SceneData(
            vertices=vertices,
            faces=faces,
            shapes=np.array(self.shapes or np.zeros(1, SHAPE), SHAPE),
            materials=self.materials.table(),
            emitters=np.array(self.emitters or np.zeros(1, EMITTER), EMITTER),
            data=self.builder.data(),
            instances=instances,
            placed=tuple(self.placed),
            halves=self.builder.halves(),
            spheres=len(self.spheres),
            sphere_data=spheres,
            environment=self.environment,
            emitter_count=len(self.emitters),
            neural_materials=len(self.builder.artifacts),
            fields=placed,
            field_count=len(self.fields),
            shape_names=tuple(self.names),
            material_names=tuple(self.materials.names),
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
        values = [row[name] for row in self.materials.rows for name in VALUES]
        values += [row["radiance"] for row in self.emitters]
        textured = any(int(value["texture"]) != 0 for value in values)
        plain = (TEXTURES if textured else 0) | (SPHERES if self.spheres else 0)
        plain |= MASKS if any(row["flags"] & MASKED for row in self.materials.rows) else 0
        plain |= FIELDS if self.fields else 0
        plain |= INSTANCES if len(self.placed) > 1 else 0
        return plain | layered_features(self.materials.layered)


def _rows(buffer: Any, columns: int) -> Array:
    return np.asarray(buffer, np.float32).reshape(-1, columns)


def _joined(parts: list[Array], empty: Array) -> Array:
    return np.concatenate(parts) if parts else empty
