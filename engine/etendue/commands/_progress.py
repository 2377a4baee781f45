"""Progress of a bake on the terminal, and Ctrl-C as a polite request."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

Advance = Callable[[int, int, float], None]


@contextmanager
def baking(
    total: int, output: Path, lines: Path | None = None
) -> Iterator[tuple[Advance, Callable[[], bool]]]:
    """Show a bar with ETA and current error on a terminal; yield the callback and a stop predicate.

    The first Ctrl-C makes the predicate true, so that the bake can save its checkpoint; it is
    raised as `KeyboardInterrupt` when the bake of `output` has stopped, after a line that says
    what was kept. A second one interrupts at once. `lines` is a file that gets a line of JSON for
    each call of the callback, for programs that watch.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from etendue.bake.material import checkpoint_path
    from etendue.bake.train import BakeStoppedError

    stopped = [False]
    kept_in = checkpoint_path(output)

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
    console = Console(stderr=True)
    before = signal.signal(signal.SIGINT, interrupt)
    try:
        with Progress(
            *columns, console=console, transient=True, disable=not console.is_interactive
        ) as bar:
            task = bar.add_task("bake", total=total, loss=0.0)

            def advance(step: int, total: int, loss: float) -> None:
                bar.update(task, completed=step, loss=loss)
                if lines is not None:
                    write_line(lines, {"step": step, "total": total, "loss": loss})

            yield advance, lambda: stopped[0]
        if stopped[0]:
            print(f"interrupted: {output} is complete", file=sys.stderr)
            raise KeyboardInterrupt
    except BakeStoppedError:
        kept = "nothing was kept"
        if kept_in.exists():
            kept = f"kept {kept_in}; continue with the same command and --resume"
        print(f"interrupted: {kept}", file=sys.stderr)
        raise KeyboardInterrupt from None
    finally:
        signal.signal(signal.SIGINT, before)


def write_line(file: Path, row: dict[str, object]) -> None:
    """Append `row` as a line of JSON."""
    with file.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(row) + "\n")
