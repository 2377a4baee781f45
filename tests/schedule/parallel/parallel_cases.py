"""What the ranks of the tests run; importable from their processes."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from etendue.core.errors import InputError
from etendue.schedule.parallel import ring, tensor
from etendue.schedule.parallel.blocks import Block, block_styles
from etendue.schedule.parallel.groups import Mesh
from etendue.schedule.parallel.partition import Partition, partition
from etendue.schedule.parallel.wire import wait

VOCABULARY, WIDTH, HEADS, HIDDEN, ROWS = 12, 16, 4, 24, 7
BLOCKS = 2
STYLES = {
    **block_styles(WIDTH // HEADS),
    "0": tensor.Vocabulary(),
    str(BLOCKS + 2): tensor.Column(),
}


@dataclass(frozen=True)
class Case:
    """One comparison of a split network with the whole one."""

    dtype: str = "float64"
    chunks: int = 1
    microbatches: int = 2
    batch: int = 5
    causal: bool = True
    tied: bool = False
    infer: bool = False


def network(case: Case, seed: int = 0) -> list[nn.Module]:
    """Embedding, blocks, norm and head, with no parameter at a special value."""
    torch.manual_seed(seed)
    blocks = [Block(WIDTH, HEADS, HIDDEN, case.causal) for _ in range(BLOCKS)]
    layers = [nn.Embedding(VOCABULARY, WIDTH), *blocks, nn.LayerNorm(WIDTH)]
    layers.append(nn.Linear(WIDTH, VOCABULARY, bias=False))
    if case.tied:
        layers[-1].weight = layers[0].weight
    for layer in layers:
        layer.to(getattr(torch, case.dtype))
        for parameter in layer.parameters():
            with torch.no_grad():
                parameter.add_(0.1 * torch.randn_like(parameter))
    return layers


def batch(case: Case) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    inputs, targets = (
        torch.randint(VOCABULARY, (case.batch, ROWS), generator=generator) for _ in range(2)
    )
    return inputs, targets


def mine(x: Tensor, mesh: Mesh) -> Tensor:
    """This rank's rows of a batch (batch, rows, ...), in parts of different sizes."""
    x = x.tensor_split(mesh.data.size)[mesh.data.index]
    return x.tensor_split(mesh.sequence.size, 1)[mesh.sequence.index]


def build(mesh: Mesh, case: Case) -> Partition:
    return partition(network(case), mesh, styles=STYLES, chunks=case.chunks)


def train(mesh: Mesh, case: Case, part: Partition) -> Any:
    inputs, targets = (mine(x, mesh) for x in batch(case))

    def loss_sum(logits: Tensor, target: Tensor) -> Tensor:
        return tensor.vocabulary_cross_entropy(logits, target, mesh.tensor).sum()

    return part.step(inputs, targets, loss_sum, case.microbatches)


def error(got: Tensor, expected: Tensor) -> float:
    """Largest difference, relative to the size of the tensor when that is above one."""
    assert got.shape == expected.shape
    return float((got - expected).abs().max() / expected.abs().max().clamp(min=1))


def reference(case: Case) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Loss, logits and gradients of one process, by torch alone."""
    whole = nn.Sequential(*network(case))
    inputs, targets = batch(case)
    logits = whole(inputs)
    loss = functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
    loss.backward()
    named = whole.named_parameters(remove_duplicate=False)
    return loss.detach(), logits.detach(), {k: p.grad for k, p in named if p.grad is not None}


def compare(mesh: Mesh, *cases: Case) -> list[dict[str, Any]]:
    """Errors of loss, outputs and gradients, and what is needed to judge them."""
    results = []
    for case in cases:
        loss, logits, grads = reference(case)
        part = build(mesh, case)
        step = train(mesh, case, part)
        result: dict[str, Any] = {"loss": error(torch.tensor(step.loss, dtype=loss.dtype), loss)}
        result["stash_peak"] = step.stash_peak
        inferred = part.infer(mine(batch(case)[0], mesh), case.microbatches) if case.infer else None
        for name, outputs in (("outputs", step.outputs), ("inferred", inferred)):
            if outputs is not None:
                shares = mesh.tensor.all_gather(outputs, "test")
                result[name] = error(tensor.join(shares, -1), mine(logits, mesh))
        split = part.whole(gradients=True)
        result["names"] = sorted(split)
        result["gradients"] = max(error(split[k], grads[k]) for k in split)
        result["smallest"] = min(float(grads[k].abs().max()) for k in split)
        result["all_names"] = sorted(grads)
        results.append(result)
    return results


@torch.no_grad()
def descend(parameters: list[nn.Parameter]) -> None:
    """Gradient descent; `torch.optim` would load a compiler first, which takes seconds."""
    for parameter in parameters:
        if parameter.grad is not None:
            parameter -= 0.1 * parameter.grad


def trained_alone(case: Case, steps: int) -> dict[str, Any]:
    """Parameters of the whole network after some steps."""
    whole = nn.Sequential(*network(case))
    inputs, targets = batch(case)
    for _ in range(steps):
        whole.zero_grad()
        functional.cross_entropy(whole(inputs).flatten(0, 1), targets.flatten()).backward()
        descend(list(whole.parameters()))
    named = whole.named_parameters(remove_duplicate=False)
    return {name: p.detach().numpy() for name, p in named}


def trained(mesh: Mesh, case: Case, steps: int) -> dict[str, Any]:
    """The same of a partition."""
    part = build(mesh, case)
    for _ in range(steps):
        train(mesh, case, part)
        descend(list(part.parameters().values()))
    return {name: x.numpy() for name, x in part.whole().items()}


def refused(mesh: Mesh, styles: dict[str, tensor.Style], tied: bool = False) -> None:
    layers = [nn.Embedding(5 if not tied else 8, 8), nn.Linear(8, 8)]
    if tied:
        layers[1].weight = layers[0].weight
    torch.manual_seed(0)
    for parameter in (p for layer in layers for p in layer.parameters()):
        nn.init.normal_(parameter)
    partition(layers, mesh, styles=styles)


def shared(mesh: Mesh) -> float:
    """Largest error of gradients when all layers share one weight, two of them on each rank."""
    torch.manual_seed(0)
    layers = [nn.Linear(4, 4).double() for _ in range(4)]
    for layer in layers[1:]:
        layer.weight = layers[0].weight
    x, target = (torch.randn(6, 4, dtype=torch.float64) for _ in range(2))

    def loss_sum(y: Tensor, wanted: Tensor) -> Tensor:
        return ((y - wanted) ** 2).sum()

    part = partition(layers, mesh, chunks=2)
    part.step(x, target, loss_sum, 2)
    whole = nn.Sequential(*layers)
    (loss_sum(whole(x), target) / target.numel()).backward()
    truth = dict(whole.named_parameters(remove_duplicate=False))
    pairs = [(p.grad, truth[name].grad) for name, p in part.parameters().items()]
    assert len({name for name in part.parameters() if name.endswith("weight")}) == 1
    return max(error(a, b) for a, b in pairs if a is not None and b is not None)


def count_bytes(mesh: Mesh, case: Case) -> dict[str, Any]:
    """Bytes by line and purpose of one training step."""
    part = build(mesh, case)
    lines = {a: getattr(mesh, a) for a in ("pipeline", "sequence", "tensor", "replica")}
    lines |= {"tied": part.ties[0][0]} if part.ties else {}
    for line in lines.values():
        line.sent.clear()
    train(mesh, case, part)
    held = sum(p.nbytes for p in part.parameters().values())
    sent = {name: dict(line.sent) for name, line in lines.items()}
    return {"sent": sent, "place": mesh.grid.place(mesh.rank), "parameters": held}


def written() -> int:
    """Bytes that this process has written, as the kernel counts them."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("wchar")).split()[1])


def kernel_bytes(mesh: Mesh, size: int) -> list[tuple[str, int, float]]:
    """(operation, bytes by the kernel, bytes by our count) for large messages."""
    line, result = mesh.data, []
    x = torch.ones(size, dtype=torch.float64)

    def exchange() -> None:
        transfers = line.send(x, (line.index + 1) % line.size, "test")
        transfers += line.receive(torch.empty_like(x), (line.index - 1) % line.size)
        wait(transfers)

    works = {
        "all_reduce": lambda: line.all_reduce(x, "test"),
        "all_gather": lambda: line.all_gather(x, "test"),
        "send": exchange,
    }
    for name, work in works.items():
        line.all_gather(torch.zeros(1), "wait for all")
        line.sent.clear()
        before = written()
        work()
        line.all_gather(torch.zeros(1), "wait for all")
        result.append((name, written() - before, float(line.sent["test"])))
    return result


def attend(mesh: Mesh, lengths: tuple[int, ...], dtype: str) -> dict[str, Any]:
    """Ring attention against torch's, forward and all gradients, full and causal."""
    line, number = mesh.sequence, getattr(torch, dtype)
    generator = torch.Generator().manual_seed(sum(lengths))
    first = sum(lengths[: line.index])
    part = slice(first, first + lengths[line.index])
    worst: dict[str, float] = {}
    sent = []
    for causal in (False, True):
        shape = (2, 3, sum(lengths))
        q, k = (torch.randn(*shape, 4, generator=generator, dtype=number) for _ in range(2))
        v, weight = (torch.randn(*shape, 5, generator=generator, dtype=number) for _ in range(2))
        whole = [x.clone().requires_grad_() for x in (q, k, v)]
        truth = functional.scaled_dot_product_attention(*whole, is_causal=causal)
        (truth * weight).sum().backward()
        share = [x[:, :, part].clone().requires_grad_() for x in (q, k, v)]
        line.sent.clear()
        out = ring.ring_attention(*share, line, causal=causal)
        forward = line.sent["sequence"]
        (out * weight[:, :, part]).sum().backward()
        sent.append((forward, line.sent["sequence"] - forward))
        pairs = {"out": (out.detach(), truth.detach())}
        pairs |= {n: (s.grad, w.grad) for n, s, w in zip("qkv", share, whole, strict=True)}
        for name, (got, expected) in pairs.items():
            if lengths[line.index]:
                key = f"{name} {'causal' if causal else 'full'}"
                worst[key] = error(got, expected[:, :, part])
    return {"errors": worst, "sent": sent}


def attend_all(mesh: Mesh, some: list[tuple[int, ...]], dtype: str) -> list[dict[str, Any]]:
    return [attend(mesh, lengths, dtype) for lengths in some]


def largest_scores(mesh: Mesh, rows: int) -> tuple[int, int]:
    """Largest tensor, in numbers, made in a forward and in a backward pass of ring attention."""
    sizes: list[int] = []

    class Watch(TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None) -> Any:  # noqa: ANN001
            out = function(*args, **(kwargs or {}))
            sizes.append(out.numel() if isinstance(out, Tensor) else 0)
            return out

    torch.manual_seed(mesh.rank)
    q, k, v = (torch.randn(1, rows, 4, requires_grad=True) for _ in range(3))
    with Watch():
        out = ring.ring_attention(q, k, v, mesh.sequence)
    forward = max(sizes)
    sizes.clear()
    with Watch():  # the engine would run the backward pass where the mode does not see it
        out.grad_fn.apply(torch.ones_like(out))  # type: ignore[union-attr]
    return forward, max(sizes)


def other_weights(mesh: Mesh) -> None:
    partition(network(Case(), seed=mesh.rank), mesh)


def fail(mesh: Mesh, how: str) -> str:
    """Rank 1 does something wrong while rank 0 waits for it."""
    if mesh.rank == 1:
        if how == "raise":
            raise ValueError("on purpose")
        if how == "input":
            raise InputError("file", "is broken", fix="Mend it")
        if how == "exit":
            os._exit(7)
        threading.Event().wait()
    mesh.world.all_reduce(torch.zeros(1), "test")
    return "done"


def home(mesh: Mesh) -> tuple[int, list[int]]:
    """Process and cores of a rank."""
    return os.getpid(), sorted(os.sched_getaffinity(0))


def wait_for_ever(mesh: Mesh, folder: str) -> None:
    """Leaves a file with its process number, and never ends."""
    (Path(folder) / str(os.getpid())).touch()
    threading.Event().wait()


def nothing(mesh: Mesh) -> int:
    return mesh.rank


def lines(mesh: Mesh) -> dict[str, tuple[tuple[int, ...], int, int]]:
    """(ranks, index, sum of the ranks as the group computes it) of each line."""
    result = {}
    for axis in ("pipeline", "data", "sequence", "tensor"):
        line = getattr(mesh, axis)
        total = line.all_reduce(torch.tensor(mesh.rank), "test")
        result[axis] = line.ranks, line.index, int(total)
    return result


def beside_torch(mesh: Mesh) -> tuple[dict[str, Any], dict[str, Any]]:
    """Outputs and gradients of a split network: ours, and PyTorch's `parallelize_module`."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor.parallel import (
        ColwiseParallel,
        RowwiseParallel,
        parallelize_module,
    )

    torch.manual_seed(0)
    whole = nn.Sequential(nn.Linear(6, 8), nn.GELU(), nn.Linear(8, 5)).double()
    x = torch.randn(3, 6, dtype=torch.float64)
    weight = torch.randn(3, 5, dtype=torch.float64)
    ours = tensor.split(whole, {"0": tensor.Column(), "2": tensor.Row()}, mesh.tensor)
    devices = init_device_mesh("cpu", (mesh.tensor.size,))
    theirs = parallelize_module(whole, devices, {"0": ColwiseParallel(), "2": RowwiseParallel()})
    results = []
    for module in (ours, theirs):
        inputs = x.clone().requires_grad_()
        out = module(inputs)
        (out * weight).sum().backward()
        assert inputs.grad is not None
        grads = tensor.whole(module, gradients=True) if module is ours else {}
        if module is theirs:
            grads = {k: p.grad.full_tensor() for k, p in module.named_parameters()}  # type: ignore[union-attr]
        values = {"out": out.detach(), "x": inputs.grad, **grads}
        results.append({name: value.numpy() for name, value in values.items()})
    return results[0], results[1]


def vocabulary_loss(mesh: Mesh) -> list[float]:
    """Errors of loss and gradient for logits that would overflow without the maximum."""
    torch.manual_seed(0)
    logits = (500 * torch.randn(4, 5, 9, dtype=torch.float64)).requires_grad_()
    target = torch.randint(9, (4, 5))
    expected = functional.cross_entropy(logits.flatten(0, 1), target.flatten(), reduction="none")
    (expected * torch.arange(20)).sum().backward()
    assert logits.grad is not None
    share = tensor.cut(logits.detach(), mesh.tensor, -1).requires_grad_()
    loss = tensor.vocabulary_cross_entropy(share, target, mesh.tensor)
    (loss.flatten() * torch.arange(20)).sum().backward()
    assert share.grad is not None
    return [
        error(loss.detach().flatten(), expected.detach()),
        error(share.grad, tensor.cut(logits.grad, mesh.tensor, -1)),
    ]
