"""Writes the tileable textures of the materials in assets/materials.

    python tools/make_assets.py [--out assets/materials] [--size 512]

Everything is computed from fixed seeds with numpy; original work, CC0. The MaterialX documents that
use them are written by hand. A table of all files with SHA-256 is printed for assets/SOURCES.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import numpy as np

from etendue.core.image import write_bytes_image

Array = np.ndarray
JPEG_QUALITY = 91


# --- Tileable building blocks; fields are (n, n), row 0 = top, u to the right, v upwards ---


def grid(n: int) -> tuple[Array, Array]:
    centres = (np.arange(n) + 0.5) / n
    u, v = np.meshgrid(centres, 1.0 - centres)
    return u, v


def field(
    seed: int, n: int, across: float, along: float, falloff: float = 3.0, cut: float = 0.0
) -> Array:
    """Periodic Gaussian noise, mean 0 and deviation 1, with a power-law spectrum.

    `across` and `along` are the feature counts per tile in u and v; amplitudes go as
    (1 + (f_u/across)^2 + (f_v/along)^2)^(-falloff/2), without frequencies below `cut` of these.
    """
    rng = np.random.default_rng(seed)
    frequency = np.fft.fftfreq(n, 1.0 / n)
    r2 = (frequency[None, :] / across) ** 2 + (frequency[:, None] / along) ** 2
    amplitude = (1.0 + r2) ** (-falloff / 2.0) * (r2 >= cut**2)
    amplitude[0, 0] = 0.0
    noise = np.fft.ifft2(np.fft.fft2(rng.normal(size=(n, n))) * amplitude).real
    return noise / noise.std()


def blur(image: Array, sigma: float) -> Array:
    """Periodic Gaussian blur, `sigma` in texels."""
    frequency = np.fft.fftfreq(image.shape[0])
    f2 = frequency[None, :] ** 2 + frequency[:, None] ** 2
    kernel = np.exp(-2.0 * np.pi**2 * sigma**2 * f2)
    kernel = kernel if image.ndim == 2 else kernel[..., None]
    return np.fft.ifft2(np.fft.fft2(image, axes=(0, 1)) * kernel, axes=(0, 1)).real


def cells(seed: int, n: int, count: int, warp: Array | None = None) -> tuple[Array, Array, Array]:
    """Periodic Voronoi cells of a jittered `count` x `count` lattice: F1, F2, cell number."""
    rng = np.random.default_rng(seed)
    jitter = rng.random((count, count, 2))
    u, v = grid(n)
    if warp is not None:
        u, v = u + warp, v + np.roll(warp, n // 3, axis=(0, 1))
    x, y = u * count, v * count
    first, second = np.full((n, n), 9.0), np.full((n, n), 9.0)
    number = np.zeros((n, n), int)
    for dx in (-2, -1, 0, 1, 2):
        for dy in (-2, -1, 0, 1, 2):
            i, j = np.floor(x).astype(int) + dx, np.floor(y).astype(int) + dy
            point = jitter[j % count, i % count]
            distance = np.hypot(i + point[..., 0] - x, j + point[..., 1] - y)
            second = np.minimum(second, np.maximum(first, distance))
            number = np.where(distance < first, (j % count) * count + i % count, number)
            first = np.minimum(first, distance)
    return first, second, number


def ramp(value: Array, low: float, high: float) -> Array:
    """Smoothstep from `low` to `high`."""
    t = np.clip((value - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def blend(low: tuple[float, ...], high: tuple[float, ...], t: Array) -> Array:
    """Colour between two encoded colours."""
    t = t[..., None]
    return np.array(low) * (1.0 - t) + np.array(high) * t


def slopes_of(height: Array) -> tuple[Array, Array]:
    """Normal slopes (-dh/du, -dh/dv) of a height in units of the tile."""
    n = height.shape[0]
    across = (np.roll(height, -1, axis=1) - np.roll(height, 1, axis=1)) * n / 2.0
    up = (np.roll(height, 1, axis=0) - np.roll(height, -1, axis=0)) * n / 2.0
    return -across, -up


def normal_map(slope_u: Array, slope_v: Array) -> Array:
    """Encoded tangent-space normals, y up."""
    normal = np.stack([slope_u, slope_v, np.ones_like(slope_u)], axis=-1)
    return 0.5 + 0.5 * normal / np.linalg.norm(normal, axis=-1, keepdims=True)


# --- Textures: file stem -> encoded values in [0, 1] ---


def brushed_metal(n: int) -> dict[str, Array]:
    """Strokes along v in three widths, drifting direction, lacquer that has run and pooled."""
    strokes = 0.5 * field(11, n, 70, 2.0, 2.2) + 0.4 * field(12, n, 160, 5, 2.2)
    strokes = strokes + 0.35 * field(13, n, 24, 1.2, 3)
    drift = field(14, n, 2.5, 1.5, 4)
    scratches = ramp(field(15, n, 120, 3, 2.0), 2.1, 2.9)
    roughness = np.clip(0.36 + 0.055 * strokes - 0.08 * scratches, 0.15, 0.6)
    rotation = 0.5 + 0.13 * drift + 0.05 * field(16, n, 50, 2.5, 2.5)
    thickness = ramp(field(17, n, 3.0, 1.6, 4), -2.6, 3.0)
    metal = normal_map(0.05 * strokes + 0.06 * scratches, 0.004 * strokes)
    peel = normal_map(*slopes_of(0.0009 * field(18, n, 9, 9, 5) + 0.0006 * field(19, n, 3, 3, 5)))
    return {
        "brushed_roughness_rotation_thickness": np.stack([roughness, rotation, thickness], -1),
        "brushed_metal_normal": metal,
        "brushed_lacquer_normal": peel,
    }


def car_paint(n: int) -> dict[str, Array]:
    """Flakes as tilted Voronoi cells in the pigment, orange peel, dust settled in patches."""
    rng = np.random.default_rng(21)
    count = 96
    first, second, number = cells(22, n, count)
    tilt = rng.normal(size=(2, count * count)) * 0.12
    chosen = rng.random(count * count) < 0.55
    bright = 0.55 + 0.45 * rng.random(count * count)
    edge = ramp(second - first, 0.02, 0.22)
    mask = blur(chosen[number] * edge, 0.6)
    keep = chosen[number]
    flakes = normal_map(blur(keep * tilt[0][number], 0.5), blur(keep * tilt[1][number], 0.5))
    tint = blend((0.55, 0.42, 0.40), (0.96, 0.90, 0.86), bright[number])
    settled = 0.8 * field(23, n, 3, 2.2, 3.2) + 0.5 * field(24, n, 26, 22, 2.6)
    specks = ramp(field(25, n, 90, 90, 2.0), 1.9, 2.8)
    dust = np.clip(0.30 * ramp(settled, -0.9, 2.6) + 0.28 * specks, 0.0, 1.0)
    peel = normal_map(*slopes_of(0.00075 * field(26, n, 12, 12, 5)))
    return {
        "paint_flake_mask_dust": np.stack([mask, dust, specks], axis=-1),
        "paint_flake_color": blur(tint, 0.5),
        "paint_flake_normal": flakes,
        "paint_coat_normal": peel,
    }


def glazed_ceramic(n: int) -> dict[str, Array]:
    """Two generations of cracks in a glaze that ran thick and thin over a speckled body."""
    warp = 0.006 * field(31, n, 6, 6, 3)
    first, second, _ = cells(32, n, 5, warp)
    gap = second - first
    young_first, young_second, _ = cells(33, n, 13, 0.5 * warp)
    young_gap = young_second - young_first
    old = 1.0 - ramp(gap, 0.006, 0.032)
    young = (1.0 - ramp(young_gap, 0.02, 0.10)) * ramp(field(34, n, 3, 3, 3), -0.4, 0.6) * 0.7
    crack = np.clip(np.maximum(old, young), 0.0, 1.0)
    stain = np.clip(blur(old, 2.2) * 1.5 + 0.6 * blur(young, 1.4), 0.0, 1.0)
    speckle = ramp(field(35, n, 60, 60, 2.5), 2.1, 3.0)
    pool = ramp(field(36, n, 2.2, 2.8, 4), -2.0, 2.0)
    body = blend((0.90, 0.875, 0.825), (0.80, 0.765, 0.70), ramp(field(37, n, 8, 8, 3), -2, 2))
    body = body * (1.0 - 0.5 * stain[..., None] * np.array([0.75, 0.95, 1.1]))
    body = body * (1.0 - 0.55 * speckle[..., None])
    glaze = blend((0.92, 0.970, 0.960), (0.44, 0.745, 0.740), pool)
    height = 0.0016 * field(38, n, 2.5, 2.5, 5) - 0.0011 * blur(crack, 1.2)
    return {
        "ceramic_body": np.clip(body, 0.02, 1.0),
        "ceramic_glaze": glaze,
        "ceramic_glaze_normal": normal_map(*slopes_of(height)),
    }


def varnished_wood(n: int) -> dict[str, Array]:
    """Flat-sawn rings along v, fibres and pores, varnish that sinks into the pores."""
    u, _ = grid(n)
    lean = 0.085 * field(41, n, 1.6, 1.1, 4) + 0.006 * field(42, n, 8, 3, 3)
    turn = 11.0 * (u + lean)
    ring = turn - np.floor(turn)
    late = ramp(ring, 0.25, 0.93) * (1.0 - ramp(ring, 0.94, 1.0))
    fibre = field(43, n, 110, 3, 2.2)
    figure = field(44, n, 3, 2, 3)
    pore = ramp(field(45, n, 90, 5, 2.0) + 0.5 * (late - 0.3), 1.75, 2.5)
    tone = np.clip(0.18 + 0.62 * late + 0.055 * fibre + 0.07 * figure, 0.0, 1.0)
    color = blend((0.80, 0.585, 0.385), (0.50, 0.285, 0.150), tone)
    color = color * (1.0 - 0.5 * pore[..., None])
    roughness = np.clip(0.46 - 0.10 * late + 0.03 * fibre + 0.22 * pore, 0.2, 0.9)
    worn = ramp(field(46, n, 3, 3, 3), 0.3, 2.0)
    gloss = np.clip(0.17 + 0.16 * worn + 0.05 * blur(pore, 1.0), 0.1, 0.6)
    rotation = 0.5 + 0.6 * np.clip(slopes_of(lean)[1] * 0.35, -0.5, 0.5)
    grain = normal_map(0.03 * fibre + 0.18 * slopes_of(blur(pore, 0.8) * -0.004)[0], 0.002 * fibre)
    sunk = -0.0006 * blur(pore, 2.0) + 0.0007 * field(47, n, 4, 3, 5) - 0.0003 * blur(late, 3.0)
    return {
        "wood_color": color,
        "wood_roughness_gloss_rotation": np.stack([roughness, gloss, rotation], axis=-1),
        "wood_grain_normal": grain,
        "wood_varnish_normal": normal_map(*slopes_of(sunk)),
    }


MATERIALS: dict[str, Callable[[int], dict[str, Array]]] = {
    "lacquered_brushed_metal": brushed_metal,
    "car_paint": car_paint,
    "glazed_ceramic": glazed_ceramic,
    "varnished_wood": varnished_wood,
}


def write_textures(folder: Path, size: int) -> list[Path]:
    """Write every texture as JPEG; return the files."""
    files = []
    for textures in (make(size) for make in MATERIALS.values()):
        for stem, values in textures.items():
            path = folder / "textures" / f"{stem}.jpg"
            pixels = np.round(np.clip(values, 0.0, 1.0) * 255.0).astype(np.uint8)
            write_bytes_image(path, pixels, JPEG_QUALITY)
            files.append(path)
    return files


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the textures of assets/materials.")
    parser.add_argument("--out", type=Path, default=Path("assets/materials"))
    parser.add_argument("--size", type=int, default=512)
    arguments = parser.parse_args()
    files = write_textures(arguments.out, arguments.size)
    files += sorted(arguments.out.glob("*.mtlx"))
    for path in files:
        digest = sha256(path.read_bytes()).hexdigest()
        print(
            f"| `materials/{path.relative_to(arguments.out)}` | {path.stat().st_size} | {digest} |"
        )


if __name__ == "__main__":
    main()
