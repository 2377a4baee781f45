"""Worker processes: whatever happens in one, this process goes on."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Generator
from multiprocessing.connection import Connection, wait
from typing import Any

from etendue.core.errors import EtendueError


class WorkerDiedError(EtendueError):
    """A worker process ended in the middle of a task."""


class Child:
    """A spawned process that runs one task at a time, step by step."""

    def __init__(self, cores: tuple[int, ...]) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, other = context.Pipe()
        self.process = context.Process(target=_serve, args=(other, cores), daemon=True)
        self.process.start()
        other.close()

    def ask(self, message: Any) -> tuple[str, Any]:
        """Send and wait for the answer; `WorkerDiedError` when the process is gone."""
        try:
            self.connection.send(message)
            wait([self.connection, self.process.sentinel])
            if self.connection.poll():
                return self.connection.recv()
        except (EOFError, ConnectionError):
            pass
        self.process.join()
        raise WorkerDiedError("worker process", "died", got=f"exit code {self.process.exitcode}")

    def kill(self) -> None:
        """End it at once; whoever waits for an answer gets `WorkerDiedError`."""
        self.process.kill()

    def close(self) -> None:
        """End it and release what it held here."""
        self.process.kill()
        self.process.join()
        self.connection.close()


def steps(
    child: Child, run: Callable[..., Any], args: tuple[Any, ...]
) -> Generator[None, None, Any]:
    """Run a task in `child`; yields where the task does."""
    kind, value = child.ask((run, args))
    while kind == "yield":
        yield
        kind, value = child.ask("next")
    if kind == "error":
        raise value
    return value


def _serve(connection: Connection, cores: tuple[int, ...]) -> None:
    """What the process does: receive a task, answer each of its steps, until the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    if cores:
        os.sched_setaffinity(0, cores)
    while True:
        try:
            run, args = connection.recv()
        except (EOFError, ConnectionError):
            return
        except Exception as error:  # the task cannot be unpickled here
            _send(connection, ("error", error))
            continue
        try:
            value = run(*args)
            if isinstance(value, Generator):
                value = _stepwise(connection, value)
            answer = ("done", value)
        except (EOFError, ConnectionError):
            return
        except BaseException as error:
            answer = ("error", error)
        _send(connection, answer)
        run = args = answer = value = None


def _stepwise(connection: Connection, task: Generator[Any, None, Any]) -> Any:
    while True:
        try:
            next(task)
        except StopIteration as stop:
            return stop.value
        connection.send(("yield", None))
        connection.recv()


def _send(connection: Connection, answer: tuple[str, Any]) -> None:
    """Answer; what cannot be pickled becomes an error that says so."""
    import pickle
    from multiprocessing.reduction import ForkingPickler

    try:
        data = ForkingPickler.dumps(answer)
        pickle.loads(data)  # some exceptions pickle and then cannot be made again
    except Exception as problem:
        text = f"{type(answer[1]).__name__}: {answer[1]}" if answer[0] == "error" else str(problem)
        data = ForkingPickler.dumps(("error", RuntimeError(text)))
    connection.send_bytes(data)
