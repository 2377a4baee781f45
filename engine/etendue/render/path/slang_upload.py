"""A scene on a Slang device: buffers and acceleration structure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from etendue.device.slang import SlangDevice
from etendue.render.path.slang_scene import SceneData
from etendue.render.path.slang_structure import build_structure

Array = np.ndarray


@dataclass(frozen=True)
class Uploaded:
    """Buffers by the name of their global variable in the shaders."""

    device: SlangDevice
    scene: SceneData
    buffers: Mapping[str, Any]

    @cached_property
    def structure(self) -> tuple[Any, Any]:
        """The acceleration structure and what it refers to, made when first asked for."""
        return build_structure(
            self.device, self.scene.vertices, faces_of(self.scene), self.scene.placed
        )


def faces_of(scene: SceneData) -> Array:
    """The scene's faces, at least one."""
    return scene.faces if len(scene.faces) else np.zeros((1, 4), np.uint32)


def buffer(device: SlangDevice, data: Array, stride: int) -> Any:
    """A storage buffer with a copy of `data`."""
    import slangpy as spy

    flat = np.ascontiguousarray(data).reshape(-1).view(np.uint8).copy()
    usage = spy.BufferUsage.shader_resource | spy.BufferUsage.unordered_access
    return device.raw.create_buffer(
        element_count=flat.size // stride, struct_size=stride, usage=usage, data=flat
    )


def upload(device: SlangDevice, scene: SceneData) -> Uploaded:
    """Copy a scene to the device."""
    tables = {
        "g_data": (scene.data, 16),
        "g_vertices": (scene.vertices, scene.vertices.itemsize),
        "g_faces": (faces_of(scene), 16),
        "g_shapes": (scene.shapes, scene.shapes.itemsize),
        "g_materials": (scene.materials, scene.materials.itemsize),
        "g_emitters": (scene.emitters, scene.emitters.itemsize),
    }
    buffers = {name: buffer(device, data, stride) for name, (data, stride) in tables.items()}
    return Uploaded(device, scene, buffers)
