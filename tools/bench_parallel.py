"""Plans the split of a vision transformer from measured costs, and checks a plan on two processes.

    python tools/bench.py parallel [--write]

Passes are timed on one thread by that thread's processor time, so that other work on the machine
counts little; the link is what two processes of this machine have.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bench_common import ROOT, write_section
from torch import Tensor, nn

from etendue.schedule.parallel.blocks import Block, block_styles
from etendue.schedule.parallel.grid import Grid
from etendue.schedule.parallel.groups import Mesh
from etendue.schedule.parallel.launch import launch
from etendue.schedule.parallel.partition import partition
from etendue.schedule.parallel.plan import (
    Choice,
    Cost,
    Layer,
    Link,
    Machine,
    Share,
    Split,
    evaluate,
    exhaustive,
    plan,
)
from etendue.schedule.parallel.tensor import split
from etendue.schedule.parallel.wire import Line, wait

WIDTH, HEADS, HIDDEN, BLOCKS = 192, 4, 768, 12  # ViT-Tiny with four heads
ROWS, PATCH, CLASSES = 240, 768, 64  # 320 x 180 pixels in patches of 16 x 16, and a map per patch
WIDTHS = (1, 2, 4)  # of the tensor group
DEVICES, BATCHES = 8, (8, 16)
SIZES = (1, 2, 4)  # samples of a micro-batch, for the fit
LENGTHS = (64, 4096, 65_536, 1_048_576)  # bytes of a message


class Silent(Line):
    """A line on which a share of a layer can be timed alone: sums are not formed."""

    def all_reduce(self, x: Tensor, purpose: str, op: str = "sum") -> Tensor:
        return x


@dataclass(frozen=True)
class Round:
    """Repetitions, and how many passes of one size are timed."""

    runs: int
    passes: int


def network(blocks: int = BLOCKS) -> list[nn.Module]:
    """Patches to vectors, blocks, and a head per patch."""
    torch.manual_seed(0)
    middle = [Block(WIDTH, HEADS, HIDDEN) for _ in range(blocks)]
    head = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, CLASSES))
    return [nn.Linear(PATCH, WIDTH), *middle, head]


def timed(layer: nn.Module, x: Tensor, passes: int) -> tuple[float, float]:
    """Median processor seconds of a forward and a backward pass."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for turn in range(passes + 1):
        start = time.thread_time()
        y = layer(x).sum()
        middle = time.thread_time()
        y.backward()
        if turn:
            seconds[0].append(middle - start)
            seconds[1].append(time.thread_time() - middle)
    return float(np.median(seconds[0])), float(np.median(seconds[1]))


def stash_bytes(layer: nn.Module, x: Tensor) -> int:
    """What the backward pass keeps besides the parameters: the input and everything saved."""
    kept = {x.untyped_storage().data_ptr(): x.untyped_storage().nbytes()}
    known = {p.untyped_storage().data_ptr() for p in layer.parameters()}

    def note(saved: Tensor) -> Tensor:
        storage = saved.untyped_storage()
        if storage.data_ptr() not in known:
            kept[storage.data_ptr()] = storage.nbytes()
        return saved

    with torch.autograd.graph.saved_tensors_hooks(note, lambda saved: saved):
        y = layer(x)  # held until the sizes are summed, so that no memory is used twice
        return sum(kept.values()) if y is not None else 0


def share(layer: nn.Module, width: int, passes: int) -> Share:
    """A layer's measured share at one width of the tensor group."""
    line = Silent(tuple(range(width)), 0)
    styles = block_styles(WIDTH // HEADS) if isinstance(layer, Block) else {}
    mine = split(layer, styles, line)
    inputs = PATCH if isinstance(layer, nn.Linear) else WIDTH
    points = []
    for samples in SIZES:
        x = torch.randn(samples, ROWS, inputs, requires_grad=True)
        points.append(timed(mine, x, passes))
    costs = []
    for seconds in zip(*points, strict=True):
        slope, fixed = np.polyfit(SIZES, seconds, 1)
        costs.append(Cost(max(float(fixed), 0.0), float(slope)))
    x = torch.randn(1, ROWS, inputs, requires_grad=True)
    return Share(
        *costs,
        parameter_bytes=sum(p.nbytes for p in mine.parameters()),
        stash_bytes=stash_bytes(mine, x),
        reduced_bytes=ROWS * WIDTH * 4 if styles else 0.0,
        reduces=2 if styles else 0,
    )


def measured_layers(passes: int) -> list[Layer]:
    """The network as the planner sees it; its blocks are equal, so one is measured for all."""
    first, block, *_, head = network()
    layers = []
    for layer, size in ((first, WIDTH), (block, WIDTH), (head, CLASSES)):
        shares = {width: share(layer, width, passes) for width in WIDTHS}
        layers.append(Layer(ROWS * size * 4.0, shares))
        print(f"  {type(layer).__name__}: {shares[1].forward}", file=sys.stderr)
    return [layers[0], *([layers[1]] * BLOCKS), layers[2]]


def ping(mesh: Mesh, runs: int) -> list[float]:
    """Seconds of a message there, by its length; half of there and back, best of `runs`."""
    line, other, result = mesh.data, 1 - mesh.data.index, []
    for length in LENGTHS:
        x, best = torch.zeros(length, dtype=torch.uint8), float("inf")
        for _ in range(runs):
            start = time.perf_counter()
            for turn in (0, 1):
                if line.index == turn:
                    wait(line.send(x, other, "ping"))
                else:
                    wait(line.receive(x, other))
            best = min(best, (time.perf_counter() - start) / 2)
        result.append(best)
    return result


def measured_link(runs: int) -> Link:
    """Latency of the shortest message and the rate of the longest."""
    seconds = np.max(launch(ping, Grid(data=2), runs), 0)
    rate = (LENGTHS[-1] - LENGTHS[0]) / max(seconds[-1] - seconds[0], 1e-9)
    return Link(float(seconds[0]), float(rate))


def caps(layers: list[Layer], link: Link, batch: int) -> list[float]:
    """No limit, and parts of what a device needs that holds the whole network."""
    free = Machine(DEVICES, float("inf"), link, link, DEVICES)
    alone = Split(Grid(data=DEVICES), 1, batch // DEVICES)
    whole = evaluate(layers, free, batch, alone).memory_bytes
    least = min(choice.memory_bytes for choice in exhaustive(layers, free, batch))
    return [float("inf"), *(whole / part for part in (2, 3, 4) if whole / part >= least)]


def row(layers: list[Layer], link: Link, cap: float, batch: int) -> dict[str, Any]:
    """The plan under a memory limit, and the same split with one stage per rank."""
    machine = Machine(DEVICES, cap, link, link, DEVICES)
    best, simulated = plan(layers, machine, batch)
    every = exhaustive(layers, machine, batch)
    assert best == every[0]
    plain = evaluate(layers, machine, batch, Split(best.split.grid, 1, best.split.microbatches))
    one = min((c for c in every if c.split.chunks == 1), key=lambda c: c.key, default=None)
    return {
        "batch": batch,
        "memory_mb": cap / 1e6,
        "split": name(best),
        "chunks": best.split.chunks,
        "microbatches": best.split.microbatches,
        "ms": best.seconds * 1e3,
        "bubble": best.bubble,
        "needs_mb": best.memory_bytes / 1e6,
        "plain_ms": plain.seconds * 1e3,
        "gain": plain.seconds / best.seconds - 1,
        "best_plain": name(one) if one else "none",
        "best_plain_ms": one.seconds * 1e3 if one else None,
        "candidates": len(every),
        "simulated": simulated,
    }


def name(choice: Choice) -> str:
    """p x t x d of a choice."""
    grid = choice.split.grid
    return f"{grid.pipeline} x {grid.tensor} x {grid.data}"


def two_ranks(mesh: Mesh, runs: int, blocks: int, microbatches: int) -> list[list[float]]:
    """Seconds of a training step with one and with two stages per rank, in turn."""
    parts = [partition(network(blocks), mesh, chunks=chunks) for chunks in (1, 2)]
    torch.manual_seed(1)
    x, target = torch.randn(microbatches, ROWS, PATCH), torch.randn(microbatches, ROWS, CLASSES)

    def loss_sum(y: Tensor, wanted: Tensor) -> Tensor:
        return ((y - wanted) ** 2).sum()

    seconds: list[list[float]] = []
    for turn in range(runs + 1):
        times = []
        for part in parts:
            mesh.meet()
            start = time.perf_counter()
            part.step(x, target, loss_sum, microbatches)
            times.append(time.perf_counter() - start)
        if turn:
            seconds.append(times)
    return seconds


def reality(layers: list[Layer], link: Link, runs: int) -> dict[str, Any]:
    """Two ranks, four micro-batches: what the simulation says and what the clock says."""
    blocks, m = 6, 4
    some = [layers[0], *layers[1 : 1 + blocks], layers[-1]]
    machine = Machine(2, float("inf"), link, link, 2)
    said = [evaluate(some, machine, m, Split(Grid(2), v, m)).seconds for v in (1, 2)]
    seconds = np.max(launch(two_ranks, Grid(pipeline=2), runs, blocks, m, timeout_s=300), 0)
    ratios = seconds[:, 0] / seconds[:, 1]
    return {
        "simulated_ms": [s * 1e3 for s in said],
        "measured_ms": [float(np.median(s)) * 1e3 for s in seconds.T],
        "simulated_ratio": said[0] / said[1],
        "measured_ratio": float(np.median(ratios)),
        "ratios": [float(r) for r in ratios],
        "n": runs,
    }


def report(figures: dict[str, Any]) -> str:
    """The section of docs/numbers.md."""
    m, link, real = figures["machine"], figures["link"], figures["reality"]
    block = figures["block"]
    lines = [
        "## Splitting a network over processes",
        "",
        f"`tools/bench.py parallel`: a vision transformer of {BLOCKS} blocks, width {WIDTH}, "
        f"{HEADS} heads and {ROWS} rows, planned for {DEVICES} devices as fast as one thread of "
        "this machine.",
        f"{m['cpu']}, {m['threads']} threads, load average {m['load_average']}, PyTorch "
        f"{m['torch']}. One block: {block['forward_ms']:.2f} ms forward and "
        f"{block['backward_ms']:.2f} ms backward per sample (processor time of one thread, median "
        f"of {figures['passes']}); link between two processes: {link['latency_us']:.0f} µs and "
        f"{link['mb_per_s']:.0f} MB/s.",
        "",
        "The plan is the fastest of all splits p x t x d (pipeline, tensor, data) with v stages "
        "per rank and m micro-batches that fits the memory of a device. Times are simulated "
        "exactly from the measured costs. Gain is that of v stages per rank over 1F1B with the "
        "same p, t, d and m.",
        "",
        "| samples | memory, MB | p x t x d | v | m | step, ms | idle / busy | 1F1B, ms | gain | "
        "best split with v = 1, ms | splits (simulated) |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for r in figures["plans"]:
        memory = "no limit" if r["memory_mb"] == float("inf") else f"{r['memory_mb']:.0f}"
        other = "none fits"
        if r["best_plain_ms"] is not None:
            other = f"{r['best_plain']}: {r['best_plain_ms']:.1f}"
        lines.append(
            f"| {r['batch']} | {memory} | {r['split']} | {r['chunks']} | {r['microbatches']} | "
            f"{r['ms']:.1f} | {r['bubble']:.3f} | {r['plain_ms']:.1f} | {100 * r['gain']:.1f} % | "
            f"{other} | {r['candidates']} ({r['simulated']}) |"
        )
    if real is None:
        check = (
            "The check on two ranks needs a quiet machine; with a load average of "
            f"{m['load_average']} on {m['threads']} threads it was left out."
        )
    else:
        said, saw = real["simulated_ms"], real["measured_ms"]
        check = (
            f"Two ranks on this machine, 6 blocks, 4 micro-batches, wall clock, n = {real['n']}: "
            f"1F1B {saw[0]:.0f} ms (simulated {said[0]:.0f}), two stages per rank {saw[1]:.0f} ms "
            f"(simulated {said[1]:.0f}); median ratio {real['measured_ratio']:.2f} (simulated "
            f"{real['simulated_ratio']:.2f})."
        )
    lines += ["", check]
    return "\n".join(lines)


def cpu() -> str:
    """Model of the processor."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    models = [x.partition(":")[2].strip() for x in lines if x.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def measure(rounds: Round) -> dict[str, Any]:
    """All figures."""
    torch.set_num_threads(1)
    load = os.getloadavg()[0]
    print("link", file=sys.stderr)
    link = measured_link(300)
    print("layers", file=sys.stderr)
    layers = measured_layers(rounds.passes)
    print("two ranks", file=sys.stderr)
    # two ranks that share their cores with other work would show that work, not the schedule
    quiet = load + 1 < (os.cpu_count() or 1)
    real = reality(layers, link, rounds.runs) if quiet else None
    print("plans", file=sys.stderr)
    block = layers[1].shares[1]
    return {
        "machine": {
            "cpu": cpu(),
            "threads": os.cpu_count(),
            "load_average": round(load, 2),
            "torch": torch.__version__,
        },
        "passes": rounds.passes,
        "link": {"latency_us": link.latency_s * 1e6, "mb_per_s": link.bytes_per_s / 1e6},
        "block": {
            "forward_ms": block.forward.at(1) * 1e3,
            "backward_ms": block.backward.at(1) * 1e3,
            "stash_mb": block.stash_bytes / 1e6,
            "parameters_mb": block.parameter_bytes / 1e6,
        },
        "plans": [
            row(layers, link, cap, batch) for batch in BATCHES for cap in caps(layers, link, batch)
        ],
        "reality": real,
    }


def main(argv: list[str]) -> int:
    """Command line."""
    summary = __doc__.splitlines()[0] if __doc__ else None
    parser = argparse.ArgumentParser(prog="bench.py parallel", description=summary)
    parser.add_argument("--runs", type=int, default=7, help="steps on two ranks (7)")
    parser.add_argument("--passes", type=int, default=21, help="timed passes per layer (21)")
    parser.add_argument("--json", type=Path, default=ROOT / "out" / "bench" / "parallel.json")
    parser.add_argument("--write", action="store_true", help="update docs/numbers.md")
    arguments = parser.parse_args(argv)
    figures = measure(Round(arguments.runs, arguments.passes))
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps(figures, indent=2, ensure_ascii=False) + "\n")
    text = report(figures)
    print(text)
    if arguments.write:
        write_section("parallel", text)
    return 0
