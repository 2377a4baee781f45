"""Frames beside a model, for `bench.py schedule`: five ways to run the same work take turns.

Frames alone, the model alone, both under the scheduler, both in two threads that know nothing of
each other, both as plain Ray tasks. Frames are due every `budget`, twice their median time alone;
the model is asked for more as soon as it has answered.
"""

from __future__ import annotations

import gc
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from etendue.schedule import Frame, Priority, Scheduler, Task
from etendue.schedule.cost import Costs

ROOT = Path(__file__).resolve().parents[1]
SPHERE = ROOT / "assets" / "scenes" / "sphere.xml"
IN_FLIGHT = 4  # requests to the model that wait at any time
MODEL_SHARE = 1 / 8  # length of a request, of a frame's
CASES = ("frames alone", "model alone", "scheduler", "two threads", "Ray tasks")


class Renderer:
    """A path-traced frame of the sphere scene."""

    def __init__(self, size: tuple[int, int], spp: int) -> None:
        self.size, self.spp = size, spp
        self.scene: Any = None

    def __call__(self) -> float:
        from etendue.render.build import build
        from etendue.render.path.drjit import render
        from etendue.scene.scene import load_scene

        if self.scene is None:
            self.scene = build(load_scene(SPHERE), size=self.size).mi_scene
        return float(render(self.scene, spp=self.spp).rgb.mean())


class Model:
    """Convolutions, as many as asked for."""

    def __init__(self, rounds: int) -> None:
        import torch

        generator = torch.Generator().manual_seed(0)
        self.rounds = rounds
        self.image = torch.randn(1, 16, 48, 48, generator=generator)
        self.weight = torch.randn(16, 16, 3, 3, generator=generator) / 12

    def __call__(self) -> float:
        import torch

        with torch.no_grad():
            x = self.image
            for _ in range(self.rounds):
                x = torch.relu(torch.nn.functional.conv2d(x, self.weight, padding=1))
        return float(x.sum())


@dataclass
class Round:
    """What one case did: latencies of frames in seconds, answers of the model per second."""

    frames: list[float] = field(default_factory=list)
    rate: float = 0.0
    model_p95: float = 0.0


@dataclass
class Bench:
    """The work and how often it is repeated."""

    renderer: Renderer
    model: Model
    costs: Costs = field(default_factory=Costs)  # kept between runs, as the commands keep theirs
    budget_s: float = 0.0
    frames: int = 30


def scheduled(bench: Bench, *, frames: bool, model: bool) -> Round:
    """Under the scheduler, on one device that has all cores."""
    result, stop = Round(), threading.Event()
    with Scheduler(("cpu:0",), costs=bench.costs) as scheduler:
        answers = [0]

        def feed() -> None:
            def ask() -> Any:
                return scheduler.submit(Task("model", bench.model))[0]

            jobs = [ask() for _ in range(IN_FLIGHT)]
            while not stop.is_set():
                jobs.pop(0).result()
                answers[0] += 1
                jobs.append(ask())

        feeder = threading.Thread(target=feed)
        if model:
            feeder.start()
        _pace(bench, result, partial(_frame, bench, scheduler), answers, own=True, real=frames)
        stop.set()
        if model:
            feeder.join()
            result.model_p95 = scheduler.costs.seconds(Task("model", bench.model))
    return result


def _frame(bench: Bench, scheduler: Scheduler) -> Any:
    task = Task("frame", bench.renderer, priority=Priority.FRAME)
    return Frame(1e3 * bench.budget_s, scheduler).run(task)


def two_threads(bench: Bench) -> Round:
    """One thread renders, one asks the model, the operating system decides."""
    result, stop, answers = Round(), threading.Event(), [0]

    def feed() -> None:
        while not stop.is_set():
            bench.model()
            answers[0] += 1

    feeder = threading.Thread(target=feed)
    feeder.start()
    _pace(bench, result, bench.renderer, answers)
    stop.set()
    feeder.join()
    return result


class RayWorkers:
    """Plain Ray tasks: one processor each, as many at a time as there are cores."""

    def __init__(self, bench: Bench) -> None:
        from etendue.schedule.remote import Cluster

        self.cluster = Cluster("local")
        ray = self.cluster.ray
        size, spp, rounds = bench.renderer.size, bench.renderer.spp, bench.model.rounds
        ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # not importable there
        work = ray.remote(_work)
        self.frame = partial(work.remote, "frame", size, spp, rounds)
        self.model = partial(work.remote, "model", size, spp, rounds)
        for _ in range(4):  # every worker has built and compiled
            ray.get([self.frame() for _ in range(self.cluster.cores)])
            ray.get([self.model() for _ in range(self.cluster.cores)])

    def __call__(self, bench: Bench) -> Round:
        ray, result = self.cluster.ray, Round()
        stop, answers = threading.Event(), [0]

        def feed() -> None:
            waiting = [self.model() for _ in range(IN_FLIGHT)]
            while not stop.is_set():
                ready, waiting = ray.wait(waiting, num_returns=1)
                answers[0] += len(ready)
                waiting += [self.model() for _ in ready]
            ray.get(waiting)

        feeder = threading.Thread(target=feed)
        feeder.start()
        _pace(bench, result, lambda: ray.get(self.frame()), answers)
        stop.set()
        feeder.join()
        return result


_kept: dict[str, Any] = {}  # in a Ray worker: its scene and its model


def _work(kind: str, size: tuple[int, int], spp: int, rounds: int) -> float:
    if not _kept:
        _kept.update(frame=Renderer(size, spp), model=Model(rounds))
    return _kept[kind]()


def _pace(
    bench: Bench,
    result: Round,
    frame: Callable[[], Any],
    answers: list[int],
    *,
    own: bool = False,
    real: bool = True,
) -> None:
    """Ask for a frame every `budget_s`; `own`: `frame` waits for its time by itself."""
    begin, first = time.perf_counter(), answers[0]
    due = begin
    for _ in range(bench.frames):
        if not (own and real):
            time.sleep(max(0.0, due - time.perf_counter()))
        else:
            time.sleep(max(0.0, due - time.perf_counter() - 1e-4))
        start = max(due, time.perf_counter()) if own and real else time.perf_counter()
        if real:
            frame()
            result.frames.append(time.perf_counter() - start)
        due = max(due + bench.budget_s, time.perf_counter())
    time.sleep(max(0.0, due - time.perf_counter()))
    result.rate = (answers[0] - first) / (time.perf_counter() - begin)


def frames(
    size: tuple[int, int], spp: int, count: int, rounds: int, *, with_ray: bool = True
) -> dict[str, Any]:
    """All cases in turn; `with_ray` adds Ray, whose start a busy machine may not allow."""
    bench = Bench(Renderer(size, spp), Model(1), frames=count)
    with Scheduler(("cpu:0",)) as scheduler:  # compile; then measure what the budget is made of
        alone = _median(scheduler, bench.renderer, 15)
        bench.model.rounds = max(
            1, round(MODEL_SHARE * alone / _median(scheduler, bench.model, 15))
        )
        request = _median(scheduler, bench.model, 9)
    bench.budget_s = 2 * alone
    ray = RayWorkers(bench) if with_ray else None
    cases = CASES if with_ray else CASES[:-1]
    runs: dict[str, list[Round]] = {name: [] for name in cases}
    for turn in range(rounds):
        todo: list[Callable[[], Round]] = [
            partial(scheduled, bench, frames=True, model=False),
            partial(scheduled, bench, frames=False, model=True),
            partial(scheduled, bench, frames=True, model=True),
            partial(two_threads, bench),
        ]
        todo += [partial(ray, bench)] if ray is not None else []
        for name, case in zip(cases, todo, strict=True):
            gc.collect()
            done = case()
            runs[name].append(done)
            p95 = 1e3 * float(np.percentile(done.frames, 95)) if done.frames else 0.0
            print(f"  {turn + 1}/{rounds} {name}: p95 {p95:.0f} ms, {done.rate:.1f}/s",
                  file=sys.stderr)  # fmt: skip
    if ray is not None:
        ray.cluster.close()
    return {
        "size": size,
        "spp": spp,
        "budget_ms": 1e3 * bench.budget_s,
        "request_ms": 1e3 * request,
        "rounds": rounds,
        "rows": [_row(name, runs, bench.budget_s) for name in cases],
    }


def _median(scheduler: Scheduler, run: Callable[[], Any], number: int) -> float:
    seconds = []
    for _ in range(number):
        start = time.perf_counter()
        scheduler.submit(Task("trial", run))[0].result()
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds[number // 3 :]))


def _row(name: str, runs: dict[str, list[Round]], budget_s: float) -> dict[str, Any]:
    """Medians over the rounds of figures and of ratios within a round."""
    alone, model = runs["frames alone"], runs["model alone"]
    rows = []
    for own, base, free in zip(runs[name], alone, model, strict=True):
        row: dict[str, float] = {"rate": own.rate, "model": own.rate / max(free.rate, 1e-9)}
        if own.frames:
            p95, p95_alone = np.percentile(own.frames, 95), np.percentile(base.frames, 95)
            left = max(0.01, 1 - float(np.mean(own.frames)) / budget_s)
            slack = float(p95_alone) * 1.25 + runs["scheduler"][len(rows)].model_p95
            row |= {
                "p50_ms": 1e3 * float(np.median(own.frames)),
                "p95_ms": 1e3 * float(p95),
                "p95_over_alone": float(p95 / p95_alone),
                "p95_over_allowed": float(p95) / slack,
                "of_what_is_left": row["model"] / left,
            }
        rows.append(row)
    return {"case": name} | {k: float(np.median([row[k] for row in rows])) for k in rows[0]}
