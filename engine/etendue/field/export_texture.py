"""Meshes of fields with a texture: an atlas of charts by xatlas, and a colour for each texel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from etendue.core.errors import DeviceError
from etendue.field.export import colors_at, encoded, surface, to_world
from etendue.field.file import Field

GUTTER = 2  # texels between charts


def textured_mesh(field: Field, size: int, level: float | None, pixels: int) -> Any:
    """A `trimesh.Trimesh` as `export.mesh` makes it, with a texture of about `pixels` a side.

    Vertices where charts meet are there twice, so `metadata["closed"]` says whether the surface is
    closed. Raises `DeviceError` without xatlas.
    """
    import trimesh
    from PIL import Image
    from trimesh.visual import TextureVisuals
    from trimesh.visual.material import PBRMaterial

    x, faces, outward = surface(field, size, level)
    source, charts, uv = _atlas(x, faces, pixels)
    rows = _texels(uv, charts, pixels)
    corners = source[charts[rows.face]]  # (texels, 3) vertices
    points = np.einsum("nk,nkc->nc", rows.weights, x[corners])
    normals = np.einsum("nk,nkc->nc", rows.weights, outward[corners])
    picture = _filled(encoded(colors_at(field, points, normals)), rows.place, pixels)
    material = PBRMaterial(
        name=field.name, baseColorTexture=Image.fromarray(picture),
        metallicFactor=0.0, roughnessFactor=1.0,
    )  # fmt: skip
    whole = trimesh.Trimesh(x, faces, process=False)
    return trimesh.Trimesh(
        to_world(field, x[source]), charts, process=False,
        visual=TextureVisuals(uv=uv, material=material),
        metadata={"closed": whole.is_watertight},
    )  # fmt: skip


def _atlas(x: np.ndarray, faces: np.ndarray, pixels: int) -> tuple[np.ndarray, ...]:
    """Vertex (n,) that each vertex of the charts is, their faces (m, 3), and places (n, 2)."""
    try:
        import xatlas
    except ImportError as error:
        raise DeviceError("--texture", "needs the package xatlas",
                          fix="pip install 'etendue[mesh]'") from error  # fmt: skip
    atlas, packing = xatlas.Atlas(), xatlas.PackOptions()
    packing.resolution, packing.padding = pixels, GUTTER
    atlas.add_mesh(x.astype(np.float32), faces.astype(np.uint32))
    atlas.generate(pack_options=packing)
    source, charts, uv = atlas[0]
    return source.astype(np.int64), charts.astype(np.int64), uv.astype(np.float64)


@dataclass(frozen=True)
class _Rows:
    """Texels that lie in charts: where, in which face, and with which weights of its corners."""

    place: np.ndarray  # (n,)
    face: np.ndarray  # (n,)
    weights: np.ndarray  # (n, 3)


def _texels(uv: np.ndarray, charts: np.ndarray, pixels: int) -> _Rows:
    """Rays straight down onto the charts, laid out flat, through the middles of all texels."""
    import mitsuba as mi

    flat = np.concatenate([uv, np.zeros((len(uv), 1))], 1).astype(np.float32)
    made = mi.Mesh("charts", len(flat), len(charts))
    parameters = mi.traverse(made)
    parameters["vertex_positions"] = mi.Float(flat.ravel())
    parameters["faces"] = mi.UInt32(charts.astype(np.uint32).ravel())
    parameters.update()
    middle = (np.arange(pixels, dtype=np.float32) + 0.5) / pixels
    u, v = (a.ravel() for a in np.meshgrid(middle, middle))
    rays = mi.Ray3f(mi.Point3f(mi.Float(u), mi.Float(v), 1.0), mi.Vector3f(0, 0, -1))
    met = mi.load_dict({"type": "scene", "charts": made}).ray_intersect_preliminary(rays)
    found = np.nonzero(np.array(met.is_valid()))[0]
    face = np.array(met.prim_index)[found].astype(np.int64)
    second, third = np.array(met.prim_uv)[:, found].astype(np.float64)
    return _Rows(found, face, np.stack([1 - second - third, second, third], 1))


def _filled(colors: np.ndarray, place: np.ndarray, pixels: int) -> np.ndarray:
    """The texture, row 0 at v = 1; texels beside the charts take the colour of the nearest one."""
    from scipy.ndimage import distance_transform_edt

    picture = np.zeros((pixels * pixels, 3), np.uint8)
    empty = np.ones(pixels * pixels, bool)
    picture[place], empty[place] = colors, False
    nearest: Any = distance_transform_edt(
        empty.reshape(pixels, pixels), return_distances=False, return_indices=True
    )
    rows, columns = nearest
    return np.ascontiguousarray(picture.reshape(pixels, pixels, 3)[rows, columns][::-1])
