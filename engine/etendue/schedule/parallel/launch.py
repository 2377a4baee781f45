"""Run a function on every rank of a grid, in processes of this machine.

Ranks share the cores of the thread that launches them: as a task (`grid_task`) that is the share
which the scheduler gave to the task's device.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from etendue.core.errors import EtendueError, InputError
from etendue.device.compute import share
from etendue.schedule.parallel.grid import Grid
from etendue.schedule.task import Priority, Task
from etendue.schedule.worker import checkpoint

# loaded once, ranks are forked from there; the last one is what a first backward pass loads
PRELOAD = ("torch", "torch.distributed", "torch.fx.experimental.symbolic_shapes")
GRACE_S = 30.0  # the ranks notice a hang themselves before this is over
CAUSE_S = 1.0
LOOK_S = 0.1  # between two looks at the scheduler, which may want to cancel
# what a rank answers; of failures the first kind is the likeliest cause of the others
DONE, INPUT, FAILURE, CONSEQUENCE = range(4)


class RankError(EtendueError):
    """A rank failed, died or hung; the others were stopped."""


def launch(
    function: Callable[..., Any],
    grid: Grid,
    *arguments: Any,
    timeout_s: float = 60.0,
    threads: int = 1,
    ranks: Sequence[int] | None = None,
) -> list[Any]:
    """The results of `function(mesh, *arguments)` on each rank, which must be plain data or numpy.

    The function stands at the top of an importable module. An `InputError` of a rank is raised
    here as it is; every other failure, the death of a process and a hang beyond `timeout_s` as
    `RankError`. No process outlives the call. `ranks` starts only some of them (for tests).
    Inside a task it lets more urgent ones run while it waits, and ends when it is cancelled.
    """
    cores = sorted(os.sched_getaffinity(0))  # of this thread
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOAD))
    running: dict[int, tuple[ForkServerProcess, Connection]] = {}
    results: dict[int, Any] = {}
    wanted = range(grid.size) if ranks is None else ranks
    with tempfile.TemporaryDirectory(prefix="etendue-ranks-") as folder:
        meet = str(Path(folder, "meet"))
        task = (grid, cores, meet, timeout_s, threads, function, arguments)
        try:
            for rank in wanted:
                receiver, sender = context.Pipe(duplex=False)
                process = context.Process(target=_run, args=(rank, sender, *task), daemon=True)
                process.start()
                sender.close()
                running[rank] = process, receiver
            end = time.monotonic() + timeout_s + GRACE_S
            while len(results) < len(running):
                _collect(running, results, end)
                checkpoint()
        finally:
            for process, receiver in running.values():
                if len(results) < len(running):
                    process.kill()
                process.join()
                receiver.close()
    return [results[rank] for rank in wanted]


def grid_task(
    name: str,
    function: Callable[..., Any],
    grid: Grid,
    *arguments: Any,
    device: str = "cpu:0",
    priority: Priority = Priority.BAKE,
    memory_mb: int = 0,
    timeout_s: float = 60.0,
    threads: int = 1,
) -> Task:
    """A task whose result is that of `launch`; its ranks live on the cores of `device`."""

    def run() -> list[Any]:
        return launch(function, grid, *arguments, timeout_s=timeout_s, threads=threads)

    return Task(name, run, device, priority, memory_mb=memory_mb, shape=(grid.size,))


def _collect(
    running: dict[int, tuple[ForkServerProcess, Connection]], results: dict[int, Any], end: float
) -> None:
    """Take in what has come, if anything; raise when a rank has failed or it takes too long."""
    pending = {receiver: rank for rank, (_, receiver) in running.items() if rank not in results}
    failures = _receive(running, pending, results, LOOK_S)
    if failures is None:
        if time.monotonic() < end:
            return
        late = ", ".join(str(rank) for rank in pending.values())
        raise RankError(f"ranks {late}", "have not answered in time")
    if failures and min(failures)[0] == CONSEQUENCE:  # the cause may still be on its way
        failures += _receive(running, pending, results, CAUSE_S) or []
    if failures:
        kind, rank, text = min(failures)
        if kind == INPUT:
            raise InputError.__new__(InputError, text)
        raise RankError(f"rank {rank}", f"failed\n{text}")


def _receive(
    running: dict[int, tuple[ForkServerProcess, Connection]],
    pending: dict[Any, int],
    results: dict[int, Any],
    timeout_s: float,
) -> list[tuple[int, int, str]] | None:
    """The failures (kind, rank, text) among what has come; None when nothing has."""
    ready = wait(list(pending), timeout_s)
    failures = []
    for receiver in ready:
        rank = pending.pop(receiver)
        try:
            kind, value = running[rank][1].recv()
        except EOFError:
            process = running[rank][0]
            process.join()
            kind, value = FAILURE, f"the process ended with code {process.exitcode}"
        if kind == DONE:
            results[rank] = value
        else:
            failures.append((kind, rank, value))
    return failures if ready else None


def _run(
    rank: int,
    sender: Connection,
    grid: Grid,
    cores: Sequence[int],
    file: str,
    timeout_s: float,
    threads: int,
    function: Callable[..., Any],
    arguments: tuple[Any, ...],
) -> None:
    os.sched_setaffinity(0, share(cores, rank, grid.size))
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # ranks of one machine
    import torch

    groups = importlib.import_module("etendue.schedule.parallel.groups")
    torch.set_num_threads(threads)
    mesh = None
    try:
        mesh = groups.connect(grid, rank, grid.size, file, timeout_s)
        result = function(mesh, *arguments)
        mesh.meet()  # nobody leaves while another may still need it
        sender.send((DONE, result))
    except InputError as error:
        sender.send((INPUT, str(error)))
    except Exception as error:
        lost = "gloo" in str(error).lower() or "connection" in str(error).lower()
        sender.send((CONSEQUENCE if lost else FAILURE, traceback.format_exc()))
    finally:
        if mesh is not None:
            mesh.close()
        sender.close()
