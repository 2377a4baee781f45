"""Colour transforms: encoded and linear Rec. 709 values, other primaries, luminance."""

from __future__ import annotations

import numpy as np

# CIE x, y of red, green, blue and white, in the order of an EXR file's `chromaticities`
REC709 = (0.64, 0.33, 0.3, 0.6, 0.15, 0.06, 0.3127, 0.329)
ACESCG = (0.713, 0.293, 0.165, 0.83, 0.128, 0.044, 0.32168, 0.33767)  # AP1, S-2014-004
SPACES = {"rec709": REC709, "acescg": ACESCG}
BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)

LUMINANCE = np.array([0.2126, 0.7152, 0.0722])  # Rec. 709 / sRGB primaries, D65


def srgb_to_linear(encoded: np.ndarray) -> np.ndarray:
    """Decode sRGB: c/12.92 below 0.04045, else ((c + 0.055)/1.055)^2.4 (IEC 61966-2-1)."""
    encoded = np.asarray(encoded)
    high = ((np.maximum(encoded, 0.0) + 0.055) / 1.055) ** 2.4
    return np.where(encoded <= 0.04045, encoded / 12.92, high).astype(encoded.dtype)


def linear_to_srgb(linear: np.ndarray) -> np.ndarray:
    """Encode to sRGB: 12.92 c below 0.0031308, else 1.055 c^(1/2.4) - 0.055 (IEC 61966-2-1)."""
    linear = np.asarray(linear)
    high = 1.055 * np.maximum(linear, 0.0) ** (1.0 / 2.4) - 0.055
    return np.where(linear <= 0.0031308, 12.92 * linear, high).astype(linear.dtype)


def luminance(rgb: np.ndarray) -> np.ndarray:
    """Y = 0.2126 R + 0.7152 G + 0.0722 B over the last axis (ITU-R BT.709)."""
    return np.asarray(rgb)[..., :3] @ LUMINANCE.astype(np.asarray(rgb).dtype)


def rgb_to_xyz(chromaticities: tuple[float, ...]) -> np.ndarray:
    """The matrix (3, 3) to XYZ that gives R = G = B = 1 the white point with Y = 1 (RP 177)."""
    x, y = np.array(chromaticities, np.float64).reshape(4, 2).T
    columns = np.stack([x, y, 1.0 - x - y])
    return columns[:, :3] * np.linalg.solve(columns[:, :3], columns[:, 3] / y[3])


def primaries_matrix(source: tuple[float, ...], target: tuple[float, ...]) -> np.ndarray:
    """The matrix (3, 3) from RGB of `source` to RGB of `target`; white stays white (Bradford)."""
    to_xyz, from_xyz = rgb_to_xyz(source), np.linalg.inv(rgb_to_xyz(target))
    cones = BRADFORD @ np.stack([to_xyz.sum(1), rgb_to_xyz(target).sum(1)], 1)
    adapt = np.linalg.inv(BRADFORD) @ np.diag(cones[:, 1] / cones[:, 0]) @ BRADFORD
    return from_xyz @ adapt @ to_xyz


def convert_primaries(
    rgb: np.ndarray, source: tuple[float, ...], target: tuple[float, ...]
) -> np.ndarray:
    """Linear RGB (..., 3) of `source` in the primaries `target`; alpha behind it is left alone."""
    rgb = np.asarray(rgb)
    turned = rgb.copy()
    turned[..., :3] = rgb[..., :3] @ primaries_matrix(source, target).T.astype(rgb.dtype)
    return turned
