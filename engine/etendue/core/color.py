"""Colour transforms between encoded and linear Rec. 709 values, and luminance."""

from __future__ import annotations

import numpy as np

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
