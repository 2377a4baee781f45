"""Étendue: deep layered materials baked into neural ones and path-traced inline.

The names below are resolved on first use, so `import etendue` loads no heavy library. Verbs carry
their object (`render_scene`) because `etendue.render` is the package.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from etendue.api import (
        bake_material,
        compare,
        denoise,
        edit_scene,
        load_scene,
        render_frames,
        render_scene,
    )
    from etendue.artifact import Artifact, read_artifact, write_artifact
    from etendue.core.errors import DeviceError, EtendueError, InputError
    from etendue.render.film import Film
    from etendue.scene.material import LayeredMaterial
    from etendue.scene.materialx import load_material
    from etendue.scene.scene import Scene

_HOMES = {
    "Artifact": "artifact",
    "DeviceError": "core.errors",
    "EtendueError": "core.errors",
    "Film": "render.film",
    "InputError": "core.errors",
    "LayeredMaterial": "scene.material",
    "Scene": "scene.scene",
    "bake_material": "api",
    "compare": "api",
    "denoise": "api",
    "edit_scene": "api",
    "load_material": "scene.materialx",
    "load_scene": "api",
    "read_artifact": "artifact",
    "render_frames": "api",
    "render_scene": "api",
    "write_artifact": "artifact",
}

__all__ = [
    "Artifact",
    "DeviceError",
    "EtendueError",
    "Film",
    "InputError",
    "LayeredMaterial",
    "Scene",
    "__version__",
    "bake_material",
    "compare",
    "denoise",
    "edit_scene",
    "load_material",
    "load_scene",
    "read_artifact",
    "render_frames",
    "render_scene",
    "write_artifact",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = home.partition(":")
    return getattr(import_module(f"{__name__}.{module}"), attribute or name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
