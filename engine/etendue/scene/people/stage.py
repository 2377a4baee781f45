"""Stages: one person with a motion in a furnished room, before a sensor."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from etendue.core.errors import InputError
from etendue.scene.camera import Camera
from etendue.scene.mesh import Mesh
from etendue.scene.people.body import PARTS, Body, normals
from etendue.scene.people.motion import Motion, placed
from etendue.scene.people.retarget import retarget
from etendue.scene.people.rooms import (
    MARGIN,
    Plan,
    Room,
    furnish,
    grown,
    make_plan,
    nearest,
)
from etendue.scene.people.skeleton import bones
from etendue.scene.people.skeleton import joints as joints_of
from etendue.scene.people.surfaces import surface
from etendue.scene.scene import Environment, Scene, Shape, Surface

SENSOR_HEIGHT = 1.0  # m
FOV_DEG = 50.0  # of the camera's height
VIEW = float(np.radians(38.0))  # azimuth up to which people are on either side, where they can be
SKY = (1.6, 1.8, 2.1)  # radiance that comes through windows
_TRIES = 200
# what the parts of people are made of, for tables of materials
WORN = {
    "skin": "skin", "shirt": "fabric", "trousers": "fabric", "shoes": "leather", "hair": "hair",
    "eyes": "eye",
}  # fmt: skip


@dataclass(frozen=True)
class Stage:
    """Everything that does not depend on time; the sensor looks along x from `sensor`."""

    seed: int
    body: Body
    motion: Motion  # of the body's bones, where the person is in the room
    room: Room
    seconds: float
    start: float = 0.0  # s, time of the motion at which the stage begins
    sensor: tuple[float, float, float] = (0.0, 0.0, SENSOR_HEIGHT)

    def vertices(self, t: float) -> np.ndarray:
        """The person's vertices (n, 3) at a time (s); the faces are always `body.faces`."""
        return self.body.at(self.motion, self.start + t)[0]

    def joints(self, t: float) -> np.ndarray:
        """The 15 joints (15, 3) of `skeleton.JOINTS` in metres; less `sensor` in its own frame."""
        turned, heads = bones(self.body.skeleton, self.motion.at(self.start + t))
        return joints_of(self.body.skeleton, turned, heads)

    @cached_property
    def still(self) -> tuple[Shape, ...]:
        """All shapes of the room; `shape.surface.material.name` is what they are made of."""
        return self.room.shapes()

    @cached_property
    def materials(self) -> np.ndarray:
        """Names (m,) of what the body's faces are made of: skin, fabric, leather, hair, eye."""
        return np.array([WORN[part] for part in PARTS])[self.body.parts]

    @property
    def camera(self) -> Camera:
        """At the sensor, looking along x."""
        x, y, z = self.sensor
        return Camera(self.sensor, (x + 1.0, y, z), (0.0, 0.0, 1.0), FOV_DEG, name="sensor")

    def scene(self, t: float) -> Scene:
        """Room and person at a time (s), for the renderers."""
        sky = Environment(None, SKY, np.eye(4))
        return Scene(
            Path(f"stage-{self.seed}.gltf"), "gltf", shapes=(*self.still, *self.person(t)),
            cameras=(self.camera,), environment=sky,
        )  # fmt: skip

    def person(self, t: float) -> tuple[Shape, ...]:
        """The person's parts at a time (s), each a mesh with smooth normals."""
        points = self.vertices(t)
        around = normals(points, self.body.faces)
        shapes = []
        for index, part in enumerate(PARTS):
            faces = self.body.faces[self.body.parts == index]
            if len(faces):
                used, local = np.unique(faces, return_inverse=True)
                mesh = Mesh(
                    points[used].astype(np.float32), local.reshape(-1, 3).astype(np.uint32),
                    around[used].astype(np.float32),
                )  # fmt: skip
                shapes.append(Shape(f"person-{part}", mesh, self._looks[part]))
        return tuple(shapes)

    @cached_property
    def _looks(self) -> dict[str, Surface]:
        body = self.body.name.encode()
        return {
            part: surface(WORN[part], int.from_bytes([*body, 7 * i]) % (1 << 60))
            for i, part in enumerate(PARTS)
        }


def make_stage(
    seed: int,
    body: Body,
    motion: Motion,
    room: int | None = None,
    *,
    start: float = 0.0,
    seconds: float | None = None,
    through_wall: bool = False,
) -> Stage:
    """Put a person with a motion (of any skeleton) into the room with the number `room`.

    Where the person is and which way they face follows from the seed, within `VIEW` if there is a
    place for that; the room grows where it is too small. The part of `seconds` from `start` on is
    shown, with the floor where it is for the whole motion; one that loops may go on for longer.
    """
    longest = 600.0 if motion.loop else motion.duration - start
    length = (motion.duration - start) if seconds is None else seconds
    if start < 0 or not 0 < length <= longest + 1e-6:
        raise InputError(
            "seconds", "are out of range", got=f"{length:g} from {start:g}",
            expected=f"0 to {longest:g}",
        )  # fmt: skip
    own = retarget(motion, body)
    plan = make_plan(seed if room is None else room, through_wall)
    rng = np.random.default_rng([seed, 0x57A6E])
    times = np.arange(0.0, length + 0.05, 0.1)
    seen = [bones(body.skeleton, own.at(start + float(t))) for t in times]
    path = np.stack([joints_of(body.skeleton, *pose) for pose in seen])[..., :2].reshape(-1, 2)
    yaw, offset = _place(plan, path, rng)
    there = _turned(path, yaw) + offset
    plan = grown(plan, there)
    final = placed(own, yaw, (float(offset[0]), float(offset[1]), 0.0))
    return Stage(seed, body, final, furnish(plan, _thinned(there)), length, start)


def _turned(path: np.ndarray, yaw: float) -> np.ndarray:
    cos, sin = np.cos(yaw), np.sin(yaw)
    return path @ np.array([[cos, sin], [-sin, cos]])


def _place(plan: Plan, path: np.ndarray, rng: np.random.Generator) -> tuple[float, np.ndarray]:
    """Turn and offset that keep the path inside of room and view, or miss the least."""
    first = np.array([nearest(plan), plan.low[1] + MARGIN])
    last = np.array(plan.high) - MARGIN
    best, excess = (0.0, first), np.inf
    for _ in range(_TRIES):
        yaw = float(rng.uniform(-np.pi, np.pi))
        turned = _turned(path, yaw)
        low, high = turned.min(0), turned.max(0)
        room = last - first - (high - low)
        share = rng.uniform(0, 1, 2)
        offset = first - low + np.maximum(room, 0) * share
        aside = np.abs(turned[:, 1] + offset[1]) - np.tan(VIEW) * (turned[:, 0] + offset[0])
        over = float(np.maximum(-room, 0).sum()) + max(float(aside.max()), 0.0)
        if over < excess:
            best, excess = (yaw, offset), over
        if over == 0:
            break
    return best


def _thinned(path: np.ndarray) -> np.ndarray:
    """One point per 5 cm."""
    return np.unique(np.round(path / 0.05), axis=0) * 0.05
