"""Vectors as sums of one row of each of a few small tables (multi-stage vector quantisation).

Juang and Gray 1982: each table is fitted to what the ones before leave over, by the k-means of
Lloyd 1982. Distances are measured in a metric G, |e|^2 = e^T G e, so that a component that matters
more is kept more exactly; decoding does not know G. Every table but the first has a row of zeros,
which makes the bound below hold. (A beam search over the rows took seven times as long and lowered
the error by a tenth.)
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from etendue.core.errors import InputError
from etendue.formats.blockfloat import BlockFloat, Blocks
from etendue.formats.finite import finite_f32

ROWS = 256  # an index is one byte
LIMIT = 2.0**96  # of what can be encoded: sums of rows stay far within float32
_SAMPLE = 32768  # vectors that a table is fitted to
_ROUNDS = 12
_CHUNK = 16384


@dataclass(frozen=True)
class Tables:
    """Tables as stored: 16-bit block floating point, one exponent per table and channel."""

    mantissa: np.ndarray  # int16 (stages, rows, channels)
    exponent: np.ndarray  # uint8 (stages, 1, channels)

    def values(self) -> np.ndarray:
        """float32 (stages, rows, channels)."""
        return _table_format(self.mantissa.shape[1]).decode(Blocks(self.mantissa, self.exponent))


@dataclass(frozen=True)
class Codebook:
    """Fitted tables and the metric that rows are chosen by."""

    tables: Tables
    root: np.ndarray = field(repr=False)  # (channels, channels) with G = root root^T

    def encode(self, x: np.ndarray, name: str = "tensor") -> np.ndarray:
        """Row per table and vector, uint8 (n, stages), for vectors (n, channels)."""
        x = _vectors(x, name).astype(np.float64)
        return _rows_for(x @ self.root, self.tables.values() @ self.root)

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """float32 (n, channels): rows added in the order of the tables, rounded at each step."""
        return decode(codes, self.tables.values())

    def bound(self, x: np.ndarray) -> np.ndarray:
        """Largest |x - decode(encode(x))| (float64, shape of `x`).

        What is left over never grows, as every later table has a row of zeros, so that |e| <=
        min_t |x - t| over the rows t of the first table, in the metric; then |e_c| <= |e|
        sqrt((G^-1)_cc). To this come the rounding of the sum, at most 2^-24 of each partial sum,
        and that of the distances: double precision finds minima within 2^-24 of the lengths.
        """
        x = _vectors(x, "tensor").astype(np.float64)
        tables = self.tables.values().astype(np.float64)
        y, first = x @ self.root, tables[0] @ self.root
        distance = np.linalg.norm(y - first[_nearest(y, first)], axis=1)
        sizes = np.abs(tables).max(1)  # (stages, channels)
        lengths = (
            np.linalg.norm(y, axis=1) + np.linalg.norm(tables @ self.root, axis=2).max(1).sum()
        )
        distance = distance + 2.0**-22 * lengths
        inverse = np.linalg.inv(self.root)
        reach = np.sqrt((inverse**2).sum(0))
        return distance[:, None] * reach + len(tables) * 2.0**-24 * sizes.sum(0) + 2.0**-149


def fit(
    x: np.ndarray,
    stages: int,
    *,
    rows: int = ROWS,
    metric: np.ndarray | None = None,
    seed: int = 0,
    name: str = "tensor",
) -> Codebook:
    """Codebook of `stages` tables for vectors (n, channels); equal input gives equal tables.

    `metric` is the symmetric positive definite G (channels, channels), the identity if absent.
    """
    x = _vectors(x, name)
    if not (1 <= stages and 1 <= rows <= ROWS and len(x)):
        raise InputError(
            "codebook",
            "cannot be fitted",
            got=f"{stages} tables of {rows} rows for {len(x)} vectors",
            expected=f"at least one table of 1..{ROWS} rows and one vector",
        )
    root = _root(np.eye(x.shape[1]) if metric is None else metric)
    generator = np.random.default_rng(seed)
    chosen = x[generator.permutation(len(x))[:_SAMPLE]].astype(np.float64)
    scale = float(np.abs(chosen @ root).max()) or 1.0
    left = (chosen @ root / scale).astype(np.float32)
    found = []
    for stage in range(stages):
        centres = _kmeans(left, rows, generator)
        if stage:
            centres[0] = 0.0
        left = left - centres[_nearest(left, centres)]
        found.append(centres)
    flat = np.stack(found).astype(np.float64) * scale @ np.linalg.inv(root)
    blocks = _table_format(rows).encode(flat, f"tables of {name}")
    return Codebook(Tables(blocks.mantissa, blocks.exponent), root)


def decode(codes: np.ndarray, tables: np.ndarray) -> np.ndarray:
    """`Codebook.decode` by tables (stages, rows, channels) as float32."""
    total = tables[0][codes[:, 0]]
    for stage in range(1, len(tables)):
        total = total + tables[stage][codes[:, stage]]
    return total


def _table_format(rows: int) -> BlockFloat:
    return BlockFloat(16, rows, axis=1)


def _vectors(x: np.ndarray, name: str) -> np.ndarray:
    x = finite_f32(x, name)
    if x.ndim != 2:
        raise InputError(name, "must be a list of vectors", got=x.shape, expected="(n, channels)")
    if x.size and np.abs(x).max() > LIMIT:
        raise InputError(
            name,
            "is beyond the range of a codebook",
            got=float(np.abs(x).max()),
            expected=f"at most {LIMIT:.3g}",
        )
    return x


def _root(metric: np.ndarray) -> np.ndarray:
    """Symmetric square root of a positive definite matrix."""
    values, vectors = np.linalg.eigh(np.asarray(metric, np.float64))
    if not (np.isfinite(values).all() and values[0] > 1e-12 * values[-1]):
        raise InputError("metric", "is not positive definite", got=f"eigenvalues {values}")
    return (vectors * np.sqrt(values)) @ vectors.T


def _nearest(x: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Index of the nearest centre per vector."""
    squares, found = (centres * centres).sum(1), np.empty(len(x), np.int64)
    for k in range(0, len(x), _CHUNK):
        found[k : k + _CHUNK] = (squares - 2 * x[k : k + _CHUNK] @ centres.T).argmin(1)
    return found


def _kmeans(x: np.ndarray, rows: int, generator: np.random.Generator) -> np.ndarray:
    """Centres (rows, channels); those that lose all their vectors move to the worst served ones."""
    start = generator.permutation(len(x))[:rows]
    centres = x[np.resize(start, rows)].copy()
    for _ in range(_ROUNDS):
        owner = _nearest(x, centres)
        count = np.bincount(owner, minlength=rows)
        for c in range(x.shape[1]):
            total = np.bincount(owner, x[:, c], rows)
            centres[:, c] = np.where(count > 0, total / np.maximum(count, 1), centres[:, c])
        empty = np.flatnonzero(count == 0)[: len(x)]
        if len(empty):
            worst = ((x - centres[owner]) ** 2).sum(1)
            centres[empty] = x[np.argsort(-worst, kind="stable")[: len(empty)]]
    return centres


def _rows_for(y: np.ndarray, tables: np.ndarray) -> np.ndarray:
    """Nearest row of each table to what the ones before leave over; uint8 (n, stages)."""
    codes = np.empty((len(y), len(tables)), np.uint8)
    for stage, table in enumerate(tables):
        codes[:, stage] = _nearest(y, table)
        y = y - table[codes[:, stage]]
    return codes
