"""A radiance field with its place in the world."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from etendue.field.file import Field


@dataclass(frozen=True)
class Placed:
    """`to_world` is of the field's unit cube: a rotation, one scale and a place."""

    field: Field
    to_world: np.ndarray  # (4, 4)
    scale: float = 1.0  # of its light
    lit: bool = False  # by the scene, instead of giving off the light of its photos
