"""Kernels of a scene that is rendered more than once, compiled again when a shader is edited."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from etendue.core.errors import DeviceError
from etendue.device.slang import Reloading
from etendue.render.path.slang_stage import Kernel
from etendue.render.path.slang_upload import Uploaded
from etendue.render.path.slang_wave import WAVE, Wave


class Kernels:
    """Makes each kernel once; with `say`, watches the shaders between two frames.

    After an edit the next frame has the new shaders. An edit that does not compile is told to
    `say` with file and line, and the old kernel goes on until the next edit.
    """

    def __init__(self, uploaded: Uploaded, say: Callable[[str], None] | None = None) -> None:
        self.uploaded, self.say = uploaded, say
        self._made: dict[Any, Any] = {}
        self._failed: set[Any] = set()

    def __call__(
        self, tracer: str, entry: str, linear: str = "scalar", features: int = 0
    ) -> Kernel | Wave:
        """The newest kernel that compiles; `DeviceError` while there has never been one.

        The entry `WAVE` stands for a wavefront of the path tracer.
        """
        key = (tracer, entry, linear, features)
        if key not in self._made:

            def build(fresh: bool) -> Kernel | Wave:
                fresh |= key in self._failed  # a session remembers what it could not load
                if entry == WAVE:
                    return Wave(self.uploaded, tracer, linear, features, fresh=fresh)
                return Kernel(self.uploaded, *key, fresh=fresh)

            try:
                self._made[key] = Reloading(build, self.say) if self.say else build(False)
            except DeviceError:
                self._failed.add(key)
                raise
        made = self._made[key]
        return made.current() if isinstance(made, Reloading) else made
