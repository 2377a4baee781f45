"""`etendue plugins list`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from etendue.cli_support import print_json

EXAMPLES = ("etendue plugins list", "etendue plugins list --all --load --json")


def run(
    every: Annotated[bool, typer.Option("--all", help="Show drafts too.")] = False,
    load: Annotated[
        bool, typer.Option("--load", help="Import every plugin, to see which ones fail to.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show every plugin: its slot, what it does, and why it is broken where it is."""
    rows = listing(load)
    shown = [row for row in rows if every or row["status"] != "draft"]
    if json:
        print_json(shown)
        return
    width = max((len(row["name"]) for row in shown), default=0)
    for row in shown:
        told = f"BROKEN: {row['reason']}" if row["reason"] else row["summary"]
        print(f"{row['name']:<{width}}  {row['slot'] or '-':<8}  {told}")
    hidden = len(rows) - len(shown)
    if hidden:
        print(f"{hidden} draft{'s' if hidden > 1 else ''} not shown (--all)")


def listing(load: bool) -> list[dict[str, Any]]:
    """All plugins as plain data; with `load` an import error is a reason too."""
    from etendue.core.errors import EtendueError
    from etendue.plugins import registry

    rows = []
    for found in registry.scan():
        manifest, reason = found.manifest, found.reason
        if load and manifest is not None:
            try:
                for variant in manifest.variants:
                    registry.load(manifest, variant.entry)
            except EtendueError as error:
                reason = str(error)
        rows.append(
            {
                "name": found.name,
                "slot": manifest.slot if manifest else "",
                "status": "broken" if reason else manifest.status if manifest else "",
                "summary": manifest.summary if manifest else "",
                "variants": [v.name for v in manifest.variants] if manifest else [],
                "origin": found.origin,
                "folder": str(found.folder or ""),
                "reason": reason,
            }
        )
    return rows
