"""Marching cubes as gathers and prefix sums in torch, on any of its devices.

Oracle: `model.by_skimage`. Vertex positions are differentiable in `values`. The table of the 256
cases is derived here instead of typed in: on a face with four crossings each inside corner is cut
off, by the same rule in both cells that share the face, so that surfaces are always watertight.
"""

from __future__ import annotations

from functools import cache
from itertools import product
from typing import TYPE_CHECKING, Any

from etendue.core.errors import InputError
from etendue.plugins.slots import Tensor, Tensors

if TYPE_CHECKING:
    import torch

Corner = tuple[int, int, int]
CORNERS: list[Corner] = [(x, y, z) for z, y, x in product((0, 1), repeat=3)]
# edges of a cell: axis and the corner where it begins
EDGES = [(axis, c) for axis in range(3) for c in CORNERS if c[axis] == 0]


def by_torch(values: Tensor, level: Tensor, spacing: Tensor | None = None) -> Tensors:
    """Vertices (n, 3) and faces (m, 3) of the surface where `values` are `level`.

    Raises `InputError` for values that are not finite.
    """
    return _march(values, level, spacing, "cpu")


def by_torch_cuda(values: Tensor, level: Tensor, spacing: Tensor | None = None) -> Tensors:
    """`by_torch` on the first CUDA device."""
    return _march(values, level, spacing, "cuda")


def _march(values: Tensor, level: Tensor, spacing: Tensor | None, device: str) -> Tensors:
    import torch

    grid = torch.as_tensor(values, device=device)
    threshold = torch.as_tensor(level, device=device)
    if not (torch.isfinite(grid).all() and torch.isfinite(threshold)):
        raise InputError("marching_cubes", "values or level are NaN or infinite")
    inside = grid > threshold
    vertices, numbers = _vertices(grid, threshold, inside)
    if spacing is not None:
        vertices = vertices * torch.as_tensor(spacing, device=device)
    return {"vertices": vertices, "faces": _faces(inside, numbers)}


def _vertices(
    grid: torch.Tensor, level: torch.Tensor, inside: torch.Tensor
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """One vertex per grid edge that crosses the level; per axis, the vertex number of each edge."""
    import torch

    vertices, numbers, count = [], [], 0
    for axis in range(3):
        n = grid.shape[axis] - 1
        crossing = inside.narrow(axis, 0, n) ^ inside.narrow(axis, 1, n)
        at = crossing.nonzero()
        low = grid[at[:, 0], at[:, 1], at[:, 2]]
        high = grid.narrow(axis, 1, n)[at[:, 0], at[:, 1], at[:, 2]]
        position = list(at.to(grid.dtype).unbind(1))
        position[axis] = position[axis] + (level - low) / (high - low)
        vertices.append(torch.stack(position, 1))
        number = torch.empty(crossing.shape, dtype=torch.int32, device=grid.device)
        number[crossing] = torch.arange(
            count, count + len(at), dtype=torch.int32, device=grid.device
        )
        numbers.append(number.reshape(-1))
        count += len(at)
    return torch.cat(vertices), numbers


def _faces(inside: torch.Tensor, numbers: list[torch.Tensor]) -> torch.Tensor:
    """The triangles of all cells that the surface passes, by the table of cases."""
    import torch

    nx, ny, nz = inside.shape
    case = torch.zeros((nx - 1, ny - 1, nz - 1), dtype=torch.uint8, device=inside.device)
    for bit, (x, y, z) in enumerate(CORNERS):
        corner = inside[x : nx - 1 + x, y : ny - 1 + y, z : nz - 1 + z]
        case |= corner.to(torch.uint8) << bit
    cell = ((case != 0) & (case != 255)).nonzero()
    table = torch.tensor(case_table(), device=inside.device)
    rows = table[case[cell[:, 0], cell[:, 1], cell[:, 2]].int()]  # (cells, corners of triangles)
    # where the vertex number of each of the 12 edges of each cell stands in `numbers`
    edge_numbers = []
    for axis, corner in EDGES:
        shape = [n - (a == axis) for a, n in enumerate(inside.shape)]
        i, j, k = ((cell[:, a] + corner[a]) for a in range(3))
        edge_numbers.append(numbers[axis][(i * shape[1] + j) * shape[2] + k])
    by_edge = torch.stack(edge_numbers, 1)
    used = rows >= 0
    flat = by_edge.gather(1, rows.clamp(min=0))[used]
    return flat.reshape(-1, 3)


@cache
def case_table() -> list[list[int]]:
    """Edges of the triangles' corners for each of the 256 cases, filled up with -1."""
    cases = [_triangles(case) for case in range(256)]
    width = max(map(len, cases))
    return [row + [-1] * (width - len(row)) for row in cases]


def _triangles(case: int) -> list[int]:
    """Follow the crossings from face to face into polygons, and cut each into triangles."""
    following: dict[int, int] = {}
    for cycle in _face_cycles():
        signs = [bool(case >> CORNERS.index(c) & 1) for c in cycle]
        for k in range(4):
            if signs[k] and not signs[k - 1]:  # a run of inside corners begins
                end = next(e for e in range(k, k + 4) if not signs[(e + 1) % 4])
                entering = _edge(cycle[k - 1], cycle[k])
                leaving = _edge(cycle[end % 4], cycle[(end + 1) % 4])
                following[entering] = leaving
    corners: list[int] = []
    while following:
        first, after = following.popitem()
        loop = [first]
        while after != first:
            loop.append(after)
            after = following.pop(after)
        cut = _cut(loop)
        assert cut is not None  # tried for all cases by the test of the table
        corners += cut
    return corners


def _cut(loop: list[int]) -> list[int] | None:
    """Triangles of a polygon whose inner edges do not lie in a face of the cell.

    There the neighbour's polygon might have the same inner edge, and four triangles would meet.
    """
    if len(loop) == 3:
        return loop
    for k in range(len(loop)):
        before, after = loop[k - 1], loop[(k + 1) % len(loop)]
        if not _sides(before) & _sides(after):
            rest = _cut(loop[:k] + loop[k + 1 :])
            if rest is not None:
                return [before, loop[k], after, *rest]
    return None


def _sides(edge: int) -> set[tuple[int, int]]:
    """The two faces, as axis and side, that an edge lies in."""
    axis, corner = EDGES[edge]
    return {(a, corner[a]) for a in range(3) if a != axis}


def _face_cycles() -> list[list[Corner]]:
    """The corners of each of the 6 faces, counter-clockwise seen from outside."""
    cycles = []
    for axis, side in product(range(3), (0, 1)):
        u, v = (axis + 1) % 3, (axis + 2) % 3
        square = [(0, 0), (1, 0), (1, 1), (0, 1)]
        cycle: list[Any] = []
        for a, b in square if side else reversed(square):
            corner = [0, 0, 0]
            corner[axis], corner[u], corner[v] = side, a, b
            cycle.append(tuple(corner))
        cycles.append(cycle)
    return cycles


def _edge(a: Corner, b: Corner) -> int:
    """Number of the edge between two corners."""
    axis = next(k for k in range(3) if a[k] != b[k])
    return EDGES.index((axis, min(a, b)))
