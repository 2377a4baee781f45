"""Latents as a small field over (u, v, level) in the unit cube: `hash` and `cp`, in numpy.

Oracles: the torch models `field.hashgrid.HashGrid` and `field.lowrank.Vectors`, whose parameters
these are, in half precision; `bake.latent_distill` teaches them. Decoded once, when a file is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from etendue.core.errors import InputError

CHANNELS = 8
PRIMES = (1, 2654435761, 805459861)  # of the spatial hash
CHUNK = 1 << 15
MOST = 1 << 24  # rows of a table
SIZES = {"hash": ("levels", "coarsest", "finest", "log2_table"), "cp": ("size",)}
Tensors = Mapping[str, np.ndarray]


def sides_of(texels: int) -> tuple[int, ...]:
    """Sides of all levels of a pyramid with so many texels, the finest first."""
    side = round(((3 * texels + 1) / 4) ** 0.5)
    return tuple(side >> k for k in range(side.bit_length()))


def places(texels: int) -> Iterator[np.ndarray]:
    """Points (n, 3) float32 of all texels in their order, in chunks: u, v, and the level."""
    sides = sides_of(texels)
    for k, side in enumerate(sides):
        middle = (np.arange(side, dtype=np.float32) + 0.5) / side
        v, u = np.meshgrid(middle, middle, indexing="ij")
        z = np.full(side * side, (k + 0.5) / len(sides), np.float32)
        x = np.stack([u.ravel(), v.ravel(), z], 1)
        yield from (x[at : at + CHUNK] for at in range(0, len(x), CHUNK))


def decode(form: str, tensors: Tensors, texels: int) -> np.ndarray:
    """float32 (texels, 8)."""
    own = {n.removeprefix("latents."): a.astype(np.float32) for n, a in tensors.items()
           if n.startswith("latents.") and n != "latents.sizes"}  # fmt: skip
    sizes = dict(zip(SIZES[form], tensors["latents.sizes"].tolist(), strict=True))
    ask = _hash if form == "hash" else _cp
    return np.concatenate([ask(own, sizes, x) for x in places(texels)])


def check(source: object, form: str, tensors: Tensors) -> None:
    """Raise `InputError` unless the tensors of `form` are there and fit together."""
    stated = tensors.get("latents.sizes")
    names = SIZES[form]
    if stated is None or stated.dtype != np.int32 or stated.shape != (len(names),):
        raise InputError(source, "tensor latents.sizes does not fit", expected=f"int32 {names}")
    sizes = dict(zip(names, stated.tolist(), strict=True))
    if min(sizes.values()) < 1 or max(sizes.values()) > 16384 or sizes.get("levels", 1) > 32:
        raise InputError(source, "latents.sizes are out of range", got=sizes)
    for name, shape in _shapes(form, sizes, tensors).items():
        array = tensors.get(f"latents.{name}")
        if array is None or array.dtype != np.float16 or array.shape != shape:
            got = "none" if array is None else f"{array.dtype} {array.shape}"
            raise InputError(source, f"tensor latents.{name} does not fit", got=got,
                             expected=f"float16 {shape}")  # fmt: skip


def _shapes(form: str, sizes: dict[str, int], tensors: Tensors) -> dict[str, tuple[int, ...]]:
    if form == "cp":
        rank = tensors.get("latents.line0", np.zeros((0, 0))).shape[-1]
        return {f"line{k}": (sizes["size"], rank) for k in range(3)} | {
            "out": (CHANNELS, rank),
            "out_bias": (CHANNELS,),
        }
    if sizes["log2_table"] > 24 or sizes["levels"] << sizes["log2_table"] > MOST:
        return {"table": (-1,)}  # too many rows to be true
    width = len(tensors.get("latents.in_bias", ()))
    return {
        "table": (sizes["levels"] << sizes["log2_table"], 2),
        "in": (width, 2 * sizes["levels"]), "in_bias": (width,),
        "out": (CHANNELS, width), "out_bias": (CHANNELS,),
    }  # fmt: skip


def _hash(own: Tensors, sizes: dict[str, int], x: np.ndarray) -> np.ndarray:
    levels, rows = sizes["levels"], 1 << sizes["log2_table"]
    growth = (sizes["finest"] / sizes["coarsest"]) ** (1 / max(1, levels - 1))
    inputs = []
    for level in range(levels):
        cells = round(sizes["coarsest"] * growth**level)
        place = x * np.float32(cells)
        first = np.minimum(place.astype(np.int64), cells - 1)
        t = place - first
        dense = (cells + 1) ** 3 <= rows
        steps = (1, cells + 1, (cells + 1) ** 2) if dense else PRIMES
        total = np.zeros((len(x), 2), np.float32)
        for corner in np.ndindex(2, 2, 2):
            keys = [(first[:, k] + corner[k]) * steps[k] for k in range(3)]
            key = keys[0] + keys[1] + keys[2] if dense else keys[0] ^ keys[1] ^ keys[2]
            share = np.prod([t[:, k] if corner[k] else 1 - t[:, k] for k in range(3)], 0)
            total += share[:, None] * own["table"][(key & (rows - 1)) + level * rows]
        inputs.append(total)
    hidden = np.maximum(np.concatenate(inputs, 1) @ own["in"].T + own["in_bias"], 0)
    return hidden @ own["out"].T + own["out_bias"]


def _cp(own: Tensors, sizes: dict[str, int], x: np.ndarray) -> np.ndarray:
    product = np.ones((len(x), 1), np.float32)
    for k in range(3):
        place = x[:, k] * np.float32(sizes["size"] - 1)
        low = np.minimum(place.astype(np.int64), max(sizes["size"] - 2, 0))
        t = (place - low)[:, None]
        line = own[f"line{k}"]
        product = product * ((1 - t) * line[low] + t * line[np.minimum(low + 1, len(line) - 1)])
    return product @ own["out"].T + own["out_bias"]
