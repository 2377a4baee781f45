"""The viewer's side of the renderer: starts its process, talks to it, and replaces it if it dies.

The last command of each kind is kept; a new process gets them all and is where the old one was.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import etendue
from etendue.view.memory import Shared
from etendue.view.protocol import Message, receive, send

KEPT = ("spp", "show", "look", "scene")  # in this order: the scene comes when all else is known
MOST_DEATHS, WITHIN_S = 3, 20.0  # more deaths in that time, and it is not started again
GRACE_S = 1.0  # for ending of its own accord


@dataclass(frozen=True)
class Frame:
    """A picture, linear, as the renderer left it."""

    images: tuple[np.ndarray, ...]  # (H, W, 3) float32: the scene and, compared, the reference
    layer: str
    spp: int
    wanted: int
    seconds: float  # since the camera or the scene changed
    rate: float  # paths per second
    divisor: int  # of the sides, 1 = full size
    moving: bool


Event = Message | Frame
FACTS = ("layer", "spp", "wanted", "seconds", "rate", "divisor", "moving")
Process = subprocess.Popen[bytes]


class Worker:
    """A renderer that is always there; `tell` is called with every event, in another thread."""

    def __init__(self, tell: Callable[[Event], None]) -> None:
        self.tell = tell
        self.memory = Shared.create()
        self.kept: dict[str, Message] = {}
        self.deaths: deque[float] = deque(maxlen=MOST_DEATHS)
        self.lock = threading.Lock()
        self.closing = False
        self.died_at: float | None = None
        self.process: Process | None = None
        self.connection: socket.socket | None = None
        self.spare: tuple[Process, socket.socket] | None = None  # loaded, waits for its turn
        self.thread = threading.Thread(target=self._serve, name="renderer", daemon=True)

    def start(self) -> None:
        """Start the process and the thread that listens to it."""
        self._launch()
        self.thread.start()

    def send(self, message: Message) -> None:
        """Give a command; it is repeated to the next process should this one die."""
        with self.lock:
            if message["do"] in KEPT:
                self.kept[message["do"]] = message
            if self.connection is not None:
                send(self.connection, message)

    def restart(self) -> None:
        """Try again after too many deaths."""
        self.deaths.clear()
        if not self.thread.is_alive() and not self.closing:
            self.thread = threading.Thread(target=self._serve, name="renderer", daemon=True)
            self.start()

    def close(self) -> None:
        """End the process."""
        self.closing = True
        with self.lock:
            connection, self.connection = self.connection, None
        if connection is not None and connection.fileno() >= 0:  # not gone by itself
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        if self.thread.is_alive():
            self.thread.join(2 * GRACE_S)
        self._end()
        if self.spare is not None:
            self.spare[1].close()  # it ends at once
            self.spare[0].wait()
        self.memory.close()

    @property
    def pid(self) -> int | None:
        """Of the process."""
        return None if self.process is None else self.process.pid

    def _spawn(self) -> tuple[Process, socket.socket]:
        """A process that loads the libraries and waits for commands."""
        ours, theirs = socket.socketpair()
        environment = dict(os.environ)
        root = str(Path(etendue.__file__).parents[1])
        paths = [root, *filter(None, [environment.get("PYTHONPATH")])]
        environment["PYTHONPATH"] = os.pathsep.join(paths)
        descriptors = (theirs.fileno(), self.memory.descriptor)
        command = [sys.executable, "-m", "etendue.view.renderer", *map(str, descriptors)]
        process = subprocess.Popen(
            command, env=environment, pass_fds=descriptors, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        theirs.close()
        return process, ours

    def _launch(self) -> None:
        spare, self.spare = self.spare, None
        if spare is not None and spare[0].poll() is not None:
            spare[1].close()
            spare = None
        process, connection = spare or self._spawn()
        with self.lock:
            self.process, self.connection = process, connection
            for kind in KEPT:
                if kind in self.kept:
                    send(connection, self.kept[kind])

    def _serve(self) -> None:
        while not self.closing:
            connection = self.connection
            if connection is None:
                return
            for message in receive(connection):
                self._received(message)
            connection.close()
            if self.closing or not self._again():
                return

    def _received(self, message: Message) -> None:
        if message.get("say") != "frame":
            self.tell(message)
            return
        frame = self._frame(message)
        if frame is None:
            return
        if self.died_at is not None:
            self.tell({"say": "recovered", "seconds": time.monotonic() - self.died_at})
            self.died_at = None
        self.tell(frame)
        rests = frame.divisor == 1 and not frame.moving and (frame.spp > 1 or frame.layer != "rgb")
        if rests and self.spare is None and not self.closing:
            self.spare = self._spawn()  # not before: it would compete with the first picture

    def _frame(self, m: Message) -> Frame | None:
        images = self.memory.read(m["generation"], m["images"], m["height"], m["width"])
        if images is None:
            return None
        told: dict[str, Any] = {k: m[k] for k in FACTS}
        return Frame(images, **told)

    def _again(self) -> bool:
        """Another process in place of one that is gone; False when it dies too often."""
        now = time.monotonic()
        if self.died_at is None:
            self.died_at = now
        reason = self._end()
        often = len(self.deaths) == MOST_DEATHS and now - self.deaths[0] < WITHIN_S
        self.deaths.append(now)
        self.tell({"say": "died", "reason": reason, "again": not often})
        if often:
            with self.lock:
                self.connection = None
            return False
        self._launch()
        return True

    def _end(self) -> str:
        """Wait for the process, or kill it; how it ended."""
        process = self.process
        if process is None:
            return ""
        try:
            code = process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"
