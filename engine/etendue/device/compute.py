"""The devices that work is scheduled on, `cpu:n`, `cuda:n`, `vulkan:n`, and how a thread gets one.

Several `cpu:n` share out the cores of this process, so that a renderer and models beside it do not
fight over the same ones: the thread of a queue is pinned to its share, and what it starts (torch's
and Dr.Jit's threads) inherits that. Dr.Jit has one pool of threads per process; it goes to `cpu:0`.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from etendue.core.errors import DeviceError, InputError

HOST = "host"


@dataclass
class Place:
    """One device as a queue sees it."""

    name: str
    kind: str
    index: int
    memory: str = HOST  # devices of the same name share it
    memory_mb: int = 0
    cores: tuple[int, ...] = ()  # to pin to; () leaves the thread alone
    stream: Any = None  # torch.cuda.Stream
    _bound: threading.local = field(default_factory=threading.local)

    @contextmanager
    def bound(self) -> Iterator[None]:
        """The calling thread belongs to this device."""
        with ExitStack() as stack:
            if self.cores:
                os.sched_setaffinity(0, self.cores)  # 0: this thread
            if self.kind == "cuda":
                import torch

                torch.cuda.set_device(self.index)
                self.stream = torch.cuda.Stream(self.index)
                stack.enter_context(torch.cuda.stream(self.stream))
            self._bound.here = True
            yield

    def enter(self) -> None:
        """Before a step: libraries that have been loaded since take as many threads as cores."""
        if not self.cores or not getattr(self._bound, "here", False):
            return
        torch, drjit = sys.modules.get("torch"), sys.modules.get("drjit")
        if hasattr(torch, "set_num_threads") and not hasattr(self._bound, "torch"):
            self._bound.torch = True
            torch.set_num_threads(len(self.cores))  # type: ignore[union-attr]
        if hasattr(drjit, "set_thread_count") and not hasattr(self._bound, "drjit"):
            self._bound.drjit = True
            if self.index == 0:
                drjit.set_thread_count(0)  # type: ignore[union-attr]
                drjit.set_thread_count(len(self.cores))  # type: ignore[union-attr]

    def synchronise(self) -> None:
        """After a step: wait for what it has enqueued, so that its time is the device's."""
        if self.stream is not None:
            self.stream.synchronize()


def places(names: Sequence[str]) -> dict[str, Place]:
    """The devices of these names; `InputError` or `DeviceError` for what is not here."""
    found: dict[str, Place] = {}
    for name in names:
        kind, _, number = name.partition(":")
        if name in found or not number.isdecimal():
            raise InputError("devices", "cannot be read", got=name, expected="cpu:0, cuda:0, ...")
        found[name] = _place(name, kind, int(number))
    processors = [place for place in found.values() if place.kind == "cpu"]
    if len(processors) > 1:
        cores = sorted(os.sched_getaffinity(0))
        for rank, place in enumerate(sorted(processors, key=lambda p: p.index)):
            place.cores = share(cores, rank, len(processors))
    return found


def share(cores: Sequence[int], rank: int, parts: int) -> tuple[int, ...]:
    """The `rank`-th of `parts` runs of cores; with fewer cores than parts, they take turns."""
    if len(cores) < parts:
        return (cores[rank % len(cores)],)
    return tuple(cores[len(cores) * rank // parts : len(cores) * (rank + 1) // parts])


def _place(name: str, kind: str, index: int) -> Place:
    if kind == "cpu":
        return Place(name, kind, index, HOST, host_memory_mb())
    if kind == "null":
        return Place(name, kind, index, HOST, 1 << 30)
    if kind == "cuda":
        import torch

        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        _require(name, index, count, "this torch sees")
        free, _ = torch.cuda.mem_get_info(index)
        return Place(name, kind, index, name, free >> 20)
    if kind == "vulkan":
        _require(name, index, _vulkan_adapters(name), "slangpy sees")
        return Place(name, kind, index, name, host_memory_mb())
    raise InputError("devices", "unknown kind", got=name, expected="cpu, cuda, vulkan or null")


def _require(name: str, index: int, count: int, who: str) -> None:
    if index >= count:
        raise DeviceError(name, f"is not here, {who} {count} such devices")


def _vulkan_adapters(name: str) -> int:
    try:
        import slangpy
    except ImportError:
        raise DeviceError(name, "needs slangpy", fix="pip install 'etendue[slang]'") from None
    return len(slangpy.Device.enumerate_adapters(slangpy.DeviceType.vulkan))


def host_memory_mb() -> int:
    """Memory that may still be used: what the system or the control group has left."""
    limits = []
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                limits.append(int(line.split()[1]) >> 10)
        group = Path("/sys/fs/cgroup")
        most = (group / "memory.max").read_text().strip()
        if most != "max":
            used = int((group / "memory.current").read_text())
            limits.append(max(0, int(most) - used) >> 20)
    except (OSError, ValueError):
        pass
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min(limits, default=pages >> 20)
