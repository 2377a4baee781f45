"""`etendue trace`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from etendue.cli_support import print_json
from etendue.core.errors import InputError

EXAMPLES = (
    "etendue trace summarise trace.json",
    "etendue trace summarise trace.json --json",
)
ACTIONS = ("summarise",)


def run(
    action: Annotated[str, typer.Argument(help="summarise.")],
    file: Annotated[Path, typer.Argument(help="What `--trace` of render or bake wrote.")],
    json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Say where the time of a run went. The file itself opens in ui.perfetto.dev."""
    from etendue.schedule.trace import summarise

    if action not in ACTIONS:
        raise InputError("trace", "is unknown", got=action, expected=", ".join(ACTIONS))
    figures = summarise(file)
    if json:
        print_json(figures)
        return
    print(f"{figures['seconds']:.3f} s" + _dropped(figures["dropped"]))
    for device, share in figures["devices"].items():
        print(f"  {device}: busy {share:.1%}")
    frames = figures["frames"]
    if frames["count"]:
        spread = f"p50 {frames['p50_ms']:.2f} ms, p95 {frames['p95_ms']:.2f} ms"
        print(f"  {frames['count']} frames, {frames['late']} late, {spread}")
    print(f"{'task':24} {'steps':>7} {'total ms':>10} {'p50':>9} {'p95':>9} {'waited p95':>11}")
    for row in sorted(figures["tasks"], key=lambda row: -row["total_ms"]):
        print(_line(row))


def _dropped(number: int) -> str:
    return f" ({number} older events were dropped)" if number else ""


def _line(row: dict[str, Any]) -> str:
    bad = "".join(f", {row[what]} {what}" for what in ("failed", "cancelled") if row[what])
    return (
        f"{row['task'][:24]:24} {row['steps']:7} {row['total_ms']:10.2f} {row['p50_ms']:9.3f} "
        f"{row['p95_ms']:9.3f} {row['waited_p95_ms']:11.3f}{bad}"
    )
