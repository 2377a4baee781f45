"""`bench.py schedule`: frames beside a model, the cost of scheduling, bakes on two workers."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from etendue.schedule import Priority, Scheduler, Task

ROOT = Path(__file__).resolve().parents[1]


def nothing() -> None:
    """The cheapest task."""


def overhead(number: int, rounds: int) -> dict[str, Any]:
    """Microseconds per task of `number` tasks that do nothing, ours and a thread pool's in turn."""
    ours, cpu, pool = [], [], []
    for _ in range(rounds + 1):
        with Scheduler(("cpu:0",), limit=number + 1) as scheduler:
            wall, own = time.perf_counter(), time.process_time()
            jobs = [scheduler.submit(Task("nothing", nothing))[0] for _ in range(number)]
            for job in jobs:
                job.result()
            ours.append((time.perf_counter() - wall) / number)
            cpu.append((time.process_time() - own) / number)
        with ThreadPoolExecutor(1) as executor:
            wall = time.perf_counter()
            futures = [executor.submit(nothing) for _ in range(number)]
            for future in futures:
                future.result()
            pool.append((time.perf_counter() - wall) / number)
    middle = {
        "tasks": number,
        "wall_us": 1e6 * float(np.median(ours[1:])),
        "least_us": 1e6 * float(np.min(ours[1:])),
        "cpu_us": 1e6 * float(np.median(cpu[1:])),
        "pool_us": 1e6 * float(np.median(pool[1:])),
    }
    return middle | {"over_pool": float(np.median(np.array(ours[1:]) / np.array(pool[1:])))}


def growth(number: int) -> dict[str, Any]:
    """Resident memory over `number` tasks."""
    from soak import resident_mb

    samples = []
    with Scheduler(("cpu:0",)) as scheduler:
        for k in range(number):
            scheduler.submit(Task("nothing", nothing, shape=(k % 100,)))
            if k % max(1, number // 20) == 0:
                samples.append(resident_mb())
    samples.append(resident_mb())
    return {
        "tasks": number,
        "after_5_percent_mb": samples[1],
        "end_mb": samples[-1],
        "grown_mb": samples[-1] - samples[1],
    }


def bakes(number: int, steps: int, rounds: int) -> dict[str, Any]:
    """Seconds for `number` bakes on a cluster of one worker and of two, in turn."""
    from etendue.bake.cluster import bake_remote
    from etendue.bake.settings import BakeSettings
    from etendue.schedule.bundle import pack
    from etendue.schedule.remote import Cluster

    file = ROOT / "assets" / "materials" / "car_paint.mtlx"
    settings = BakeSettings(resolution=64, steps=steps)
    seconds: dict[int, list[float]] = {1: [], 2: []}
    for turn in range(rounds):
        for workers in (1, 2):
            with Cluster("local", workers=workers) as cluster:
                wanted = cluster.share(pack([file]))
                short = replace(settings, steps=32)
                warm = partial(bake_remote, wanted, str(file), None, short, None)
                cluster.run(*(Task("warm", warm) for _ in range(workers)))
                tasks = []
                for k in range(number):
                    own = replace(settings, seed=k)
                    run = partial(bake_remote, wanted, str(file), None, own, None)
                    tasks.append(Task(f"bake {k}", run, priority=Priority.BAKE))
                start = time.perf_counter()
                cluster.run(*tasks)
                seconds[workers].append(time.perf_counter() - start)
            print(f"  {turn + 1}/{rounds} {workers} workers: {seconds[workers][-1]:.1f} s",
                  file=sys.stderr)  # fmt: skip
    ratios = np.array(seconds[2]) / np.array(seconds[1])
    return {
        "bakes": number,
        "steps": steps,
        "rounds": rounds,
        "one_s": float(np.median(seconds[1])),
        "two_s": float(np.median(seconds[2])),
        "two_over_one": float(np.median(ratios)),
    }


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """The figures of the wanted parts."""
    from bench_common import machine
    from bench_frames import frames

    from etendue.device.drjit import activate

    activate()
    width, _, height = arguments.size.partition("x")
    size, runs = (int(width), int(height)), arguments.runs
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "frames": lambda: frames(
            size, arguments.spp, arguments.frames, runs, with_ray=not arguments.no_ray
        ),
        "overhead": lambda: overhead(10_000, runs),
        "memory": lambda: growth(arguments.tasks),
        "bakes": lambda: bakes(4, arguments.steps, runs),
    }
    figures = {"machine": machine()}
    for name in arguments.parts.split(","):
        figures[name] = parts[name]()
    return figures


def main(argv: list[str]) -> int:
    """Command line, after `bench.py schedule`."""
    from bench_common import write_section

    parser = argparse.ArgumentParser(prog="bench.py schedule")
    parser.add_argument("--parts", default="frames,overhead,memory,bakes")
    parser.add_argument("--size", default="320x180")
    parser.add_argument("--spp", type=int, default=1)
    parser.add_argument("--frames", type=int, default=40, help="per case and round")
    parser.add_argument("--no-ray", action="store_true", help="frames without the case of Ray")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--tasks", type=int, default=1_000_000, help="of the memory figure")
    parser.add_argument("--steps", type=int, default=96, help="of a bake")
    parser.add_argument("--json", type=Path, default=ROOT / "out" / "bench" / "schedule.json")
    parser.add_argument("--write", action="store_true", help="update docs/numbers.md")
    arguments = parser.parse_args(argv)
    known = json.loads(arguments.json.read_text()) if arguments.json.is_file() else {}
    figures = known | measure(arguments)  # parts may be measured one after the other
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(figures, indent=2, ensure_ascii=False) + "\n")
    text = report(figures)
    print(text)
    if arguments.write:
        write_section("schedule", text)
    return 0


def report(figures: dict[str, Any]) -> str:
    """The section of docs/numbers.md."""
    m = figures["machine"]
    lines = [
        "## Scheduling",
        "",
        f"`tools/bench.py schedule`; {m['cpu']}, {m['threads']} threads, load average "
        f"{m['load_average']} from other work. Medians over rounds in which the cases take turns.",
    ]
    if "frames" in figures:
        f = figures["frames"]
        lines += [
            "",
            f"Path-traced frames of `sphere` ({f['size'][0]} x {f['size'][1]}, {f['spp']} samples "
            f"per pixel) every {f['budget_ms']:.0f} ms beside a model of {f['request_ms']:.1f} ms "
            f"per request that is never idle; n = {f['rounds']} rounds. Allowed is 1.25 x p95 "
            "alone plus p95 of one request; left is the budget minus the frames.",
            "",
            "| case | frame p50, ms | p95, ms | p95 / alone | p95 / allowed | model, 1/s "
            "| / model alone | / what is left |",
            "|---|---|---|---|---|---|---|---|",
        ]
        for row in f["rows"]:
            cells = [
                _cell(row, "p50_ms", ".0f"), _cell(row, "p95_ms", ".0f"),
                _cell(row, "p95_over_alone", ".2f"), _cell(row, "p95_over_allowed", ".2f"),
                _cell(row, "rate", ".1f"), _cell(row, "model", ".2f"),
                _cell(row, "of_what_is_left", ".2f"),
            ]  # fmt: skip
            lines.append(f"| {row['case']} | " + " | ".join(cells) + " |")
    if "overhead" in figures:
        o = figures["overhead"]
        lines += [
            "",
            f"Cost of one of {o['tasks']} empty tasks, from submission to result: "
            f"{o['wall_us']:.0f} µs (least {o['least_us']:.0f} µs), {o['cpu_us']:.0f} µs of "
            f"processor time; `ThreadPoolExecutor` {o['pool_us']:.0f} µs, ratio "
            f"{o['over_pool']:.1f}.",
        ]
    if "memory" in figures:
        g = figures["memory"]
        lines += [
            "",
            f"Resident memory over {g['tasks']} tasks: {g['after_5_percent_mb']:.1f} MB after 5 %, "
            f"{g['end_mb']:.1f} MB at the end.",
        ]
    if "bakes" in figures:
        b = figures["bakes"]
        lines += [
            "",
            f"{b['bakes']} bakes of {b['steps']} steps on a local Ray cluster: {b['one_s']:.1f} s "
            f"with one worker, {b['two_s']:.1f} s with two, ratio {b['two_over_one']:.2f} "
            f"(n = {b['rounds']}).",
        ]
    return "\n".join(lines)


def _cell(row: dict[str, Any], name: str, form: str) -> str:
    return format(row[name], form) if name in row and row[name] > 0 else ""
