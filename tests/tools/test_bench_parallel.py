"""The planner's bench: what it measures, and the table it writes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
import torch

from etendue.schedule.parallel.blocks import Block
from etendue.schedule.parallel.plan import Cost, Layer, Link, Share


@pytest.fixture(scope="module")
def bench(tool: Callable[[str], ModuleType]) -> ModuleType:
    return tool("bench_parallel")


@pytest.fixture
def one_thread() -> Iterator[None]:
    """As in the bench: threads that wait for each other on busy cores take most of the time."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("one_thread")
def test_shares_are_parts_of_the_layer(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half the ranks' weights, but for norms and the biases that are added once."""
    monkeypatch.setattr(bench, "ROWS", 6)
    torch.manual_seed(0)
    block = Block(bench.WIDTH, bench.HEADS, bench.HIDDEN)
    whole, half = (bench.share(block, width, 1) for width in (1, 2))
    alone = 4 * (2 * 2 * bench.WIDTH + 2 * bench.WIDTH)  # bytes of two norms and two biases
    assert half.parameter_bytes == (whole.parameter_bytes - alone) / 2 + alone
    assert whole.stash_bytes / 2 < half.stash_bytes < whole.stash_bytes
    assert whole.forward.at(1) > 0 and whole.backward.at(4) > 0


def test_stash_counts_every_storage_once(bench: Any) -> None:
    """x·x keeps x twice and exp keeps its result."""
    x = torch.randn(8, requires_grad=True)

    class Layer(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x * x).exp()

    assert bench.stash_bytes(Layer(), x) == 2 * 8 * 4


def test_table(bench: Any) -> None:
    """Plans under limits of equal layers: no plan with one stage per rank is faster."""
    share = {
        t: Share(Cost(0.0, 4e-3 / t), Cost(0.0, 8e-3 / t), 2e6 / t, 3e6 / t, 2e5, 2) for t in (1, 2)
    }
    layers, link = [Layer(2e5, share)] * 12, Link(1e-4, 1e9)
    caps = bench.caps(layers, link, 8)
    assert caps[0] == float("inf") and len(caps) > 1
    rows = [bench.row(layers, link, cap, 8) for cap in caps]
    for row, cap in zip(rows, caps, strict=True):
        assert row["needs_mb"] * 1e6 <= cap
        assert row["gain"] >= 0 and row["simulated"] <= row["candidates"]
        assert row["best_plain_ms"] is None or row["ms"] <= row["best_plain_ms"]
    figures = {
        "machine": {"cpu": "x", "threads": 2, "load_average": 1.0, "torch": "2"},
        "passes": 3,
        "link": {"latency_us": 100.0, "mb_per_s": 1000.0},
        "block": {"forward_ms": 4.0, "backward_ms": 8.0},
        "plans": rows,
        "reality": {
            "simulated_ms": [2.0, 1.0],
            "measured_ms": [4.0, 3.0],
            "simulated_ratio": 2.0,
            "measured_ratio": 1.5,
            "n": 7,
        },
    }
    text = bench.report(figures)
    assert text.count("\n| 8 | ") == len(rows)
    assert f"| 8 | no limit | {rows[0]['split']} | {rows[0]['chunks']} |" in text
    assert "median ratio 1.50 (simulated 2.00)" in text
    assert "needs a quiet machine" in bench.report(figures | {"reality": None})
