"""What a pixel covers of a texture: the section of the path's cone with the surface, in uv units.

At a slant the section is a long ellipse. A square of the ellipse's width is given to the material,
which filters it, and the point it lies at is drawn evenly along the ellipse's length (`axis`): the
mean over samples is filtered anisotropically, without any lookup more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi

LONGEST = 16.0  # times its width; longer sections are filtered wider, so that few draws cover them
GRAZING = 1e-3  # least cosine


@dataclass
class Cone:
    """Footprint of the path: a cone around each ray (a Dr.Jit PyTree)."""

    width: Any  # Float, world units, at the ray's origin
    spread: Any  # Float, radians


@dataclass
class Footprint:
    """Where a surface is looked at (a Dr.Jit PyTree)."""

    side: Any  # Float, of the square that the material filters, uv units
    axis: Any  # Vector2f, centres of such squares lie up to half of it away on either side


def footprint(si: Any, cone: Cone | None) -> Footprint:
    """Section of `cone` with the surface; a surface without uv derivatives gets a point.

    The cone's diameter w across, and w / cos theta along the plane of incidence, are conjugate
    diameters of the section in uv space. The longer one is kept; the width beside it is what leaves
    the area as it is.
    """
    if cone is None:
        return Footprint(mi.Float(0.0), mi.Vector2f(0.0))
    width = cone.width + cone.spread * si.t
    flat = mi.Vector2f(si.wi.x, si.wi.y)
    slant = dr.norm(flat)
    toward = dr.select(slant > 1e-6, flat * dr.rcp(slant), mi.Vector2f(1.0, 0.0))
    frame = si.sh_frame
    along = frame.s * toward.x + frame.t * toward.y
    across = frame.t * toward.x - frame.s * toward.y
    e, f, g = dr.squared_norm(si.dp_du), dr.dot(si.dp_du, si.dp_dv), dr.squared_norm(si.dp_dv)
    determinant = e * g - f * f
    inverse = dr.select(determinant > 0.0, dr.rcp(determinant), 0.0)

    def to_uv(x: Any) -> Any:
        u, v = dr.dot(x, si.dp_du), dr.dot(x, si.dp_dv)
        return mi.Vector2f(g * u - f * v, e * v - f * u) * inverse

    a = to_uv(along) * (width * dr.rcp(dr.maximum(dr.abs(si.wi.z), GRAZING)))
    b = to_uv(across) * width
    area = dr.abs(a.x * b.y - a.y * b.x)
    longer = dr.select(dr.squared_norm(a) > dr.squared_norm(b), a, b)
    length = dr.norm(longer)
    safe = dr.maximum(length, 1e-20)
    side = dr.minimum(dr.maximum(area / safe, length / LONGEST), length)
    return Footprint(side, longer * (1.0 - side / safe))
