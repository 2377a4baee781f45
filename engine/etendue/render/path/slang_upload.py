"""A scene on a Slang device: buffers, acceleration structure, kernels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from etendue.core.errors import DeviceError
from etendue.device.slang import SlangDevice, load, readable
from etendue.render.path.slang_kernels import constants as linear_constants
from etendue.render.path.slang_scene import SceneData
from etendue.render.path.slang_structure import build_structure

Array = np.ndarray
TRACERS = ("rq", "bvh", "rt")


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


class Kernel:
    """One entry point of the path tracer, whichever way it traces rays."""

    def __init__(
        self,
        scene: Uploaded,
        tracer: str,
        entry: str,
        linear: str = "scalar",
        features: int = 0,
        *,
        fresh: bool = False,
    ) -> None:
        """Compile it, all files anew when `fresh`; what is wrong in a shader is a `DeviceError`."""
        self.scene, self.tracer = scene, tracer
        self.device_s = 0.0  # of all runs, by the device's own clock where it has one
        self._outputs: dict[int, Any] = {}
        self._clock = _clock(scene.device)
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
            fresh=fresh,
        )
        try:
            if tracer == "rt":
                self._pipeline(program, entry)
            else:
                self.compute = device.raw.create_compute_kernel(program)
                _ = self.compute.pipeline  # code is generated here, not in the first frame
        except RuntimeError as error:
            raise DeviceError(f"shader {module}", readable(str(error))) from None

    def _pipeline(self, program: Any, entry: str) -> None:
        import slangpy as spy

        raw = self.scene.device.raw
        group = spy.HitGroupDesc(hit_group_name="hit", closest_hit_entry_point="hit_main")
        self.pipeline = raw.create_ray_tracing_pipeline(
            program=program, hit_groups=[group], max_recursion=1, max_ray_payload_size=20
        )
        self.table = raw.create_shader_table(
            program=program,
            ray_gen_entry_points=[entry],
            miss_entry_points=["miss_main"],
            hit_group_names=["hit"],
        )

    def run(self, threads: int, settings: Mapping[str, Any], channels: int) -> Array:
        """Run on `threads` lanes and wait; results (threads, channels)."""
        out = self._output(threads * channels)
        values: dict[str, Any] = {**self.buffers, "g_settings": dict(settings), "g_out": out}
        if self.tracer != "bvh":
            values["g_tlas"] = self.scene.structure[0]
        raw = self.scene.device.raw
        encoder = raw.create_command_encoder()
        if self._clock is not None:
            encoder.write_timestamp(self._clock, 0)
        if self.tracer == "rt":
            self._trace(encoder, threads, values)
        else:
            self.compute.dispatch([threads, 1, 1], vars=values, command_encoder=encoder)
        if self._clock is not None:
            encoder.write_timestamp(self._clock, 1)
        raw.submit_command_buffer(encoder.finish())
        raw.wait()
        if self._clock is not None:
            begin, end = self._clock.get_timestamp_results(0, 2)
            self.device_s += end - begin
        return out.to_numpy().view(np.float32).reshape(threads, channels)

    def _trace(self, encoder: Any, threads: int, values: Mapping[str, Any]) -> None:
        import slangpy as spy

        with encoder.begin_ray_tracing_pass() as rays:
            cursor = spy.ShaderCursor(rays.bind_pipeline(self.pipeline, self.table))
            for name, value in values.items():
                if name == "g_settings":
                    for field, content in value.items():
                        cursor[name][field] = content
                else:
                    cursor[name] = value
            rays.dispatch_rays(0, [threads, 1, 1])

    def _output(self, numbers: int) -> Any:
        """A buffer for results, kept for the next run of that size; at first all are NaN."""
        if numbers not in self._outputs:
            self._outputs.clear()
            empty = np.full(numbers, np.nan, np.float32)
            self._outputs[numbers] = buffer(self.scene.device, empty, 4)
        return self._outputs[numbers]


def _clock(device: SlangDevice) -> Any:
    """Room for two readings of the device's clock, None where it has none."""
    import slangpy as spy

    if "timestamp_query" not in device.features:
        return None
    return device.raw.create_query_pool(type=spy.QueryType.timestamp, count=2)
