from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from etendue.core.errors import InputError
from etendue.schedule import Batch, Frame, Priority, Scheduler, Task, TaskError
from etendue.schedule.clock import ManualClock
from etendue.schedule.trace import NAMES, Trace, summarise


@pytest.fixture
def traced(tmp_path: Path) -> tuple[Scheduler, Path]:
    """Two frames of 4 ms with a model of 2 ms each, a failure, a batch of two."""
    clock = ManualClock()
    trace = Trace(events=True)
    scheduler = Scheduler(("null:0",), clock=clock, trace=trace)

    def wrong() -> None:
        raise ValueError("wrong")

    frame = Task("render", lambda: clock.advance(0.004), "null:0", Priority.FRAME)
    model = Task("model", lambda: clock.advance(0.002), "null:0")
    scheduler.submit(model, Task("model", lambda: clock.advance(0.002), "null:0"))
    for _ in range(2):
        Frame(10.0, scheduler).run(frame)
    with pytest.raises(TaskError):
        scheduler.submit(Task("wrong", wrong, "null:0", deadline_ms=1.0))[0].result()
    batch = Batch("b", lambda rows: [clock.advance(0.001)] * len(rows))
    scheduler.submit(*(Task("both", lambda: None, "null:0", batch=batch) for _ in range(2)))
    scheduler.close()
    path = tmp_path / "trace.json"
    trace.write(path)
    return scheduler, path


def test_the_file_is_what_perfetto_reads(traced: tuple[Scheduler, Path]) -> None:
    document = json.loads(traced[1].read_text())
    events = document["traceEvents"]
    names = {e["args"]["name"]: e["tid"] for e in events if e["ph"] == "M"}
    assert set(names) == {"frames", "null:0"}
    spans = [e for e in events if e["ph"] == "X"]
    assert {"name", "cat", "ph", "ts", "dur", "pid", "tid", "args"} <= set(spans[0])
    renders = [e for e in spans if e["name"] == "render"]
    assert [e["ts"] for e in renders] == pytest.approx([0.0, 10_000.0])
    assert [e["dur"] for e in renders] == pytest.approx([4000.0, 4000.0])
    assert {e["cat"] for e in renders} == {"FRAME"}
    assert [e["args"]["batch"] for e in spans if e["name"] == "both"] == [2, 2]
    (failure,) = [e for e in events if e["ph"] == "i"]
    assert failure["args"]["outcome"] == "failed"


def test_the_summary_adds_up(traced: tuple[Scheduler, Path]) -> None:
    figures = summarise(traced[1])
    rows = {row["task"]: row for row in figures["tasks"]}
    assert rows["render"]["steps"] == 2
    assert rows["render"]["total_ms"] == pytest.approx(8.0)
    assert rows["model"]["p95_ms"] == pytest.approx(2.0)
    assert rows["wrong"]["failed"] == 1
    assert figures["frames"] == {
        "count": 2, "late": 0, "p50_ms": pytest.approx(4.0), "p95_ms": pytest.approx(4.0),
    }  # fmt: skip
    busy = 2 * 4 + 2 * 2 + 1  # ms; the steps of a batch overlap
    assert figures["devices"]["null:0"] == pytest.approx(busy / 1e3 / figures["seconds"], rel=1e-3)


def test_prometheus_text(traced: tuple[Scheduler, Path]) -> None:
    text = traced[0].trace.prometheus()
    lines = text.splitlines()
    assert 'etendue_tasks_total{task="render",outcome="done"} 2' in lines
    assert 'etendue_tasks_total{task="wrong",outcome="failed"} 1' in lines
    assert 'etendue_step_seconds_sum{task="render"} 0.008' in lines
    assert 'etendue_step_seconds_count{task="render"} 2' in lines
    assert "etendue_frame_seconds_count 2" in lines
    assert text.endswith("\n")
    typed = {line.split()[2] for line in lines if line.startswith("# TYPE")}
    samples = {line.partition("{")[0].partition(" ")[0] for line in lines if line[0] != "#"}
    assert {s.removesuffix("_sum").removesuffix("_count") for s in samples} == typed


def test_names_are_escaped_and_bounded() -> None:
    scheduler = Scheduler(("null:0",), clock=ManualClock())
    scheduler.submit(Task('a"\\\n', lambda: None, "null:0"))[0].result()
    for k in range(NAMES + 5):
        scheduler.submit(Task(f"t{k}", lambda: None, "null:0"))[0].result()
    text = scheduler.trace.prometheus()
    assert r'{task="a\"\\\n",outcome="done"} 1' in text
    assert 'etendue_tasks_total{task="other",outcome="done"} 6' in text


def test_the_oldest_events_are_dropped_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("etendue.schedule.trace.EVENTS", 10)
    trace = Trace(events=True)
    for k in range(13):
        trace.frame(k, k + 0.5, 1000.0)
    trace.write(tmp_path / "t.json")
    figures = summarise(tmp_path / "t.json")
    assert figures["dropped"] == 3
    assert figures["frames"]["count"] == 10


@pytest.mark.parametrize(
    "text", ["", "{}", '{"traceEvents": 3}', '{"traceEvents": [{"ph": "X"}]}', "[3]"]
)
def test_a_file_that_is_no_trace(tmp_path: Path, text: str) -> None:
    path = tmp_path / "trace.json"
    path.write_text(text)
    with pytest.raises(InputError, match="is no trace"):
        summarise(path)


def test_an_absent_trace(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        summarise(tmp_path / "absent.json")


def test_a_trace_as_a_bare_list(tmp_path: Path) -> None:
    span: dict[str, Any] = {"ph": "X", "name": "a", "ts": 0, "dur": 5, "tid": 1, "args": {}}
    (tmp_path / "t.json").write_text(json.dumps([span]))
    assert summarise(tmp_path / "t.json")["tasks"][0]["total_ms"] == pytest.approx(0.005)
