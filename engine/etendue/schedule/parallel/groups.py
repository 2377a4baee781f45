"""Connecting the ranks of a grid: one `torch.distributed` group per line of each axis."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import torch.distributed as dist
from torch.distributed.distributed_c10d import Store

from etendue.core.errors import InputError
from etendue.schedule.parallel.grid import Grid
from etendue.schedule.parallel.wire import Line


@dataclass(frozen=True)
class Mesh:
    """This rank's place in a grid and its line along each axis.

    `replica` runs along data and sequence: its ranks hold the same parameters and see different
    data, so gradients are summed over it. `world` holds every rank.
    """

    grid: Grid
    rank: int
    pipeline: Line
    data: Line
    sequence: Line
    tensor: Line
    replica: Line
    world: Line
    timeout_s: float = 60.0

    def share_pipeline(self, indices: tuple[int, ...]) -> Line:
        """The line of those ranks of each pipeline that stand at `indices`.

        All ranks of the grid call this together; a rank that is not meant gets a line of its own.
        """
        mine = Line((self.rank,))
        for line in self.grid.lines("pipeline"):
            ranks = tuple(line[index] for index in indices)
            group = _group(ranks, self.timeout_s)
            if self.rank in ranks:
                mine = Line(ranks, ranks.index(self.rank), group)
        return mine

    def meet(self) -> None:
        """Wait until every rank has come here."""
        if self.world.size > 1:
            dist.barrier(self.world.group)

    def close(self) -> None:
        """Leave all groups."""
        if dist.is_initialized():
            dist.destroy_process_group()


def alone() -> Mesh:
    """A grid of one rank, which needs no connection."""
    return Mesh(Grid(), 0, Line(), Line(), Line(), Line(), Line(), Line())


def connect(
    grid: Grid,
    rank: int,
    size: int,
    file: Path | str,
    timeout_s: float = 60.0,
    backend: str = "gloo",
) -> Mesh:
    """Meet the other ranks by way of a file that all can reach, and form the groups.

    `file` is new for every meeting. Any later wait for another rank ends with an error after
    `timeout_s`. Raises `InputError` when ranks do not come, and says which.
    """
    if size != grid.size:
        raise InputError(
            "grid",
            "does not match the number of processes",
            got=f"{size} processes",
            expected=f"{grid.size} for {grid}",
        )
    grid.place(rank)  # checks it
    if size == 1:
        return alone()
    timeout = timedelta(seconds=timeout_s)
    store = dist.FileStore(str(file), size)  # pyright: ignore[reportPrivateImportUsage]
    store.set_timeout(timeout)
    _meet(store, rank, size, timeout_s)
    dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=timeout)

    def line(*axes: str) -> Line:
        mine = Line((rank,))
        for ranks in grid.lines(*axes):  # every rank makes every group, in the same order
            group = _group(ranks, timeout_s)
            if rank in ranks:
                mine = Line(ranks, ranks.index(rank), group)
        return mine

    mesh = Mesh(
        grid,
        rank,
        pipeline=line("pipeline"),
        data=line("data"),
        sequence=line("sequence"),
        tensor=line("tensor"),
        replica=line("data", "sequence"),
        world=Line(tuple(range(size)), rank, dist.group.WORLD),
        timeout_s=timeout_s,
    )
    mesh.meet()
    return mesh


def _group(ranks: tuple[int, ...], timeout_s: float) -> dist.ProcessGroup | None:
    """A group of these ranks, made by all ranks together; None for a single or another rank."""
    if len(ranks) == 1:
        return None
    group = dist.new_group(list(ranks), timeout=timedelta(seconds=timeout_s))
    return group if isinstance(group, dist.ProcessGroup) else None


def _meet(store: Store, rank: int, size: int, timeout_s: float) -> None:
    """Wait until every rank has said that it is there."""
    store.set(f"here/{rank}", "1")
    keys = [f"here/{other}" for other in range(size)]
    try:
        store.wait(keys, timedelta(seconds=timeout_s))
    except RuntimeError as error:  # stores differ in what they raise
        missing = [str(other) for other, key in enumerate(keys) if not store.check([key])]
        raise InputError(
            "grid",
            f"ranks {', '.join(missing)} did not come",
            got=f"{size - len(missing)} of {size} within {timeout_s:g} s",
            fix="Start one process per rank of the grid, all with the same new file",
        ) from error
