"""Radar frames of people in rooms: a stage's meshes, and how they move while a frame is taken."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from etendue.device.drjit import DEFAULT_VARIANT, activate
from etendue.render.radar.cast import Deforming, Pose
from etendue.render.radar.frame import Frame, simulate
from etendue.render.radar.scatter import Look
from etendue.render.radar.setup import Setup
from etendue.scene.mesh import Mesh
from etendue.scene.people.stage import Stage
from etendue.scene.scene import Shape

PERSON = "person-"  # how the names of a person's shapes begin
WORN = {"fabric": "clothed", "hair": "clothed", "leather": "clothed"}  # on people


@dataclass(frozen=True)
class Rig:
    """A stage prepared for a radar: meshes of what stands still, and materials of all shapes."""

    stage: Stage
    setup: Setup
    still: dict[str, Any]  # Mitsuba meshes by name
    chosen: dict[str, str]  # shape -> material
    variant: str = DEFAULT_VARIANT


def rig(stage: Stage, setup: Setup, variant: str = DEFAULT_VARIANT) -> Rig:
    """Prepare a stage."""
    activate(variant)
    still = {shape.name: mesh_of(shape.name, shape.mesh) for shape in stage.still}
    chosen = dict(setup.shapes)
    for shape in (*stage.still, *stage.person(0.0)):
        material = shape.surface.material.name
        if shape.name.startswith(PERSON):
            material = WORN.get(material, material)
        if material in setup.materials:
            chosen.setdefault(shape.name, material)
    return Rig(stage, setup, still, chosen, variant)


def frame_of(rigged: Rig, time: float, seed: int) -> Frame:
    """The frame whose middle is `time` s after the stage's beginning, in the sensor's frame.

    Velocities and accelerations are differences over the frame. `seed` is that of the noise.
    """
    stage, radar = rigged.stage, rigged.setup.radar
    half = 0.5 * radar.waveform.loops * radar.loop
    before, now, after = (_parts(stage.person(time + d)) for d in (-half, 0.0, half))
    moves = {
        name: Deforming((after[name] - before[name]) / (2 * half),
                        (after[name] - 2 * now[name] + before[name]) / half**2)
        for name in now
    }  # fmt: skip
    look = Look(
        stage_scene(rigged, stage.person(time)), radar, Pose(np.array(stage.sensor, float)), moves,
        rigged.chosen, rigged.setup.materials,
    )  # fmt: skip
    return simulate(look, rigged.setup, seed=seed, variant=rigged.variant)


def _parts(shapes: Iterable[Shape]) -> dict[str, np.ndarray]:
    return {shape.name: shape.mesh.positions.astype(float) for shape in shapes}


def stage_scene(rigged: Rig, person: tuple[Shape, ...]) -> Any:
    """A Mitsuba scene of what stands still and these shapes."""
    named = {shape.name: mesh_of(shape.name, shape.mesh) for shape in person}
    return activate(rigged.variant).load_dict({"type": "scene", **rigged.still, **named})


def mesh_of(name: str, mesh: Mesh) -> Any:
    """A Mitsuba mesh without a look of its own."""
    import mitsuba as mi

    smooth = mesh.normals is not None
    made = mi.Mesh(name, len(mesh.positions), len(mesh.faces), has_vertex_normals=smooth)
    parameters = mi.traverse(made)
    parameters["vertex_positions"] = mesh.positions.astype(np.float32).ravel()
    parameters["faces"] = mesh.faces.astype(np.uint32).ravel()
    if mesh.normals is not None:
        parameters["vertex_normals"] = mesh.normals.astype(np.float32).ravel()
    parameters.update()
    return made
