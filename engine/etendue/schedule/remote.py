"""The same tasks beyond one machine: a graph of `Task`s on a Ray cluster.

Ray places the tasks (a `cpu:n` task takes one processor, a `cuda:n` task one GPU, `memory_mb` is
reserved), moves results between them and runs again what a killed worker was doing. Arguments that
many tasks share are put into its object store, which sends them once to each node.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from etendue.core.errors import DeviceError, EtendueError, InputError
from etendue.schedule.task import Task, TaskError, topological
from etendue.schedule.worker import out_of_memory

RETRIES = 3  # runs of a task whose worker died, beyond the first
STARTS = 3  # attempts to start a local cluster
SOURCE = str(Path(__file__).parents[2])


class Cluster:
    """A connection to Ray; use it as a context manager.

    `address` is `auto` (a cluster that runs on this machine or that $RAY_ADDRESS names, else a
    local one is started), `local`, `host:port` or `ray://host:port`. `workers` is the number of
    processes of a local one, by default the number of cores.
    """

    def __init__(self, address: str = "auto", workers: int | None = None) -> None:
        self.ray = _ray()
        if self.ray.is_initialized():
            raise InputError("cluster", "this process is connected to one already")
        cores = len(os.sched_getaffinity(0)) if workers is None else workers
        with _environment():
            try:
                self._connect(address, cores)
            except Exception as error:  # Ray raises many kinds, plain `Exception` among them
                text = " ".join(str(error).split())[:200]
                raise DeviceError(
                    f"--cluster {address}",
                    f"cannot be reached ({text})",
                    fix="Start it with `ray start --head`, or use --cluster local",
                ) from error

    def _connect(self, address: str, cores: int) -> None:
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
        if address not in ("auto", "local"):
            self.ray.init(address=address, **quiet)
            return
        if address == "auto":
            try:
                self.ray.init(address="auto", **quiet)
                return
            except ConnectionError:
                pass  # none runs here
        for attempt in range(STARTS):
            try:
                self.ray.init(address="local", num_cpus=cores, include_dashboard=False, **quiet)
                return
            except Exception as error:  # it waits for 30 s only, which a busy machine may exceed
                self.ray.shutdown()
                if "timed out" not in str(error) or attempt == STARTS - 1:
                    raise

    @property
    def cores(self) -> int:
        """Processors of the whole cluster."""
        return max(1, int(self.ray.cluster_resources().get("CPU", 1)))

    def share(self, value: Any) -> Any:
        """Put `value` into the object store; given to `Task.run` by `functools.partial`, it arrives
        as the value itself (see `shared`)."""
        return self.ray.put(value)

    def run(self, *tasks: Task) -> list[Any]:
        """Results of `tasks`, in their order whatever the order in which they ended."""
        found = dict(self.finished(*tasks))
        return [found[k] for k in range(len(tasks))]

    def finished(
        self, *tasks: Task, failures: list[Exception] | None = None
    ) -> Iterator[tuple[int, Any]]:
        """(place in `tasks`, result) as they end.

        Raises what `Job.result` raises for the first that failed, or with `failures` appends it
        there and goes on. What is left when the caller stops iterating is cancelled.
        """
        references: dict[int, Any] = {}
        for task in topological(tasks):
            needs = [references[id(need)] for need in task.after]
            remote = self.ray.remote(_call).options(**_options(task))
            references[id(task)] = remote.remote(_variants(task), *needs)
        waiting: dict[Any, list[int]] = {}
        for place, task in enumerate(tasks):
            waiting.setdefault(references[id(task)], []).append(place)
        try:
            while waiting:
                (reference, *_), _ = self.ray.wait(list(waiting), num_returns=1)
                places = waiting.pop(reference)
                try:
                    value = self._get(reference, tasks[places[0]])
                except EtendueError as error:
                    if failures is None:
                        raise
                    failures.append(error)
                    continue
                yield from ((place, value) for place in places)
        finally:
            for reference in references.values() if waiting else ():
                self.ray.cancel(reference, force=True)

    def _get(self, reference: Any, task: Task) -> Any:
        try:
            return self.ray.get(reference)
        except self.ray.exceptions.RayTaskError as error:
            cause = error.cause if isinstance(error.cause, Exception) else error
            if isinstance(cause, EtendueError):
                raise cause from None
            what = f"{type(cause).__name__}: {' '.join(str(cause).split())}"
            raise TaskError(task.name, f"failed ({what})") from cause
        except self.ray.exceptions.RayError as error:  # its workers died too often
            what = " ".join(str(error).split())[:300]
            raise TaskError(task.name, f"failed ({type(error).__name__}: {what})") from error

    def close(self) -> None:
        """Disconnect; a cluster that was started for this ends."""
        self.ray.shutdown()

    def __enter__(self) -> Cluster:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def shared(value: Any) -> Any:
    """In a task: the value that `Cluster.share` was given."""
    ray = sys.modules.get("ray")
    if ray is not None and isinstance(value, ray.ObjectRef):
        return ray.get(value)
    return value


def _options(task: Task) -> dict[str, Any]:
    kind = task.device.partition(":")[0]
    options: dict[str, Any] = {"name": task.name, "max_retries": RETRIES, "num_cpus": 1}
    if kind in ("cuda", "vulkan"):
        options["num_gpus"] = 1
    if task.memory_mb:
        options["memory"] = task.memory_mb << 20
    return options


def _variants(task: Task) -> list[tuple[str, Any]]:
    found, variant = [], task
    while variant is not None:
        found.append((variant.name, variant.run))
        variant = variant.otherwise
    return found


def _call(variants: list[tuple[str, Any]], *args: Any) -> Any:
    """What runs in a worker process: the task, or after out-of-memory its next variant."""
    for name, run in variants[:-1]:
        try:
            return _finish(run(*args))
        except Exception as error:
            if not out_of_memory(error):
                raise
            print(f"{name}: out of memory, the next variant runs", file=sys.stderr)
    return _finish(variants[-1][1](*args))


def _finish(value: Any) -> Any:
    """The result of a task that yields; nothing else wants its process."""
    if not isinstance(value, Generator):
        return value
    while True:
        try:
            next(value)
        except StopIteration as stop:
            return stop.value


def _ray() -> Any:
    try:
        with _environment():
            import ray
            import ray.exceptions
    except ImportError:
        raise DeviceError("--cluster", "needs Ray", fix="pip install 'etendue[remote]'") from None
    return ray


@contextmanager
def _environment() -> Iterator[None]:
    """What a local cluster inherits: where étendue lies, and no reports to anybody."""
    wanted = {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_worker_niceness": "0",  # else 15 more than ours: nothing is left on a busy machine
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "PYTHONPATH": os.pathsep.join(filter(None, [SOURCE, os.environ.get("PYTHONPATH")])),
    }
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
