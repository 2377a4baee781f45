"""Layered materials as the shaders read them (`bsdf/layered_params.slang`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from etendue.bsdf.layered_params import LARGE, layer_values, moments
from etendue.bsdf.sheen import SIZE as SHEEN_SIZE
from etendue.bsdf.sheen import albedo_table
from etendue.bsdf.texels import averaged_levels
from etendue.core.errors import InputError
from etendue.render.path.slang_neural import DataBuilder, bits, round_up
from etendue.render.path.slang_textures import SLANG_LIMIT
from etendue.scene.material import Channel, LayeredMaterial, Scalar, Stack

Array = np.ndarray
LAYER_SIZE, STACK_SIZE = 32, 8  # scalars of each, padded
# parameters of a layer in the order in which shaders have them
LAYER_FIELDS = (
    ("ax", 1), ("ay", 1), ("slopes", 2), ("tangent", 2), ("f0", 3), ("f82", 3), ("f90", 3),
    ("eta", 1), ("reflect_tint", 3), ("transmit_tint", 3), ("tau_absorb", 3), ("tau_scatter", 1),
    ("g", 1), ("albedo", 3), ("roughness", 1),
)  # fmt: skip
TEXTURED, SHEEN, MEDIA = 8, 16, 32  # bits of `core/features.slang`


def add_layered(
    builder: DataBuilder, material: LayeredMaterial, sheen: int, guide: Array | None = None
) -> int:
    """Append a material; where its header begins.

    `sheen` is its sheen table, 0 without one. `guide` corrects its albedo (`bsdf.guide`).
    """
    if material.transmits:
        raise InputError(material.name, "transmits light in a Slang scene", fix=SLANG_LIMIT)
    fine, (height, width), groups, levels, coarser = _add_texture(builder, material)
    scalars = builder.add(_scalars(material))
    tops = {stack.layers[0] for stack in material.stacks}
    kinds = [bits([int(x.kind), int(k in tops)]) for k, x in enumerate(material.layers)]
    lists, places, lobes = _positions(material)
    corrections = 0
    if guide is not None:
        corrections = builder.add(np.pad(guide.astype(np.float32), ((0, 0), (0, 1))))
    return builder.add(
        np.concatenate(
            [
                bits([fine, width, height, groups]),
                bits([levels, coarser, len(material.layers), len(material.stacks)]),
                bits([scalars, *(builder.add(np.concatenate(x)) for x in (kinds, lists, places))]),
                bits([lobes, sheen, int(scatters(material)), corrections]),
            ]
        )
    )


def add_sheen(builder: DataBuilder) -> int:
    """Append the table of sheen albedos and scales; where it begins."""
    table = albedo_table()
    most = np.maximum(table.max(axis=1, keepdims=True), 1.0)
    flat = np.concatenate([(table / most).ravel(), (1.0 / most).ravel()])
    assert flat.size == SHEEN_SIZE * (SHEEN_SIZE + 1)
    return builder.add(flat.astype(np.float32).reshape(-1, 4))


def has_sheen(material: LayeredMaterial) -> bool:
    """Whether any stack has a sheen."""
    return any(c != 0.0 for stack in material.stacks for c in stack.sheen_color)


def scatters(material: LayeredMaterial) -> bool:
    """Whether any medium that is walked through scatters."""
    walked = {k for stack in material.stacks for k in stack.layers[:-1]}
    return any(material.layers[k].tau_scatter != 0.0 for k in walked)


def layered_features(materials: Sequence[LayeredMaterial]) -> int:
    """Bits of `core/features.slang` that the materials need."""
    return (
        (TEXTURED if any(m.texture.data.shape[2] for m in materials) else 0)
        | (SHEEN if any(map(has_sheen, materials)) else 0)
        | (MEDIA if any(map(scatters, materials)) else 0)
    )


def layered_constants(materials: Sequence[LayeredMaterial]) -> dict[str, int]:
    """Sizes of the shaders' arrays: extern constants."""
    sizes = {
        "SCALARS": [LAYER_SIZE * len(m.layers) + STACK_SIZE * len(m.stacks) for m in materials],
        "CHANNELS": [round_up(m.texture.data.shape[2], 4) for m in materials],
        "INTERFACES": [len(s.layers) - 1 for m in materials for s in m.stacks],
        "LOBES": [_positions(m)[2] for m in materials],
    }
    least = {"CHANNELS": 4}
    return {name: max([least.get(name, 1), *values]) for name, values in sizes.items()}


def _add_texture(
    builder: DataBuilder, material: LayeredMaterial
) -> tuple[int, tuple[int, int], int, int, int]:
    """Texels, then coarser levels with means and squares: (start, size, groups, levels, count).

    Channels are padded to groups of four. The finest level of the moments is not stored: its
    variances are 0.
    """
    data = np.asarray(material.texture.data, np.float32)
    height, width, channels = data.shape
    if channels == 0:
        return 0, (1, 1), 0, 0, 0
    groups = round_up(channels, 4) // 4
    fine = builder.add(_padded(data).reshape(-1, 4))
    table = []
    for level in averaged_levels(moments(data))[1:]:
        both = [_padded(half) for half in np.split(level, 2, axis=2)]
        start = builder.add(np.concatenate(both, axis=2).reshape(-1, 4))
        table.append(bits([start, level.shape[1], level.shape[0]]))
    levels = builder.add(np.concatenate(table)) if table else 0
    return fine, (height, width), groups, levels, len(table)


def _padded(data: Array) -> Array:
    extra = round_up(data.shape[2], 4) - data.shape[2]
    return np.pad(data, ((0, 0), (0, 0), (0, extra)))


def _scalars(material: LayeredMaterial) -> Array:
    """(constant, channel + 1 or 0, low, high) of every parameter (n, 4)."""

    def value(x: Scalar, low: float = 0.0, high: float = 1.0) -> list[Array]:
        if isinstance(x, Channel):
            return [_element(0.0, x.index + 1, low, high)]
        return [_element(min(max(x, low), high), 0, low, high)]

    def color(x: tuple[Scalar, Scalar, Scalar], high: float = 1.0) -> list[Array]:
        return [value(c, 0.0, high)[0] for c in x]

    rows: list[Array] = []
    for layer in material.layers:
        values = layer_values(layer, value, color)
        flat: list[Array] = []
        for name, count in LAYER_FIELDS:
            found = _flat(getattr(values, name), name)
            assert len(found) == count
            flat += found
        rows += _filled(flat, LAYER_SIZE)
    for stack in material.stacks:
        rows += _filled(_stack_scalars(stack, value, color), STACK_SIZE)
    return np.stack(rows)


def _stack_scalars(stack: Stack, value: Any, color: Any) -> list[Array]:
    return [
        *color(stack.weight, LARGE),
        *color(stack.sheen_color),
        *value(stack.sheen_roughness),
    ]


def _flat(found: Any, name: str) -> list[Array]:
    """Elements of a parameter; a layer in the shading frame has slopes 0."""
    if found is None:
        assert name == "slopes"
        return [_element(0.0, 0, 0.0, 0.0)] * 2
    if isinstance(found, tuple):
        return [x for part in found for x in part]
    return list(found)


def _element(constant: float, channel: int, low: float, high: float) -> Array:
    row = np.array([constant, 0.0, low, high], np.float32)
    row[1:2] = np.array([channel], np.uint32).view(np.float32)
    return row


def _filled(rows: list[Array], size: int) -> list[Array]:
    return rows + [np.zeros(4, np.float32)] * (size - len(rows))


def _positions(material: LayeredMaterial) -> tuple[list[Array], list[Array], int]:
    """Of each stack (layers, first position, walked); of each position (layer, lobe); lobes.

    Positions show one lobe where the layer and all layers above it are the same, as in
    `layered_sampling.mixture`.
    """
    lists: list[Array] = []
    places: list[Array] = []
    lobes: dict[tuple[int, tuple[int, ...]], int] = {}
    for stack in material.stacks:
        lists.append(bits([len(stack.layers), len(places), int(len(stack.layers) > 1)]))
        for position, k in enumerate(stack.layers):
            lobe = 0
            if material.layers[k].kind.name in ("CONDUCTOR", "DIELECTRIC"):
                lobe = lobes.setdefault((k, stack.layers[:position]), len(lobes))
            places.append(bits([k, lobe]))
    return lists, places, len(lobes)
