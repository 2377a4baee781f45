"""Runs renders, bakes and plugin-like tasks together while things go wrong, and checks everything.

    python tools/soak.py --minutes 30 --seed 1

Worker processes are killed at random, tasks raise, run out of memory and are cancelled. Checked:
nothing hangs, every finished result is right (pictures and artifacts bit for bit), every failure is
reported once, nothing is left at the end, and memory does not grow. The exit code is 0 if so.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
import zlib
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from etendue.schedule import (
    Batch,
    Frame,
    Job,
    Priority,
    Scheduler,
    Task,
    TaskCancelledError,
    TaskError,
    checkpoint,
)
from etendue.schedule.child import WorkerDiedError
from etendue.schedule.job import State

ROOT = Path(__file__).resolve().parents[1]
OUTSTANDING = 40
HANG_S = 300.0
SIZE = (48, 36)


class InjectedError(Exception):
    """What a task raises here."""


@dataclass
class Check:
    """A submitted job, what it must give, and how it may end otherwise."""

    job: Job
    expected: Any
    may_fail: tuple[type[BaseException], ...] = ()
    must_fail: bool = False
    may_be_cancelled: bool = False


@dataclass
class Soak:
    """Everything that happened."""

    rng: random.Random
    scheduler: Scheduler
    told: Counter[int]  # failures reported, by job number
    real: bool = True
    pending: deque[Check] = field(default_factory=deque)
    outcomes: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    failed: set[int] = field(default_factory=set)
    kills: int = 0
    truth: dict[Any, Any] = field(default_factory=dict)


def checksum(data: bytes, rounds: int) -> int:
    """Work for a worker process."""
    value = 0
    for _ in range(rounds):
        value = zlib.crc32(data, value)
    return value


def checksum_steps(data: bytes, rounds: int) -> Iterator[None]:
    """The same in steps."""
    value = 0
    for _ in range(rounds):
        value = zlib.crc32(data, value)
        yield
    return value  # type: ignore[return-value]


def killed() -> None:
    """A task that takes its process down."""
    os.kill(os.getpid(), signal.SIGKILL)


def raising(error: Callable[[], BaseException]) -> Callable[..., Any]:
    """A task that fails."""

    def run(*args: Any) -> None:
        raise error()

    return run


def product(seed: int) -> float:
    """A little linear algebra, the same every time."""
    rng = np.random.default_rng(seed)
    a = rng.standard_normal((96, 96))
    for _ in range(6):
        a = a @ a / np.linalg.norm(a)
    return float(a.sum())


def products(rows: list[tuple[Any, ...]]) -> list[float]:
    """Many of them."""
    return [product(seed) for (seed,) in rows]


BATCH = Batch("product", products, limit=4)


def infer(soak: Soak) -> Check:
    """A model's inference, batched when several wait."""
    seed = soak.rng.randrange(20)
    source = Task("input", lambda: seed, "cpu:0")  # they pile up behind it
    task = Task("product", product, "cpu:1", after=(source,), batch=BATCH, memory_mb=20)
    return Check(soak.scheduler.submit(task)[0], soak.truth["product", seed])


def train(soak: Soak) -> Check:
    """Something long that yields, in the thread or in a worker process."""
    data = soak.rng.randbytes(1000)
    rounds = soak.rng.randrange(1, 40)
    apart = soak.rng.random() < 0.5
    source = (Task("data", lambda: data, "cpu:1"), Task("rounds", lambda: rounds, "cpu:1"))
    task = Task(
        "train", checksum_steps, "cpu:1", Priority.BAKE, source, process=apart, memory_mb=50
    )
    job = soak.scheduler.submit(task)[0]
    return Check(job, checksum(data, rounds), (WorkerDiedError,) if apart else ())


def isolated(soak: Soak) -> Check:
    """A worker process, which may be killed from outside."""
    data = soak.rng.randbytes(20_000)
    rounds = soak.rng.randrange(200, 3000)
    source = (Task("data", lambda: data, "cpu:1"), Task("rounds", lambda: rounds, "cpu:1"))
    task = Task("isolated", checksum, "cpu:1", after=source, process=True, memory_mb=100)
    expected = checksum(data, rounds)
    return Check(soak.scheduler.submit(task)[0], expected, (WorkerDiedError,))


def suicide(soak: Soak) -> Check:
    """A plugin that aborts; what needs it fails with it."""
    task = Task("suicide", killed, "cpu:1", process=True)
    above = Task("above", lambda x: x, "cpu:1", after=(task,))
    job, dependant = soak.scheduler.submit(task, above)
    soak.pending.append(Check(dependant, None, (TaskError, WorkerDiedError), must_fail=True))
    return Check(job, None, (WorkerDiedError,), must_fail=True)


def wrong(soak: Soak) -> Check:
    """A task that raises."""
    where = soak.rng.choice(["cpu:0", "cpu:1"])
    task = Task("wrong", raising(InjectedError), where)
    return Check(soak.scheduler.submit(task)[0], None, (InjectedError,), must_fail=True)


def hungry(soak: Soak) -> Check:
    """Out of memory, with a smaller variant or without one."""
    number = soak.rng.randrange(1000)
    small = Task("small", lambda: number, "cpu:1", memory_mb=10)
    rescued = soak.rng.random() < 0.7
    task = Task(
        "hungry",
        raising(lambda: MemoryError("injected")),
        "cpu:1",
        memory_mb=400,
        otherwise=small if rescued else None,
    )
    job = soak.scheduler.submit(task)[0]
    return Check(job, number, () if rescued else (MemoryError,), must_fail=not rescued)


def graph(soak: Soak) -> Check:
    """A chain across both devices."""
    length = soak.rng.randrange(2, 12)
    task = Task("one", lambda: 1, "cpu:0")
    for k in range(length):
        priority = Priority(soak.rng.randrange(4))
        task = Task("double", lambda x: 2 * x, f"cpu:{k % 2}", priority, (task,))
    return Check(soak.scheduler.submit(task)[0], 2**length)


def bake(soak: Soak) -> Check:
    """A whole bake, which lets frames through between its steps."""
    task = Task("bake", bake_once, "cpu:0", Priority.BAKE, memory_mb=300)
    return Check(soak.scheduler.submit(task)[0], soak.truth["bake"])


def bake_once() -> bytes:
    """Bytes of a small artifact."""
    from etendue.bake.material import bake
    from etendue.bake.settings import BakeSettings
    from etendue.scene.material import WHITE, Layer, LayeredMaterial, LayerKind, Stack

    coat = Layer(LayerKind.DIELECTRIC, "coat", alpha=(0.3, 0.3))
    base = Layer(LayerKind.DIFFUSE, "base", albedo=(0.6, 0.4, 0.2))
    stacks = (Stack(WHITE, (0, 1)),)
    material = LayeredMaterial("plain", (coat, base), stacks, source_hash="b" * 64)
    small: dict[str, Any] = {"texels": 64, "pool": 2, "reuse": 3, "pairs": 4, "walks": 4}
    settings = BakeSettings(arch="2x16", resolution=1, steps=24, **small)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "m.eta")
        bake(material, settings, out, progress=lambda *args: checkpoint())
        return out.read_bytes()


class Renderer:
    """A small scene, built where it is rendered."""

    def __init__(self) -> None:
        self.scene: Any = None

    def __call__(self) -> np.ndarray:
        from etendue.render.build import build
        from etendue.render.path.drjit import render
        from etendue.scene.scene import load_scene

        if self.scene is None:
            path = ROOT / "assets" / "scenes" / "sphere.xml"
            self.scene = build(load_scene(path), size=SIZE).mi_scene
        return render(self.scene, spp=4, max_depth=4).rgb


KINDS: list[tuple[Callable[[Soak], Check], float]] = [
    (infer, 8), (train, 4), (isolated, 4), (suicide, 0.6), (wrong, 2), (hungry, 2), (graph, 4),
]  # fmt: skip


def drive(soak: Soak, minutes: float, renderer: Renderer | None) -> list[tuple[float, float]]:
    """Submit and check until the time is over; (seconds, resident MB) as it went."""
    kinds, weights = map(list, zip(*KINDS, strict=True))
    if renderer is not None and soak.real:
        kinds.append(bake)
        weights.append(0.15)
    start, memory, said = time.monotonic(), [], 0.0
    while (now := time.monotonic() - start) < 60 * minutes:
        check = soak.rng.choices(kinds, weights)[0](soak)
        if soak.rng.random() < 0.08:
            check.may_be_cancelled = True
            check.job.cancel()
        soak.pending.append(check)
        if soak.rng.random() < 0.05:
            victim = soak.rng.choice(list(soak.pending))
            victim.may_be_cancelled = True
            victim.job.cancel()
        if soak.rng.random() < 0.02:
            _kill_one(soak)
        if renderer is not None and soak.rng.random() < 0.1:
            _frame(soak, renderer)
        while len(soak.pending) > OUTSTANDING:
            settle(soak, soak.pending.popleft())
        if now - said > max(1.0, minutes * 60 / 100):
            said = now
            memory.append((now, resident_mb()))
            left = minutes - now / 60
            done = sum(soak.outcomes.values())
            print(f"\r{done} tasks, {memory[-1][1]:.0f} MB, {left:.1f} min left", end="",
                  file=sys.stderr, flush=True)  # fmt: skip
    while soak.pending:
        settle(soak, soak.pending.popleft())
    print(file=sys.stderr)
    return memory


def _kill_one(soak: Soak) -> None:
    """Kill a worker process of this scheduler, busy or idle."""
    children = multiprocessing.active_children()
    if children:
        soak.rng.choice(children).kill()
        soak.kills += 1


def _frame(soak: Soak, renderer: Renderer) -> None:
    task = Task("frame", renderer, "cpu:0", Priority.FRAME)
    picture = Frame(50.0, soak.scheduler).run(task)[0]
    if not np.array_equal(picture, soak.truth["frame"]):
        soak.faults.append("a frame differs")
    soak.outcomes["frame done"] += 1


def settle(soak: Soak, check: Check) -> None:
    """Wait for a job and judge how it ended."""
    job, name = check.job, check.job.task.name
    try:
        value = job.result(HANG_S)
    except TimeoutError:
        soak.faults.append(f"{name}: hangs in state {job.state}")
        raise
    except TaskCancelledError:
        # `above` goes with `suicide`, which may have been cancelled before it died
        if not check.may_be_cancelled and name != "above":
            soak.faults.append(f"{name}: cancelled by nobody")
    except TaskError as error:
        _judge(soak, check, error.__cause__ or error)
    except WorkerDiedError as error:
        _judge(soak, check, error)
    else:
        if check.must_fail or value != check.expected:
            soak.faults.append(f"{name}: gave {str(value)[:60]}")
    soak.outcomes[f"{name} {job.state.name.lower()}"] += 1


def _judge(soak: Soak, check: Check, error: BaseException) -> None:
    name = check.job.task.name
    if not isinstance(error, (*check.may_fail, TaskError)) or not check.may_fail:
        soak.faults.append(f"{name}: {type(error).__name__}: {error}")
    if check.job.state is State.FAILED and name != "above":  # not by what it needs
        soak.failed.add(check.job.number)


def resident_mb() -> float:
    """Resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def slope_mb_per_min(memory: list[tuple[float, float]]) -> float:
    """Median of the slopes between all pairs (Theil-Sen), after the first fifth, which warms up."""
    rows = memory[len(memory) // 5 :]
    slopes = [60 * (b[1] - a[1]) / (b[0] - a[0]) for k, a in enumerate(rows) for b in rows[k + 1 :]]
    return float(np.median(slopes)) if slopes else 0.0


def run(minutes: float, seed: int, real: bool) -> dict[str, Any]:
    """The whole soak; `real` renders and bakes too."""
    told: Counter[int] = Counter()

    def hear(job: Job) -> None:
        told[job.number] += 1

    renderer = Renderer() if real else None
    truth: dict[Any, Any] = {("product", k): product(k) for k in range(20)}
    with Scheduler(("cpu:0", "cpu:1"), memory_mb={"host": 1000}, on_failure=hear) as scheduler:
        soak = Soak(random.Random(seed), scheduler, told, real, truth=truth)
        if renderer is not None:  # the truth comes from quiet runs of the same functions
            truth["frame"] = scheduler.submit(Task("frame", renderer))[0].result()
            truth["bake"] = scheduler.submit(Task("bake", bake_once))[0].result()
        memory = drive(soak, minutes, renderer)
        left = sum(scheduler.unfinished)
        held = {name: m.used_mb for name, m in scheduler.memories.items() if m.used_mb}
    if left or held:
        soak.faults.append(f"{left} unfinished jobs, memory {held}")
    if set(told) != soak.failed or set(told.values()) - {1}:
        soak.faults.append(f"reported {dict(told - Counter(soak.failed))}, failed {soak.failed}")
    if multiprocessing.active_children():
        soak.faults.append("worker processes are left")
    slope = slope_mb_per_min(memory)
    if minutes >= 5 and slope * minutes > 0.05 * memory[-1][1]:
        soak.faults.append(f"memory grows by {slope:.2f} MB a minute")
    return {
        "minutes": minutes,
        "seed": seed,
        "tasks": sum(soak.outcomes.values()),
        "outcomes": dict(sorted(soak.outcomes.items())),
        "failures_reported": sum(told.values()),
        "processes_killed": soak.kills,
        "resident_mb": [round(mb, 1) for _, mb in memory[:: max(1, len(memory) // 12)]],
        "slope_mb_per_min": round(slope, 3),
        "frames": scheduler.trace.frames,
        "faults": soak.faults,
    }


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--light", action="store_true", help="no renders and bakes")
    arguments = parser.parse_args(argv)
    if not arguments.minutes > 0:
        parser.error("--minutes must be positive")
    figures = run(arguments.minutes, arguments.seed, not arguments.light)
    print(json.dumps(figures, indent=2))
    return 1 if figures["faults"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
