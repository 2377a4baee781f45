"""Ctrl-C that lets the current pass finish, so that nothing rendered is lost."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any


class Interrupt:
    """While entered, the first Ctrl-C only makes the object answer True; the second one raises."""

    def __init__(self, cancel: Callable[[], bool] | None = None) -> None:
        self._cancel = cancel
        self._asked = False
        self._previous: Any = None
        self._installed = False

    def __call__(self) -> bool:
        """Whether to stop now."""
        return self._asked or (self._cancel is not None and self._cancel())

    def __enter__(self) -> Interrupt:
        previous = signal.getsignal(signal.SIGINT)
        # only the main thread may set handlers; an application's own handler is left alone
        if threading.current_thread() is threading.main_thread() and (
            previous is signal.default_int_handler
        ):
            self._previous = signal.signal(signal.SIGINT, self._ask)
            self._installed = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._installed:
            signal.signal(signal.SIGINT, self._previous)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True
