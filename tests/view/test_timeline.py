"""Spans of traces, the same ones that `--trace` writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from etendue.core.errors import InputError
from etendue.schedule import Priority, Scheduler, Task
from etendue.schedule.trace import Trace
from etendue.view import timeline
from etendue.view.timeline import Span


def traced() -> Trace:
    trace = Trace(events=True)
    with Scheduler(threads=False, trace=trace) as scheduler:
        for k in range(3):
            scheduler.submit(Task(f"pass {k}", lambda: None, priority=Priority.FRAME))[0].result()
        scheduler.submit(Task("bake", lambda: None, priority=Priority.BAKE))[0].result()
    return trace


def test_live_events_and_the_file_are_the_same(tmp_path: Path) -> None:
    trace = traced()
    trace.write(tmp_path / "t.json")
    live, read = timeline.spans(trace.events or ()), timeline.read(tmp_path / "t.json")
    assert [s.name for s in live] == ["pass 0", "pass 1", "pass 2", "bake"]
    for a, b in zip(live, read, strict=True):
        assert (a.row, a.name, a.kind) == (b.row, b.name, b.kind)
        assert (a.start_ms, a.length_ms) == pytest.approx((b.start_ms, b.length_ms), abs=1e-3)
    assert live[0].start_ms == 0.0 and timeline.rows(live) == ["cpu:0"]


def test_busy_counts_overlaps_once() -> None:
    found = [Span("a", "x", "", 0, 10), Span("b", "y", "", 5, 10), Span("a", "z", "", 20, 5)]
    assert timeline.busy(found) == pytest.approx(20 / 25)
    assert timeline.busy([]) == 0.0


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"traceEvents": [{"ph": "X"}]}', "null"])
def test_files_that_are_no_traces(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.json").write_text(text)
    with pytest.raises(InputError, match="is no trace"):
        timeline.read(tmp_path / "t.json")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        timeline.read(tmp_path / "t.json")


def test_what_is_no_span_is_left_out() -> None:
    moment = {"ph": "i", "name": "failed", "tid": "cpu:0", "ts": 1.0}
    document = json.loads(json.dumps([moment]))
    assert timeline.spans(document) == []
