"""The path tracer once more, slow and readable: one path at a time in plain Python.

Oracle of `drjit`, and the fallback where no LLVM can be used. It runs on a scene of the variant
`scalar_rgb`; Mitsuba's own materials answer through their scalar interface, inline ones through
their numpy twins.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import mitsuba as mi
import numpy as np

from etendue.core.errors import InputError
from etendue.render.film import Accumulator, Film
from etendue.render.path.footprint import GRAZING, LONGEST
from etendue.render.path.interrupt import Interrupt

RR_MAX = 0.95  # as in `loop`
SPREAD_PER_LOBE = 0.1


class NumpyBSDF(Protocol):
    """A material of `bsdf.base` without Dr.Jit: directions are arrays of three, wi.z > 0."""

    def eval(
        self,
        uv: np.ndarray,
        wi: np.ndarray,
        wo: np.ndarray,
        footprint: float,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """RGB value of f |cos theta_o|, perhaps an unbiased estimate."""
        ...

    def pdf(self, uv: np.ndarray, wi: np.ndarray, wo: np.ndarray, footprint: float) -> float:
        """Density of `sample` (1/sr)."""
        ...

    def sample(
        self, uv: np.ndarray, wi: np.ndarray, u: np.ndarray, footprint: float
    ) -> tuple[np.ndarray, float]:
        """Direction drawn from three uniform numbers, and its density (0 = failed)."""
        ...


@dataclass(frozen=True)
class Tracer:
    """What all paths share."""

    scene: Any
    inline: Mapping[str, NumpyBSDF] = field(default_factory=dict)  # by shape name
    max_depth: int = 8
    rr_depth: int = 5
    strategy: str = "mis"

    def radiance(
        self, ray: Any, width: float, spread: float, rng: np.random.Generator
    ) -> np.ndarray:
        """Radiance along a ray whose cone has `width` at its origin and the angle `spread`."""
        found, throughput = np.zeros(3), np.ones(3)
        origin, pdf, delta = None, 1.0, True
        eta, depth = 1.0, 0
        absorption = np.zeros(3)  # of the solid that the ray is in
        while True:
            si = self.scene.ray_intersect(ray)
            if absorption.any():
                throughput = throughput * transmittance(absorption, float(si.t))
            # light where the ray ends
            found += throughput * self._emission(si, origin, pdf, delta)
            if not si.is_valid() or 0 <= self.max_depth <= depth + 1:
                return found
            surface = Surface.at(self, si, width, spread, rng)
            # light from a point on a lamp
            found += throughput * self._direct(surface, absorption, rng)
            # on to the next surface
            wo, pdf, weight, delta, ratio = surface.sample(rng)
            absorption = surface.beyond(wo, absorption)
            throughput = throughput * weight
            if throughput.max() <= 0.0:
                return found
            eta *= ratio
            depth += 1
            if depth >= self.rr_depth:
                survive = min(float(throughput.max()) * eta * eta, RR_MAX)
                if rng.random() >= survive:
                    return found
                throughput = throughput / survive
            width += spread * si.t
            spread += 0.0 if delta else SPREAD_PER_LOBE / math.sqrt(max(pdf, 1e-4))
            origin = si.p
            ray = si.spawn_ray(si.to_world(mi.Vector3f(*wo)))

    def _emission(self, si: Any, origin: Any, pdf: float, delta: bool) -> np.ndarray:
        emitter = si.emitter(self.scene)
        if emitter is None or (self.strategy == "light" and not delta):
            return np.zeros(3)
        weight = 1.0
        if self.strategy == "mis" and not delta:
            reference = mi.Interaction3f()
            reference.p = origin
            ds = mi.DirectionSample3f(self.scene, si, reference)
            weight = mis_weight(pdf, self.scene.pdf_emitter_direction(reference, ds))
        return weight * np.array(emitter.eval(si))

    def _direct(
        self, surface: Surface, absorption: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        si = surface.si
        ds, emitted = self.scene.sample_emitter_direction(si, mi.Point2f(rng.random(2)), True)
        if ds.pdf == 0.0 or (self.strategy == "bsdf" and not ds.delta):
            return np.zeros(3)
        wo = np.array(si.to_local(ds.d))
        value, pdf = surface.eval_pdf(wo, rng)
        weight = 1.0
        if self.strategy == "mis" and not ds.delta:
            weight = mis_weight(ds.pdf, pdf)
        endless = mi.has_flag(ds.emitter.flags(), mi.EmitterFlags.Infinite)
        length = math.inf if endless else float(ds.dist)
        passed = transmittance(surface.beyond(wo, absorption), length)
        return weight * value * passed * np.array(emitted)


@dataclass(frozen=True)
class Surface:
    """The material at a vertex: Mitsuba's (`twin` is None) or an inline one."""

    si: Any
    twin: NumpyBSDF | None
    uv: np.ndarray
    wi: np.ndarray
    side: float  # sign that turns directions so that wi.z > 0
    footprint: float

    @classmethod
    def at(
        cls, tracer: Tracer, si: Any, width: float, spread: float, rng: np.random.Generator
    ) -> Surface:
        """The surface that a ray with this cone has hit."""
        wi = np.array(si.wi)
        side = 1.0 if wi[2] >= 0 else -1.0
        twin = tracer.inline.get(si.shape.id())
        if bounds_solid(twin):
            side = 1.0
        square, axis = uv_footprint(si, width + spread * si.t)
        uv = np.array(si.uv) + (rng.random() - 0.5) * axis
        return cls(si, twin, uv, wi * [1.0, 1.0, side], side, square)

    def eval_pdf(self, wo: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, float]:
        """Value of f |cos| and density of a direction in the shading frame."""
        if self.twin is None:
            context, direction = mi.BSDFContext(), mi.Vector3f(*wo)
            bsdf = self.si.bsdf()
            value = np.array(bsdf.eval(context, self.si, direction))
            return value, float(bsdf.pdf(context, self.si, direction))
        up = wo * [1.0, 1.0, self.side]
        if not transmits(self.twin) and (self.wi[2] <= 0.0 or up[2] <= 0.0):
            return np.zeros(3), 0.0
        value = self.twin.eval(self.uv, self.wi, up, self.footprint, rng)
        return value, self.twin.pdf(self.uv, self.wi, up, self.footprint)

    def sample(self, rng: np.random.Generator) -> tuple[np.ndarray, float, np.ndarray, bool, float]:
        """Direction, density, weight, whether it is a delta, and the relative index crossed."""
        u = rng.random(3)
        if self.twin is None:
            drawn, weight = self.si.bsdf().sample(
                mi.BSDFContext(), self.si, float(u[0]), mi.Point2f(u[1:])
            )
            delta = mi.has_flag(drawn.sampled_type, mi.BSDFFlags.Delta)
            return np.array(drawn.wo), float(drawn.pdf), np.array(weight), delta, float(drawn.eta)
        if transmits(self.twin):
            d = self.twin.draw(self.uv, self.wi, u, self.footprint, rng)  # type: ignore[attr-defined]
            return d.wo * [1.0, 1.0, self.side], d.pdf, d.weight, d.delta, d.eta
        failed = (np.array([0.0, 0.0, 1.0]), 0.0, np.zeros(3), False, 1.0)
        if self.wi[2] <= 0.0:
            return failed
        wo, pdf = self.twin.sample(self.uv, self.wi, u, self.footprint)
        if pdf <= 0.0:
            return failed
        weight = self.twin.eval(self.uv, self.wi, wo, self.footprint, rng) / pdf
        return wo * [1.0, 1.0, self.side], pdf, weight, False, 1.0

    def beyond(self, wo: np.ndarray, absorption: np.ndarray) -> np.ndarray:
        """Absorption along `wo`: changed where the boundary of a solid is crossed."""
        if not bounds_solid(self.twin) or wo[2] * float(self.si.wi.z) >= 0.0:
            return absorption
        inside = self.twin.absorption  # type: ignore[union-attr]
        return inside if wo[2] < 0.0 else np.zeros(3)


def transmits(twin: NumpyBSDF | None) -> bool:
    """Whether light passes through the material: it then has `draw` instead of `sample`."""
    return bool(getattr(twin, "transmits", False))


def bounds_solid(twin: NumpyBSDF | None) -> bool:
    """Whether the material's two sides differ."""
    return transmits(twin) and not twin.two_sided  # type: ignore[union-attr]


def transmittance(absorption: np.ndarray, length: float) -> np.ndarray:
    """Beer's exp(-absorption length)."""
    return np.array([math.exp(-a * length) if a > 0.0 else 1.0 for a in absorption])


def uv_footprint(si: Any, width: float) -> tuple[float, np.ndarray]:
    """As `footprint.footprint`: side of the filtered square, axis that it is moved along."""
    w = np.array(si.wi)
    s, t, du, dv = (np.array(x) for x in (si.sh_frame.s, si.sh_frame.t, si.dp_du, si.dp_dv))
    slant = math.hypot(w[0], w[1])
    x, y = (w[0] / slant, w[1] / slant) if slant > 1e-6 else (1.0, 0.0)
    jacobian = np.stack([du, dv], 1)
    if np.linalg.norm(np.cross(du, dv)) == 0.0:
        return 0.0, np.zeros(2)
    inverse = np.linalg.pinv(jacobian)
    a = inverse @ (s * x + t * y) * width / max(abs(w[2]), GRAZING)
    b = inverse @ (t * x - s * y) * width
    longer = a if a @ a > b @ b else b
    length = math.hypot(longer[0], longer[1])
    if length == 0.0:
        return 0.0, np.zeros(2)
    side = min(max(abs(a[0] * b[1] - a[1] * b[0]) / length, length / LONGEST), length)
    return side, longer * (1.0 - side / length)


def mis_weight(a: float, b: float) -> float:
    """Power heuristic (Veach 1995)."""
    return a * a / (a * a + b * b) if a > 0.0 else 0.0


def render(
    scene: Any,
    inline: Mapping[str, NumpyBSDF] | None = None,
    *,
    spp: int,
    seed: int = 0,
    max_depth: int = 8,
    rr_depth: int = 5,
    aovs: tuple[str, ...] = (),
    sensor: int = 0,
    strategy: str = "mis",
    progress: Callable[[int, int], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Film:
    """As `drjit.render`, with numpy twins by shape name as `inline` and no auxiliary images."""
    if aovs:
        raise InputError("aov", "is not available in this path tracer", got=", ".join(aovs))
    if mi.variant() != "scalar_rgb":
        raise InputError("variant", "does not fit", got=mi.variant(), expected="scalar_rgb")
    if spp < 1:
        raise InputError("spp", "is too small", got=spp, expected="at least 1")
    tracer = Tracer(scene, inline or {}, max_depth, rr_depth, strategy)
    camera = scene.sensors()[sensor]
    width, height = (int(side) for side in camera.film().crop_size())
    sums = Accumulator(height, width)
    cone = pixel_cone(camera, width, height)
    with Interrupt(cancel) as stop:
        for pixel in range(width * height):
            if stop():
                break
            rng = np.random.default_rng((seed, pixel))
            total, invalid = np.zeros(6), 0
            for _ in range(spp):
                at = np.array([pixel % width, pixel // width]) + rng.random(2)
                ray, weight = _camera_ray(camera, at / (width, height), rng)
                found = np.array(weight) * tracer.radiance(ray, *cone, rng)
                if not np.isfinite(found).all():
                    found, invalid = np.zeros(3), invalid + 1
                total += np.concatenate([found, found * found])
            sums.add(pixel, total[None, None], spp, invalid)
            if progress is not None:
                progress((pixel + 1) * spp, width * height * spp)
    return sums.film(spp, seed, None, {"max_depth": max_depth, "strategy": strategy})


def _camera_ray(camera: Any, at: np.ndarray, rng: np.random.Generator) -> tuple[Any, Any]:
    aperture = rng.random(2) if camera.needs_aperture_sample() else np.full(2, 0.5)
    return camera.sample_ray(camera.shutter_open(), 0.5, mi.Point2f(at), mi.Point2f(aperture))


def pixel_cone(camera: Any, width: int, height: int) -> tuple[float, float]:
    """Width and spread of the cone through the pixel at the centre of the picture."""
    steps = np.array([[0.0, 0.0], [1.0 / width, 0.0], [0.0, 1.0 / height]]) + 0.5
    rays = [
        camera.sample_ray(camera.shutter_open(), 0.5, mi.Point2f(at), mi.Point2f(0.5))[0]
        for at in steps
    ]
    o, d = (np.array([getattr(ray, name) for ray in rays]) for name in ("o", "d"))
    area = [float(np.linalg.norm(np.cross(x[1] - x[0], x[2] - x[0]))) for x in (o, d)]
    return math.sqrt(area[0]), math.sqrt(area[1])
