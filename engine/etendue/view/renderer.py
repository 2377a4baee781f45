"""The renderer's process: takes commands, renders passes, puts pictures into shared memory.

`python -m etendue.view.renderer SOCKET MEMORY`, two descriptors that the viewer hands on. Commands
that wait together are taken together, and of several cameras the last one counts.
"""

from __future__ import annotations

import importlib
import os
import queue
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from etendue.core.errors import EtendueError, InputError
from etendue.scene.camera import Camera
from etendue.scene.scene import load_scene
from etendue.schedule import Priority, Scheduler, Task
from etendue.schedule.trace import Trace
from etendue.view import pace as pacing
from etendue.view.memory import Shared
from etendue.view.pace import Pace
from etendue.view.protocol import Message, receive, send
from etendue.view.session import camera_of

TRACED = 400  # most recent events of the timeline that are sent


@dataclass
class Wanted:
    """What the picture should be."""

    size: tuple[int, int] = (640, 360)
    camera: Camera | None = None
    moving: bool = False
    layer: str = "rgb"
    spp: int = 256


@dataclass
class State:
    """The scenes that are rendered and how far they are."""

    lives: list[Any] = field(default_factory=list)  # `render.live.Live`: the scene, its reference
    divisor: int = 1
    shown: bool = False  # whether the picture at full size has been sent
    done: bool = True
    began: float = 0.0


class Renderer:
    """Carries out commands until the viewer goes away."""

    def __init__(self, connection: socket.socket, memory: Shared) -> None:
        self.connection, self.memory = connection, memory
        self.commands: queue.Queue[Message] = queue.Queue()
        self.wanted, self.state = Wanted(), State()
        self.moving, self.resting = Pace(pacing.MOVING_S), Pace(pacing.PASS_S)
        self.rate = 0.0  # paths per second
        self.generation = 0
        self.trace = Trace(events=True)
        self.doing: dict[str, Callable[[Message], None]] = {
            "scene": self._scene,
            "look": self._look,
            "show": self._show,
            "spp": self._spp,
            "pick": self._pick,
            "bounds": self._bounds,
            "trace": self._send_trace,
        }

    def run(self) -> None:
        """Serve."""
        threading.Thread(target=self._listen, daemon=True).start()
        self._guarded(_warm_up)
        with Scheduler(threads=False, trace=self.trace) as scheduler:
            while True:
                self._take()
                if self.state.lives and not self.state.done:
                    self._guarded(lambda: self._advance(scheduler))

    def _listen(self) -> None:
        for message in receive(self.connection):
            self.commands.put(message)
        os._exit(0)  # the viewer has gone: nobody is left to render for

    def _take(self) -> None:
        """Carry out what waits; sleep when there is nothing else to do."""
        idle = self.state.done or not self.state.lives
        messages = [self.commands.get()] if idle else []
        while not self.commands.empty():
            messages.append(self.commands.get())
        last_look = max((k for k, m in enumerate(messages) if m.get("do") == "look"), default=-1)
        for k, message in enumerate(messages):
            action = self.doing.get(str(message.get("do")))
            if action is None or (message["do"] == "look" and k < last_look):
                continue
            self._guarded(lambda action=action, message=message: action(message))

    def _guarded(self, action: Callable[[], None]) -> None:
        """Run `action`; what goes wrong is said, and rendering rests until something changes."""
        try:
            action()
        except EtendueError as error:
            self._fail(str(error))
        except (KeyError, TypeError, ValueError) as error:
            self._fail(f"renderer: unusable command or scene ({type(error).__name__}: {error})")

    def _fail(self, text: str) -> None:
        self.state.done = True
        self.say({"say": "error", "text": text})

    def say(self, message: Message) -> None:
        """Tell the viewer."""
        if not send(self.connection, message):
            os._exit(0)

    # ---- commands

    def _scene(self, message: Message) -> None:
        from etendue.render.live import LAYERS, Live, files_of

        began = time.monotonic()
        self.say({"say": "busy", "text": f"loading {Path(message['scene']).name}"})
        replaced = {name: Path(file) for name, file in message.get("materials", {}).items()}
        reference = {name: Path(file) for name, file in message.get("references", {}).items()}
        scene = load_scene(
            message["scene"],
            parameters=message.get("parameters") or {},
            search=tuple(map(Path, message.get("search", ()))),
            assignments=replaced,
            edits=message.get("edits", {}),
        )
        lives = [Live(scene, kernel=message.get("kernel", "coherent"))]
        if reference:
            self.say({"say": "busy", "text": "loading the layered reference"})
            twin = replace(scene, assignments={**replaced, **reference})
            lives.append(Live(twin))
        self.state.lives = lives
        first = lives[0]
        self.say(
            {
                "say": "ready",
                "shapes": first.shapes,
                "baked": files_of(first),
                "notes": first.built.notes,
                "camera": _plain(first.camera()),
                "size": first.built.size,
                "layers": LAYERS,
                "compared": len(lives) > 1,
                "seconds": time.monotonic() - began,
            }
        )
        self._restart()

    def _look(self, message: Message) -> None:
        size = int(message["width"]), int(message["height"])
        camera = camera_of(message["camera"]) if message.get("camera") else None
        self.wanted = replace(
            self.wanted, camera=camera, size=size, moving=message.get("moving") is True
        )
        self._restart()

    def _show(self, message: Message) -> None:
        self.wanted = replace(self.wanted, layer=str(message["layer"]))
        if self.state.lives and self.wanted.layer == "rgb" and self.state.lives[0].spp:
            self._publish()
            self.state.done = self.state.lives[0].spp >= self.wanted.spp
        else:
            self._restart()

    def _spp(self, message: Message) -> None:
        self.wanted = replace(self.wanted, spp=max(1, int(message["spp"])))
        if self.state.lives and self.wanted.layer == "rgb":
            self.state.done = self.state.lives[0].spp >= self.wanted.spp

    def _pick(self, message: Message) -> None:
        if not self.state.lives:
            return
        live = self.state.lives[0]
        x = int(float(message["x"]) * live.window.width)
        y = int(float(message["y"]) * live.window.height)
        x, y = min(max(x, 0), live.window.width - 1), min(max(y, 0), live.window.height - 1)
        self.say(
            {"say": "picked", "token": message.get("token"), "pixel": [x, y], **live.pick(x, y)}
        )

    def _bounds(self, message: Message) -> None:
        if self.state.lives:
            low, high = self.state.lives[0].bounds(message.get("shape"))
            self.say({"say": "bounds", "low": low, "high": high})

    def _send_trace(self, message: Message) -> None:
        events = list(self.trace.events or ())[-TRACED:]
        self.say({"say": "trace", "events": events})

    # ---- rendering

    def _restart(self) -> None:
        if not self.state.lives:
            return
        paths = self.moving.paths // len(self.state.lives)
        first = pacing.divisor(self.wanted.size, paths)
        self.state = State(self.state.lives, first, False, False, time.monotonic())
        self._aim()

    def _aim(self) -> None:
        size = pacing.even(self.wanted.size, self.state.divisor)
        for live in self.state.lives:
            live.look(self.wanted.camera or live.camera(), size)

    def _advance(self, scheduler: Scheduler) -> None:
        """One pass of every scene, or an auxiliary image."""
        if self.wanted.layer != "rgb":
            name = f"layer {self.wanted.layer}"
            layers = self._run(scheduler, name, lambda: self._layer(self.wanted.layer))
            self._publish(layers)
            self._next_size()
            return
        done = True
        pixels = self.state.lives[0].window.width * self.state.lives[0].window.height
        spp = self.state.lives[0].spp
        count = pacing.samples(pixels, spp, self.wanted.spp, self.resting.paths)
        whole = self.wanted.moving or self.state.divisor > 1
        paths = pixels if whole else self.resting.paths
        started, before = time.perf_counter(), self._traced()
        for k, live in enumerate(self.state.lives):
            label = f"{'reference' if k else 'picture'} {live.window.width}x{live.window.height}"
            done &= self._run(scheduler, label, lambda live=live: live.step(paths, count))
        self._measure(self._traced() - before, time.perf_counter() - started, whole)
        if done:
            self._publish()
            self._next_size()

    def _traced(self) -> int:
        return sum(int(live.sums.counts.sum()) for live in self.state.lives)

    def _measure(self, paths: int, seconds: float, whole: bool) -> None:
        self.rate += 0.3 * (paths / max(seconds, 1e-6) - self.rate)
        if whole:
            self.moving = self.moving.measured(paths, seconds)
        else:
            each = len(self.state.lives)
            self.resting = self.resting.measured(paths // each, seconds / each)

    def _run(self, scheduler: Scheduler, name: str, work: Callable[[], Any]) -> Any:
        (job,) = scheduler.submit(Task(name, work, priority=Priority.FRAME))
        return job.result()

    def _next_size(self) -> None:
        """After a picture: a larger one, more samples, or rest."""
        if self.wanted.moving:
            self.state.done = True  # the next camera is on its way
        elif self.state.divisor > 1:
            self.state.divisor = 1
            self._aim()
        elif self.wanted.layer != "rgb" or self.state.lives[0].spp >= self.wanted.spp:
            self.state.done = True
            self.say({"say": "done"})

    def _layer(self, name: str) -> tuple[np.ndarray, ...]:
        return tuple(live.layer(name) for live in self.state.lives)

    def _publish(self, images: tuple[np.ndarray, ...] | None = None) -> None:
        pictures = tuple(live.rgb() for live in self.state.lives) if images is None else images
        self.generation += 1
        self.memory.write(self.generation, pictures)
        height, width = pictures[0].shape[:2]
        self.say(
            {
                "say": "frame",
                "generation": self.generation,
                "images": len(pictures),
                "width": width,
                "height": height,
                "layer": self.wanted.layer,
                "spp": self.state.lives[0].spp,
                "wanted": self.wanted.spp,
                "seconds": time.monotonic() - self.state.began,
                "rate": self.rate,
                "divisor": self.state.divisor,
                "moving": self.wanted.moving,
            }
        )


def _warm_up() -> None:
    """Load what rendering needs, so that the first picture does not wait for it."""
    from etendue.device.caps import array_variant
    from etendue.device.drjit import activate

    activate(array_variant())
    importlib.import_module("etendue.render.live")


def _plain(camera: Camera) -> Message:
    keys = ("origin", "target", "up", "fov_deg", "near", "far", "aspect")
    return {key: getattr(camera, key) for key in keys}


def main(arguments: list[str]) -> int:
    """Serve on the two descriptors."""
    if len(arguments) != 2 or not all(text.isdecimal() for text in arguments):
        raise InputError("renderer", "is started by `etendue view` only")
    connection = socket.socket(fileno=int(arguments[0]))
    memory = Shared.attach(int(arguments[1]))
    Renderer(connection, memory).run()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
