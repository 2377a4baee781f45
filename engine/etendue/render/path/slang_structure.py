"""Acceleration structures: one for each group of triangles, one of all instances."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from etendue.device.slang import SlangDevice
from etendue.render.path.slang_instances import Instance

Array = np.ndarray
SPARE = 1 << 14  # indices: the software driver reads beyond the end of a small buffer and crashes


def build_structure(
    device: SlangDevice, vertices: Array, faces: Array, placed: Sequence[Instance]
) -> tuple[Any, tuple[Any, ...]]:
    """The structure to trace against, and what it refers to.

    An instance's number is its place in `placed`; without any triangle there is one without area.
    """
    import slangpy as spy

    raw = device.raw
    usage = spy.BufferUsage.shader_resource | spy.BufferUsage.acceleration_structure_build_input
    points = raw.create_buffer(usage=usage, data=vertices.view(np.uint8).copy())
    shown = [(n, x) for n, x in enumerate(placed) if x.count] or [(0, Instance(0, 1, np.eye(4)))]
    low: dict[int, tuple[Any, ...]] = {}
    instances = raw.create_acceleration_structure_instance_list(len(shown))
    for place, (number, instance) in enumerate(shown):
        if instance.first not in low:
            corners = np.ascontiguousarray(faces[instance.faces, :3]).reshape(-1)
            padded = np.concatenate([corners, np.zeros(SPARE, np.uint32)])
            indices = raw.create_buffer(usage=usage, data=padded)
            source = _triangles(points, vertices, indices, corners.size)
            made = _structure(device, source, spy.AccelerationStructureKind.bottom_level)
            low[instance.first] = (*made, indices)
        instances.write(
            place,
            {
                "transform": spy.float3x4(instance.to_world[:3].astype(np.float32)),
                "instance_id": number,
                "instance_mask": 0xFF,
                "instance_contribution_to_hit_group_index": 0,
                "flags": spy.AccelerationStructureInstanceFlags.none,
                "acceleration_structure": low[instance.first][0].handle,
            },
        )
    kind = spy.AccelerationStructureKind.top_level
    top, scratch = _structure(device, instances.build_input_instances(), kind)
    return top, (points, low, instances, scratch)


def _triangles(points: Any, vertices: Array, indices: Any, count: int) -> Any:
    import slangpy as spy

    return spy.AccelerationStructureBuildInputTriangles(
        {
            "vertex_buffers": [points],
            "vertex_format": spy.Format.rgb32_float,
            "vertex_count": len(vertices),
            "vertex_stride": vertices.itemsize,
            "index_buffer": indices,
            "index_format": spy.IndexFormat.uint32,
            "index_count": count,
            "flags": spy.AccelerationStructureGeometryFlags.opaque,
        }
    )


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
