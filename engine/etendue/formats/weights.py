"""In which format the networks of a baked material are stored.

`f32` and `f16` keep a tensor's name. `bfp8` stores the matrix `evaluator.w0` as
`evaluator.w0.mantissa` int8 (out, in) and `evaluator.w0.exponent` uint8 (out, blocks), 8 inputs
sharing an exponent, and biases as float16. (Blocks of 32 have errors up to twice as large and save
a tenth of what is left.) Kernels compute in float32 (float16 is slower on
processors), so weights are decoded once, on load; the format saves file and transfer, not time.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from etendue.core.errors import InputError
from etendue.formats.blockfloat import BlockFloat, Blocks
from etendue.formats.finite import finite_f16, finite_f32

FORMATS = ("f32", "f16", "bfp8")
BLOCKS = BlockFloat(8, 8)
EXPONENT_LIMIT = 253  # of a stored exponent, above which -128 would be infinite
_NAME = re.compile(r"(frames|[a-z_]+\.(?P<kind>[wb])\d+)")
Tensors = dict[str, np.ndarray]


def check_format(name: object, subject: str = "--weights") -> str:
    """`name` when it is a format of weights, else `InputError`."""
    if name not in FORMATS:
        raise InputError(subject, "unknown", got=name, expected=" | ".join(FORMATS))
    return str(name)


def is_weight(name: str) -> bool:
    """True for the matrices and biases of networks: `frames`, `sampler.w0`, `evaluator.b2`, ..."""
    return _NAME.fullmatch(name) is not None


def encode(tensors: Mapping[str, np.ndarray], form: str) -> Tensors:
    """`tensors` with all weights in `form`; others (energy table, latents) stay as they are."""
    check_format(form)
    out: Tensors = {}
    for name, array in tensors.items():
        if not is_weight(name):
            out[name] = array
        elif form == "bfp8" and array.ndim == 2:
            blocks = BLOCKS.encode(array, name)
            if blocks.exponent.max(initial=0) > EXPONENT_LIMIT:
                raise InputError(name, "is too large for bfp8", got=float(np.abs(array).max()))
            out[f"{name}.mantissa"] = blocks.mantissa.astype(np.int8)
            out[f"{name}.exponent"] = blocks.exponent
        elif form == "f32":
            out[name] = finite_f32(array, name)
        else:
            out[name] = finite_f16(array, name)
    return out


def decode(source: object, tensors: Mapping[str, np.ndarray]) -> Tensors:
    """`tensors` with every weight as float32 under its own name; `InputError` naming `source`."""
    out: Tensors = {}
    for name, array in tensors.items():
        base, _, part = name.rpartition(".")
        if is_weight(base) and part == "mantissa":
            out[base] = _decode_blocks(source, base, array, tensors.get(f"{base}.exponent"))
        elif is_weight(base) and part == "exponent":
            if f"{base}.mantissa" not in tensors:
                raise InputError(source, f"tensor {base}.mantissa is missing")
        elif is_weight(name):
            out[name] = array.astype(np.float32)
        else:
            out[name] = array
    return out


def bound(weight: np.ndarray, form: str) -> np.ndarray:
    """Largest absolute error per weight (float64) of a matrix in `form`."""
    if form == "bfp8":
        return BLOCKS.bound(weight)
    size = np.abs(np.asarray(weight, np.float64))
    return size * 0 if form == "f32" else size * 2.0**-11 + 2.0**-25


def _decode_blocks(
    source: object, name: str, mantissa: np.ndarray, exponent: np.ndarray | None
) -> np.ndarray:
    columns = mantissa.shape[-1] if mantissa.ndim == 2 else 0
    wanted = (*mantissa.shape[:-1], -(-columns // BLOCKS.block))
    fits = mantissa.ndim == 2 and mantissa.dtype == np.int8
    if exponent is None or not fits or exponent.dtype != np.uint8 or exponent.shape != wanted:
        got = "none" if exponent is None else f"{exponent.dtype} {exponent.shape}"
        raise InputError(
            source,
            f"tensor {name} does not fit in bfp8",
            got=f"mantissa {mantissa.dtype} {mantissa.shape}, exponent {got}",
            expected=f"mantissa int8, exponent uint8 {wanted}",
        )
    if exponent.max(initial=0) > EXPONENT_LIMIT:
        raise InputError(source, f"tensor {name} is out of range", fix="Bake it again")
    return BLOCKS.decode(Blocks(mantissa.astype(np.int16), exponent))
