"""Progress of a bake on the terminal, and Ctrl-C as a polite request."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Advance = Callable[[int, int, float], None]


@contextmanager
def baking(total: int) -> Iterator[tuple[Advance, Callable[[], bool]]]:
    """Show a bar with ETA and current error; yield the callback and a stop predicate.

    The first Ctrl-C makes the predicate true, so that the bake can save its checkpoint; it is
    raised as `KeyboardInterrupt` when the bake has stopped. A second one interrupts at once.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from etendue.bake.train import BakeStoppedError

    stopped = [False]

    def interrupt(*_: object) -> None:
        if stopped[0]:
            raise KeyboardInterrupt
        stopped[0] = True

    columns = (
        TextColumn("baking"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total} steps"),
        TimeRemainingColumn(),
        TextColumn("error {task.fields[loss]:.4f}"),
    )
    before = signal.signal(signal.SIGINT, interrupt)
    try:
        with Progress(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task("bake", total=total, loss=0.0)

            def advance(step: int, total: int, loss: float) -> None:
                bar.update(task, completed=step, loss=loss)

            yield advance, lambda: stopped[0]
    except BakeStoppedError as error:
        raise KeyboardInterrupt(str(error)) from None
    finally:
        signal.signal(signal.SIGINT, before)
