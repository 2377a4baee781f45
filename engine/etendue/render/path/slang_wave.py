"""The wavefront: the estimator in stages, networks in a compute pass over lanes by material.

Oracle: `slang_stage.Kernel`, the same functions in one shader. For devices whose tensor operations
run in compute shaders only while rays are traced elsewhere, and for scenes of many materials. Twin
of the stages: `shaders/render/wave.slang`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from etendue.render.path.slang_stage import Array, Clock, Results, Stage
from etendue.render.path.slang_upload import Uploaded

WAVE = "wave"  # stands for an entry point, see `slang_watch`
LANES = 1 << 20  # most paths in memory, 192 bytes each
GROUP = 32  # lanes of a workgroup, `GROUP_LANES`
_SLOTS = 12  # of `shaders/render/wave.slang`
_TRACERLESS = ("begin", "scan", "place", "finish")


class Wave:
    """Runs like a `slang_stage.Kernel` whose entry point is `path_main`."""

    def __init__(
        self,
        scene: Uploaded,
        tracer: str,
        linear: str = "scalar",
        features: int = 0,
        *,
        fresh: bool = False,
    ) -> None:
        """Compile all stages; see `Stage`."""
        self.scene = scene

        def stage(module: str, name: str, linear: str = "scalar") -> Stage:
            return Stage(scene, module, f"{name}_main", linear, features, fresh=fresh)

        self.stages = {name: stage("render/path.wave", name) for name in _TRACERLESS}
        self.stages["arrive"] = stage(f"render/path.{tracer}", "arrive")
        self.stages["scatter"] = stage("render/path.wave", "scatter", linear)
        self._clock, self._results = Clock(scene.device), Results(scene.device)
        self._buffers: dict[str, Any] = {}
        self._lanes = 0

    @property
    def device_s(self) -> float:
        """Seconds of all runs, by the device's own clock where it has one."""
        return self._clock.seconds

    def run(self, threads: int, settings: Mapping[str, Any], channels: int) -> Array:
        """Run on `threads` lanes and wait; results (threads, channels)."""
        out = self._results.of(threads * channels)
        lanes = min(threads, LANES)
        self._allocate(lanes)
        for first in range(0, threads, lanes):
            for turn in range(int(settings["group"])):
                wave = {
                    "lanes": min(lanes, threads - first),
                    "first": first,
                    "turn": turn,
                    "materials": len(self.scene.scene.materials),
                    "live": 0,
                }
                values = {"g_settings": dict(settings), "g_wave": wave, "g_out": out}
                self._sample({**self._buffers, **values})
        return out.to_numpy().view(np.float32).reshape(threads, channels)

    def _sample(self, values: Mapping[str, Any]) -> None:
        """One sample of every lane's group."""
        wave = dict(values["g_wave"])
        live = lanes = wave["lanes"]
        self._submit(values, ("begin", lanes))
        if values["g_settings"]["max_depth"] == 0:
            live = 0
        while live:
            values = {**values, "g_wave": {**wave, "live": live}}
            self._submit(values, ("arrive", live), ("scan", 1), ("place", live), fresh=True)
            queued = self._counts()[0]
            if not queued:
                break
            self._submit(values, ("scatter", queued))
            live = self._counts()[1]
        self._submit(values, ("finish", lanes))

    def _submit(
        self, values: Mapping[str, Any], *stages: tuple[str, int], fresh: bool = False
    ) -> None:
        """Run stages on so many threads one after the other, the queue emptied if `fresh`."""
        encoder = self._clock.begin()
        if fresh:
            encoder.clear_buffer(self._buffers["g_counts"])
            encoder.clear_buffer(self._buffers["g_queue"])
        for name, threads in stages:
            encoder.global_barrier()
            self.stages[name].record(encoder, threads, values)
        self._clock.finish(encoder)

    def _counts(self) -> list[int]:
        """Length of the queue, and how many paths go on."""
        return self._buffers["g_counts"].to_numpy().view(np.uint32)[-2:].tolist()

    def _allocate(self, lanes: int) -> None:
        if lanes == self._lanes:
            return
        materials = len(self.scene.scene.materials)
        self._buffers = {
            "g_paths": self._storage(_SLOTS * lanes, 16),
            "g_queue": self._storage(lanes + GROUP * materials, 4),
            "g_live": self._storage(lanes, 4),
            "g_counts": self._storage(3 * materials + 2, 4),
        }
        self._lanes = lanes

    def _storage(self, count: int, stride: int) -> Any:
        import slangpy as spy

        usage = spy.BufferUsage.shader_resource | spy.BufferUsage.unordered_access
        usage |= spy.BufferUsage.copy_source | spy.BufferUsage.copy_destination
        raw = self.scene.device.raw
        return raw.create_buffer(element_count=count, struct_size=stride, usage=usage)
