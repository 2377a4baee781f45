"""What every format asks of its input."""

from __future__ import annotations

import numpy as np

from etendue.core.errors import InputError


def finite_f32(x: np.ndarray, name: str) -> np.ndarray:
    """`x` as float32; `InputError` with the tensor's name and the index of what cannot be stored.

    Refused are other kinds of numbers, NaN, infinities, and float64 beyond the range of float32.
    """
    x = np.asarray(x)
    if x.dtype.kind != "f":
        raise InputError(name, "holds the wrong kind of numbers", got=x.dtype, expected="floats")
    with np.errstate(over="ignore"):
        single = np.asarray(x, np.float32, order="C")
    good = np.isfinite(single)
    if not good.all():
        at = tuple(int(k) for k in np.argwhere(~good)[0])
        raise InputError(
            f"{name}{list(at)}",
            "cannot be encoded",
            got=x[at],
            expected=f"finite numbers within ±{np.finfo(np.float32).max:.3g}",
            fix="The tensor must not hold NaN or infinity",
        )
    return single


def finite_f16(x: np.ndarray, name: str) -> np.ndarray:
    """`x` as float16, nearest even; `InputError` like `finite_f32` and beyond float16's range."""
    single = finite_f32(x, name)
    with np.errstate(over="ignore"):
        half = single.astype(np.float16)
    if not np.isfinite(half).all():
        raise InputError(
            name, "is too large for f16", got=float(np.abs(single).max()), expected="below 65520"
        )
    return half
