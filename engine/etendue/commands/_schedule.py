"""How a command runs its work: on the scheduler, in its own thread, with a trace when asked."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from etendue.core.errors import InputError

if TYPE_CHECKING:
    from etendue.schedule import Scheduler

TraceOption = Annotated[Path | None, typer.Option(help="Write a trace for Perfetto (.json).")]
MetricsOption = Annotated[Path | None, typer.Option(help="Write counters for Prometheus (text).")]
ClusterOption = Annotated[
    str | None, typer.Option(help="Spread the work with Ray: auto, local, or an address.")
]


@contextmanager
def scheduled(
    trace: Path | None = None,
    metrics: Path | None = None,
    devices: Sequence[str] = ("cpu:0",),
    threads: Sequence[str] = (),
) -> Iterator[Scheduler]:
    """A scheduler whose tasks run in the calling thread, where Ctrl-C arrives; not so those of the
    devices `threads`.

    Measured costs are remembered; `trace` and `metrics` are written also when the work fails.
    """
    from etendue.core.files import atomic_path
    from etendue.device.caps import cache_folder
    from etendue.schedule import Scheduler
    from etendue.schedule.cost import Costs
    from etendue.schedule.trace import Trace

    for option, path in (("--trace", trace), ("--metrics", metrics)):
        _check(option, path)
    record = Trace(events=trace is not None)
    costs = Costs(cache_folder() / "costs.json")
    try:
        with Scheduler(devices, threads=threads, trace=record, costs=costs) as scheduler:
            yield scheduler
    finally:
        if trace is not None:
            record.write(trace)
        if metrics is not None:
            with atomic_path(metrics) as temporary:
                temporary.write_text(record.prometheus(), encoding="utf-8")


def stepwise(advance: Any) -> Any:
    """A progress callback that also lets more urgent tasks run between the steps."""
    from etendue.schedule import checkpoint

    def step(*args: Any) -> None:
        advance(*args)
        checkpoint()

    return step


def _check(option: str, path: Path | None) -> None:
    if path is None:
        return
    folder = path.absolute().parent
    while not folder.exists():
        folder = folder.parent
    if path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(option, "cannot be written", got=path, fix="Choose a writable folder")
