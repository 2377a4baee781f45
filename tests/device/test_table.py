"""Tables in files: written in parts, mapped read-only, trimmed to their cap; wrong files."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from etendue.core.errors import InputError
from etendue.device.table import LEAST_MB, PIECE_BYTES, Resident, TableFile, write_table


def rows(n: int, width: int = 4, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, width), np.float32)


def test_parts_make_a_file_that_numpy_reads(tmp_path: Path) -> None:
    whole = rows(10)
    write_table(tmp_path / "t.npy", whole.shape, (whole[:3], whole[3:4], whole[4:]))
    np.testing.assert_array_equal(np.load(tmp_path / "t.npy"), whole)
    np.testing.assert_array_equal(TableFile(tmp_path / "t.npy").array, whole)


@pytest.mark.parametrize(
    "parts",
    [
        [rows(9)],
        [rows(11)],
        [rows(10, 5)],
        [rows(5), rows(5).astype(np.float64)],
        [np.array([[None] * 4] * 10)],
        [],
    ],
)
def test_wrong_parts_leave_nothing_behind(tmp_path: Path, parts: list[np.ndarray]) -> None:
    with pytest.raises(InputError):
        write_table(tmp_path / "t.npy", (10, 4), parts)
    assert list(tmp_path.iterdir()) == []


def test_the_file_cannot_be_written_through_the_table(tmp_path: Path) -> None:
    write_table(tmp_path / "t.npy", (10, 4), [rows(10)])
    with pytest.raises(ValueError, match="read-only"):
        TableFile(tmp_path / "t.npy").array[0] = 1


def _truncated(path: Path) -> None:
    np.save(path, rows(100))
    path.write_bytes(path.read_bytes()[:-1])


WRONG = {
    "absent": lambda path: None,
    "empty": lambda path: path.touch(),
    "other": lambda path: path.write_bytes(b"\x89PNG" * 100),
    "truncated": _truncated,
    "pickled": lambda path: np.save(path, np.array([{}]), allow_pickle=True),
    "fortran": lambda path: np.save(path, np.asfortranarray(rows(5))),
    "swapped": lambda path: np.save(path, rows(5).astype(">f4")),
    "no rows": lambda path: np.save(path, rows(0)),
    "folder": lambda path: path.mkdir(),
}


@pytest.mark.parametrize("kind", WRONG)
def test_wrong_files(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "t.npy"
    WRONG[kind](path)
    with pytest.raises(InputError, match=r"t\.npy"):
        TableFile(path)


@pytest.mark.parametrize("cap", [0, -1, LEAST_MB - 1, float("nan")])
def test_wrong_caps(tmp_path: Path, cap: float) -> None:
    np.save(tmp_path / "t.npy", rows(5))
    with pytest.raises(InputError, match="resident_mb"):
        TableFile(tmp_path / "t.npy", cap)


def test_trimming_bounds_what_is_resident(tmp_path: Path) -> None:
    """Reading all of 32 MB, as many pieces at a time as allowed, keeps 8 MB."""
    width = 1024
    n = 32 * 2**20 // (4 * width)
    write_table(tmp_path / "t.npy", (n, width), (rows(n // 8, width, s) for s in range(8)))
    table = TableFile(tmp_path / "t.npy", LEAST_MB)
    pieces = table.pieces_at_once(4 * width)
    assert pieces is not None
    step = max(1, (pieces - 1)) * PIECE_BYTES // (4 * width)
    resident, most = Resident(), 0
    before = resident.bytes()
    for start in range(0, n, step):
        assert np.isfinite(table.array[start : start + step].sum())
        most = max(most, resident.bytes() - before)
        table.trim()
    assert 0 < most <= LEAST_MB * 2**20
    assert table.trimmed > 0


def test_without_a_cap_nothing_is_trimmed(tmp_path: Path) -> None:
    np.save(tmp_path / "t.npy", rows(1000))
    table = TableFile(tmp_path / "t.npy")
    table.array.sum()
    table.trim()
    assert table.trimmed == 0 and table.pieces_at_once(16) is None


def test_another_process_maps_the_file_itself(tmp_path: Path) -> None:
    np.save(tmp_path / "t.npy", rows(1000))
    data = pickle.dumps(TableFile(tmp_path / "t.npy", 16))
    assert len(data) < 500
    again = pickle.loads(data)
    assert again.cap == 16 * 2**20
    np.testing.assert_array_equal(again.array, rows(1000))
