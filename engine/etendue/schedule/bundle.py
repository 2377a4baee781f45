"""Files for other machines: packed once, named by their content, unpacked once per node."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from etendue.core.errors import InputError

NAMED = re.compile(rb"""(?:value|href|filename)\s*=\s*["']([^"'\x00$]{1,1000})["']""")
PREFIX = re.compile(rb"""\bfileprefix\s*=\s*["']([^"'\x00<>]{1,1000})["']""")  # of MaterialX
TEXTS = (".mtlx", ".xml")  # files that name others


@dataclass(frozen=True)
class Bundle:
    """Bytes of files below a common folder."""

    root: str  # here
    files: tuple[tuple[str, bytes], ...]  # path below `root`, content; sorted

    @property
    def digest(self) -> str:
        """SHA-256 over names and contents."""
        total = hashlib.sha256()
        for name, data in self.files:
            total.update(f"{len(name.encode())}:{name}:{len(data)}:".encode())
            total.update(data)
        return total.hexdigest()

    def moved(self, path: Path, root: Path) -> Path:
        """Where `path`, one of the files or folders packed, lies below the unpacked `root`."""
        return root / os.path.relpath(Path(path).absolute(), self.root)


def pack(paths: Iterable[Path], folders: Iterable[Path] = (), text: bytes = b"") -> Bundle:
    """Pack `paths` and the files that they or `text` name, looked for in their `folders`.

    A name is looked for beside the document that has it and in `folders`.
    """
    found: dict[Path, bytes] = {}
    todo = [Path(path).absolute() for path in paths]
    shelves = [Path(folder).absolute() for folder in folders]
    todo += _named(text, shelves)
    while todo:
        path = Path(os.path.normpath(todo.pop()))
        if path in found:
            continue
        try:
            found[path] = path.read_bytes()
        except OSError as error:
            raise InputError(path, f"cannot be read ({error.strerror})") from error
        if path.suffix.lower() in TEXTS:
            todo += _named(found[path], [path.parent, *shelves])
    parents = [path.parent for path in found] + shelves
    root = os.path.commonpath(parents) if parents else os.getcwd()
    files = ((os.path.relpath(path, root), data) for path, data in found.items())
    return Bundle(root, tuple(sorted(files)))


def _named(text: bytes, folders: list[Path]) -> list[Path]:
    """Existing files that attributes of an XML text name, behind a `fileprefix` of it or not."""
    found = []
    prefixes = ["", *(match[1].decode(errors="replace") for match in PREFIX.finditer(text))]
    for match in NAMED.finditer(text):
        name = match[1].decode(errors="replace")
        places = (folder / (prefix + name) for prefix in prefixes for folder in folders)
        path = next((place for place in places if _is_file(place)), None)
        if path is not None:
            found.append(path)
    return found


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name too long to be one
        return False


def unpack(bundle: Bundle, folder: Path) -> Path:
    """The folder that holds the files, `folder`/digest; made only where it is not there yet.

    Several processes may do this at once: each writes a folder of its own, the first one to rename
    it wins.
    """
    target = folder / bundle.digest
    if target.is_dir():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=folder))
    try:
        for name, data in bundle.files:
            place = temporary / name
            if not place.resolve().is_relative_to(temporary.resolve()):
                raise InputError(name, "lies outside its bundle")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)
        temporary.rename(target)
    except OSError:
        if not target.is_dir():  # nobody else was faster
            raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target
