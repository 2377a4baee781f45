"""What happened when: events for Perfetto, counters for Prometheus."""

from __future__ import annotations

import json
from collections import defaultdict, deque
from pathlib import Path
from typing import Any

from etendue.core.errors import InputError
from etendue.core.files import atomic_path
from etendue.schedule.cost import percentile
from etendue.schedule.job import Job, State
from etendue.schedule.task import Priority

EVENTS = 1 << 16  # most recent events that are kept
NAMES = 1000  # tasks with names of their own in the counters; the rest are "other"
FRAMES = "frames"
OUTCOMES = {state: state.name.lower() for state in State}
CLASSES = tuple(priority.name for priority in Priority)


class Trace:
    """Counters always; with `events`, also the most recent events."""

    def __init__(self, *, events: bool = False) -> None:
        self.events: deque[dict[str, Any]] | None = deque(maxlen=EVENTS) if events else None
        self.dropped = 0
        self.names: set[str] = set()
        self.tasks: dict[tuple[str, str], int] = defaultdict(int)  # (name, outcome)
        self.steps: dict[str, list[float]] = defaultdict(lambda: [0, 0.0])  # count, seconds
        self.waits: dict[str, list[float]] = defaultdict(lambda: [0, 0.0])  # per priority
        self.late: int = 0  # tasks that ended after their deadline
        self.frames: list[float] = [0, 0.0, 0]  # count, seconds, over budget

    def _name(self, job: Job) -> str:
        name = job.task.name
        if name not in self.names:
            if len(self.names) >= NAMES:
                return "other"
            self.names.add(name)
        return name

    def step(self, job: Job, now: float, together: int) -> None:
        """`job` waited, then ran from `started_s` to `now`, in a batch of `together`."""
        row = self.steps[self._name(job)]
        row[0] += 1
        row[1] += (now - job.started_s) / together
        row = self.waits[CLASSES[job.priority]]
        row[0] += 1
        row[1] += job.started_s - job.ready_s
        if self.events is not None:
            args: dict[str, Any] = {"waited_ms": round(1e3 * (job.started_s - job.ready_s), 4)}
            if together > 1:
                args["batch"] = together
            self._event(job.variant.name, job, job.started_s, now, args)

    def finished(self, job: Job, now: float) -> None:
        """`job` has ended."""
        self.tasks[self._name(job), OUTCOMES[job.state]] += 1
        if job.task.deadline_ms is not None and now > job.submitted_s + job.task.deadline_ms / 1e3:
            self.late += 1
        if self.events is not None and job.state is not State.DONE:
            args = {"outcome": OUTCOMES[job.state], "error": str(job.error)[:300]}
            self._event(job.task.name, job, now, None, args)

    def frame(self, start: float, end: float, budget_ms: float) -> None:
        """A frame's tasks were ready at `end`."""
        late = 1e3 * (end - start) > budget_ms
        self.frames = [self.frames[0] + 1, self.frames[1] + end - start, self.frames[2] + late]
        if self.events is not None:
            args = {"budget_ms": budget_ms, "late": late}
            self._keep({"name": "frame", "cat": "frame", "tid": FRAMES} | _span(start, end, args))

    def _event(self, name: str, job: Job, start: float, end: float | None, args: Any) -> None:
        where = {"cat": CLASSES[job.priority], "tid": job.variant.device}
        self._keep({"name": name} | where | _span(start, end, args))

    def _keep(self, event: dict[str, Any]) -> None:
        assert self.events is not None
        self.dropped += len(self.events) == EVENTS
        self.events.append(event)

    def write(self, path: Path) -> None:
        """Chrome's trace event format, which Perfetto (ui.perfetto.dev) opens."""
        events = list(self.events or ())
        rows = {name: k for k, name in enumerate(sorted({e["tid"] for e in events}))}
        zero = min((e["ts"] for e in events), default=0.0)
        named = [
            {"name": "thread_name", "ph": "M", "pid": 1, "tid": tid, "args": {"name": name}}
            for name, tid in rows.items()
        ]
        told = [e | {"tid": rows[e["tid"]], "ts": round(e["ts"] - zero, 3)} for e in events]
        document = {"displayTimeUnit": "ms", "traceEvents": named + told}
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(document | {"dropped": self.dropped}))

    def prometheus(self) -> str:
        """The counters in Prometheus' text format."""
        rows: list[str] = []

        def add(name: str, kind: str, text: str, values: dict[str, float]) -> None:
            rows.extend([f"# HELP etendue_{name} {text}", f"# TYPE etendue_{name} {kind}"])
            rows.extend(f"etendue_{name}{key} {value:.9g}" for key, value in values.items())

        add(
            "tasks_total", "counter", "Tasks that ended.",
            {_labels(task=n, outcome=o): c for (n, o), c in sorted(self.tasks.items())},
        )  # fmt: skip
        for what, table, key in (("step", self.steps, "task"), ("wait", self.waits, "priority")):
            values: dict[str, float] = {}
            for name, (number, seconds) in sorted(table.items()):
                values["_sum" + _labels(**{key: name})] = seconds
                values["_count" + _labels(**{key: name})] = number
            add(f"{what}_seconds", "summary", f"Seconds per {what}.", values)
        add("deadlines_missed_total", "counter", "Tasks later than asked.", {"": self.late})
        frames = {"_sum": self.frames[1], "_count": self.frames[0]}
        add("frame_seconds", "summary", "Seconds until a frame's tasks were done.", frames)
        add("frames_late_total", "counter", "Frames over budget.", {"": self.frames[2]})
        return "\n".join(rows) + "\n"


def _span(start: float, end: float | None, args: dict[str, Any]) -> dict[str, Any]:
    """Microseconds; without an end, a moment."""
    when = (
        {"ph": "i", "s": "t"} if end is None else {"ph": "X", "dur": round(1e6 * (end - start), 3)}
    )
    return {"ts": 1e6 * start, "pid": 1, "args": args} | when


def _labels(**labels: str) -> str:
    def quoted(text: str) -> str:
        return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")

    return "{" + ",".join(f'{key}="{quoted(value)}"' for key, value in labels.items()) + "}"


def summarise(path: Path) -> dict[str, Any]:
    """Figures of a trace file: time per task, load per device, frames; `InputError` if unusable."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        events = document["traceEvents"] if isinstance(document, dict) else document
        names = {e["tid"]: e["args"]["name"] for e in events if e.get("ph") == "M"}
        spans = [e for e in events if e.get("ph") == "X"]
        moments = [e for e in events if e.get("ph") == "i"]
        begin = min((float(e["ts"]) for e in spans), default=0.0)
        end = max((float(e["ts"]) + float(e["dur"]) for e in spans), default=0.0)
        frames = [e for e in spans if e.get("cat") == "frame"]
        tasks: dict[str, list[Any]] = defaultdict(list)
        busy: dict[str, list[tuple[float, float]]] = defaultdict(list)
        for e in spans:
            if e.get("cat") != "frame":
                tasks[e["name"]].append(e)
                device = names.get(e["tid"], str(e["tid"]))
                busy[device].append((float(e["ts"]), float(e["ts"]) + float(e["dur"])))
        return {
            "seconds": (end - begin) / 1e6,
            "dropped": document.get("dropped", 0) if isinstance(document, dict) else 0,
            "tasks": [_row(name, rows, moments) for name, rows in sorted(tasks.items())],
            "devices": {n: _union(rows) / max(end - begin, 1e-9) for n, rows in busy.items()},
            "frames": {"count": len(frames), "late": sum(e["args"]["late"] for e in frames)}
            | _spread([float(e["dur"]) / 1e3 for e in frames]),
        }
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(path, "is no trace", expected="a file that --trace wrote") from error


def _row(name: str, spans: list[Any], moments: list[Any]) -> dict[str, Any]:
    durations = [float(e["dur"]) / 1e3 for e in spans]
    waits = [float(e["args"].get("waited_ms", 0.0)) for e in spans]
    bad = [e["args"]["outcome"] for e in moments if e["name"] == name]
    return {
        "task": name,
        "steps": len(spans),
        "total_ms": sum(durations),
        **_spread(durations),
        "waited_p95_ms": percentile(waits, 0.95),
        "failed": bad.count("failed"),
        "cancelled": bad.count("cancelled"),
    }


def _spread(values: list[float]) -> dict[str, float | None]:
    if not values:
        return {"p50_ms": None, "p95_ms": None}
    return {"p50_ms": percentile(values, 0.5), "p95_ms": percentile(values, 0.95)}


def _union(spans: list[tuple[float, float]]) -> float:
    """Length of the union of intervals."""
    total, reached = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total
