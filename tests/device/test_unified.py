"""Unified tensors give what gather, copy and reduce give, and copy nothing for it."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from etendue.core.errors import DeviceError, InputError
from etendue.device.table import write_table
from etendue.device.unified import REDUCTIONS, UnifiedTensor, reduce_rows, unified

WIDTH = 48
ROWS = 24 * 2**20 // (4 * WIDTH)  # three times the smallest cap


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of 24 MB."""
    file = tmp_path_factory.mktemp("table") / "t.npy"
    rng = np.random.default_rng(0)
    parts = (rng.standard_normal((ROWS // 8, WIDTH), np.float32) for _ in range(8))
    write_table(file, (ROWS, WIDTH), parts)
    return file


@pytest.fixture(scope="module")
def whole(path: Path) -> torch.Tensor:
    return torch.from_numpy(np.load(path))


def index(n: int, k: int, rows: int = ROWS, seed: int = 0) -> torch.Tensor:
    return torch.randint(rows, (n, k), generator=torch.Generator().manual_seed(seed))


def sources(path: Path, whole: torch.Tensor) -> dict[str, UnifiedTensor]:
    return {
        "file": unified(path),
        "capped file": unified(str(path), resident_mb=8),
        "numpy": unified(whole.numpy()),
        "torch": unified(whole),
        "shared": unified(whole.clone().share_memory_()),
    }


@pytest.mark.parametrize("kind", ["file", "capped file", "numpy", "torch", "shared"])
def test_the_same_results_as_gather_and_copy(path: Path, whole: torch.Tensor, kind: str) -> None:
    table = sources(path, whole)[kind]
    where = index(300, 7)
    np.testing.assert_array_equal(table[where].numpy(), whole[where].numpy())
    in_order = torch.zeros(300, WIDTH)
    for column in where.T:
        in_order += whole[column]
    exact = kind != "capped file"  # there sums are in the order of the file
    for how, truth in (("sum", in_order), ("mean", in_order / 7), ("max", whole[where].amax(1))):
        found = table.reduce(where, how)
        if exact or how == "max":
            assert torch.equal(found, truth), how
        torch.testing.assert_close(found, truth, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(reduce_rows(table.staged(where), how), truth)


@pytest.mark.parametrize("cap", [None, 8])
def test_nothing_is_staged_or_allocated_but_the_result(path: Path, cap: int | None) -> None:
    table, where = unified(path, resident_mb=cap), index(2000, 20)
    gathered = where.numel() * table.row_bytes
    table.reduce(where)  # also what is allocated once
    activity = torch.profiler.ProfilerActivity.CPU
    with torch.profiler.profile(activities=[activity], profile_memory=True) as profile:
        table.reduce(where)
    largest = max(event.self_cpu_memory_usage for event in profile.events() or [])
    assert 0 < largest < gathered / 2, "some kernel wrote the gathered rows"
    assert table.traffic.staged == 0
    assert table.traffic.in_place == 2 * gathered
    table.staged(where)
    assert table.traffic.staged == gathered


def test_weighted_sums_and_their_gradient(path: Path, whole: torch.Tensor) -> None:
    where = index(50, 6)
    for table in (unified(path), unified(path, resident_mb=8)):
        gradients, results = [], []
        for run in (table.reduce, lambda i, how, w: reduce_rows(whole[i], how, w)):
            weights = torch.linspace(-1, 1, 300).reshape(50, 6).requires_grad_()
            result = run(where, "sum", weights)
            (result**2).sum().backward()
            results.append(result.detach())
            gradients.append(weights.grad)
        torch.testing.assert_close(*results, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-4)


@settings(max_examples=25)
@given(
    n=st.integers(1, 9),
    k=st.integers(1, 5),
    seed=st.integers(0, 2**32),
    how=st.sampled_from(REDUCTIONS),
    near=st.booleans(),
)
def test_any_index_under_a_cap(path: Path, n: int, k: int, seed: int, how: str, near: bool) -> None:
    """Runs end where the pieces of the file do, whichever rows are asked for and in which order."""
    capped, free = unified(path, resident_mb=8), unified(path)
    where = index(n, k, 3 if near else ROWS, seed)
    torch.testing.assert_close(capped.reduce(where, how), free.reduce(where, how))
    assert torch.equal(capped[where], free[where])
    for table in (capped, free):
        table.close()


def test_rows_of_any_shape_and_type_are_gathered() -> None:
    texels = torch.randint(256, (50, 4, 4, 3), dtype=torch.uint8)
    table, where = unified(texels), index(5, 2, 50)
    assert torch.equal(table[where], texels[where])
    assert table.shape == (50, 4, 4, 3) and table.row_bytes == 48 and len(table) == 50
    half = torch.randn(50, 6, 2).half()
    torch.testing.assert_close(unified(half).reduce(where), half[where].mean(1))


def test_dr_jit_reads_the_same_memory(path: Path, whole: torch.Tensor) -> None:
    from etendue.device.drjit import activate

    activate()
    import drjit as dr
    from drjit.llvm import Float32, UInt32

    table = unified(path)
    array = table.drjit()
    assert array.numpy().__array_interface__["data"][0] == table.host.data_ptr()
    where = index(100, 1).reshape(-1)
    found = dr.gather(Float32, array, UInt32(where.numpy().astype(np.uint32)) * WIDTH + 3)
    np.testing.assert_array_equal(found.numpy(), whole[where, 3].numpy())
    with pytest.raises(InputError, match="no Dr"):
        unified(torch.zeros(4, 4, dtype=torch.int64)).drjit()


def test_another_process_opens_the_file_itself(path: Path) -> None:
    data = pickle.dumps(unified(path, resident_mb=16))
    assert len(data) < 1000
    again, where = pickle.loads(data), index(5, 3)
    assert torch.equal(again[where], unified(path)[where])
    assert again.file is not None and again.file.cap == 16 * 2**20


def test_what_is_unified_already_is_given_back() -> None:
    table = unified(torch.zeros(3, 2))
    assert unified(table) is table


def test_memory_is_shared_with_what_was_given() -> None:
    host = torch.zeros(3, 2)
    table = unified(host)
    host[1] = 5
    assert table[torch.tensor([1])].tolist() == [[5, 5]]


@pytest.mark.parametrize(
    "wrong",
    [torch.tensor([[0, 9]]), torch.tensor([[-1, 0]]), torch.tensor([[0.0, 1.0]])],
    ids=["above", "below", "floats"],
)
def test_wrong_indices(wrong: torch.Tensor) -> None:
    table = unified(torch.zeros(9, 2))
    for use in (table.reduce, table.__getitem__, table.staged):
        with pytest.raises(InputError, match="index"):
            use(wrong)


def test_wrong_use() -> None:
    table, where = unified(torch.zeros(9, 2)), torch.zeros(3, 2, dtype=torch.long)
    calls: list[Any] = [
        lambda: table.reduce(where, "median"),
        lambda: table.reduce(where[0]),
        lambda: table.reduce(where[:, :0]),
        lambda: table.reduce(where, "mean", torch.ones(3, 2)),
        lambda: table.reduce(where, "sum", torch.ones(3, 3)),
        lambda: unified(torch.zeros(9, 2, dtype=torch.int32)).reduce(where),
        lambda: unified(torch.zeros(9, 4)[:, :2]),
        lambda: unified(torch.zeros(9, 4), resident_mb=8),
        lambda: unified("absent.npy"),
    ]
    for call in calls:
        with pytest.raises(InputError):
            call()


def test_empty_indices() -> None:
    table = unified(torch.ones(9, 2))
    assert table[torch.zeros(0, dtype=torch.long)].shape == (0, 2)
    assert table.reduce(torch.zeros(0, 3, dtype=torch.long)).shape == (0, 2)


def test_devices_that_are_not_there() -> None:
    with pytest.raises(DeviceError, match="cpu or cuda"):
        unified(torch.zeros(3, 2), "meta")
    if not torch.cuda.is_available():
        with pytest.raises(DeviceError, match="doctor"):
            unified(torch.zeros(3, 2), "cuda")


def test_rows_are_staged_where_the_device_cannot_reach_them(monkeypatch: Any) -> None:
    """What happens when a driver refuses to map memory: the same results, and it shows."""
    reason = "the memory cannot be pinned and mapped (CUDA error 801)"
    monkeypatch.setattr("etendue.device.unified._mapped", lambda host, device: (host, [reason]))
    host = torch.randn(9, 2)
    table = UnifiedTensor(host, torch.device("meta"))
    table.device = torch.device("cpu")  # results can be looked at
    where = index(4, 3, 9)
    assert table.reasons == [reason]
    torch.testing.assert_close(table.reduce(where), host[where].mean(1))
    assert torch.equal(table[where], host[where])
    assert table.traffic.staged == 2 * 4 * 3 * 8 and table.traffic.in_place == 0
    table.close()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
def test_a_gpu_reads_host_memory() -> None:
    host = torch.randn(10_000, 64)
    table, where = unified(host, "cuda"), index(500, 8, 10_000)
    assert table.reasons == []
    for how in REDUCTIONS:
        torch.testing.assert_close(table.reduce(where, how).cpu(), reduce_rows(host[where], how))
    assert torch.equal(table[where].cpu(), host[where])
    assert table.traffic.staged == 0
    table.close()
