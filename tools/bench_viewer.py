"""`bench.py viewer`: first picture, pictures per second while orbiting, gaps of the window.

A real window without a screen, 640 x 360 pixels of viewport, one neural material. A gap is the time
between two turns of the window's event loop, which a timer of 2 ms keeps turning.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from bench_common import ROOT, machine, write_section

SIZE = (640, 360)
SCENE = ROOT / "assets" / "scenes" / "showcase" / "showcase.xml"
TICK_MS = 2
MOUSE_S = 1 / 60
PATIENCE_S = 120.0


class Bench:
    """A window and what is measured of it."""

    def __init__(self, session: Any) -> None:
        from PyQt6.QtCore import QTimer

        from etendue.view.model import Loading
        from etendue.view.qt_app import application, make_window

        self.app = application()
        self.began = time.perf_counter()
        self.window = make_window(session, None, Loading({}))
        self.window.canvas.setFixedSize(*SIZE)
        self.window.show()
        self.pictures: list[tuple[float, Any]] = []
        self.turns: list[float] = []
        self.window.bridge.picture.connect(
            lambda picture: self.pictures.append((time.perf_counter(), picture.frame))
        )
        self.timer = QTimer()
        self.timer.timeout.connect(lambda: self.turns.append(time.perf_counter()))
        self.timer.start(TICK_MS)

    def serve(self, until: Callable[[], bool], seconds: float = PATIENCE_S) -> None:
        """Turn the event loop, which sleeps in between, until something holds or time is up."""
        from PyQt6.QtCore import QEventLoop

        end = time.perf_counter() + seconds
        while not until() and time.perf_counter() < end:
            self.app.processEvents(QEventLoop.ProcessEventsFlag.WaitForMoreEvents, 20)

    def wait(self, holds: Callable[[Any], bool]) -> float:
        """Seconds since now until a picture comes of which something holds."""
        began, first = time.perf_counter(), len(self.pictures)
        self.serve(lambda: any(holds(f) for _, f in self.pictures[first:]))
        return next(t for t, f in self.pictures[first:] if holds(f)) - began

    def gaps(self, run: Callable[[], None]) -> np.ndarray:
        """Milliseconds between the turns of the event loop while `run` runs."""
        first = len(self.turns)
        run()
        return 1e3 * np.diff(self.turns[first:])

    def close(self) -> None:
        """End the renderer."""
        self.timer.stop()
        self.window.close()


def start(session: Any) -> tuple[Bench, float, float]:
    """A window, the seconds to its first picture and to its first one of full size."""
    bench = Bench(session)
    bench.serve(lambda: bool(bench.pictures))
    first = bench.pictures[0][0] - bench.began
    if bench.pictures[0][1].divisor > 1:
        bench.wait(lambda frame: frame.divisor == 1)
    return bench, first, next(t for t, f in bench.pictures if f.divisor == 1) - bench.began


def orbit(bench: Bench, seconds: float) -> dict[str, Any]:
    """Drag for so long; pictures per second that were shown, and how large they were."""
    window = bench.window
    bench.wait(lambda frame: frame.spp >= 2)
    began, first = time.perf_counter(), len(bench.pictures)

    def drag() -> None:
        while time.perf_counter() < began + seconds:
            window.canvas.drag(3.0, 0.3, "orbit")
            bench.serve(lambda: False, MOUSE_S)

    gaps = bench.gaps(drag)
    shown = [frame for _, frame in bench.pictures[first:] if frame.moving]
    sides = [frame.images[0].shape[1] for frame in shown]
    return {
        "fps": len(shown) / (time.perf_counter() - began),
        "width": float(np.median(sides)) if sides else 0.0,
        "divisor": float(np.median([frame.divisor for frame in shown])) if shown else 0.0,
        **spread("gap", gaps),
    }


def rest(bench: Bench, seconds: float) -> dict[str, Any]:
    """The window's gaps while the picture gets better, and the pointer moves over it."""
    window = bench.window
    bench.wait(lambda frame: frame.divisor == 1 and not frame.moving)
    began = time.perf_counter()

    def watch() -> None:
        k = 0
        while time.perf_counter() < began + seconds:
            k += 1
            window.canvas.pointed.emit(0.3 + 0.1 * (k % 5), 0.5)
            bench.serve(lambda: False, MOUSE_S)

    return spread("gap", bench.gaps(watch))


def kill(bench: Bench) -> float:
    """Seconds from SIGKILL of the renderer to the next picture."""
    pid = bench.window.worker.pid
    assert pid is not None
    bench.serve(lambda: bench.window.worker.spare is not None, 30)
    bench.serve(lambda: False, 4.0)  # the spare process loads
    os.kill(pid, signal.SIGKILL)
    return bench.wait(lambda frame: True)


def spread(name: str, gaps: np.ndarray) -> dict[str, float]:
    """Median, p99 and largest."""
    return {
        f"{name}_median_ms": float(np.median(gaps)),
        f"{name}_p99_ms": float(np.percentile(gaps, 99)),
        f"{name}_max_ms": float(gaps.max()),
        f"{name}s": len(gaps),
    }


def measure(material: Path, runs: int, seconds: float) -> dict[str, Any]:
    """Everything; the first run fills the cache of kernels and does not count."""
    from etendue.view.session import Session

    session = Session(spp=4096).opened(SCENE).assigned("Ball", material.resolve())
    starts = []
    for run in range(runs + 1):
        bench, first, full = start(session)
        if run:
            starts.append((first, full))
        print(f"run {run}: first {first:.2f} s, full size {full:.2f} s", file=sys.stderr)
        if run < runs:
            bench.close()
    figures = {
        "machine": machine(),
        "first_picture_s": [round(first, 3) for first, _ in starts],
        "full_size_s": [round(full, 3) for _, full in starts],
        "rest": rest(bench, seconds),
        "orbit": orbit(bench, seconds),
        "recovery_s": round(kill(bench), 3),
    }
    bench.close()
    return figures


def section(figures: dict[str, Any]) -> str:
    """The section of docs/numbers.md."""
    first, full = figures["first_picture_s"], figures["full_size_s"]
    orbiting, resting = figures["orbit"], figures["rest"]
    share = f"1/{orbiting['divisor']:.0f} of the sides"
    rows = [
        ("first picture, warm", f"{np.median(first):.2f} s (largest {max(first):.2f})", "<= 2 s"),
        ("first picture of full size", f"{np.median(full):.2f} s", ""),
        ("pictures per second while orbiting", f"{orbiting['fps']:.1f} at {share}", ">= 8"),
        ("gap of the window at rest, p99", f"{resting['gap_p99_ms']:.1f} ms", "<= 33 ms"),
        ("gap while orbiting, p99", f"{orbiting['gap_p99_ms']:.1f} ms", "<= 33 ms"),
        ("picture after SIGKILL of the renderer", f"{figures['recovery_s']:.2f} s", "<= 3 s"),
    ]
    host = figures["machine"]
    where = f"{host['cpu']}, {host['threads']} threads, load average {host['load_average']}"
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return (
        "## Viewer\n\nA viewport of 640 x 360 without a screen, the showcase with one neural "
        "material; kernels cached on disk, processes new.\n\n"
        f"| quantity | measured | bar |\n|---|---|---|\n{table}\n\n{where}, "
        f"n = {len(first)} starts. `python tools/bench.py viewer MATERIAL.eta --write`"
    )


def main(argv: list[str]) -> int:
    """Measure, print, and write when asked."""
    parser = argparse.ArgumentParser(prog="bench.py viewer", description=__doc__)
    parser.add_argument("material", type=Path, help="a baked material (.eta)")
    parser.add_argument("--runs", type=int, default=5, help="starts that count")
    parser.add_argument("--seconds", type=float, default=8.0, help="of orbiting and of resting")
    parser.add_argument("--write", action="store_true", help="into docs/numbers.md")
    arguments = parser.parse_args(argv)
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_STATE_HOME"] = folder
        figures = measure(arguments.material, arguments.runs, arguments.seconds)
    print(json.dumps(figures, indent=2))
    if arguments.write:
        write_section("viewer", section(figures))
    return 0
