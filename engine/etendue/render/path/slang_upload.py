"""A scene on a Slang device: buffers, acceleration structure, kernels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from etendue.device.slang import SlangDevice, load
from etendue.render.path.slang_kernels import constants as linear_constants
from etendue.render.path.slang_scene import SceneData

Array = np.ndarray
TRACERS = ("rq", "bvh", "rt")


@dataclass(frozen=True)
class Uploaded:
    """Buffers by the name of their global variable in the shaders."""

    device: SlangDevice
    scene: SceneData
    buffers: Mapping[str, Any]
    tlas: Any | None  # None when the device has no ray tracing
    keep: tuple[Any, ...] = ()  # what the acceleration structure refers to


def buffer(device: SlangDevice, data: Array, stride: int) -> Any:
    """A storage buffer with a copy of `data`."""
    import slangpy as spy

    flat = np.ascontiguousarray(data).reshape(-1).view(np.uint8).copy()
    usage = spy.BufferUsage.shader_resource | spy.BufferUsage.unordered_access
    return device.raw.create_buffer(
        element_count=flat.size // stride, struct_size=stride, usage=usage, data=flat
    )


def upload(device: SlangDevice, scene: SceneData) -> Uploaded:
    """Copy a scene to the device and build its acceleration structure where there is one."""
    faces = scene.faces if len(scene.faces) else np.zeros((1, 4), np.uint32)
    tables = {
        "g_data": (scene.data, 16),
        "g_vertices": (scene.vertices, scene.vertices.itemsize),
        "g_faces": (faces, 16),
        "g_shapes": (scene.shapes, scene.shapes.itemsize),
        "g_materials": (scene.materials, scene.materials.itemsize),
        "g_emitters": (scene.emitters, scene.emitters.itemsize),
    }
    buffers = {name: buffer(device, data, stride) for name, (data, stride) in tables.items()}
    if "acceleration_structure" not in device.features:
        return Uploaded(device, scene, buffers, None)
    tlas, keep = _build(device, scene.vertices, faces)
    return Uploaded(device, scene, buffers, tlas, keep)


def _build(device: SlangDevice, vertices: Array, faces: Array) -> tuple[Any, tuple[Any, ...]]:
    """One structure of all triangles under one instance; no triangle gives one without area."""
    import slangpy as spy

    raw = device.raw
    usage = spy.BufferUsage.shader_resource | spy.BufferUsage.acceleration_structure_build_input
    points = raw.create_buffer(usage=usage, data=vertices.view(np.uint8).copy())
    corners = np.ascontiguousarray(faces[:, :3]).reshape(-1)
    indices = raw.create_buffer(usage=usage, data=corners)
    triangles = spy.AccelerationStructureBuildInputTriangles(
        {
            "vertex_buffers": [points],
            "vertex_format": spy.Format.rgb32_float,
            "vertex_count": len(vertices),
            "vertex_stride": vertices.itemsize,
            "index_buffer": indices,
            "index_format": spy.IndexFormat.uint32,
            "index_count": corners.size,
            "flags": spy.AccelerationStructureGeometryFlags.opaque,
        }
    )
    kinds = spy.AccelerationStructureKind
    low, scratch = _structure(device, triangles, kinds.bottom_level)
    instances = raw.create_acceleration_structure_instance_list(1)
    instances.write(
        0,
        {
            "transform": spy.float3x4.identity(),
            "instance_id": 0,
            "instance_mask": 0xFF,
            "instance_contribution_to_hit_group_index": 0,
            "flags": spy.AccelerationStructureInstanceFlags.none,
            "acceleration_structure": low.handle,
        },
    )
    top, more = _structure(device, instances.build_input_instances(), kinds.top_level)
    return top, (low, points, indices, instances, scratch, more)


def _structure(device: SlangDevice, source: Any, kind: Any) -> tuple[Any, Any]:
    import slangpy as spy

    raw = device.raw
    description = spy.AccelerationStructureBuildDesc({"inputs": [source]})
    sizes = raw.get_acceleration_structure_sizes(description)
    scratch = raw.create_buffer(size=sizes.scratch_size, usage=spy.BufferUsage.unordered_access)
    made = raw.create_acceleration_structure(kind=kind, size=sizes.acceleration_structure_size)
    encoder = raw.create_command_encoder()
    encoder.build_acceleration_structure(
        desc=description, dst=made, src=None, scratch_buffer=scratch
    )
    raw.submit_command_buffer(encoder.finish())
    raw.wait()
    return made, scratch


class Kernel:
    """One entry point of the path tracer, whichever way it traces rays."""

    def __init__(
        self, scene: Uploaded, tracer: str, entry: str, linear: str = "scalar", features: int = 0
    ) -> None:
        self.scene, self.tracer = scene, tracer
        device, module = scene.device, f"render/path.{tracer}"
        entries = [entry, "hit_main", "miss_main"] if tracer == "rt" else [entry]
        device.require(f"neural/linear_{linear}")
        constants = {**scene.scene.constants, **linear_constants(device, linear)}
        constants["FEATURES"] |= features
        self.buffers = dict(scene.buffers)
        if linear != "scalar":
            stride = 2 if linear == "coopmat" else 4
            self.buffers["g_halves"] = buffer(device, scene.scene.halves, stride)
        program = load(
            device,
            module,
            entries,
            with_modules=[f"neural/linear_{linear}"],
            constants=constants,
        )
        if tracer == "rt":
            self._pipeline(program, entry)
        else:
            self.compute = device.raw.create_compute_kernel(program)

    def _pipeline(self, program: Any, entry: str) -> None:
        import slangpy as spy

        raw = self.scene.device.raw
        group = spy.HitGroupDesc(hit_group_name="hit", closest_hit_entry_point="hit_main")
        self.pipeline = raw.create_ray_tracing_pipeline(
            program=program, hit_groups=[group], max_recursion=1, max_ray_payload_size=16
        )
        self.table = raw.create_shader_table(
            program=program,
            ray_gen_entry_points=[entry],
            miss_entry_points=["miss_main"],
            hit_group_names=["hit"],
        )

    def run(self, threads: int, settings: Mapping[str, Any], out: Any) -> None:
        """Run on `threads` lanes and wait; results are in `out`."""
        import slangpy as spy

        values: dict[str, Any] = {**self.buffers, "g_settings": dict(settings), "g_out": out}
        if self.tracer != "bvh":
            values["g_tlas"] = self.scene.tlas
        raw = self.scene.device.raw
        if self.tracer != "rt":
            self.compute.dispatch([threads, 1, 1], vars=values)
        else:
            encoder = raw.create_command_encoder()
            with encoder.begin_ray_tracing_pass() as rays:
                cursor = spy.ShaderCursor(rays.bind_pipeline(self.pipeline, self.table))
                for name, value in values.items():
                    if name == "g_settings":
                        for field, content in value.items():
                            cursor[name][field] = content
                    else:
                        cursor[name] = value
                rays.dispatch_rays(0, [threads, 1, 1])
            raw.submit_command_buffer(encoder.finish())
        raw.wait()
