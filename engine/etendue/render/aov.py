"""Auxiliary images (AOVs) of the first surface that each pixel sees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np

from etendue.bsdf.base import ShadingPoint
from etendue.core.errors import InputError
from etendue.render.groups import shown_shapes
from etendue.render.path.camera_rays import (
    Block,
    Window,
    passes,
    pixel_cone,
    primary_rays,
    start_paths,
)
from etendue.render.path.dispatch import NONE, InlineTable
from etendue.render.path.footprint import footprint
from etendue.render.path.loop import past_emitters
from etendue.render.path.volume import Volume
from etendue.render.path.volume_event import seen

CHANNELS = {"alpha": 1, "depth": 1, "position": 3, "normal": 3, "uv": 2, "albedo": 3, "motion": 2}
IDS = ("material_id", "shape_id")  # of the pixel's first sample; -1 where nothing is hit
NAMES = (*CHANNELS, *IDS)


def check_aovs(names: tuple[str, ...]) -> None:
    """Raise `InputError` for a name that is not in `NAMES`."""
    for name in names:
        if name not in NAMES:
            raise InputError("aov", "is unknown", got=name, expected=", ".join(NAMES))


def render_aovs(
    scene: Any,
    table: InlineTable,
    camera: Any,
    window: Window,
    names: tuple[str, ...],
    spp: int,
    seed: int,
    pass_samples: int,
    after: Any = None,
    volume: Volume | None = None,
) -> dict[str, np.ndarray]:
    """Means over the pixel along the same primary rays that the path tracer takes.

    `alpha` is how much of the pixel shows anything that is no light, `depth` the distance along the
    ray from the near plane, `normal` the shading normal in world space, `albedo` of a field its
    colour, `motion` how many pixels the point seen moves right and down in the picture until the
    following frame, whose camera is `after`; where nothing is hit all others are 0. A path sees a
    field as often as the field hides what lies behind, and then one of its points.
    """
    if not names:
        return {}
    size = sum(CHANNELS.get(name, 1) for name in names)
    sums = np.zeros((window.width * window.height, size))
    numbers = _number(scene)
    lenses = (projection(camera), projection(after or camera)) if "motion" in names else None
    guides = table.guides() if "albedo" in names else []
    for block in passes(window, spp, pass_samples):
        x, y, rng = start_paths(window, block, seed)
        ray, _ = primary_rays(camera, window, x, y, rng)
        si = scene.ray_intersect(ray, mi.RayFlags.All, True, True)
        field = seen(volume, ray, si.t, rng) if volume else None
        front = si if field is None else field.over(si)
        planes: list[Any] = []
        for name in names:
            if name == "motion" and lenses is not None:
                planes += _motion(ray, front, lenses, window)
            elif name == "alpha":
                planes += [_alpha(scene, ray, volume)]
            elif name == "albedo":
                albedo = _albedo(si, table, guides, camera, window)
                planes += list(albedo if field is None else field.colored(albedo))
            else:
                planes += _plane(name, front, numbers)
        dr.eval(planes)
        where = slice(block.first, block.first + block.pixels)
        for channel, (name, plane) in enumerate(zip(_spread(names), planes, strict=True)):
            _accumulate(sums[where, channel], name, plane, block)
    ids = [name in IDS for name in _spread(names)]
    sums[:, ~np.array(ids)] /= spp
    means = sums.reshape(window.height, window.width, size).astype(np.float32)
    result, at = {}, 0
    for name in names:
        count = CHANNELS.get(name, 1)
        if name in IDS:
            result[name] = means[..., at]
        else:
            result[name] = means[..., at] if count == 1 else means[..., at : at + count]
        at += count
    return result


def _alpha(scene: Any, ray: Any, volume: Volume | None) -> Any:
    """Whether a ray meets a surface, or else what fields take of its light."""
    met = scene.ray_test(past_emitters(scene, ray))
    behind: Any = mi.Float(0.0)
    if volume:
        behind = 1.0 - volume.transmittance(ray, mi.Float(dr.inf), mi.Float(0.5), ~met)
    return dr.select(met, 1.0, behind)


def _spread(names: tuple[str, ...]) -> list[str]:
    return [name for name in names for _ in range(CHANNELS.get(name, 1))]


def _accumulate(sums: np.ndarray, name: str, plane: Any, block: Block) -> None:
    if name in IDS:
        if block.sample == 0:
            sums += plane.numpy().reshape(block.pixels, block.samples)[:, 0]
        return
    groups = dr.block_sum(plane, block.group).numpy().reshape(block.pixels, -1)
    for group in range(groups.shape[1]):
        sums += groups[:, group]


def _plane(name: str, si: Any, numbers: _Numbers) -> list[Any]:
    """The channels of one AOV, a Float per path."""
    hit = si.is_valid()
    if name == "depth":
        return [dr.select(hit, si.t, 0.0)]
    if name == "position":
        return list(dr.select(hit, si.p, 0.0))
    if name == "normal":
        return list(dr.select(hit, si.sh_frame.n, 0.0))
    if name == "uv":
        return list(dr.select(hit, si.uv, 0.0))
    return [numbers.of(name, si)]


@dataclass(frozen=True)
class Projection:
    """Where a camera without distortion puts points: (u, v, 1) t = matrix (p - origin)."""

    origin: np.ndarray  # (3,)
    matrix: np.ndarray  # (3, 3)

    def __call__(self, p: Any, far: Any) -> tuple[Any, Any, Any]:
        """Place (u, v) in the picture, 0 to 1, and whether it is before the camera.

        `far` says where `p` is a direction towards something infinitely far away.
        """
        line = dr.select(far, p, p - mi.Vector3f(*map(float, self.origin)))
        x, y, t = (dr.dot(mi.Vector3f(*map(float, row)), line) for row in self.matrix)
        before = t > 0.0
        scale = dr.select(before, dr.rcp(t), 0.0)
        return x * scale, y * scale, before


def projection(sensor: Any) -> Projection:
    """From the rays through three corners of the picture."""
    if sensor.class_name() not in ("PerspectiveCamera", "ThinLensCamera"):
        raise InputError("aov motion", "needs a perspective camera", got=sensor.class_name())
    corners = mi.Point2f([0.0, 1.0, 0.0], [0.0, 0.0, 1.0])
    ray, _ = sensor.sample_ray(
        mi.Float(sensor.shutter_open()), mi.Float(0.5), corners, mi.Point2f(0.5)
    )
    world = np.array(sensor.world_transform().matrix, np.float64).reshape(4, 4)
    d = np.array(ray.d, np.float64).reshape(3, 3)  # a column each
    d = d / (world[:3, 2] @ d)  # on the plane at distance one
    basis = np.stack([d[:, 1] - d[:, 0], d[:, 2] - d[:, 0], d[:, 0]], 1)
    return Projection(world[:3, 3], np.linalg.inv(basis))


def _motion(ray: Any, si: Any, lenses: tuple[Projection, Projection], window: Window) -> list[Any]:
    """Way in pixels from this frame's camera to the next one's."""
    now, after = lenses
    far = ~si.is_valid()
    place = dr.select(far, mi.Vector3f(ray.d), mi.Vector3f(si.p))
    (x, y, seen), (u, v, there) = now(place, far), after(place, far)
    both = seen & there
    size = (float(window.full_width), float(window.full_height))
    return [
        dr.select(both, (b - a) * side, 0.0) for a, b, side in ((x, u, size[0]), (y, v, size[1]))
    ]


def _albedo(si: Any, table: InlineTable, guides: list[Any], camera: Any, window: Window) -> Any:
    """Directional albedo of the material: exact for diffuse ones, an estimate for the rest."""
    hit, bsdf = si.is_valid(), si.bsdf()
    number = table.lookup(bsdf, hit) if table else mi.UInt(NONE)
    with table.detached():
        albedo = mi.Color3f(bsdf.eval_diffuse_reflectance(si, hit & (number == NONE)))
    if table:
        wi = mi.Vector3f(si.wi.x, si.wi.y, dr.abs(si.wi.z))
        side = footprint(si, pixel_cone(camera, window)).side
        point = ShadingPoint(mi.Point2f(si.uv), wi, side)
        albedo = table.albedo(number, point, albedo, guides)
    return dr.select(hit, albedo, 0.0)


@dataclass(frozen=True)
class _Numbers:
    """Buffers from the registry number of a shape to its place in the scene and its material's."""

    shape: Any
    material: Any

    def of(self, name: str, si: Any) -> Any:
        """The wanted number of the shape hit, as Float."""
        table = self.material if name == "material_id" else self.shape
        number = dr.reinterpret_array(mi.UInt, si.shape)
        inside = si.is_valid() & (number < dr.width(table))
        return dr.select(inside, dr.gather(mi.Float, table, number, inside), -1.0)


def _number(scene: Any) -> _Numbers:
    """Shapes in scene order; materials in the order in which shapes show them first."""
    materials: list[Any] = []
    rows = []
    for place, shape in enumerate(shown_shapes(scene)):
        bsdf = shape.bsdf()
        if all(bsdf is not other for other in materials):
            materials.append(bsdf)
        kind = next(k for k, other in enumerate(materials) if other is bsdf)
        rows.append((int(dr.reinterpret_array(mi.UInt, mi.ShapePtr(shape))[0]), place, kind))
    buffers = np.full((2, max((row[0] for row in rows), default=0) + 1), -1.0, np.float32)
    for number, place, kind in rows:
        buffers[:, number] = place, kind
    return _Numbers(mi.Float(buffers[0]), mi.Float(buffers[1]))
