"""From the description of a scene to a Mitsuba scene that the path tracers can render."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from etendue.core.errors import InputError
from etendue.device.drjit import DEFAULT_VARIANT, activate
from etendue.render.build_edits import (
    apply_edits,
    camera_pose,
    lacks_target,
    with_scaled_emission,
    without_camera,
)
from etendue.render.build_fields import all_fields
from etendue.render.build_film import frame_scene, move_cameras, set_film
from etendue.render.build_gltf import gltf_state
from etendue.render.build_materials import Replacements
from etendue.render.build_state import ParsedState, baked_files, load_errors, resources
from etendue.render.build_xml import xml_state
from etendue.render.placed import Placed
from etendue.scene.defaults import studio
from etendue.scene.scene import Scene

DEFAULT_MAX_DEPTH = 8
DEFAULT_SPP = 64
_MAX_FILM = 16384


@dataclass(frozen=True)
class BuiltScene:
    """A Mitsuba scene whose first sensor is the one to render, and what its file asked for."""

    mi_scene: Any
    size: tuple[int, int]
    shapes: tuple[str, ...]
    max_depth: int  # path vertices, -1 = unlimited; 1 shows emitters only
    spp: int
    hide_emitters: bool
    twins: Mapping[str, Any]  # shape -> `path.naive.NumpyBSDF`, only for scalar variants
    notes: tuple[str, ...]
    baked: Mapping[str, Path] = field(default_factory=dict)  # shape -> its `.eta` file[#NAME]
    fields: tuple[Placed, ...] = ()


def build(
    scene: Scene,
    *,
    size: tuple[int, int] | None = None,
    crop: tuple[int, int, int, int] | None = None,
    materials: Mapping[str, Path] | None = None,
    camera: str | None = None,
    max_depth: int | None = None,
    spp: int | None = None,
    variant: str = DEFAULT_VARIANT,
) -> BuiltScene:
    """Build `scene` for `variant`; anything wrong with its file is an `InputError`.

    `materials` maps shape names or patterns (`*`) to `.eta` or `.mtlx` files[#NAME] and is added to
    the scene's own assignments; `camera` picks a sensor by name or number; `size`, `max_depth` and
    `spp` win over the file, which wins over the defaults. The film's filter becomes a box.
    """
    _check_size(size)
    if lacks_target(scene):
        plain = replace(scene, edits=without_camera(scene.edits), following=None)
        still = build(plain, size=size, materials=materials, camera=camera, variant=variant)
        target = ",".join(map(repr, camera_pose(still.mi_scene)[1]))
        scene = replace(scene, edits={**scene.edits, "camera.target": target})
    mi = activate(variant)
    from etendue.bsdf.plugin import register

    register(mi)
    replacements = Replacements(mi, {**scene.assignments, **(materials or {})})
    folders = scene.xml.folders if scene.xml is not None else (scene.source.parent,)
    with resources(mi, folders), load_errors(scene.source):
        if scene.kind == "gltf":
            state = gltf_state(mi, with_scaled_emission(scene), replacements)
        else:
            state = xml_state(mi, scene, replacements)
        fields = all_fields(scene, state)
        replacements.require_all_used(scene.source)
        apply_edits(mi, state, scene.edits)
        baked = {**baked_files(state), **replacements.baked}
        if not state.of_type("Emitter"):
            _add_studio(mi, state)
        frame_scene(mi, state, scene, camera, size)
        final_size = set_film(mi, state, scene, size, crop)
        move_cameras(mi, state, scene)
        depth = max_depth if max_depth is not None else state.integrator_depth()
        depth = DEFAULT_MAX_DEPTH if depth is None else depth
        hidden = state.hides_emitters()
        state.set_integrator("path", {"max_depth": depth, "hide_emitters": hidden})
        mi_scene = state.instantiate()
    return BuiltScene(
        mi_scene,
        final_size,
        tuple(state.shape_names),
        depth,
        spp if spp is not None else state.sampler_count() or DEFAULT_SPP,
        hidden,
        state.twins,
        (*scene.notes, *state.notes),
        baked,
        fields,
    )


def _check_size(size: tuple[int, int] | None) -> None:
    if size is not None and not all(1 <= side <= _MAX_FILM for side in size):
        raise InputError(
            "--size",
            "is out of range",
            got=f"{size[0]}x{size[1]}",
            expected=f"1 to {_MAX_FILM} pixels a side",
        )


def _add_studio(mi: Any, state: ParsedState) -> None:
    state.notes.append("no light in the file: lit by the built-in studio")
    bitmap = mi.Bitmap(studio())
    state.add("Emitter", "envmap", "built-in-studio", {"bitmap": bitmap})
