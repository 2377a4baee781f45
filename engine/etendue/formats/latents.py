"""In which format the latents of a baked material are stored, and as which tensors.

* `f16`: `latents` float16 (texels, 8).
* `bfp8`, `bfp4`: `latents.mantissa` uint32 (texels, bits / 4), `latents.exponent` uint32 (n, 2),
  `latents.centre` float32 (8); 8.25 and 4.25 bits per value.
* `cb4`, `cb3`, `cb2`: `latents.codes` uint32, `latents.table` int16 (stages, rows, 8),
  `latents.table_exponent` uint8 (stages, 8); 4, 3 and 2 bits per value and the tables.
* `hash`, `cp`: a small field over (u, v, level), see `texture_field`; below 2 and 1 bits per value.

Block floating point: 32 consecutive texels share an exponent per channel, and every channel has its
mean taken off first. Codebooks: one byte per texel and table. A texel's integers lie in the bit
order of `packing`. Kernels read the words as they are (`bsdf.latent_store`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from etendue.core.errors import InputError
from etendue.formats import codebook, texture_field
from etendue.formats.blockfloat import BlockFloat, Blocks
from etendue.formats.finite import finite_f16, finite_f32
from etendue.formats.packing import pack, unpack, word_count

CHANNELS = 8
BLOCKS = {
    "bfp8": BlockFloat(8, 32, axis=0),
    "bfp4": BlockFloat(4, 32, axis=0),
}
STAGES = {"cb4": 4, "cb3": 3, "cb2": 2}
FORMATS = ("f16", *BLOCKS, *STAGES)
FIELDS = tuple(texture_field.SIZES)  # not encoded but learned: see `bake.latent_distill`
TEXELS_PER_ROW = 50  # a table has at most this share of the texels as rows: below a bit per value
_EXPONENT_LIMIT = 250  # of a stored exponent; values made by `encode` stay far below
Tensors = dict[str, np.ndarray]


@dataclass(frozen=True)
class Encoded:
    """What is stored, and how far it may be from what was given."""

    tensors: Tensors
    bound: np.ndarray  # float64 (texels, 8): proven limit of the absolute error


def check_format(name: object, subject: str = "--latents") -> str:
    """`name` when it is a format of latents, else `InputError`."""
    if name not in (*FORMATS, *FIELDS):
        expected = " | ".join((*FORMATS, *FIELDS))
        raise InputError(subject, "unknown", got=name, expected=expected)
    return str(name)


def encode(
    latents: np.ndarray, form: str, *, metric: np.ndarray | None = None, seed: int = 0
) -> Encoded:
    """Tensors of `latents` (texels, 8) in `form`; `metric` and `seed` are for codebooks."""
    check_format(form)
    if form in FIELDS:
        raise InputError("latents", f"of the format {form} are learned", fix="Use `requantise`")
    x = finite_f32(latents, "latents")
    if x.ndim != 2 or x.shape[1] != CHANNELS or not len(x):
        raise InputError("latents", "do not fit", got=x.shape, expected=f"(texels, {CHANNELS})")
    if np.abs(x).max() > codebook.LIMIT:
        raise InputError("latents", "are out of range", got=np.abs(x).max(), expected="below 2^96")
    if form == "f16":
        return Encoded({"latents": finite_f16(x, "latents")}, np.abs(x) * 2.0**-11 + 2.0**-25)
    if form in BLOCKS:
        return _encode_blocks(x, BLOCKS[form])
    rows = min(codebook.ROWS, max(1, len(x) // TEXELS_PER_ROW))
    book = codebook.fit(x, STAGES[form], rows=rows, metric=metric, seed=seed, name="latents")
    words = pack(book.encode(x, "latents"), 8)
    return Encoded(
        {
            "latents.codes": np.append(words, np.uint32(0)),  # kernels read a word ahead
            "latents.table": book.tables.mantissa,
            "latents.table_exponent": book.tables.exponent[:, 0],
        },
        book.bound(x),
    )


def _encode_blocks(x: np.ndarray, form: BlockFloat) -> Encoded:
    centre = x.mean(0, dtype=np.float64).astype(np.float32)
    moved = x - centre
    blocks = form.encode(moved, "latents")
    tensors = {
        "latents.mantissa": pack(blocks.mantissa, form.bits).reshape(len(x), -1),
        "latents.exponent": pack(blocks.exponent, 8).reshape(-1, CHANNELS * 8 // 32),
        "latents.centre": centre,
    }
    # taking the mean off and adding it again each round to single precision
    rounding = 2.0**-24 * (np.abs(moved) + np.abs(x) + form.bound(moved)) + 2.0**-149
    return Encoded(tensors, form.bound(moved) + rounding)


def decode(source: object, form: str, tensors: Mapping[str, np.ndarray], texels: int) -> np.ndarray:
    """float32 (texels, 8), equal to what a kernel reads; `InputError` naming `source`."""
    check(source, form, tensors, texels)
    if form == "f16":
        return tensors["latents"].astype(np.float32)
    if form in BLOCKS:
        bits, count = BLOCKS[form].bits, texels * CHANNELS
        mantissa = unpack(tensors["latents.mantissa"].ravel(), bits, count, signed=True)
        octets = unpack(
            tensors["latents.exponent"].ravel(), 8, 4 * tensors["latents.exponent"].size
        )
        blocks = Blocks(
            mantissa.reshape(texels, CHANNELS).astype(np.int16),
            octets.reshape(-1, CHANNELS).astype(np.uint8),
        )
        return BLOCKS[form].decode(blocks) + tensors["latents.centre"]
    if form in FIELDS:
        return texture_field.decode(form, tensors, texels)
    return codebook.decode(codes(form, tensors, texels), tables(tensors))


def codes(form: str, tensors: Mapping[str, np.ndarray], texels: int) -> np.ndarray:
    """Rows (texels, stages) of the codebooks."""
    stages = STAGES[form]
    return unpack(tensors["latents.codes"], 8, texels * stages).reshape(texels, stages)


def tables(tensors: Mapping[str, np.ndarray]) -> np.ndarray:
    """Codebook tables, float32 (stages, rows, 8)."""
    exponent = tensors["latents.table_exponent"][:, None]
    return codebook.Tables(tensors["latents.table"], exponent).values()


def check(source: object, form: str, tensors: Mapping[str, np.ndarray], texels: int) -> None:
    """Raise `InputError` unless the tensors of `form` are there, fit, and stay within range."""
    if form not in (*FORMATS, *FIELDS):
        raise InputError(
            source,
            "has latents in a format this version does not know",
            got=form,
            expected=" | ".join((*FORMATS, *FIELDS)),
        )
    if form == "f16":
        _fits(source, tensors, "latents", None, (texels, CHANNELS))
        return
    if form in FIELDS:
        texture_field.check(source, form, tensors)
        return
    if form in BLOCKS:
        count = -(-texels // BLOCKS[form].block)
        _fits(source, tensors, "latents.mantissa", "uint32", (texels, BLOCKS[form].bits // 4))
        _fits(source, tensors, "latents.exponent", "uint32", (count, 2))
        _fits(source, tensors, "latents.centre", "float32", (CHANNELS,))
        largest = np.ascontiguousarray(tensors["latents.exponent"], "<u4").view(np.uint8).max()
    else:
        stages = STAGES[form]
        words = word_count(texels * stages, 8) + 1
        _fits(source, tensors, "latents.codes", "uint32", (words,))
        _fits(source, tensors, "latents.table", "int16", (stages, None, CHANNELS))
        _fits(source, tensors, "latents.table_exponent", "uint8", (stages, CHANNELS))
        rows = tensors["latents.table"].shape[1]
        most = int(codes(form, tensors, texels).max())
        if most >= rows:
            raise InputError(
                source, "latents.codes name a row that is not there", got=most, expected=f"< {rows}"
            )
        largest = tensors["latents.table_exponent"].max()
    if largest > _EXPONENT_LIMIT:
        raise InputError(
            source, "its latents are out of range", got=f"exponent {largest}", fix="Bake it again"
        )


def _fits(
    source: object,
    tensors: Mapping[str, np.ndarray],
    name: str,
    kind: str | None,
    shape: tuple[int | None, ...],
) -> None:
    array = tensors.get(name)
    wanted = f"{kind or 'numbers'} {shape}"
    if array is None:
        raise InputError(source, f"tensor {name} does not fit", got="none", expected=wanted)
    same = len(array.shape) == len(shape) and all(
        w is None or g == w for g, w in zip(array.shape, shape, strict=True)
    )
    if not same or (kind is not None and array.dtype.name != kind):
        got = f"{array.dtype} {array.shape}"
        raise InputError(source, f"tensor {name} does not fit", got=got, expected=wanted)
