"""Which materials of a scene share a branch of the kernel, and what evaluates them there.

* Materials of one decoder are one branch with one copy of its networks (`neural_family`).
* The divergent kernel has one branch for all neural materials of one architecture, where every lane
  reads its own weights (`neural_lanes`).
* Everything else is a branch of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import drjit as dr
import mitsuba as mi
import numpy as np

from etendue.bsdf.neural import NeuralBSDF
from etendue.bsdf.neural_family import NeuralFamily, families
from etendue.bsdf.neural_lanes import NeuralLanes, signature

MEMBER_BITS = 16  # of a place: which member of its branch


@dataclass(frozen=True)
class Branch:
    """Materials that one branch of the kernel evaluates."""

    numbers: tuple[int, ...]
    material: Any  # InlineBSDF of one, `NeuralFamily` or `NeuralLanes` of several

    def at(self, member: Any) -> Any:
        """The `InlineBSDF` of lanes that show `member` (UInt, place in `numbers`)."""
        if len(self.numbers) == 1:
            return self.material
        return self.material.at(member, mi.Bool(True))


@dataclass(frozen=True)
class Plan:
    """The branches of a kernel."""

    branches: tuple[Branch, ...]
    places: Any  # UInt buffer: material -> branch << MEMBER_BITS | member; None where all are alone


def plan(materials: Sequence[Any], kernel: str) -> Plan:
    """Branches of the coherent or the divergent kernel."""
    lanes = rivals(materials) if kernel == "divergent" else []
    taken = {k for numbers in lanes for k in numbers}
    branches = [
        Branch(tuple(numbers), NeuralLanes([materials[k] for k in numbers])) for numbers in lanes
    ]
    for numbers in families(materials):
        if taken.isdisjoint(numbers):
            members = [materials[k] for k in numbers]
            shared = NeuralFamily(members) if len(members) > 1 else members[0]
            branches.append(Branch(tuple(numbers), shared))
    if all(len(branch.numbers) == 1 for branch in branches):
        return Plan(tuple(branches), None)
    places = np.zeros(len(materials), np.uint32)
    for index, branch in enumerate(branches):
        for member, number in enumerate(branch.numbers):
            places[number] = index << MEMBER_BITS | member
    buffer = mi.UInt(places)
    dr.eval(buffer)
    return Plan(tuple(branches), buffer)


def rivals(materials: Sequence[Any]) -> list[list[int]]:
    """Numbers of neural materials of one architecture, where they have several decoders."""
    found: dict[Any, list[int]] = {}
    for k, inline in enumerate(materials):
        if type(inline) is NeuralBSDF:
            found.setdefault(signature(inline), []).append(k)
    return [
        numbers for numbers in found.values() if len({materials[k].decoder for k in numbers}) > 1
    ]
