"""Groups of triangles and where a scene shows them (`Instance` of `render/scene.slang`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from etendue.render.path.slang_bvh import build_bvh
from etendue.render.path.slang_neural import DataBuilder, bits

Array = np.ndarray
ELEMENTS = 7  # of `g_data` for each


@dataclass(frozen=True)
class Instance:
    """A run of faces under a transform; the first instance of a scene has its own faces."""

    first: int
    count: int
    to_world: Array  # float64 (4, 4)

    @property
    def faces(self) -> slice:
        """Its rows of the scene's faces."""
        return slice(self.first, self.first + self.count)


def add_instances(
    builder: DataBuilder, points: Array, faces: Array, placed: Sequence[Instance]
) -> int:
    """Append a hierarchy for each group and the table of instances; where the table begins."""
    trees: dict[int, tuple[int, int]] = {}
    rows = []
    for instance in placed:
        key = instance.first if instance.count else -1
        if key not in trees:
            tree = build_bvh(points, faces[instance.faces, :3])
            trees[key] = builder.add(tree.elements()), tree.leaves
        maps = [m[:3] for m in (instance.to_world, np.linalg.inv(instance.to_world))]
        rows += [*maps, bits([instance.first, *trees[key]])]
    return builder.add(np.concatenate(rows))
