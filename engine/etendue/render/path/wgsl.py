"""The path tracer for browsers: WGSL of `path.bvh.slang`, and where it expects what.

Networks run as plain float32 loops and rays go through a software hierarchy, since WebGPU has
neither tensor units nor ray queries. A `Tuning` changes how fast that is and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

import numpy as np

from etendue.core.errors import DeviceError
from etendue.device.slang_compiler import Compiler
from etendue.render.path.slang_scene import HIDDEN, LENS, SceneData
from etendue.render.path.slang_upload import faces_of

Array = np.ndarray
TYPES = {"f32": (1, "f"), "u32": (1, "u"), "vec2<u32>": (2, "u"), "vec3<f32>": (3, "f")}
LANES, TILES, UNROLLS = (32, 64, 128), (1, 2), (1, 2)
_WORKGROUP = re.compile(r"@workgroup_size\(\d+, 1, 1\)")
_BINDING = re.compile(r"@binding\((\d+)\) @group\(0\) var<[^>]*> (\w+?)_\d+ :")
_SETTINGS = re.compile(r"struct Settings_std140_\d+\s*\{([^}]*)\}")
_FIELD = re.compile(r"@align\((\d+)\) (\w+?)_\d+ : ([\w<>]+)")


@dataclass(frozen=True)
class Tuning:
    """One of the ways to run the networks, as `neural/linear_scalar.slang` has them."""

    lanes: int = 32  # of a workgroup
    tile: int = 1  # groups of four outputs that are summed together
    unroll: int = 1  # groups of four inputs per turn of the loop

    @property
    def name(self) -> str:
        """As in an address."""
        return f"{self.lanes}-{self.tile}-{self.unroll}"

    @property
    def constants(self) -> dict[str, int]:
        """What the networks' module is told."""
        return {"TILE": self.tile, "UNROLL": self.unroll}


def tunings(networks: int) -> tuple[Tuning, ...]:
    """All of them; without networks only workgroups differ."""
    inner = product(TILES, UNROLLS) if networks else [(1, 1)]
    return tuple(Tuning(lanes, *rest) for rest in inner for lanes in LANES)


@dataclass(frozen=True)
class Program:
    """An entry point in WGSL."""

    code: str
    bindings: Mapping[str, int]  # by the name of the global


def compile_wgsl(module: str, entry: str, constants: Mapping[str, int]) -> Program:
    """Translate an entry point; `DeviceError` with the compiler's words when that is impossible."""
    made = Compiler().entry(module, entry, "compute", ("wgsl",), constants)
    if made.error:
        raise DeviceError(f"shader {module}", f"has no WGSL ({made.error})")
    return Program(made.code, {name: int(at) for at, name in _BINDING.findall(made.code)})


def path_program(scene: SceneData, tuning: Tuning, *, hidden: bool, lens: bool) -> Program:
    """The path tracer for a scene."""
    constants = {**scene.constants, **tuning.constants}
    constants["FEATURES"] |= (HIDDEN if hidden else 0) | (LENS if lens else 0)
    made = compile_wgsl("render/path.bvh", "path_main", constants)
    code, count = _WORKGROUP.subn(f"@workgroup_size({tuning.lanes}, 1, 1)", made.code)
    assert count == 1  # lanes do not talk to each other, so any number of them will do
    return Program(code, made.bindings)


def settings_layout(code: str) -> dict[str, tuple[int, int, str]]:
    """(offset in bytes, numbers, f or u) of every field of `Settings`, as the code says; the size
    of the whole stands under the empty name."""
    found = _SETTINGS.search(code)
    if found is None:
        raise DeviceError("shader", "has no settings in its WGSL")
    at, fields = 0, {}
    for align, name, kind in _FIELD.findall(found[1]):
        at = -(-at // int(align)) * int(align)
        count, letter = TYPES[kind]
        fields[name] = (at, count, letter)
        at += 4 * count
    return fields | {"": (-(-at // 16) * 16, 0, "")}


def buffers(scene: SceneData) -> dict[str, bytes]:
    """Contents of the storage buffers by the name of the global."""
    arrays: dict[str, Any] = {
        "g_data": scene.data,
        "g_vertices": scene.vertices,
        "g_faces": faces_of(scene),
        "g_shapes": scene.shapes,
        "g_materials": scene.materials,
        "g_emitters": scene.emitters,
    }
    return {name: np.ascontiguousarray(array).tobytes() for name, array in arrays.items()}


def as_records(found: tuple[Tuning, ...]) -> list[dict[str, Any]]:
    """For JSON."""
    return [{"name": tuning.name, **asdict(tuning)} for tuning in found]
