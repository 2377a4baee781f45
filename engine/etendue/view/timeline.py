"""Events of the scheduler as rows of spans, from the renderer or from a file of `--trace`."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from etendue.core.errors import InputError


@dataclass(frozen=True)
class Span:
    """A step of a task."""

    row: str  # the device
    name: str
    kind: str  # the class of its priority
    start_ms: float  # since the first event
    length_ms: float


def spans(events: Iterable[Mapping[str, Any]]) -> list[Span]:
    """Spans of trace events, in time; what is no span is left out."""
    events = list(events)
    named = {e["tid"]: e["args"]["name"] for e in events if e.get("ph") == "M"}
    found = []
    for e in events:
        if e.get("ph") != "X":
            continue
        start, length = float(e["ts"]) / 1e3, float(e["dur"]) / 1e3
        if math.isfinite(start) and math.isfinite(length) and length >= 0:
            row = str(named.get(e["tid"], e["tid"]))
            found.append(Span(row, str(e["name"]), str(e.get("cat", "")), start, length))
    zero = min((span.start_ms for span in found), default=0.0)
    moved = [Span(s.row, s.name, s.kind, s.start_ms - zero, s.length_ms) for s in found]
    return sorted(moved, key=lambda span: span.start_ms)


def read(path: Path) -> list[Span]:
    """Spans of a file that `--trace` wrote; `InputError` if it is none."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return spans(document["traceEvents"])
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(path, "is no trace", expected="a file that --trace wrote") from error


def rows(found: Iterable[Span]) -> list[str]:
    """Names of the rows, in a fixed order."""
    return sorted({span.row for span in found})


def busy(found: list[Span]) -> float:
    """Part of the time in which anything ran."""
    if not found:
        return 0.0
    total, reached = 0.0, -math.inf
    for span in found:
        end = span.start_ms + span.length_ms
        total += max(0.0, end - max(span.start_ms, reached))
        reached = max(reached, end)
    return total / max(reached - found[0].start_ms, 1e-9)
