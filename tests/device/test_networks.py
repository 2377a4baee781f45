"""Every way to run a network in a kernel gives the numbers of `neural_numpy`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from etendue.bsdf.neural_numpy import mlp
from etendue.device.networks import CoopNetworks, PlainNetworks, networks


@pytest.fixture(scope="module")
def mi() -> Any:
    from etendue.device.drjit import activate

    return activate()


def tensors(seed: int, *sides: int) -> dict[str, np.ndarray]:
    """A network `net` and a matrix `frames`, weights as in a fresh one."""
    rng = np.random.default_rng(seed)
    found = {"frames": rng.normal(size=(12, 8))}
    for k in range(len(sides) - 1):
        found[f"net.w{k}"] = rng.normal(size=(sides[k + 1], sides[k])) / np.sqrt(sides[k])
        found[f"net.b{k}"] = rng.normal(size=sides[k + 1])
    return {name: value.astype(np.float32) for name, value in found.items()}


def run(mi: Any, made: Any, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Outputs of `net` and `frames` (n, outputs)."""
    columns = [mi.Float(column) for column in x.T]
    found = (made.mlp(columns, "net"), made.linear(columns[:8], "frames"))
    net, frames = (np.array([row.numpy() for row in rows]).T for rows in found)
    return net, frames


@pytest.mark.parametrize("sides", [(24, 32, 32, 3), (11, 16, 16, 9), (9, 5, 3)])
def test_sums_equal_numpy_and_cooperative_vectors(mi: Any, sides: tuple[int, ...]) -> None:
    made = tensors(1, *sides)
    x = np.random.default_rng(2).normal(size=(500, sides[0])).astype(np.float32)
    x = np.concatenate([x, np.zeros((500, max(0, 8 - sides[0])), np.float32)], 1)
    plain = run(mi, PlainNetworks(mi, made), x[:, : max(sides[0], 8)])
    expected = mlp(x[:, : sides[0]].astype(np.float64), made, "net")
    np.testing.assert_allclose(plain[0], expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(plain[1], x[:, :8] @ made["frames"].T, rtol=1e-4, atol=1e-5)
    if mi.variant().startswith("llvm"):
        for a, b in zip(
            plain, run(mi, CoopNetworks(mi, made), x[:, : max(sides[0], 8)]), strict=True
        ):
            np.testing.assert_array_equal(a, b)


def test_half_precision_is_close(mi: Any) -> None:
    if not mi.variant().startswith("cuda"):
        pytest.skip("cooperative vectors of half precision need CUDA")
    made = tensors(3, 24, 32, 32, 3)
    x = np.random.default_rng(4).normal(size=(4096, 24)).astype(np.float32)
    half, exact = (run(mi, networks(mi, made, exact=e), x) for e in (False, True))
    for a, b in zip(half, exact, strict=True):
        error = np.abs(a - b)
        assert 0 < error.max() < 2e-2 and error.mean() < 2e-3


def test_exact_is_the_default_arithmetic_of_the_processor(mi: Any) -> None:
    made = tensors(5, 24, 32, 32, 3)
    if mi.variant().startswith("llvm"):
        assert isinstance(networks(mi, made), CoopNetworks)
        assert isinstance(networks(mi, made, exact=True), CoopNetworks)
    else:
        assert isinstance(networks(mi, made, exact=True), PlainNetworks)
