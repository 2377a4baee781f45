"""`etendue render --watch`: render again whenever a file that the picture depends on changes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from etendue.core.errors import EtendueError
from etendue.render.tiles import packed
from etendue.scene.scene import Scene

POLL_S = 0.3
Stamps = dict[Path, tuple[int, int] | None]


def watched(scene: Scene) -> list[Path]:
    """The scene's file and every file that it or its materials name."""
    bundle = packed(scene)
    files = [scene.source, *(Path(bundle.root) / name for name, _ in bundle.files)]
    if scene.source.suffix.lower() == ".gltf":
        data = json.loads(scene.source.read_text(encoding="utf-8"))
        entries = [*data.get("buffers", ()), *data.get("images", ())]
        uris = [e["uri"] for e in entries if "uri" in e and not e["uri"].startswith("data:")]
        files += [scene.source.parent / uri for uri in uris]
    return sorted(set(files))


def stamps(files: Iterable[Path]) -> Stamps:
    """Time of change and size of each file, None where it is not there."""
    found: Stamps = {}
    for file in files:
        try:
            status = file.stat()
            found[file] = (status.st_mtime_ns, status.st_size)
        except OSError:
            found[file] = None
    return found


def watch(
    render: Callable[[], list[Path]],
    say: Callable[[str], None],
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Call `render`, which returns the files to watch, again after each change, until Ctrl-C.

    An error in a file is said, and the files watched so far are waited for.
    """
    files: list[Path] = []
    while True:
        before = stamps(files)
        try:
            files = render()
            before = {**stamps(files), **{f: s for f, s in before.items() if f in files}}
        except EtendueError as error:
            if not files:
                raise
            say(f"error: {error}")
        say("waiting for changes (Ctrl-C ends)")
        while (now := stamps(files)) == before:
            sleep(POLL_S)
        while now != (now := stamps(files)):  # until the writer is done
            sleep(POLL_S)
        changed = [file.name for file in files if now.get(file) != before.get(file)]
        say(f"changed: {', '.join(changed)}")
