"""One entry point of the shaders on a scene, and the kernel that renders a whole pass with one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from etendue.core.errors import DeviceError
from etendue.device.slang import SlangDevice, load, readable
from etendue.render.path.slang_kernels import constants as linear_constants
from etendue.render.path.slang_upload import Uploaded, buffer

Array = np.ndarray
TRACERS = ("rq", "bvh", "rt")


class Stage:
    """An entry point: a compute shader, or a ray generation shader of the ray-tracing pipeline."""

    def __init__(
        self,
        scene: Uploaded,
        module: str,
        entry: str,
        linear: str = "scalar",
        features: int = 0,
        *,
        fresh: bool = False,
    ) -> None:
        """Compile it, all files anew when `fresh`; what is wrong in a shader is a `DeviceError`."""
        self.scene, self.module = scene, module
        self.traces = module.endswith((".rq", ".rt"))  # with a structure of the driver's
        device = scene.device
        device.require(f"neural/linear_{linear}")
        constants = {**scene.scene.constants, **linear_constants(device, linear)}
        constants["FEATURES"] |= features
        self.buffers = dict(scene.buffers)
        if linear != "scalar":
            stride = 2 if linear == "coopmat" else 4
            self.buffers["g_halves"] = buffer(device, scene.scene.halves, stride)
        entries = [entry, "hit_main", "miss_main"] if module.endswith(".rt") else [entry]
        program = load(
            device,
            module,
            entries,
            with_modules=[f"neural/linear_{linear}"],
            constants=constants,
            fresh=fresh,
        )
        self.pipeline: Any = None
        try:
            if module.endswith(".rt"):
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

    def record(self, encoder: Any, threads: int, values: Mapping[str, Any]) -> None:
        """Have it run on `threads` lanes; `values` by the names of globals besides the scene's."""
        import slangpy as spy

        everything = {**self.buffers, **values}
        if self.traces:
            everything["g_tlas"] = self.scene.structure[0]
        if self.pipeline is None:
            self.compute.dispatch([threads, 1, 1], vars=everything, command_encoder=encoder)
            return
        with encoder.begin_ray_tracing_pass() as rays:
            cursor = spy.ShaderCursor(rays.bind_pipeline(self.pipeline, self.table))
            for name, value in everything.items():
                if isinstance(value, dict):
                    for field, content in value.items():
                        cursor[name][field] = content
                else:
                    cursor[name] = value
            rays.dispatch_rays(0, [threads, 1, 1])


class Clock:
    """The time that submitted work takes on the device, 0 where it cannot tell."""

    def __init__(self, device: SlangDevice) -> None:
        import slangpy as spy

        self.raw, self.seconds, self._pool = device.raw, 0.0, None
        if "timestamp_query" in device.features:
            self._pool = self.raw.create_query_pool(type=spy.QueryType.timestamp, count=2)

    def begin(self) -> Any:
        """A command encoder."""
        encoder = self.raw.create_command_encoder()
        if self._pool is not None:
            encoder.write_timestamp(self._pool, 0)
        return encoder

    def finish(self, encoder: Any) -> None:
        """Submit what was recorded, and wait."""
        if self._pool is not None:
            encoder.write_timestamp(self._pool, 1)
        self.raw.submit_command_buffer(encoder.finish())
        self.raw.wait()
        if self._pool is not None:
            begin, end = self._pool.get_timestamp_results(0, 2)
            self.seconds += end - begin


class Results:
    """A buffer for results, kept for the next run of the same size; at first all are NaN."""

    def __init__(self, device: SlangDevice) -> None:
        self.device, self._kept = device, (0, None)

    def of(self, numbers: int) -> Any:
        """Room for so many."""
        if self._kept[0] != numbers:
            empty = np.full(numbers, np.nan, np.float32)
            self._kept = (numbers, buffer(self.device, empty, 4))
        return self._kept[1]


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
        """Compile it; see `Stage`."""
        self.scene = scene
        self.stage = Stage(scene, f"render/path.{tracer}", entry, linear, features, fresh=fresh)
        self._clock, self._results = Clock(scene.device), Results(scene.device)

    @property
    def device_s(self) -> float:
        """Seconds of all runs, by the device's own clock where it has one."""
        return self._clock.seconds

    def run(self, threads: int, settings: Mapping[str, Any], channels: int) -> Array:
        """Run on `threads` lanes and wait; results (threads, channels)."""
        out = self._results.of(threads * channels)
        encoder = self._clock.begin()
        self.stage.record(encoder, threads, {"g_settings": dict(settings), "g_out": out})
        self._clock.finish(encoder)
        return out.to_numpy().view(np.float32).reshape(threads, channels)
