"""Étendue: deep layered materials baked into neural ones and path-traced inline.

The names below are resolved on first use, so `import etendue` loads no heavy library.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from etendue.artifact import Artifact, read_artifact, write_artifact
    from etendue.bake.material import bake as bake_material
    from etendue.bake.settings import BakeSettings
    from etendue.core.errors import DeviceError, EtendueError, InputError
    from etendue.device.caps import best_variant
    from etendue.device.drjit import activate
    from etendue.scene.material import LayeredMaterial
    from etendue.scene.materialx import load_material
    from etendue.scene.scene import Scene, load_scene

_HOMES = {
    "Artifact": "artifact",
    "BakeSettings": "bake.settings",
    "DeviceError": "core.errors",
    "EtendueError": "core.errors",
    "InputError": "core.errors",
    "LayeredMaterial": "scene.material",
    "Scene": "scene.scene",
    "activate": "device.drjit",
    "bake_material": "bake.material:bake",
    "best_variant": "device.caps",
    "load_material": "scene.materialx",
    "load_scene": "scene.scene",
    "read_artifact": "artifact",
    "write_artifact": "artifact",
}

__all__ = [
    "Artifact",
    "BakeSettings",
    "DeviceError",
    "EtendueError",
    "InputError",
    "LayeredMaterial",
    "Scene",
    "__version__",
    "activate",
    "bake_material",
    "best_variant",
    "load_material",
    "load_scene",
    "read_artifact",
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
