"""The renderer's process: progressive pictures, moving cameras, and its death."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from etendue.view.worker import MOST_DEATHS, Event, Frame, Worker

SIZE = {"width": 96, "height": 64}


class Heard:
    """Everything that a worker has told."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.changed = threading.Condition()
        self.worker = Worker(self.tell)

    def tell(self, event: Event) -> None:
        with self.changed:
            self.events.append(event)
            self.changed.notify_all()

    def wait(self, holds: Callable[[Any], Any], after: int = 0, seconds: float = 60) -> Any:
        """The first event from number `after` on of which something holds."""

        def found() -> Any:
            return next((e for e in self.events[after:] if holds(e)), None)

        with self.changed:
            assert self.changed.wait_for(lambda: found() is not None, seconds), self.events[-3:]
            return found()

    def said(self, what: str, after: int = 0) -> dict[str, Any]:
        return self.wait(lambda e: isinstance(e, dict) and e.get("say") == what, after)

    def frame(self, holds: Callable[[Frame], Any], after: int = 0) -> Frame:
        return self.wait(lambda e: isinstance(e, Frame) and holds(e), after)


@pytest.fixture
def heard(scene: Path) -> Iterator[Heard]:
    heard = Heard()
    worker = heard.worker
    worker.send({"do": "spp", "spp": 4})
    worker.send({"do": "look", **SIZE, "camera": None})
    plum = str(scene.parent / "plum.eta")
    worker.send({"do": "scene", "scene": str(scene), "materials": {"Sphere": plum}})
    worker.start()
    yield heard
    worker.close()
    assert worker.process is not None and worker.process.poll() is not None


def test_pictures_get_better_and_end(heard: Heard) -> None:
    ready = heard.said("ready")
    assert "Sphere" in ready["shapes"] and list(ready["baked"]) == ["Sphere"]
    last = heard.frame(lambda f: f.spp == 4)
    assert last.images[0].shape == (64, 96, 3) and last.divisor == 1
    assert np.isfinite(last.images[0]).all() and last.images[0].mean() > 0.01
    heard.said("done")
    counts = [e.spp for e in heard.events if isinstance(e, Frame) and e.divisor == 1]
    assert counts == sorted(counts)
    number = len(heard.events)
    heard.worker.send({"do": "spp", "spp": 6})
    heard.frame(lambda f: f.spp == 6, number)


def test_it_agrees_with_the_renderer_in_the_mean(heard: Heard, scene: Path) -> None:
    from etendue.render.build import build
    from etendue.render.path.drjit import render
    from etendue.scene.scene import load_scene

    heard.worker.send({"do": "spp", "spp": 64})
    live = heard.frame(lambda f: f.spp == 64).images[0]
    materials = {"Sphere": scene.parent / "plum.eta"}
    built = build(load_scene(scene, assignments=materials), size=(96, 64))
    film = render(built.mi_scene, spp=64, seed=5, max_depth=built.max_depth)

    def blocks(image: np.ndarray) -> np.ndarray:
        return image.reshape(8, 8, 12, 8, 3).mean((1, 3))

    # noise of the means of 8 x 8 pixels with 64 samples, both ways, five deviations
    error = np.sqrt(2 * blocks(film.variance()) / 64)
    inside = np.abs(blocks(live) - blocks(film.rgb)) < 5 * error + 0.02 * blocks(film.rgb)
    assert inside.mean() > 0.97


def test_a_moving_camera_and_layers(heard: Heard) -> None:
    camera = heard.said("ready")["camera"]
    heard.said("done")
    number = len(heard.events)
    moved = {**camera, "origin": [camera["origin"][0] + 1.0, *camera["origin"][1:]]}
    heard.worker.send({"do": "look", **SIZE, "camera": moved, "moving": True})
    assert heard.frame(lambda f: f.moving, number).spp == 1
    number = len(heard.events)
    heard.worker.send({"do": "look", **SIZE, "camera": moved, "moving": False})
    heard.frame(lambda f: f.spp == 4 and not f.moving, number)
    heard.worker.send({"do": "show", "layer": "normal"})
    normal = heard.frame(lambda f: f.layer == "normal" and f.divisor == 1).images[0]
    lengths = np.linalg.norm(normal, axis=-1)
    assert lengths.max() == pytest.approx(1.0, abs=0.02)
    heard.worker.send({"do": "show", "layer": "lod"})
    lod = heard.frame(lambda f: f.layer == "lod" and f.divisor == 1).images[0]
    assert lod.min() == -1.0 and 0.0 <= lod.max() <= 4.0  # 16 texels a side


def test_picking_and_bounds(heard: Heard) -> None:
    heard.said("ready")
    heard.worker.send({"do": "pick", "x": 0.5, "y": 0.5, "token": "t"})
    picked = heard.said("picked")
    assert (picked["token"], picked["shape"], picked["pixel"]) == ("t", "Sphere", [48, 32])
    assert np.linalg.norm(picked["normal"]) == pytest.approx(1.0, abs=1e-3)
    heard.worker.send({"do": "bounds", "shape": "Sphere"})
    box = heard.said("bounds")
    assert box["low"] == pytest.approx([-1, 0, -1], abs=0.01)
    assert box["high"] == pytest.approx([1, 2, 1], abs=0.01)
    heard.worker.send({"do": "trace"})
    names = {event["name"] for event in heard.said("trace")["events"]}
    assert any(name.startswith("picture") for name in names)


def test_errors_are_said_and_survived(heard: Heard, scene: Path) -> None:
    heard.said("done")
    number = len(heard.events)
    for bad in (
        {"do": "scene", "scene": str(scene.parent / "absent.xml")},
        {"do": "look", "width": "x", "height": 3, "camera": None},
        {"do": "show", "layer": "bogus"},
        {"do": "nonsense"},
    ):
        heard.worker.send(bad)
    assert "absent.xml" in heard.said("error", number)["text"]
    heard.worker.send({"do": "show", "layer": "rgb"})
    number = len(heard.events)
    heard.worker.send({"do": "look", **SIZE, "camera": None})
    heard.frame(lambda f: f.spp == 4, number)


def test_a_killed_renderer_is_replaced(heard: Heard) -> None:
    before = heard.frame(lambda f: f.spp == 4)
    number, pid = len(heard.events), heard.worker.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    died = heard.said("died", number)
    assert (died["reason"], died["again"]) == ("SIGKILL", True)
    assert heard.said("recovered", number)["seconds"] > 0
    after = heard.frame(lambda f: f.spp == 4, number)
    assert heard.worker.pid != pid
    assert np.allclose(after.images[0], before.images[0], rtol=1e-4, atol=1e-4)


def test_one_that_always_dies_is_given_up(heard: Heard) -> None:
    for death in range(MOST_DEATHS + 1):
        heard.worker.send({"do": "look", **SIZE, "camera": None})
        number = len(heard.events)
        pid = heard.worker.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        died = heard.said("died", number)
        assert died["again"] is (death < MOST_DEATHS)
        while died["again"] and heard.worker.pid == pid:
            time.sleep(0.01)
    heard.worker.thread.join(10)
    number = len(heard.events)
    heard.worker.restart()
    heard.frame(lambda f: f.spp == 4, number)


def test_no_process_is_left_when_the_viewer_is_gone(scene: Path) -> None:
    heard = Heard()
    heard.worker.start()
    process = heard.worker.process
    assert process is not None and heard.worker.connection is not None
    heard.worker.closing = True
    heard.worker.connection.shutdown(2)  # as when the viewer is killed
    deadline = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert process.poll() is not None
    heard.worker.close()
