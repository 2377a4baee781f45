"""Tables in `.npy` files that are read where they lie, within a memory cap."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from etendue.core.errors import InputError
from etendue.core.files import atomic_path

# a fault may map all that the page cache holds in one piece around it, at most this much
PIECE_BYTES = 1 << 21
LEAST_MB = 8  # two pieces at a time, and as much again before they are unmapped
NUMBERS = "fiub"  # kinds of dtype


class Resident:
    """How much of the file-backed memory of this process is resident, from /proc/self/statm."""

    def __init__(self) -> None:
        self.handle = os.open("/proc/self/statm", os.O_RDONLY)
        self.page = os.sysconf("SC_PAGE_SIZE")

    def bytes(self) -> int:
        """Bytes of resident file and shared pages."""
        return int(os.pread(self.handle, 128, 0).split()[2]) * self.page

    def close(self) -> None:
        """Give the handle back; once is enough, twice does no harm."""
        if self.handle >= 0:
            os.close(self.handle)
            self.handle = -1


class TableFile:
    """A C-ordered numeric `.npy` file, mapped read-only; `array` reads from the mapping.

    With `resident_mb`, `trim` unmaps pages so that no more than that stays resident; they remain
    in the page cache of the system as long as nobody else needs the memory. Raises `InputError`
    for files of another kind and for files that are shorter than their header says.
    """

    def __init__(self, path: str | os.PathLike[str], resident_mb: float | None = None) -> None:
        if resident_mb is not None and not resident_mb >= LEAST_MB:
            raise InputError(
                "resident_mb", "is too small", got=resident_mb, expected=f"{LEAST_MB} or more"
            )
        self.path = Path(path)
        self.cap = None if resident_mb is None else int(resident_mb * 2**20)
        self.trimmed = 0  # times
        try:
            with self.path.open("rb") as file:
                shape, dtype, offset = _header(self.path, file)
                self.map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except FileNotFoundError as error:
            raise InputError(self.path, "no such file", fix="Check the path") from error
        except OSError as error:
            raise InputError(self.path, f"cannot be read ({error.strerror})") from error
        count = int(np.prod(shape))
        if offset + count * dtype.itemsize > len(self.map):
            raise InputError(
                self.path, "is cut off", got=len(self.map), expected=offset + count * dtype.itemsize
            )
        self.map.madvise(mmap.MADV_RANDOM)  # no reading ahead
        self.array: Any = np.frombuffer(self.map, dtype, count, offset).reshape(shape)
        self.resident = Resident()
        self.base = self.resident.bytes()

    def pieces_at_once(self, row_bytes: int) -> int | None:
        """How many times a kernel may move on to another piece before `trim` has to be called."""
        if self.cap is None:
            return None
        each = 1 + -(-row_bytes // PIECE_BYTES)  # a row may begin in one and end in the next
        return max(1, self.cap // 2 // PIECE_BYTES // each)

    def trim(self) -> None:
        """Unmap all pages when more than half of the cap is resident."""
        if self.cap is not None and self.resident.bytes() - self.base > self.cap // 2:
            self.map.madvise(mmap.MADV_DONTNEED)
            self.base = self.resident.bytes()
            self.trimmed += 1

    def close(self) -> None:
        """Forget the mapping; its memory goes when the last array over it does."""
        self.array = None
        self.resident.close()

    def __reduce__(self) -> tuple[Any, ...]:  # another process maps the file itself
        cap = None if self.cap is None else self.cap / 2**20
        return TableFile, (str(self.path), cap)


def write_table(
    path: str | os.PathLike[str], shape: tuple[int, ...], parts: Iterable[np.ndarray]
) -> None:
    """Write a `.npy` of `shape` from consecutive `parts` along the first axis, atomically.

    Only one part is in memory at a time.
    """
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        rows, dtype = 0, None
        for part in parts:
            if dtype is None:
                dtype = part.dtype
                header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False}
                np.lib.format.write_array_header_1_0(file, {**header, "shape": shape})
            if part.dtype != dtype or part.shape[1:] != shape[1:] or dtype.kind not in NUMBERS:
                got = f"{part.dtype} {part.shape}"
                raise InputError(path, "a part does not fit", got=got, expected=f"{dtype} {shape}")
            file.write(np.ascontiguousarray(part).data)
            rows += len(part)
        if rows != shape[0] or dtype is None:
            raise InputError(path, "has another number of rows", got=rows, expected=shape[0])


def _header(path: Path, file: BinaryIO) -> tuple[tuple[int, ...], np.dtype, int]:
    try:
        version = np.lib.format.read_magic(file)
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, fortran, dtype = read(file)
    except (ValueError, KeyError) as error:
        raise InputError(path, f"is not a .npy table ({error})") from error
    if fortran or dtype.kind not in NUMBERS or not dtype.isnative or 0 in shape or not shape:
        got = f"{dtype} {shape}{', Fortran order' if fortran else ''}"
        raise InputError(path, "cannot be read in place", got=got, expected="rows of numbers")
    return shape, dtype, file.tell()
