"""Unified tensor: a table that is larger than a device, or than a memory cap, read in place.

A kernel on the device reads the rows it needs from where they lie, a mapped file or pinned and
mapped host memory, instead of from a staging copy that the host gathers for it (Min et al. 2021,
"PyTorch-Direct"). What follows a gather is nearly always a reduction over neighbours, so the two
are one kernel: no gathered row is ever written to memory. The oracle of both is `staged`.

In a plugin it is a change of two lines:

    table = unified(table)                   # was: table = table.to(device)
    mean = table.reduce(neighbours)          # was: mean = table[neighbours].mean(1)
"""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from etendue.core.errors import DeviceError, InputError
from etendue.device.table import PIECE_BYTES, TableFile

if TYPE_CHECKING:
    import torch

REDUCTIONS = ("mean", "sum", "max")
_HOST_REGISTER_MAPPED = 2  # cudaHostRegisterMapped
_DRJIT_INDEX_LIMIT = 1 << 32


@dataclass
class Traffic:
    """Bytes of table rows that have been used so far, by the way that they took."""

    in_place: int = 0  # read by the kernel that used them
    staged: int = 0  # copied for it first


class UnifiedTensor:
    """Rows of a table (n, ...) on the host that kernels on `device` read in place.

    `reasons` says why they cannot (then rows are staged, and `traffic` shows it); empty = they can.
    The table is never written to and has no gradient; weights of a reduction may have one.
    """

    def __init__(
        self, host: torch.Tensor, device: torch.device, file: TableFile | None = None
    ) -> None:
        self.host = host  # keeps the memory alive
        self.device = device
        self.file = file
        self.traffic = Traffic()
        self.reasons: list[str] = []
        self.view = host
        if device.type != "cpu":
            self.view, self.reasons = _mapped(host, device)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the table."""
        return tuple(self.host.shape)

    @property
    def dtype(self) -> torch.dtype:
        """Type of its numbers."""
        return self.host.dtype

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return math.prod(self.shape[1:]) * self.host.element_size()

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: torch.Tensor) -> torch.Tensor:
        """Rows of `index` (...) int64: (..., row shape), on the device."""
        import torch

        if self.reasons:
            return self.staged(index)
        flat = self._checked(index).reshape(-1)
        out = torch.empty(
            (len(flat), *self.shape[1:]), dtype=self.host.dtype, device=self.view.device
        )
        for part in self._runs(flat):
            torch.index_select(self.view, 0, flat[part], out=out[part])
        self.traffic.in_place += len(flat) * self.row_bytes
        return out.reshape(*index.shape, *self.shape[1:])

    def reduce(
        self, index: torch.Tensor, how: str = "mean", weights: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Mean, sum or maximum over the last axis of rows of `index` (n, k): (n, row shape).

        One kernel that reads the rows in place and writes the result only; under a memory cap, a
        kernel per stretch of the file, so that sums are rounded in another order. `weights` (n, k)
        are those of a weighted sum.
        """
        from torch.nn.functional import embedding_bag

        self._check_reduction(index, how, weights)
        if self.reasons:
            return reduce_rows(self.staged(index), how, weights)
        index = self._checked(index)
        table = self.view.reshape(len(self), math.prod(self.shape[1:]))
        if weights is not None:
            weights = weights.to(table)
        if self.file is not None and self.file.cap is not None and index.numel():
            result = self._reduce_by_stretch(table, index, how, weights)
        else:
            result = embedding_bag(index, table, mode=how, per_sample_weights=weights)
        self.traffic.in_place += index.numel() * self.row_bytes
        return result.reshape(len(index), *self.shape[1:])

    def _reduce_by_stretch(
        self, table: torch.Tensor, index: torch.Tensor, how: str, weights: torch.Tensor | None
    ) -> torch.Tensor:
        """The reduction in the order of the file: every stretch of it is mapped once."""
        import torch
        from torch.nn.functional import embedding_bag

        (n, k), flat = index.shape, index.reshape(-1)
        order = flat.argsort(stable=True)
        start = -math.inf if how == "max" else 0.0
        result = torch.full((n, table.shape[1]), start, dtype=table.dtype)
        for part in self._runs(flat[order]):
            place = order[part].sort().values
            bags, counts = torch.unique_consecutive(
                place.div(k, rounding_mode="floor"), return_counts=True
            )
            partial = embedding_bag(
                flat[place],
                table,
                counts.cumsum(0) - counts,
                mode="max" if how == "max" else "sum",
                per_sample_weights=None if weights is None else weights.reshape(-1)[place],
            )
            if how == "max":
                result[bags] = torch.maximum(result[bags], partial)
            else:
                result = result.index_add(0, bags, partial)
        return result / k if how == "mean" else result

    def staged(self, index: torch.Tensor) -> torch.Tensor:
        """The same rows the old way, the oracle: gathered on the host, then copied over."""
        flat = self._checked(index).cpu()
        buffer = self.host[flat]
        if self.file is not None:
            self.file.trim()
        self.traffic.staged += buffer.numel() * buffer.element_size()
        return buffer.clone() if self.device.type == "cpu" else buffer.to(self.device)

    def drjit(self) -> Any:
        """The table as a flat Dr.Jit LLVM array over the same memory, for `dr.gather` in kernels.

        Keep this object for as long as a kernel uses the array.
        """
        from drjit.llvm import Float32, Int32, UInt8

        types = {"float32": Float32, "int32": Int32, "uint8": UInt8}
        name = str(self.host.dtype).removeprefix("torch.")
        if name not in types or self.host.numel() >= _DRJIT_INDEX_LIMIT:
            got = f"{self.host.numel()} x {name}"
            raise InputError("table", "no Dr.Jit array can cover it", got=got, expected=str(types))
        return types[name](self.host.reshape(-1).numpy())

    def close(self) -> None:
        """Give pinned memory and the mapping back; the tensor must not be used afterwards."""
        if self.view is not self.host and not self.reasons:
            import torch

            torch.cuda.synchronize(self.device)
            _runtime().cudaHostUnregister(self.host.data_ptr())
        if self.file is not None:
            self.file.close()

    def __reduce__(self) -> tuple[Any, ...]:
        if self.file is not None:
            return _reopened, (self.file, str(self.device))
        return unified, (self.host, str(self.device))

    def _checked(self, index: torch.Tensor) -> torch.Tensor:
        """`index` on the device; kernels that read in place would read beyond the table."""
        if index.dtype.is_floating_point or index.dtype.is_complex:
            raise InputError("index", "is not of whole numbers", got=index.dtype, expected="int64")
        if index.numel():
            low, high = (int(x) for x in index.aminmax())
            if low < 0 or high >= len(self):
                raise InputError(
                    "index", "is out of range", got=f"{low}..{high}", expected=f"0..{len(self) - 1}"
                )
        return index.to(self.view.device).long()

    def _check_reduction(self, index: Any, how: str, weights: Any) -> None:
        if how not in REDUCTIONS:
            raise InputError("reduction", "is unknown", got=how, expected=", ".join(REDUCTIONS))
        if index.ndim != 2 or not index.shape[1]:
            raise InputError(
                "index", "has a wrong shape", got=tuple(index.shape), expected="(n, k)"
            )
        if not self.host.dtype.is_floating_point:
            raise InputError("table", "cannot be reduced", got=self.host.dtype, expected="floats")
        if weights is not None and (how != "sum" or weights.shape != index.shape):
            got = f"{tuple(weights.shape)} with {how}"
            raise InputError("weights", "do not fit", got=got, expected="those of a sum, (n, k)")

    def _runs(self, flat: torch.Tensor) -> Iterator[slice]:
        """Runs of the rows `flat` (n,) that may be read before the file has to be trimmed."""
        import torch

        limit = None if self.file is None else self.file.pieces_at_once(self.row_bytes)
        ends = [len(flat)]
        if limit is not None:
            piece = (flat * self.row_bytes).div(PIECE_BYTES, rounding_mode="floor")
            moves = (piece.diff(prepend=piece[:1]) != 0).cumsum(0)
            run = moves.div(limit, rounding_mode="floor")
            ends = [*(torch.nonzero(run.diff())[:, 0] + 1).tolist(), len(flat)]
        for start, end in pairwise([0, *ends]):
            yield slice(start, end)
            if self.file is not None:
                self.file.trim()


def unified(
    source: Any, device: str | torch.device = "cpu", *, resident_mb: float | None = None
) -> UnifiedTensor:
    """A unified tensor over a `.npy` file (by path), a numpy array or a torch tensor on the host.

    Nothing is copied; what is one already is given back. `resident_mb` caps how much of a file
    stays in this process's memory. Raises `InputError` for what would have to be copied,
    `DeviceError` when the device is not there.
    """
    import torch

    if isinstance(source, UnifiedTensor):
        return source
    where = torch.device(device)
    if where.type == "cuda" and not torch.cuda.is_available():
        raise DeviceError(where, "is not usable here", fix="See `etendue doctor`")
    if where.type not in ("cpu", "cuda"):
        raise DeviceError(where, "cannot read host memory in place", expected="cpu or cuda")
    if isinstance(source, str | os.PathLike):
        return _reopened(TableFile(source, resident_mb), str(where))
    if resident_mb is not None:
        raise InputError("resident_mb", "is for files", got=type(source).__name__)
    host = source if isinstance(source, torch.Tensor) else _as_torch(np.asarray(source))
    host = host.detach()
    if host.device.type != "cpu" or not host.is_contiguous() or not host.ndim:
        got = f"{host.device}, strides {tuple(host.stride())}"
        raise InputError("table", "would have to be copied", got=got, expected="rows on the host")
    return UnifiedTensor(host, where)


def reduce_rows(
    rows: torch.Tensor, how: str = "mean", weights: torch.Tensor | None = None
) -> torch.Tensor:
    """The reduction of gathered rows (n, k, ...) over k, in as many kernels as it has words."""
    if weights is not None:
        rows = rows * weights.reshape(*weights.shape, *[1] * (rows.ndim - 2)).to(rows.dtype)
    return rows.amax(1) if how == "max" else rows.mean(1) if how == "mean" else rows.sum(1)


def _reopened(file: TableFile, device: str) -> UnifiedTensor:
    import torch

    return UnifiedTensor(_as_torch(file.array), torch.device(device), file)


def _as_torch(array: np.ndarray) -> torch.Tensor:
    import torch

    with warnings.catch_warnings():  # that the array is not writable: nor do we write
        warnings.simplefilter("ignore", UserWarning)
        return torch.from_numpy(array)


def _mapped(host: torch.Tensor, device: torch.device) -> tuple[torch.Tensor, list[str]]:
    """A CUDA tensor over pinned and mapped `host`, and why there is none.

    With unified addressing the device uses the host's pointer. What the driver refuses, such as
    some mappings of files, is a reason and not an error.
    """
    import torch

    runtime = _runtime()
    code = runtime.cudaHostRegister(host.data_ptr(), host.nbytes, _HOST_REGISTER_MAPPED)
    if int(code) != 0:
        return host, [f"the memory cannot be pinned and mapped (CUDA error {int(code)})"]
    why = "the device does not use the host's addresses"
    try:
        view = torch.as_tensor(_Pointer(host), device=device)
        if view.data_ptr() == host.data_ptr() and torch.equal(view[:1].cpu(), host[:1]):
            return view, []
    except (RuntimeError, ValueError, TypeError) as error:
        why = " ".join(str(error).split())
    runtime.cudaHostUnregister(host.data_ptr())
    return host, [why]


def _runtime() -> Any:
    """The CUDA runtime that torch has loaded."""
    import torch

    return torch.cuda.cudart()


class _Pointer:
    """Host memory as other libraries take device memory."""

    def __init__(self, host: torch.Tensor) -> None:
        self.__cuda_array_interface__ = {
            "shape": tuple(host.shape),
            "typestr": host.numpy().dtype.str,
            "data": (host.data_ptr(), False),
            "version": 2,
        }
