"""`etendue doctor`."""

from __future__ import annotations

from typing import Annotated

import typer

from etendue.cli_support import print_json

EXAMPLES = ("etendue doctor", "etendue doctor --json")


def run(
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Show every device and library: usable or not, why, and what to do."""
    from etendue.device.caps import best_variant
    from etendue.device.doctor import examine, healthy

    rows = examine()
    variant, reason = best_variant()
    good = healthy(rows)
    if json:
        table = [row.as_dict() for row in rows]
        print_json({"healthy": good, "variant": variant, "reason": reason, "rows": table})
        return 0 if good else 3
    width = max(len(row.name) for row in rows)
    for row in rows:
        mark = "yes" if row.usable else "NO" if row.required else "no"
        told = f"{row.version}  {row.why}" if row.version else row.why
        print(f"{mark:<4} {row.name:<{width}}  {told}")
        if row.fix:
            print(f"{'':<4} {'':<{width}}  -> {row.fix}")
    print(f"\nRenders with {variant}: {reason}.")
    if not good:
        print("Something that étendue needs is missing: see the lines that begin with NO.")
    return 0 if good else 3
