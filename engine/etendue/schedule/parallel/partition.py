"""A network split over a grid of ranks, and one training step or inference of it.

The sum of the loss over all data is divided by the number of targets, so that micro-batches and
replicas of different sizes give the gradient of one process that sees everything.
"""

from __future__ import annotations

import copy
import hashlib
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np
import torch
from torch import Tensor, nn

from etendue.core.errors import InputError
from etendue.schedule.parallel import tensor
from etendue.schedule.parallel.blocks import Attention
from etendue.schedule.parallel.groups import Mesh
from etendue.schedule.parallel.order import forward_only, order, stages_of
from etendue.schedule.parallel.pipeline import run
from etendue.schedule.parallel.wire import Line

Tie = tuple[Line, tuple[str, ...]]


@dataclass(frozen=True)
class Step:
    """What a step gave: the loss on every rank, the outputs on ranks of the last stage only."""

    loss: float
    outputs: Tensor | None
    stash_peak: int


@dataclass(frozen=True)
class Partition:
    """This rank's stages of a network, by number; parameters keep the names of the whole."""

    mesh: Mesh
    chunks: int
    stages: Mapping[int, nn.Sequential]
    ties: tuple[Tie, ...] = ()

    def parameters(self) -> dict[str, nn.Parameter]:
        """Parameters (this rank's shares of them) by name, each once: what an optimizer needs."""
        every = (
            (name, p) for stage in self.stages.values() for name, p in stage.named_parameters()
        )
        unique: dict[int, tuple[str, nn.Parameter]] = {}
        for name, parameter in every:
            unique.setdefault(id(parameter), (name, parameter))
        return dict(unique.values())

    def step(
        self,
        inputs: Tensor,
        targets: Tensor,
        loss_sum: Callable[[Tensor, Tensor], Tensor],
        microbatches: int,
    ) -> Step:
        """Outputs, mean loss and gradients for this replica's batch; old gradients are dropped.

        `loss_sum(output, target)` is summed over a micro-batch; the mean is over all targets of
        all replicas. Every rank calls this; only stage 0 looks at the values of `inputs` and only
        the last one at those of `targets`.
        """
        mesh = self.mesh
        for parameter in self.parameters().values():
            parameter.grad = None
        count = torch.tensor(float(targets.numel()), dtype=torch.float64)
        total = float(mesh.replica.all_reduce(count, "control"))
        pieces = _pieces(targets, microbatches)
        done = run(
            self.stages,
            order(mesh.pipeline.size, microbatches, self.chunks),
            mesh.pipeline,
            _pieces(inputs, microbatches),
            lambda number, output: loss_sum(output, pieces[number]) / total,
        )
        self._sum_gradients()
        loss = sum((float(part) for part in done.losses.values()), 0.0)
        shared = torch.tensor(loss, dtype=torch.float64)
        mesh.replica.all_reduce(shared, "control")
        mesh.pipeline.all_reduce(shared, "control")
        return Step(float(shared), _outputs(done.outputs), done.stash_peak)

    def infer(self, inputs: Tensor, microbatches: int) -> Tensor | None:
        """Outputs for this replica's batch, on ranks of the last stage."""
        ranks = self.mesh.pipeline.size
        padded = -(-microbatches // ranks) * ranks  # the order runs in rounds; the rest is left out
        full = forward_only(ranks, padded, self.chunks)
        ops = tuple(tuple(op for op in rank if op.microbatch < microbatches) for rank in full)
        pieces = _pieces(inputs, microbatches)
        return _outputs(run(self.stages, ops, self.mesh.pipeline, pieces).outputs)

    def whole(self, gradients: bool = False) -> dict[str, Tensor]:
        """Complete parameters, or gradients, of this rank's stages; all ranks call it."""
        result: dict[str, Tensor] = {}
        for stage in self.stages.values():
            result |= tensor.whole(stage, gradients)
        return result

    def _sum_gradients(self) -> None:
        """Over the holders of a tied parameter, then over the replicas."""
        parameters = self.parameters()
        for line, names in self.ties:
            tied = [p for name, p in parameters.items() if name in names]
            if tied:
                grads = [p.grad for p in tied if p.grad is not None]
                total = torch.stack(grads).sum(0) if grads else torch.zeros_like(tied[0])
                line.all_reduce(total, "tied")
                for parameter in tied:
                    parameter.grad = total.clone()
        sum_gradients(list(parameters.values()), self.mesh.replica)


def sum_gradients(parameters: Sequence[nn.Parameter], line: Line) -> None:
    """Replace gradients by their sum over a line, in one message per type of number."""
    if line.size == 1:
        return
    for dtype in sorted({p.dtype for p in parameters if p.requires_grad}, key=str):
        some = [p for p in parameters if p.requires_grad and p.dtype == dtype]
        flat = [(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in some]
        total = line.all_reduce(torch.cat(flat), "data")
        for parameter, grad in zip(some, total.split([p.numel() for p in some]), strict=True):
            parameter.grad = grad.view_as(parameter).clone()


def partition(
    layers: Sequence[nn.Module],
    mesh: Mesh,
    *,
    styles: Mapping[str, tensor.Style] | None = None,
    chunks: int = 1,
    bounds: Sequence[int] | None = None,
) -> Partition:
    """Split `nn.Sequential(*layers)`; all ranks give the same layers with the same weights.

    `styles` says which layers are split over the tensor group (`tensor.split`), `bounds` at which
    layers the stages begin (p·v + 1 numbers from 0 to the number of layers; default: evenly).
    A parameter that several layers share keeps equal values in all of them.
    """
    count, ranks = len(layers), mesh.pipeline.size
    bounds = even_bounds(count, ranks * chunks) if bounds is None else list(bounds)
    rising = all(a < b for a, b in itertools.pairwise(bounds))
    if len(bounds) != ranks * chunks + 1 or (bounds[0], bounds[-1]) != (0, count) or not rising:
        raise InputError(
            "pipeline",
            "the bounds of the stages do not fit",
            got=list(bounds),
            expected=f"{ranks * chunks + 1} rising numbers from 0 to {count}",
        )
    network = nn.Sequential(*layers)
    _supported(network, mesh)
    _same_weights(network, mesh)
    for pattern in styles or {}:
        if not any(fnmatchcase(name, pattern) for name, _ in network.named_modules()):
            raise InputError(f"tensor split {pattern!r}", "names no layer of the network")
    mine = stages_of(mesh.pipeline.index, ranks, chunks)
    kept = [k for stage in mine for k in range(bounds[stage], bounds[stage + 1])]
    copies = dict(zip(kept, copy.deepcopy([layers[k] for k in kept]), strict=True))
    stages = {}
    for stage in mine:
        part = nn.Sequential()
        for k in range(bounds[stage], bounds[stage + 1]):
            part.add_module(str(k), copies[k])
        tensor.split_in_place(part, styles or {}, mesh.tensor, require=False)
        for module in part.modules():
            if isinstance(module, Attention):
                module.line = mesh.sequence
        stages[stage] = part
    holder = {str(k): s % ranks for s in range(ranks * chunks) for k in _span(bounds, s)}
    return Partition(mesh, chunks, stages, _ties(network, mesh, holder, styles or {}))


def even_bounds(layers: int, stages: int) -> list[int]:
    """Stages of equal numbers of layers, the first ones with one more where it does not divide."""
    if layers < stages:
        raise InputError(
            "pipeline", "fewer layers than stages", got=layers, expected=f"{stages} or more"
        )
    return [k * (layers // stages) + min(k, layers % stages) for k in range(stages + 1)]


def _span(bounds: Sequence[int], stage: int) -> range:
    return range(bounds[stage], bounds[stage + 1])


def _ties(
    network: nn.Module, mesh: Mesh, holder: Mapping[str, int], styles: Mapping[str, tensor.Style]
) -> tuple[Tie, ...]:
    """The parameters that stand in several places, and the line of the ranks that hold them."""
    names: dict[int, list[str]] = {}
    for name, parameter in network.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    ties = []
    for group in names.values():
        ranks = sorted({holder[name.partition(".")[0]] for name in group})
        if len(group) > 1 and (len(ranks) > 1 or mesh.tensor.size > 1):
            cuts = {name: tensor.cut_of(name, styles) for name in group}
            if mesh.tensor.size > 1 and len(set(cuts.values())) > 1:
                raise InputError(
                    f"shared parameter {' = '.join(group)}",
                    "its layers are split in different ways over the tensor group",
                    got=", ".join(str(cut) for cut in cuts.values()),
                    expected="the same dimension and parts, or none",
                )
            ties.append((mesh.share_pipeline(tuple(ranks)), tuple(group)))
    return tuple(ties)


def _supported(network: nn.Module, mesh: Mesh) -> None:
    """Raise for layers that would silently compute something else when split."""
    reasons = {
        nn.modules.dropout._DropoutNd: (
            mesh.tensor.size > 1,
            "the ranks of a tensor group would draw different masks",
        ),
        nn.modules.batchnorm._BatchNorm: (
            mesh.grid.size > 1,
            "it would see single micro-batches and replicas instead of the batch",
        ),
        nn.MultiheadAttention: (
            mesh.sequence.size > 1,
            "it would see this rank's part of the sequence only",
        ),
    }
    for name, module in network.named_modules():
        for kind, (matters, why) in reasons.items():
            idle = not module.training or getattr(module, "p", 1.0) == 0.0
            if matters and isinstance(module, kind) and (kind is nn.MultiheadAttention or not idle):
                raise InputError(
                    f"layer {name}",
                    f"{type(module).__name__} cannot be split this way: {why}",
                    fix="Replace it, or leave that axis of the grid at 1",
                )


def _same_weights(network: nn.Module, mesh: Mesh) -> None:
    """Raise when the ranks were not given the same network."""
    digest = hashlib.sha256()
    for name, parameter in network.named_parameters():
        digest.update(f"{name} {tuple(parameter.shape)} {parameter.dtype}".encode())
        values = parameter.detach().cpu().contiguous().flatten()
        digest.update(values.view(torch.uint8).numpy().tobytes())
    mine = torch.from_numpy(np.frombuffer(digest.digest(), np.int64).copy())
    others = mesh.world.all_gather(mine, "control")
    different = [rank for rank, other in enumerate(others) if not torch.equal(other, others[0])]
    if different:
        raise InputError(
            "network",
            f"ranks {', '.join(map(str, different))} were given other weights than rank 0",
            fix="Seed or load all ranks alike before splitting",
        )


def _pieces(x: Tensor, count: int) -> tuple[Tensor, ...]:
    """Micro-batches along the first axis, of sizes that differ by at most one."""
    if len(x) < count:
        raise InputError(
            "batch", "is smaller than the number of micro-batches", got=len(x), expected=count
        )
    return x.tensor_split(count)


def _outputs(parts: Mapping[int, Tensor]) -> Tensor | None:
    return torch.cat([parts[k] for k in sorted(parts)]) if parts else None
