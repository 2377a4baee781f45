"""`etendue plugins info`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from etendue.cli_support import print_json

EXAMPLES = ("etendue plugins info denoise", "etendue plugins info marching_cubes --json")


def run(
    name: Annotated[str, typer.Argument(help="The plugin.")],
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what a plugin takes and gives, and which of its variants can run here."""
    info = describe(name)
    if json:
        print_json(info)
        return
    print(f"{info['name']} ({info['slot']}, {info['status']}): {info['summary']}")
    print(f"in {info['folder']}")
    for key in ("inputs", "outputs"):
        print(f"\n{key}:")
        for tensor, told in info[key].items():
            print(f"  {tensor:<12} {told}")
    print("\nvariants, cheapest first:")
    for row in info["variants"]:
        mark = " (oracle)" if row["oracle"] else ""
        told = "; ".join(row["reasons"]) or "can run here"
        print(f"  {row['name']}{mark}: {told}")


def describe(name: str) -> dict[str, Any]:
    """Everything the manifest says, and what speaks against each variant here."""
    from etendue.plugins.registry import find
    from etendue.plugins.variants import capabilities, example, reasons

    manifest, caps = find(name), capabilities()
    try:
        inputs = example(manifest)
        fault = ""
    except Exception as error:  # the plugin's own code
        inputs, fault = {}, str(error)
    rows = []
    for variant in sorted(manifest.variants, key=lambda v: v.cost_ms):
        said = [fault] if fault else reasons(manifest, variant, inputs, caps)
        rows.append(
            {
                "name": variant.name,
                "oracle": variant.oracle,
                "device": variant.device,
                "cost_ms": variant.cost_ms,
                "memory_mb": variant.memory_mb,
                "atol": variant.atol,
                "needs": list(variant.needs),
                "reasons": said,
            }
        )
    return {
        "name": manifest.name,
        "slot": manifest.slot,
        "status": manifest.status,
        "summary": manifest.summary,
        "folder": str(manifest.folder),
        "inputs": _told(manifest.inputs),
        "outputs": _told(manifest.outputs),
        "variants": rows,
    }


def _told(specs: Any) -> dict[str, str]:
    return {
        name: f"{spec.dtype} ({', '.join(map(str, spec.shape))})"
        + (", optional" if spec.optional else "")
        for name, spec in specs.items()
    }
