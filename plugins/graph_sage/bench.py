"""Reading a 256 MB table in a file, warm in the page cache, for 6000 nodes of 10 neighbours."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from etendue.device.table import write_table
from etendue.device.unified import UnifiedTensor, unified
from etendue.plugins.graph_sage.kernels import in_place
from etendue.plugins.graph_sage.model import Sage, copied, embed, sample

ROWS, WIDTH, NODES, NEIGHBOURS = 500_000, 128, 6000, 10


def cases() -> Iterator[tuple[str, Callable[..., Any], dict[str, Any]]]:
    """Gather, copy and reduce against reduce in place; then a step of training either way."""
    with tempfile.TemporaryDirectory() as folder:
        table = unified(_table(Path(folder, "features.npy")))
        table.host.sum()  # all pages into the page cache
        index = torch.randint(ROWS, (NODES, NEIGHBOURS), generator=torch.Generator().manual_seed(0))
        into = torch.empty(NODES * NEIGHBOURS, WIDTH)
        sharing = {"table": table, "index": index}
        yield "copy: gather, copy, reduce", _staged, sharing
        yield "copy: into a kept buffer, copy, reduce", _kept, {**sharing, "buffer": into}
        yield "unified: reduce in place", _in_place, sharing
        for label, gather in (
            ("copy: training step", copied),
            ("unified: training step", in_place),
        ):
            yield label, _step(gather), {"table": table}


def _table(path: Path) -> Path:
    rng = np.random.default_rng(0)
    parts = (rng.standard_normal((ROWS // 20, WIDTH), np.float32) for _ in range(20))
    write_table(path, (ROWS, WIDTH), parts)
    return path


def _staged(table: UnifiedTensor, index: torch.Tensor) -> torch.Tensor:
    return table.staged(index).mean(1)


def _kept(table: UnifiedTensor, index: torch.Tensor, buffer: torch.Tensor) -> torch.Tensor:
    """The best that staging can do: nothing is allocated but the copy for the device."""
    torch.index_select(table.host, 0, index.reshape(-1), out=buffer)
    return buffer.clone().reshape(*index.shape, WIDTH).mean(1)


def _in_place(table: UnifiedTensor, index: torch.Tensor) -> torch.Tensor:
    return table.reduce(index)


def _step(gather: Callable[..., Any]) -> Callable[..., None]:
    """A step of training; which nodes it sees is the same for every `gather`."""
    sage = Sage(WIDTH, torch.Generator().manual_seed(0))
    optimizer = torch.optim.Adam(sage.parameters(), 1e-3)
    graph = sample(ROWS, 512, NEIGHBOURS, 0)
    target = torch.nn.functional.normalize(torch.ones(512, 32))

    def step(table: UnifiedTensor) -> None:
        optimizer.zero_grad()
        source = table if gather is in_place else table.host
        embedding = embed(sage, gather, source, **graph)
        (1.0 - (embedding * target).sum(1)).mean().backward()
        optimizer.step()

    return step
