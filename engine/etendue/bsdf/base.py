"""What the path tracer asks of a material that runs inline in its kernel.

Local shading frame, normal +z. `wi` points to the viewer, `wo` is sampled. `eval(wi, wo)` includes
|cos theta_o|. `pdf` is per solid angle. `sample` returns `wo`, `pdf` and weight = eval / pdf.
Radiance transport. The caller has flipped both directions so that `wi.z > 0`, except for solids
that transmit (`TransmittingBSDF.two_sided` is false), whose inside is below.

All types are Dr.Jit arrays of the active Mitsuba variant, hence `Any`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol


@dataclass
class ShadingPoint:
    """Where and from where a material is looked at (a Dr.Jit PyTree)."""

    uv: Any  # Point2f, v = 0 at the top of an image, wraps
    wi: Any  # Vector3f, unit, wi.z > 0
    footprint: Any  # Float, side of the pixel's footprint in uv units, 0 = point lookup


@dataclass
class BSDFSample:
    """A drawn direction; `weight` is 0 and `pdf` 0 where sampling failed."""

    wo: Any  # Vector3f
    pdf: Any  # Float, 1/sr
    weight: Any  # Color3f, eval / pdf
    # materials that transmit only
    delta: Any = None  # Bool, a direction without density: `pdf` is 1, no other draw can meet it
    eta: Any = None  # Float, index on the side of `wo` over that on the side of `wi`


class InlineBSDF(Protocol):
    """A material evaluated in the integrator body, never inside a virtual call.

    `rng` is a `mi.PCG32` whose state the call advances (pass it through loops). `eval` may be an
    unbiased estimate that consumes random numbers; `pdf` is exact and deterministic for what
    `sample` draws: no clamp, no floor. `f` is 0 for `wo.z <= 0`.
    """

    name: str

    def eval(self, p: ShadingPoint, wo: Any, rng: Any, active: Any) -> Any:
        """RGB value of f |cos theta_o| (Color3f), expectation over `rng`."""
        ...

    def pdf(self, p: ShadingPoint, wo: Any, active: Any) -> Any:
        """Density of `sample` (Float, 1/sr)."""
        ...

    def sample(self, p: ShadingPoint, u: Any, rng: Any, active: Any) -> BSDFSample:
        """Draw `wo` from `u` (Point3f: component, then two for the direction)."""
        ...

    def eval_pdf_sample(
        self, p: ShadingPoint, wo: Any, u: Any, rng: Any, active: Any
    ) -> tuple[Any, Any, BSDFSample]:
        """`eval` and `pdf` at `wo` and a new `sample`, sharing lookups; the renderer's one call."""
        ...

    def albedo(self, p: ShadingPoint, active: Any) -> Any:
        """Approximate reflectance for the denoiser's albedo AOV (Color3f)."""
        ...


class TransmittingBSDF(InlineBSDF, Protocol):
    """An `InlineBSDF` over the whole sphere: `f` may be positive for `wo.z < 0`.

    `eval` and `pdf` leave out delta directions; `sample` draws them too and fills in
    `BSDFSample.delta` and `BSDFSample.eta`.
    """

    transmits: bool  # True
    two_sided: bool  # a thin wall: the caller flips; a solid is told on which side it is seen
    absorption: tuple[float, float, float]  # inside a solid, per unit of scene length
