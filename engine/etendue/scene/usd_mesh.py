"""Meshes of a USD stage as glTF primitives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from etendue.core.errors import InputError
from etendue.scene.mesh import unit_rows

if TYPE_CHECKING:
    from etendue.scene.usd import Document
    from etendue.scene.usd_surface import Surfaces

ROUND = 48  # segments of a round light
UV_NAMES = ("st", "UVMap", "st0", "map1", "uv")


def add_mesh(document: Document, surfaces: Surfaces, prim: Any, matrix: np.ndarray) -> None:
    """A mesh, with a primitive for every material that its subsets bind."""
    from pxr import UsdGeom, UsdShade

    mesh = UsdGeom.Mesh(prim)
    points = np.array(mesh.GetPointsAttr().Get() or [], np.float32).reshape(-1, 3)
    counts = np.array(mesh.GetFaceVertexCountsAttr().Get() or [], np.int64)
    corners = np.array(mesh.GetFaceVertexIndicesAttr().Get() or [], np.int64)
    _check(prim, points, counts, corners)
    triangles, face = _fans(counts)
    if mesh.GetOrientationAttr().Get() == UsdGeom.Tokens.leftHanded:
        triangles = triangles[:, ::-1]
    if not len(triangles):
        document.notes[f"{prim.GetPath()} has no faces, skipped"] = None
        return
    subdivided = mesh.GetSubdivisionSchemeAttr().Get() != UsdGeom.Tokens.none
    if subdivided:
        document.notes["subdivision is not applied; the cage is shown, smoothly shaded"] = None
    uv = _uv(prim, corners, counts)
    normals = _normals(mesh, prim, corners, counts)
    if normals is None and subdivided:
        normals = _smooth(points, corners[triangles])[corners]
    bindings = UsdShade.MaterialBindingAPI(prim)
    groups: list[tuple[Any, np.ndarray]] = []
    rest = np.ones(len(counts), bool)
    for subset in bindings.GetMaterialBindSubsets():
        chosen = np.zeros(len(counts), bool)
        chosen[np.array(subset.GetIndicesAttr().Get() or [], np.int64)] = True
        groups.append((subset.GetPrim(), chosen & rest))
        rest &= ~chosen
    primitives = []
    for owner, chosen in [*groups, (prim, rest)]:
        mine = triangles[chosen[face]]
        if len(mine):
            number = surfaces.number(owner, prim)
            primitives.append(_primitive(document, points, corners, mine, normals, uv, number))
    number = document.add("meshes", {"primitives": primitives})
    document.node(str(prim.GetName()), matrix, mesh=number)


def _check(prim: Any, points: np.ndarray, counts: np.ndarray, corners: np.ndarray) -> None:
    if counts.sum() != len(corners) or (counts < 0).any():
        raise InputError(
            prim.GetPath(), "has faces that do not fit their corners", got=len(corners),
            expected=int(counts.sum()),
        )  # fmt: skip
    if len(corners) and not (0 <= corners.min() and corners.max() < len(points)):
        raise InputError(
            prim.GetPath(), "has a vertex index out of range", got=int(corners.max()),
            expected=f"0 to {len(points) - 1}",
        )  # fmt: skip


def _fans(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Triangles (m, 3) as numbers of corners, and the face of each."""
    pieces = np.maximum(counts - 2, 0)
    face = np.repeat(np.arange(len(counts)), pieces)
    first = np.concatenate([[0], np.cumsum(counts)])[:-1][face]
    step = np.arange(len(face)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    return np.stack([first, first + step + 1, first + step + 2], 1), face


def _per_corner(
    values: np.ndarray, interpolation: str, corners: np.ndarray, counts: np.ndarray
) -> np.ndarray | None:
    """Values at every corner, None where their number fits nothing."""
    sizes = {"faceVarying": len(corners), "uniform": len(counts), "constant": 1}
    if interpolation in ("vertex", "varying"):
        fits = not len(corners) or len(values) > corners.max()
        return values[corners] if fits else None
    if len(values) != sizes.get(interpolation, -1):
        return None
    if interpolation == "uniform":
        return np.repeat(values, counts, 0)
    return np.repeat(values, len(corners), 0) if interpolation == "constant" else values


def _uv(prim: Any, corners: np.ndarray, counts: np.ndarray) -> np.ndarray | None:
    """Texture coordinates at the corners, v downwards."""
    from pxr import UsdGeom

    found = UsdGeom.PrimvarsAPI(prim)
    for name in UV_NAMES:
        primvar = found.FindPrimvarWithInheritance(name)
        if primvar and primvar.HasValue():
            flat = np.array(primvar.ComputeFlattened(), np.float32).reshape(-1, 2)
            uv = _per_corner(flat, primvar.GetInterpolation(), corners, counts)
            return None if uv is None else np.stack([uv[:, 0], 1 - uv[:, 1]], 1)
    return None


def _normals(mesh: Any, prim: Any, corners: np.ndarray, counts: np.ndarray) -> np.ndarray | None:
    from pxr import UsdGeom

    primvar = UsdGeom.PrimvarsAPI(prim).GetPrimvar("normals")
    if primvar and primvar.HasValue():
        values, kind = primvar.ComputeFlattened(), primvar.GetInterpolation()
    else:
        values, kind = mesh.GetNormalsAttr().Get(), mesh.GetNormalsInterpolation()
    if not values:
        return None
    rows = np.array(values, np.float64).reshape(-1, 3)
    found = _per_corner(rows, kind, corners, counts)
    return None if found is None else unit_rows(found)


def _smooth(points: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Normals of the points: those of the faces around, by area."""
    a, b, c = (points[faces[:, k]].astype(np.float64) for k in range(3))
    across = np.cross(b - a, c - a)
    total = np.zeros((len(points), 3))
    for k in range(3):
        np.add.at(total, faces[:, k], across)
    return unit_rows(total)


def _primitive(
    document: Document,
    points: np.ndarray,
    corners: np.ndarray,
    triangles: np.ndarray,
    normals: np.ndarray | None,
    uv: np.ndarray | None,
    material: int | None,
) -> dict[str, Any]:
    """Corners that are equal in everything become one vertex."""
    used = triangles.ravel()
    columns = [points[corners[used]]]
    columns += [normals[used].astype(np.float32)] if normals is not None else []
    columns += [uv[used]] if uv is not None else []
    rows, places = np.unique(np.concatenate(columns, 1), axis=0, return_inverse=True)
    attributes = {"POSITION": document.accessor(rows[:, :3])}
    if normals is not None:
        attributes["NORMAL"] = document.accessor(rows[:, 3:6])
    if uv is not None:
        attributes["TEXCOORD_0"] = document.accessor(rows[:, -2:])
    indices = document.accessor(places.reshape(-1).astype(np.uint32))
    found: dict[str, Any] = {"attributes": attributes, "indices": indices}
    return found if material is None else {**found, "material": material}


def light_mesh(kind: str, size: dict[str, float]) -> tuple[np.ndarray, np.ndarray, float]:
    """(positions, faces, area) of a light's surface; flat ones shine along -z."""
    turn = np.linspace(0, 2 * np.pi, ROUND, endpoint=False)
    ring = np.stack([np.cos(turn), np.sin(turn), np.zeros(ROUND)], 1)
    k, after = np.arange(ROUND), (np.arange(ROUND) + 1) % ROUND
    if kind == "RectLight":
        w, h = size["width"] / 2, size["height"] / 2
        corners = np.array([[-w, -h, 0], [-w, h, 0], [w, h, 0], [w, -h, 0]])
        return corners, np.array([[0, 1, 2], [0, 2, 3]]), 4 * w * h
    r = size["radius"]
    if kind == "DiskLight":
        disk = np.concatenate([r * ring, [[0, 0, 0]]])
        faces = np.stack([np.full(ROUND, ROUND), after, k], 1)
        return disk, faces, float(np.pi * r * r)
    if kind == "CylinderLight":
        half = np.array([[size["length"] / 2, 0, 0]])
        hoop = r * ring[:, [2, 0, 1]]
        faces = [[k, after, after + ROUND], [k, after + ROUND, k + ROUND]]
        rows = np.concatenate([np.stack(f, 1) for f in faces])
        return (
            np.concatenate([hoop + half, hoop - half]), rows[:, ::-1],
            float(2 * np.pi * r * size["length"]),
        )  # fmt: skip
    from trimesh.creation import icosphere

    ball = icosphere(subdivisions=3, radius=r)
    return np.array(ball.vertices), np.array(ball.faces), float(4 * np.pi * r * r)
