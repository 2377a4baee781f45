"""A bake in a worker process of a cluster: files in, one artifact's bytes out."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from etendue.bake.material import bake, plan_steps
from etendue.bake.settings import BakeSettings
from etendue.device.caps import cache_folder
from etendue.device.drjit import activate
from etendue.scene.materialx import load_material
from etendue.schedule.bundle import Bundle, unpack
from etendue.schedule.remote import shared


@dataclass(frozen=True)
class Baked:
    """What a worker returns."""

    data: bytes  # of the .eta file
    steps: int
    seconds: float
    notes: tuple[str, ...]


def bake_remote(
    wanted: Any, file: str, name: str | None, settings: BakeSettings, minutes: float | None
) -> Baked:
    """Bake the material `name` of `file` in a shared `Bundle`; `minutes` plan the steps here.

    The worker has one core: Dr.Jit takes one thread, as torch does anyway.
    """
    import drjit as dr

    activate()
    before = dr.thread_count()
    dr.set_thread_count(1)
    try:
        bundle: Bundle = shared(wanted)
        root = unpack(bundle, cache_folder() / "bundles")
        source = load_material(bundle.moved(Path(file), root), name, settings.resolution)
        if minutes is not None:
            settings = replace(settings, steps=plan_steps(source, settings, minutes))
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="etendue-bake-") as folder:
            out = Path(folder, "material.eta")
            bake(source, settings, out)
            data = out.read_bytes()
        return Baked(data, settings.steps, time.monotonic() - began, tuple(source.notes))
    finally:
        dr.set_thread_count(before)
