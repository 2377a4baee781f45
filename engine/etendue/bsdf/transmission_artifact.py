"""What an artifact of a transmitting material holds: lobes, tables and its smooth stacks."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from etendue.artifact import Artifact, require
from etendue.bsdf.neural import check_material
from etendue.core.errors import InputError
from etendue.scene.material import (
    Channel,
    Interior,
    Layer,
    LayeredMaterial,
    LayerKind,
    ParameterTexture,
    Stack,
)

KNOTS = 65  # of the tables over |cos theta_i|


@dataclass(frozen=True)
class Lobe:
    """One pair of hemispheres."""

    above: bool  # seen from outside
    through: bool  # transmission

    @property
    def side(self) -> str:
        """Where it is seen from."""
        return "above" if self.above else "below"

    @property
    def name(self) -> str:
        """Prefix of its tensors."""
        return f"{'transmit' if self.through else 'reflect'}.{self.side}"


def lobes_of(two_sided: bool) -> tuple[Lobe, ...]:
    """The lobes that a renderer asks for: a thin wall is always seen from above."""
    sides = (True,) if two_sided else (True, False)
    return tuple(Lobe(above, through) for above in sides for through in (False, True))


def is_transmission(artifact: Artifact) -> bool:
    """Whether the artifact holds a material that transmits."""
    return "transmission" in artifact.header


def part_of(artifact: Artifact, lobe: Lobe) -> Artifact:
    """The ordinary neural material of one lobe."""
    prefix = f"{lobe.name}."
    tensors = {
        name.removeprefix(prefix): tensor
        for name, tensor in artifact.tensors.items()
        if name.startswith(prefix) and name != f"{prefix}scale"
    }
    return Artifact(artifact.header, tensors)


def describe_delta(material: LayeredMaterial) -> tuple[dict[str, Any], Mapping[str, np.ndarray]]:
    """The smooth open stacks as JSON values and a texture."""
    opened = [s for s in material.stacks if material.is_open(s)]
    smooth = [s for s in opened if all(material.layers[k].smooth for k in s.layers[:-1])]
    if not smooth:
        return {}, {}
    layers = [
        {"kind": int(x.kind)} | {n: _plain(getattr(x, n)) for n in _LAYER_FIELDS}
        for x in material.layers
    ]
    stacks = [{"weight": _plain(s.weight), "layers": list(s.layers)} for s in smooth]
    used = sorted({i for x in (*layers, *stacks) for v in x.values() for i in _channels(v)})
    renamed = {old: new for new, old in enumerate(used)}
    for x in (*layers, *stacks):
        for key, v in x.items():
            x[key] = _renamed(v, renamed)
    texture = {"delta.texture": material.texture.data[..., used]} if used else {}
    return {"layers": layers, "stacks": stacks}, texture


_LAYER_FIELDS = (
    "smooth", "normal", "tangent", "eta", "reflect_tint", "transmit_tint", "tau_absorb",
    "film_eta", "film_thickness",
)  # fmt: skip


def _plain(value: Any) -> Any:
    if isinstance(value, Channel):
        return {"channel": value.index}
    return [_plain(v) for v in value] if isinstance(value, tuple) else value


def _channels(value: Any) -> list[int]:
    if isinstance(value, dict):
        return [value["channel"]]
    return [i for v in value for i in _channels(v)] if isinstance(value, list) else []


def _renamed(value: Any, names: Mapping[int, int]) -> Any:
    if isinstance(value, dict):
        return {"channel": names[value["channel"]]}
    return [_renamed(v, names) for v in value] if isinstance(value, list) else value


def _restored(value: Any) -> Any:
    if isinstance(value, dict):
        return Channel(int(value["channel"]))
    if isinstance(value, list):
        return tuple(_restored(v) for v in value)
    return value if isinstance(value, bool) else float(value)


def delta_material(artifact: Artifact) -> LayeredMaterial | None:
    """The smooth stacks that the artifact carries, None without any."""
    about = artifact.header["transmission"]
    if not about.get("delta"):
        return None
    layers = tuple(
        Layer(LayerKind(x["kind"]), **{n: _restored(x[n]) for n in _LAYER_FIELDS})
        for x in about["delta"]["layers"]
    )
    stacks = tuple(
        Stack(_restored(s["weight"]), tuple(int(k) for k in s["layers"]))
        for s in about["delta"]["stacks"]
    )
    texture = ParameterTexture()
    if "delta.texture" in artifact.tensors:
        data = artifact.tensors["delta.texture"].astype(np.float32)
        texture = ParameterTexture(tuple(map(str, range(data.shape[2]))), data)
    inside = None if about["two_sided"] else Interior(tuple(about["absorption"]))
    name = str(artifact.header.get("name", "neural"))
    return LayeredMaterial(name, layers, stacks, texture, interior=inside)


def check_transmission(source: object, artifact: Artifact) -> Mapping[str, Any]:
    """The header's `transmission` entry; `InputError` unless it and its tensors are complete."""
    about = artifact.header.get("transmission")
    wanted = {"two_sided": bool, "neural": bool, "eta": float, "absorption": list}
    if not isinstance(about, Mapping) or not all(
        isinstance(about.get(key), kind) for key, kind in wanted.items()
    ):
        raise InputError(source, "its header describes no transmission", fix="Bake it again")
    if about["neural"]:
        for lobe in lobes_of(about["two_sided"]):
            check_material(source, part_of(artifact, lobe))
            require(source, artifact, {f"{lobe.name}.scale": (KNOTS, 3)})
            require(source, artifact, {f"share.{lobe.side}": (KNOTS, 3)})
    try:
        delta_material(artifact)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(source, "its delta parts cannot be read", got=str(error)) from None
    return about


def with_scales(artifact: Artifact, tables: Mapping[str, np.ndarray]) -> Artifact:
    """The artifact with some tensors replaced."""
    return dataclasses.replace(artifact, tensors={**artifact.tensors, **tables})
