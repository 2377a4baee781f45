"""Radiance fields as elements of `g_data` (`shaders/render/fields.slang`): grids and hash grids."""

from __future__ import annotations

from typing import Any

import numpy as np

from etendue.core.errors import InputError
from etendue.render.path.slang_neural import DataBuilder, bits
from etendue.render.path.slang_textures import SLANG_LIMIT
from etendue.render.placed import Placed

Array = np.ndarray
KINDS = {"grid": 0, "hashgrid": 1}
WIDEST = 64  # features of a layer


def add_fields(builder: DataBuilder, placed: tuple[Placed, ...]) -> int:
    """Append the fields; where their headers begin.

    `InputError` for kinds that the shaders lack, and for fields without bounds or lit by the scene.
    """
    if not placed:
        return 0
    return builder.add(np.concatenate([_header(builder, one) for one in placed]))


def _header(builder: DataBuilder, placed: Placed) -> Array:
    field, model = placed.field, placed.field.model
    subject = f"field {field.name}"
    if model.kind not in KINDS:
        raise InputError(subject, "is of a kind that shaders lack", got=model.kind,
                         expected=" or ".join(KINDS), fix=SLANG_LIMIT)  # fmt: skip
    if placed.lit or field.occupancy.contracted:
        what = "is lit by the scene" if placed.lit else "has no bounds"
        raise InputError(subject, f"{what}, which shaders cannot do", fix=SLANG_LIMIT)
    params = {n: v.numpy() for n, v in field.params.items()}
    values, sizes, networks = _tables(builder, subject, model, params)
    cells = field.occupancy.cells
    filled = builder.add(field.occupancy.mask.numpy().astype(np.float32).reshape(-1, 4))
    side = float(np.cbrt(np.linalg.det(placed.to_world[:3, :3])))
    facts = np.array([[side, field.occupancy.step * side, placed.scale, 0.0]], np.float32)
    return np.concatenate([
        np.linalg.inv(placed.to_world)[:3].astype(np.float32), facts,
        bits([KINDS[model.kind], cells, filled, values]), bits(sizes), bits(networks),
    ])  # fmt: skip


def _tables(
    builder: DataBuilder, subject: str, model: Any, params: dict[str, Array]
) -> tuple[int, list[int], list[int]]:
    """Where the values lie, and what else the shader must know."""
    if model.kind == "grid":
        return builder.add(params["values"].reshape(-1, 4)), [model.size, 0, 0, 0], [0] * 4
    widths = (model.width, 2 * model.levels, len(params["head.w0"]))
    if model.channels != 2 or max(widths) > WIDEST:
        raise InputError(subject, "is larger than shaders allow",
                         got=f"{model.channels} channels, layers of {max(widths)}",
                         expected=f"2 channels, at most {WIDEST}", fix=SLANG_LIMIT)  # fmt: skip
    table = builder.add(params["table"].reshape(-1, 4))
    levels = builder.add(bits(model.resolutions))
    nets = [builder.add(_layers(params, name)) for name in ("net", "head")]
    return table, [model.levels, model.log2_table, levels, 0], [*nets, widths[0], widths[2]]


def _layers(params: dict[str, Array], name: str) -> Array:
    """Rows of weights padded to fours, then biases, of one layer after the other."""
    parts, k = [], 0
    while f"{name}.w{k}" in params:
        weight, bias = params[f"{name}.w{k}"], params[f"{name}.b{k}"]
        parts += [_padded(weight), _padded(bias[None])]
        k += 1
    return np.concatenate(parts)


def _padded(rows: Array) -> Array:
    """(n, m) as elements, every row padded to a multiple of four."""
    wide = np.zeros((len(rows), -(-rows.shape[1] // 4) * 4), np.float32)
    wide[:, : rows.shape[1]] = rows
    return wide.reshape(-1, 4)
