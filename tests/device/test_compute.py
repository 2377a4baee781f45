from __future__ import annotations

import os
import threading

import pytest

from etendue.core.errors import DeviceError, InputError
from etendue.device.compute import host_memory_mb, places, share


def test_one_processor_has_all_cores_and_two_share_them() -> None:
    assert places(["cpu:0"])["cpu:0"].cores == ()  # not pinned
    cores = sorted(os.sched_getaffinity(0))
    two = places(["cpu:1", "cpu:0"])
    assert two["cpu:0"].cores[0] == cores[0]
    if len(cores) >= 2:
        assert sorted(two["cpu:0"].cores + two["cpu:1"].cores) == cores


@pytest.mark.parametrize(
    ("cores", "parts", "expected"),
    [
        ([0, 1, 2, 3], 2, [(0, 1), (2, 3)]),
        ([0, 1, 2], 2, [(0,), (1, 2)]),
        ([4, 5], 3, [(4,), (5,), (4,)]),
    ],
)
def test_shares(cores: list[int], parts: int, expected: list[tuple[int, ...]]) -> None:
    assert [share(cores, rank, parts) for rank in range(parts)] == expected


def test_a_thread_is_pinned_and_others_are_not() -> None:
    place = places(["cpu:0", "cpu:1"])["cpu:0"]
    before, seen = os.sched_getaffinity(0), []

    def inside() -> None:
        with place.bound():
            seen.append(os.sched_getaffinity(0))

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    assert seen == [set(place.cores)]
    assert os.sched_getaffinity(0) == before


def test_torch_takes_as_many_threads_as_the_device_has_cores() -> None:
    import torch

    place = places(["cpu:0", "cpu:1"])["cpu:1"]
    before, seen = torch.get_num_threads(), []

    def inside() -> None:
        with place.bound():
            place.enter()
            seen.append(torch.get_num_threads())

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    torch.set_num_threads(before)
    assert seen == [len(place.cores)]


def test_memory_is_named_in_megabytes() -> None:
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20
    assert 0 < host_memory_mb() <= total
    assert places(["cpu:0", "cpu:1"])["cpu:1"].memory == "host"


@pytest.mark.parametrize("names", [["cpu"], ["cpu:x"], ["cpu:0", "cpu:0"], ["tpu:0"]])
def test_wrong_names(names: list[str]) -> None:
    with pytest.raises(InputError):
        places(names)


@pytest.mark.parametrize("name", ["cuda:99", "vulkan:99"])
def test_absent_devices(name: str) -> None:
    with pytest.raises(DeviceError, match=name):
        places([name])
