"""How far a picture is from a reference, by several measures; all take linear (H, W, 3) arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from etendue.core.color import linear_to_srgb, luminance
from etendue.core.errors import InputError
from etendue.core.image import require_finite

REL_MSE_EPSILON = 0.01  # in squared radiance; keeps black reference pixels from dividing by zero
SSIM_WINDOW = 7  # pixels


def paired(
    reference: np.ndarray, test: np.ndarray, names: tuple[object, object] = ("first", "second")
) -> tuple[np.ndarray, np.ndarray]:
    """Both as (H, W, 3) float64; `InputError` for different sizes, NaN or infinite values.

    One channel counts as grey, and channels after the third (alpha) are left out.
    """
    pictures = []
    for name, picture in zip(names, (reference, test), strict=True):
        array = np.asarray(picture)
        array = array[..., None] if array.ndim == 2 else array
        if array.ndim != 3 or 0 in array.shape:
            raise InputError(name, "is no picture", got=array.shape, expected="(H, W, 3)")
        array = array[..., :3] if array.shape[2] >= 3 else array[..., :1].repeat(3, -1)
        pictures.append(require_finite(name, array.astype(np.float64)))
    a, b = pictures
    if a.shape != b.shape:
        raise InputError(
            names[1],
            f"differs in size from {names[0]}",
            got=f"{b.shape[1]}x{b.shape[0]}",
            expected=f"{a.shape[1]}x{a.shape[0]}",
        )
    return a, b


def display(linear: np.ndarray, exposure: float = 0.0) -> np.ndarray:
    """What a monitor shows: sRGB of clip(linear 2^exposure, 0, 1), without a tone curve."""
    return linear_to_srgb(np.clip(np.asarray(linear, np.float64) * 2.0**exposure, 0.0, 1.0))


def flip_ldr(reference: np.ndarray, test: np.ndarray, exposure: float = 0.0) -> np.ndarray:
    """LDR-FLIP map (H, W) in [0, 1] of both pictures as `display` shows them.

    Andersson et al. 2020 at 67 pixels per degree. The mean of the map is the usual figure.
    """
    a, b = paired(reference, test)
    shown = [display(picture, exposure).astype(np.float32) for picture in (a, b)]
    return _flip(shown[0], shown[1], "LDR", {})


def flip_hdr(reference: np.ndarray, test: np.ndarray) -> np.ndarray:
    """HDR-FLIP map (H, W): the largest LDR-FLIP over exposures chosen from the reference.

    Andersson et al. 2021, with the ACES curve; negative values count as 0.
    """
    a, b = (np.maximum(x, 0.0).astype(np.float32) for x in paired(reference, test))
    # a black reference determines no exposures
    fixed = {} if float(a.max()) > 0 else {"startExposure": 0.0, "stopExposure": 1.0}
    return _flip(a, b, "HDR", fixed)


def _flip(a: np.ndarray, b: np.ndarray, kind: str, parameters: dict[str, Any]) -> np.ndarray:
    import flip_evaluator

    a, b = np.ascontiguousarray(a), np.ascontiguousarray(b)
    result = flip_evaluator.evaluate(
        a, b, kind, inputsRGB=kind == "LDR", applyMagma=False, parameters=parameters
    )
    return np.asarray(result[0], np.float32)[..., 0]


def rel_mse(reference: np.ndarray, test: np.ndarray) -> float:
    """Mean of (test - reference)^2 / (reference^2 + 0.01) over pixels and channels."""
    a, b = paired(reference, test)
    return float(np.mean((b - a) ** 2 / (a * a + REL_MSE_EPSILON)))


def psnr(reference: np.ndarray, test: np.ndarray, exposure: float = 0.0) -> float:
    """-10 log10 of the mean squared error of the displayed pictures (dB), inf when equal."""
    a, b = (display(picture, exposure) for picture in paired(reference, test))
    error = float(np.mean((a - b) ** 2))
    return float("inf") if error == 0.0 else float(-10.0 * np.log10(error))


def ssim(reference: np.ndarray, test: np.ndarray, exposure: float = 0.0) -> float:
    """Structural similarity of the displayed pictures' luma (Wang et al. 2004), 1 when equal."""
    from skimage.metrics import structural_similarity

    a, b = (luminance(display(picture, exposure)) for picture in paired(reference, test))
    if min(a.shape) < SSIM_WINDOW:
        raise InputError(
            "SSIM", "needs a larger picture", got=a.shape, expected=f">= {SSIM_WINDOW} pixels"
        )
    value: Any = structural_similarity(a, b, data_range=1.0, win_size=SSIM_WINDOW)
    return float(value)


def all_metrics(
    reference: np.ndarray, test: np.ndarray, exposure: float = 0.0
) -> dict[str, float | None]:
    """Every figure by name; `ssim` is None where the picture is too small for it."""
    a, b = paired(reference, test)
    small = min(a.shape[:2]) < SSIM_WINDOW
    return {
        "flip": float(flip_ldr(a, b, exposure).mean()),
        "flip_hdr": float(flip_hdr(a, b).mean()),
        "rel_mse": rel_mse(a, b),
        "mse": float(np.mean((a - b) ** 2)),
        "psnr_db": psnr(a, b, exposure),
        "ssim": None if small else ssim(a, b, exposure),
        "max_difference": float(np.abs(a - b).max()),
        "mean_difference": float((b - a).mean()),
    }


def difference_picture(error: np.ndarray) -> np.ndarray:
    """A FLIP map as linear RGB, dark to bright through the magma colour map's main stops."""
    from etendue.core.color import srgb_to_linear

    stops = np.frombuffer(_MAGMA, np.uint8).reshape(-1, 3) / 255.0
    at = np.linspace(0.0, 1.0, len(stops))
    value = np.clip(np.asarray(error, np.float64), 0.0, 1.0)
    encoded = np.stack([np.interp(value, at, stops[:, c]) for c in range(3)], -1)
    return srgb_to_linear(encoded)


# matplotlib's magma at 0, 1/8, ..., 1
_MAGMA = bytes.fromhex("000004 1d1147 51127c 832681 b73779 e75263 fc8961 fec488 fcfdbf")
