"""Triangle meshes as numpy arrays, and the few operations that importing needs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Mesh:
    """Triangles over shared vertices; without `normals` the surface is flat-shaded."""

    positions: np.ndarray  # float32 (n, 3)
    faces: np.ndarray  # uint32 (m, 3), counter-clockwise seen from outside
    normals: np.ndarray | None = None  # float32 (n, 3), unit
    uv: np.ndarray | None = None  # float32 (n, 2), v = 0 at the top of an image

    def transformed(self, matrix: np.ndarray) -> Mesh:
        """Apply a 4x4 affine map M: p' = M p, n' = (M^-T n) / |M^-T n|.

        A mirroring M reverses the faces so that they stay counter-clockwise.
        """
        linear = matrix[:3, :3]
        positions = self.positions.astype(np.float64) @ linear.T + matrix[:3, 3]
        normals, faces = self.normals, self.faces
        if np.linalg.det(linear) < 0:
            faces = np.ascontiguousarray(faces[:, ::-1])
        if normals is not None:
            normals = normals.astype(np.float64) @ _cofactors(linear).T
            if np.linalg.det(linear) < 0:
                normals = -normals
            normals = unit_rows(normals).astype(np.float32)
        return Mesh(positions.astype(np.float32), faces, normals, self.uv)


def _cofactors(a: np.ndarray) -> np.ndarray:
    """det(A) A^-T, which also exists for singular A."""
    return np.stack([np.cross(a[1], a[2]), np.cross(a[2], a[0]), np.cross(a[0], a[1])])


def unit_rows(vectors: np.ndarray) -> np.ndarray:
    """Normalise each row; a zero row becomes (0, 0, 1)."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.where(length > 0, length, 1.0)
    unit[length[:, 0] == 0] = (0.0, 0.0, 1.0)
    return unit


def triangles_of(indices: np.ndarray, mode: int) -> np.ndarray:
    """Faces (m, 3) of glTF primitive mode 4 (list), 5 (strip) or 6 (fan), degenerate ones dropped.

    Strips: triangle i is (i, i+1+i%2, i+2-i%2); fans: (i+1, i+2, 0) (glTF 2.0, section 3.7.2.1).
    """
    count = len(indices)
    if mode == 4:
        corners = np.arange(count - count % 3).reshape(-1, 3)
    else:
        i = np.arange(max(count - 2, 0))
        if mode == 5:
            corners = np.stack([i, i + 1 + i % 2, i + 2 - i % 2], 1)
        else:
            corners = np.stack([i + 1, i + 2, np.zeros_like(i)], 1)
    faces = indices[corners].reshape(-1, 3)
    a, b, c = faces.T
    return np.ascontiguousarray(faces[(a != b) & (b != c) & (c != a)].astype(np.uint32))
