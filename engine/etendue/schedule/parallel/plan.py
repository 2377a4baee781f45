"""Picks how to split a network over devices: the fastest of all splits, each simulated exactly.

What a layer costs is measured by the caller, per width of the tensor group; what the links cost is
measured too. Every (p, t, d, v) and number of micro-batches that fits the memory is a candidate;
those that could not be faster than the best so far even without any bubble are not simulated.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from etendue.core.errors import InputError
from etendue.schedule.parallel.grid import Grid
from etendue.schedule.parallel.order import order, stages_of
from etendue.schedule.parallel.simulate import Costs, simulate, stash_peak


@dataclass(frozen=True)
class Cost:
    """Seconds of one pass over a micro-batch: `fixed` + `per_sample` times its samples."""

    fixed: float
    per_sample: float

    def at(self, samples: float) -> float:
        """Seconds for a micro-batch."""
        return self.fixed + self.per_sample * samples


@dataclass(frozen=True)
class Share:
    """One rank's share of a layer at some width of the tensor group.

    `stash_bytes` per sample are kept for the backward pass; `reduced_bytes` per sample go through
    each of the `reduces` all-reduces of the forward pass, and as many backward.
    """

    forward: Cost
    backward: Cost
    parameter_bytes: float
    stash_bytes: float
    reduced_bytes: float = 0.0
    reduces: int = 0


@dataclass(frozen=True)
class Layer:
    """A layer by width of the tensor group; `output_bytes` per sample go to the next stage."""

    output_bytes: float
    shares: Mapping[int, Share]


@dataclass(frozen=True)
class Link:
    """A message of n bytes takes `latency_s` + n / `bytes_per_s`."""

    latency_s: float
    bytes_per_s: float

    def send(self, size: float) -> float:
        """Seconds of one message."""
        return self.latency_s + size / self.bytes_per_s

    def all_reduce(self, size: float, ranks: int) -> float:
        """Seconds of a ring all-reduce: 2(k - 1) messages of 1/k each."""
        return 2 * (ranks - 1) * self.send(size / ranks) if ranks > 1 else 0.0


@dataclass(frozen=True)
class Machine:
    """Devices and their links, within a host and between hosts.

    `memory_bytes` is per device. Parameters occupy `state_factor` times their size: 4 for weight,
    gradient and the two moments of Adam.
    """

    devices: int
    memory_bytes: float
    inside: Link
    between: Link
    host_devices: int
    state_factor: float = 4.0

    def link(self, ranks: int) -> Link:
        """The link that a group spanning this many neighbouring ranks must use."""
        return self.inside if ranks <= self.host_devices else self.between


@dataclass(frozen=True)
class Split:
    """One candidate."""

    grid: Grid
    chunks: int
    microbatches: int


@dataclass(frozen=True)
class Choice:
    """A split with what the simulation says; `bubble` is idle over working time."""

    split: Split
    bounds: tuple[int, ...]
    seconds: float
    memory_bytes: float
    bubble: float

    @property
    def key(self) -> tuple:
        """Best first; equal times go to the simpler split."""
        split, grid = self.split, self.split.grid
        return self.seconds, grid.pipeline, grid.tensor, split.chunks, split.microbatches


def plan(layers: Sequence[Layer], machine: Machine, batch: int) -> tuple[Choice, int]:
    """The fastest split of a step over `batch` samples, and how many splits were simulated.

    Raises `InputError` when no split fits the memory.
    """
    model = _Model(tuple(layers), machine, batch)
    tries = [s for s in splits(layers, machine, batch) if model.fits(s)]
    best, simulated = None, 0
    for at_least, split in sorted(((model.at_least(s), s) for s in tries), key=lambda x: x[0]):
        if best is not None and at_least > best.seconds:
            break
        choice = model.choice(split)
        simulated += 1
        if best is None or choice.key < best.key:
            best = choice
    if best is None:
        raise InputError(
            "plan",
            "no split fits the memory of the devices",
            got=f"{machine.devices} devices of {machine.memory_bytes:.4g} bytes",
            fix="Use more devices, a smaller batch, or wider tensor groups",
        )
    return best, simulated


def exhaustive(layers: Sequence[Layer], machine: Machine, batch: int) -> list[Choice]:
    """Every split that fits the memory, simulated, best first: the oracle of `plan`."""
    model = _Model(tuple(layers), machine, batch)
    found = [model.choice(s) for s in splits(layers, machine, batch) if model.fits(s)]
    return sorted(found, key=lambda choice: choice.key)


def evaluate(layers: Sequence[Layer], machine: Machine, batch: int, split: Split) -> Choice:
    """One split, whether it fits the memory or not."""
    return _Model(tuple(layers), machine, batch).choice(split)


def splits(layers: Sequence[Layer], machine: Machine, batch: int) -> Iterator[Split]:
    """All splits that use every device and divide the batch."""
    widths = sorted(set.intersection(*(set(layer.shares) for layer in layers)))
    for tensor in widths:
        if machine.devices % tensor or tensor > machine.host_devices:
            continue
        rest = machine.devices // tensor
        for pipeline in _divisors(rest):
            data = rest // pipeline
            if batch % data or pipeline > len(layers):
                continue
            most = len(layers) // pipeline if pipeline > 1 else 1
            for m, chunks in itertools.product(_divisors(batch // data), range(1, most + 1)):
                if chunks == 1 or m % pipeline == 0:
                    yield Split(Grid(pipeline, data, 1, tensor), chunks, m)


def balance(costs: Sequence[float], stages: int) -> tuple[int, ...]:
    """Bounds of consecutive layers whose most expensive stage is as cheap as can be."""
    total = [0.0, *itertools.accumulate(costs)]
    best = list(total)  # best[n]: dearest stage when the first n layers are split into k stages
    cuts: list[list[int]] = []
    for k in range(2, stages + 1):
        row, cut = [float("inf")] * (len(costs) + 1), [0] * (len(costs) + 1)
        for n in range(k, len(costs) + 1):
            row[n], cut[n] = min((max(best[i], total[n] - total[i]), i) for i in range(k - 1, n))
        best = row
        cuts.append(cut)
    bounds = [len(costs)]
    for cut in reversed(cuts):
        bounds.append(cut[bounds[-1]])
    return (0, *reversed(bounds))


class _Model:
    """Costs of splits of one network on one machine."""

    def __init__(self, layers: tuple[Layer, ...], machine: Machine, batch: int) -> None:
        self.layers, self.machine, self.batch = layers, machine, batch
        self.order = lru_cache(None)(order)
        self.stages = lru_cache(None)(self._stages)

    def samples(self, split: Split) -> float:
        """Samples of a micro-batch."""
        return self.batch / split.grid.data / split.microbatches

    def _stages(self, split: Split) -> tuple[tuple[int, ...], Costs]:
        """Bounds and costs of the stages."""
        grid, samples = split.grid, self.samples(split)
        link = self.machine.link(grid.tensor)
        passes: tuple[list[float], list[float]] = ([], [])
        for layer in self.layers:
            share = layer.shares[grid.tensor]
            wire = share.reduces * link.all_reduce(share.reduced_bytes * samples, grid.tensor)
            passes[0].append(share.forward.at(samples) + wire)
            passes[1].append(share.backward.at(samples) + wire)
        both = [f + b for f, b in zip(*passes, strict=True)]
        bounds = balance(both, grid.pipeline * split.chunks)
        forward, backward = (
            tuple(sum(p[a:b]) for a, b in itertools.pairwise(bounds)) for p in passes
        )
        far = self.machine.link(grid.size)
        transfer = tuple(far.send(self.layers[k - 1].output_bytes * samples) for k in bounds[1:-1])
        return bounds, Costs(forward, backward, transfer)

    def _per_rank(self, split: Split, values: Sequence[float]) -> list[list[float]]:
        """Values of the stages of each rank."""
        ranks = split.grid.pipeline
        return [[values[s] for s in stages_of(r, ranks, split.chunks)] for r in range(ranks)]

    def _summed(self, split: Split, what: str) -> list[float]:
        """A figure of the layers, summed per stage."""
        bounds, _ = self.stages(split)
        figures = [getattr(layer.shares[split.grid.tensor], what) for layer in self.layers]
        return [sum(figures[a:b]) for a, b in itertools.pairwise(bounds)]

    def memory(self, split: Split) -> float:
        """Bytes on the fullest device."""
        ops = self.order(split.grid.pipeline, split.microbatches, split.chunks)
        samples = self.samples(split)
        stash = [size * samples for size in self._summed(split, "stash_bytes")]
        state = self._per_rank(split, self._summed(split, "parameter_bytes"))
        return max(
            self.machine.state_factor * sum(mine) + stash_peak(rank, stash)
            for mine, rank in zip(state, ops, strict=True)
        )

    def fits(self, split: Split) -> bool:
        """Whether every device has the memory."""
        return self.memory(split) <= self.machine.memory_bytes

    def gradients(self, split: Split) -> float:
        """Seconds in which the gradients of the largest rank are summed over the replicas."""
        grid = split.grid
        state = self._per_rank(split, self._summed(split, "parameter_bytes"))
        link = self.machine.link(grid.data * grid.tensor)
        return max(link.all_reduce(sum(mine), grid.data) for mine in state)

    def at_least(self, split: Split) -> float:
        """A time that no schedule of this split beats: the work of the busiest rank."""
        _, costs = self.stages(split)
        both = [f + b for f, b in zip(costs.forward, costs.backward, strict=True)]
        work = max(sum(mine) for mine in self._per_rank(split, both))
        # summing in another order than the simulation must not make the bound too high
        return (split.microbatches * work + self.gradients(split)) * (1 - 1e-9)

    def choice(self, split: Split) -> Choice:
        """Simulate."""
        bounds, costs = self.stages(split)
        ops = self.order(split.grid.pipeline, split.microbatches, split.chunks)
        timeline = simulate(ops, costs)
        seconds = timeline.finish + self.gradients(split)
        bubble = timeline.idle / timeline.ideal
        return Choice(split, bounds, seconds, self.memory(split), bubble)


def _divisors(n: int) -> list[int]:
    return [k for k in range(1, n + 1) if n % k == 0]
