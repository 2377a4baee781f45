"""Writes the meshes and the environment of assets/scenes (original work, deterministic).

    python tools/make_scene.py [--out assets/scenes]

A ball with turned grooves in a ring on a plinth, a curved swatch and a sweep behind them. Texture
coordinates are laid so that one tile is a quarter of the ball's girth everywhere; v = 0 is the top
of an image and u grows to the right seen from outside.
"""

from __future__ import annotations

import argparse
import struct
from pathlib import Path

import numpy as np

TILE = np.pi / 2  # side of one texture tile on the unit ball


def revolve(
    profile: np.ndarray, normals: np.ndarray, v: np.ndarray, segments: int, repeats: int
) -> dict[str, np.ndarray]:
    """Turn (radius, height) samples about +y; the seam and the poles get their own vertices."""
    angle = 2 * np.pi * np.arange(segments + 1) / segments
    ring = np.stack([np.sin(angle), np.zeros_like(angle), np.cos(angle)], -1)
    up = np.array([0.0, 1.0, 0.0])
    p = profile[:, None, :1] * ring + profile[:, None, 1:] * up
    n = normals[:, None, :1] * ring + normals[:, None, 1:] * up
    u = np.broadcast_to(repeats * np.arange(segments + 1) / segments, p.shape[:2])
    uv = np.stack([u, np.broadcast_to(v[:, None], p.shape[:2])], -1)
    return grid(p, n, uv)


def grid(p: np.ndarray, n: np.ndarray, uv: np.ndarray) -> dict[str, np.ndarray]:
    """Triangles over a (rows, columns) lattice, rows downward; degenerate ones left out."""
    rows, columns = p.shape[:2]
    i, j = np.meshgrid(np.arange(rows - 1), np.arange(columns - 1), indexing="ij")
    a, b = i * columns + j, i * columns + j + 1
    c, d = a + columns, b + columns
    faces = np.stack([np.stack([a, c, d], -1), np.stack([a, d, b], -1)], 2).reshape(-1, 3)
    points = p.reshape(-1, 3)
    corners = points[faces]
    area = np.linalg.norm(
        np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1
    )
    return {
        "p": points,
        "n": n.reshape(-1, 3) / np.linalg.norm(n.reshape(-1, 3), axis=1, keepdims=True),
        "uv": uv.reshape(-1, 2),
        "f": faces[area > 1e-9],
    }


def turned(radius: np.ndarray, height: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Profile, outward normals and arc length of a curve that runs from top to bottom."""
    profile = np.stack([radius, height], -1)
    tangent = np.gradient(profile, axis=0)
    normals = np.stack([-tangent[:, 1], tangent[:, 0]], -1)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(profile, axis=0), axis=1))])
    return profile, normals, length


def ball() -> dict[str, np.ndarray]:
    """Unit ball with two turned grooves, its axis leaned back so that no pole is in view."""
    fine = np.linspace(0.0, np.pi, 4001)

    def groove(t: np.ndarray, centre: float) -> np.ndarray:
        x = np.clip(np.abs(t - centre) / 0.085, 0.0, 1.0)
        return (1 - x * x) ** 3

    def curve(t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        r = 1.0 - 0.045 * (groove(t, 0.95) + groove(t, 2.06))
        return r * np.sin(t), r * np.cos(t)

    density = 1.0 + 4.0 * ((groove(fine, 0.95) + groove(fine, 2.06)) > 0)
    walk = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2)])
    theta = np.interp(np.linspace(0.0, walk[-1], 73), walk, fine)
    _, normals, length = turned(*curve(fine))
    mesh = revolve(
        np.stack(curve(theta), -1),
        np.stack([np.interp(theta, fine, normals[:, k]) for k in (0, 1)], -1),
        np.interp(theta, fine, length) / TILE,
        88,
        4,
    )
    return rotated_x(mesh, -28.0)


def rotated_x(mesh: dict[str, np.ndarray], degrees: float) -> dict[str, np.ndarray]:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    m = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    return {**mesh, "p": mesh["p"] @ m.T, "n": mesh["n"] @ m.T}


def ring(major: float = 0.94, minor: float = 0.24) -> dict[str, np.ndarray]:
    """Torus; v runs from its top over the outside."""
    t = np.linspace(0.0, 2 * np.pi, 37)
    profile = np.stack([major + minor * np.sin(t), minor * np.cos(t)], -1)
    normals = np.stack([np.sin(t), np.cos(t)], -1)
    return revolve(profile, normals, t / (2 * np.pi), 96, 4)


def plinth(
    radius: float = 1.75, height: float = 0.22, bevel: float = 0.09
) -> dict[str, np.ndarray]:
    """Low disc with a rounded edge, top at y = 0."""
    t = np.linspace(0.0, np.pi / 2, 9)
    r = np.concatenate([[0.0, radius * 0.5], radius - bevel + bevel * np.sin(t), [radius]])
    h = np.concatenate([[0.0, 0.0], bevel * (np.cos(t) - 1.0), [-height]])
    edge = np.stack([np.sin(t), np.cos(t)], -1)
    normals = np.concatenate([[[0.0, 1.0], [0.0, 1.0]], edge, [[1.0, 0.0]]])
    _, _, length = turned(r, h)
    return revolve(np.stack([r, h], -1), normals, length / TILE, 128, 6)


def swatch(width: float = 1.4, length: float = 1.75, bend: float = 0.8) -> dict[str, np.ndarray]:
    """Sheet rolled forward at the foot and back at the top; y up, facing +z."""
    s = np.linspace(0.0, 1.0, 33)  # from the top down
    lean = np.radians(-8.0) + bend * (1.6 * s**2 - 0.55 * (1 - s) ** 2)
    step = length / (len(s) - 1)
    z = np.concatenate([[0.0], np.cumsum(np.sin((lean[1:] + lean[:-1]) / 2) * step)])
    y = np.concatenate([[0.0], np.cumsum(-np.cos((lean[1:] + lean[:-1]) / 2) * step)])
    x = np.linspace(-width / 2, width / 2, 3)
    p = np.stack(np.broadcast_arrays(x[None], (y - y[-1])[:, None], z[:, None]), -1)
    n = np.stack(
        np.broadcast_arrays(np.zeros((1, 3)), np.sin(lean)[:, None], np.cos(lean)[:, None]), -1
    )
    uv = np.stack(np.broadcast_arrays(x[None] / TILE, (s * length / TILE)[:, None]), -1)
    return grid(p, n, uv)


def sweep(width: float = 24.0, depth: float = 9.0, bend: float = 3.0) -> dict[str, np.ndarray]:
    """Floor that curves up into a wall behind the scene; floor at y = 0, wall at z = -5."""
    t = np.linspace(0.0, np.pi / 2, 25)
    back = -5.0
    z = np.concatenate([[back], back + bend - bend * np.cos(t), [back + bend + depth]])
    y = np.concatenate([[10.0], bend - bend * np.sin(t), [0.0]])
    ny = np.concatenate([[0.0], np.sin(t), [1.0]])
    nz = np.concatenate([[1.0], np.cos(t), [0.0]])
    x = np.array([-width / 2, width / 2])
    p = np.stack(np.broadcast_arrays(x[None], y[:, None], z[:, None]), -1)
    n = np.stack(np.broadcast_arrays(np.zeros((1, 2)), ny[:, None], nz[:, None]), -1)
    _, _, length = turned(z, y)
    uv = np.stack(np.broadcast_arrays(x[None] / TILE, length[:, None] / TILE), -1)
    return grid(p, n, uv)


def write_ply(path: Path, mesh: dict[str, np.ndarray]) -> None:
    """Binary little-endian PLY with normals and (u, v)."""
    names = ("x", "y", "z", "nx", "ny", "nz", "u", "v")
    vertices = np.concatenate([mesh["p"], mesh["n"], mesh["uv"]], 1).astype("<f4")
    faces = mesh["f"]
    kind, code = ("uint", "<i4") if len(vertices) > 65535 else ("ushort", "<u2")
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {len(vertices)}"]
    header += [f"property float {name}" for name in names]
    header += [f"element face {len(faces)}", f"property list uchar {kind} vertex_indices"]
    header += ["end_header", ""]
    rows = np.empty(len(faces), [("n", "u1"), ("i", code, 3)])
    rows["n"], rows["i"] = 3, faces
    path.write_bytes("\n".join(header).encode() + vertices.tobytes() + rows.tobytes())
    print(f"{path}: {len(vertices)} vertices, {len(faces)} triangles")


def write_environment(path: Path, width: int = 64, height: int = 32) -> None:
    """Dim room as Radiance RGBE: cool above, a soft horizon, warm and dark below."""
    up = np.cos(np.pi * (np.arange(height) + 0.5) / height)[:, None, None]
    around = 0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(width) + 0.5) / width)[None, :, None]
    sky = np.array([0.30, 0.34, 0.40]) * (0.35 + 0.65 * np.clip(up, 0, 1))
    glow = np.array([0.40, 0.37, 0.33]) * np.exp(-((up - 0.05) ** 2) / 0.03) * (0.4 + 0.6 * around)
    ground = np.array([0.10, 0.09, 0.08])
    image = np.where(up > 0, sky, ground) + glow
    exponent = np.ceil(np.log2(image.max(-1, keepdims=True)))
    mantissa = np.clip(np.floor(image / 2.0**exponent * 256.0), 0, 255)
    texels = np.concatenate([mantissa, exponent + 128], -1).astype(np.uint8)
    header = f"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y {height} +X {width}\n".encode()
    lines = []
    for row in texels:
        lines.append(struct.pack("BBBB", 2, 2, width >> 8, width & 255))
        for channel in range(4):  # runs of literals, at most 128 each
            for start in range(0, width, 128):
                part = row[start : start + 128, channel]
                lines.append(bytes([len(part)]) + part.tobytes())
    path.write_bytes(header + b"".join(lines))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "assets/scenes")
    folder = parser.parse_args().out / "showcase"
    folder.mkdir(parents=True, exist_ok=True)
    makers = {"ball": ball, "ring": ring, "plinth": plinth, "swatch": swatch, "sweep": sweep}
    for name, make in makers.items():
        write_ply(folder / f"{name}.ply", make())
    write_environment(folder / "room.hdr")


if __name__ == "__main__":
    main()
