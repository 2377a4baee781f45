"""The immutable description of a scene, and how a file becomes one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np

from etendue.core.errors import InputError
from etendue.scene.camera import Camera
from etendue.scene.material import LayeredMaterial
from etendue.scene.mesh import Mesh

MITSUBA_SUFFIXES = (".xml",)
GLTF_SUFFIXES = (".gltf", ".glb")
USD_SUFFIXES = (".usd", ".usda", ".usdc", ".usdz")


@dataclass(frozen=True)
class Surface:
    """What a shape looks like: scattering, light it gives off, holes."""

    material: LayeredMaterial
    emission: np.ndarray | None = None  # linear radiance (H, W, 3), 1x1 when constant
    opacity: np.ndarray | None = None  # (H, W) in [0, 1], None = opaque
    flat: Mapping[str, np.ndarray] = field(default_factory=dict)  # metallic-roughness inputs


@dataclass(frozen=True)
class Shape:
    """One mesh in world space with its surface."""

    name: str
    mesh: Mesh
    surface: Surface


@dataclass(frozen=True)
class Light:
    """A punctual light; `direction` is where it shines, angles are from the axis in radians."""

    kind: Literal["point", "spot", "directional"]
    intensity: tuple[float, float, float]  # W/sr/m^0 (point, spot) or W/m^2 (directional), RGB
    position: tuple[float, float, float] = (0.0, 0.0, 0.0)
    direction: tuple[float, float, float] = (0.0, 0.0, -1.0)
    inner_angle: float = 0.0
    outer_angle: float = 0.785398


@dataclass(frozen=True)
class Environment:
    """Light from infinitely far away, in latitude and longitude around the y axis."""

    picture: Path | None  # None: equally bright everywhere
    scale: tuple[float, float, float]  # RGB
    to_world: np.ndarray  # (4, 4)


@dataclass(frozen=True)
class FieldVolume:
    """A radiance field from a file; `to_world` moves it from where its photos were taken."""

    name: str
    path: Path
    to_world: np.ndarray = field(default_factory=lambda: np.eye(4))
    scale: float = 1.0  # of its light
    lit: bool = False  # by the scene, instead of giving off the light of its photos


@dataclass(frozen=True)
class MitsubaXml:
    """A Mitsuba scene file as text, checked for safety; Mitsuba itself interprets it."""

    text: str  # <path> elements blanked, same line numbers as the file
    folders: tuple[Path, ...]  # where resources are looked for, in order
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Scene:
    """Everything the renderer needs to know, without a device type in it."""

    source: Path
    kind: Literal["mitsuba-xml", "gltf"]
    xml: MitsubaXml | None = None
    shapes: tuple[Shape, ...] = ()
    cameras: tuple[Camera, ...] = ()
    lights: tuple[Light, ...] = ()
    environment: Environment | None = None
    fields: tuple[FieldVolume, ...] = ()  # beside those that an XML file names
    assignments: Mapping[str, Path] = field(default_factory=dict)  # shape pattern -> material
    edits: Mapping[str, str] = field(default_factory=dict)  # OBJECT.NAME -> value
    following: Mapping[str, str] | None = None  # edits of the camera in the next frame
    notes: tuple[str, ...] = ()


def load_scene(
    path: str | Path,
    *,
    parameters: Mapping[str, str] | None = None,
    search: tuple[Path, ...] = (),
    assignments: Mapping[str, Path] | None = None,
    edits: Mapping[str, str] | None = None,
    fields: tuple[Path, ...] = (),
    lit: bool = False,
) -> Scene:
    """Read a Mitsuba XML, glTF 2.0 or USD scene, chosen by suffix.

    `parameters` fill the `$name`s of a Mitsuba scene, `search` are extra folders for its
    resources, `assignments` replace materials of shapes (see `render.build`), `edits` change what
    objects state (OBJECT.NAME -> value), and `fields` are files of radiance fields, which stand
    where their photos were taken, `lit` by the scene or with the light of the photos.
    """
    read = _read(Path(path), parameters, search, dict(assignments or {}))
    volumes = tuple(FieldVolume(Path(file).stem, Path(file), lit=lit) for file in fields)
    return replace(read, edits=dict(edits or {}), fields=volumes)


def _read(
    path: Path,
    parameters: Mapping[str, str] | None,
    search: tuple[Path, ...],
    replaced: dict[str, Path],
) -> Scene:
    suffix = path.suffix.lower()
    if suffix in MITSUBA_SUFFIXES:
        from etendue.scene.xml import load_xml

        return load_xml(path, dict(parameters or {}), tuple(search), replaced)
    if suffix in GLTF_SUFFIXES:
        from etendue.scene.gltf import load_gltf

        if parameters:
            name = next(iter(parameters))
            raise InputError(path, "a glTF scene has no parameters", got=f"-D {name}=...")
        return load_gltf(path, replaced)
    if suffix in USD_SUFFIXES:
        from etendue.scene.usd import load_usd

        if parameters:
            name = next(iter(parameters))
            raise InputError(path, "a USD stage has no parameters", got=f"-D {name}=...")
        return load_usd(path, replaced)
    if not path.exists():
        raise InputError(path, "no such file", fix="Check the path")
    raise InputError(
        path,
        "unknown kind of scene",
        got=suffix or "no suffix",
        expected=", ".join(MITSUBA_SUFFIXES + GLTF_SUFFIXES + USD_SUFFIXES),
    )
