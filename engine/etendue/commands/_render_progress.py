"""A progress bar on stderr that appears only when something takes more than two seconds."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any

PATIENCE_S = 2.0


class Progress:
    """Call it with (done, total); shows a bar with the time left on a terminal, else nothing."""

    def __init__(self, label: str, *, shown: bool = True) -> None:
        self.label = label
        self.shown = shown and sys.stderr.isatty()
        self.start = time.monotonic()
        self.bar: Any = None
        self.task: Any = None

    def __enter__(self) -> Progress:
        return self

    def __call__(self, done: int, total: int) -> None:
        """Move the bar to `done` of `total`."""
        if not self.shown or time.monotonic() - self.start < PATIENCE_S:
            return
        if self.bar is None:
            from rich.console import Console
            from rich.progress import Progress as Bar
            from rich.progress import TimeRemainingColumn

            self.bar = Bar(
                *Bar.get_default_columns()[:3],
                TimeRemainingColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self.bar.start()
            self.task = self.bar.add_task(self.label, total=total)
        self.bar.update(self.task, completed=done, total=total)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.bar is not None:
            self.bar.stop()
