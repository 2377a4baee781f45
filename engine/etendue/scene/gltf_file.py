"""The container of glTF 2.0: GLB chunks, JSON, buffers and the rules for what a URI may name."""

from __future__ import annotations

import base64
import binascii
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from etendue.core.errors import InputError
from etendue.scene.safe_xml import read_bytes

_MAGIC, _JSON, _BIN = 0x46546C67, 0x4E4F534A, 0x004E4942
SUPPORTED_EXTENSIONS = frozenset(
    {
        "KHR_draco_mesh_compression",
        "KHR_lights_punctual",
        "KHR_materials_anisotropy",
        "KHR_materials_clearcoat",
        "KHR_materials_emissive_strength",
        "KHR_materials_ior",
        "KHR_materials_iridescence",
        "KHR_materials_sheen",
        "KHR_materials_specular",
        "KHR_materials_transmission",
        "KHR_materials_unlit",
        "KHR_materials_volume",
        "KHR_mesh_quantization",
        "KHR_texture_transform",
    }
)


@dataclass(frozen=True)
class GltfFile:
    """Parsed JSON and the bytes of every buffer."""

    path: Path
    json: Mapping[str, Any]
    buffers: tuple[bytes, ...]

    def item(self, group: str, index: Any, user: str) -> Mapping[str, Any]:
        """Element `index` of the top-level array `group`, or `InputError` naming its user."""
        items = self.json.get(group, [])
        if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < len(items):
            raise InputError(
                self.path,
                f"{user} refers to {group}[{index}]",
                expected=f"an index below {len(items)}",
            )
        if not isinstance(items[index], dict):
            raise InputError(self.path, f"{group}[{index}] is not an object")
        return items[index]

    def view(self, index: Any, user: str) -> tuple[bytes, int]:
        """Bytes of a buffer view and its stride (0 = tightly packed)."""
        view = self.item("bufferViews", index, user)
        number = view.get("buffer", 0)
        self.item("buffers", number, f"bufferViews[{index}]")
        start, size = int(view.get("byteOffset", 0)), int(view.get("byteLength", 0))
        data = self.buffers[number]
        if start < 0 or size < 0 or start + size > len(data):
            raise InputError(
                self.path,
                f"bufferViews[{index}] lies outside its buffer",
                got=f"bytes {start} to {start + size}",
                expected=f"at most {len(data)}",
            )
        return data[start : start + size], int(view.get("byteStride", 0))


def read_gltf(path: Path) -> GltfFile:
    """Read `.glb` or `.gltf` with its buffers; damage and unsupported needs are `InputError`s."""
    data = read_bytes(path)
    if data[:4] == struct.pack("<I", _MAGIC):
        text, binary = _glb_chunks(path, data)
    elif path.suffix.lower() == ".glb":
        raise InputError(path, "is not a GLB file", got=repr(data[:4]), expected="b'glTF'")
    else:
        text, binary = data, None
    try:
        document = json.loads(text.decode("utf-8-sig"))
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise InputError(path, f"its JSON cannot be read ({error})") from error
    if not isinstance(document, dict) or not isinstance(document.get("asset"), dict):
        raise InputError(path, "is not a glTF document", expected='an object with "asset"')
    version = str(document["asset"].get("version", ""))
    if not version.startswith("2."):
        raise InputError(path, "unsupported glTF version", got=version or "none", expected="2.x")
    unknown = sorted(set(document.get("extensionsRequired", [])) - SUPPORTED_EXTENSIONS)
    if unknown:
        raise InputError(
            path,
            "requires extensions that are not supported",
            got=", ".join(unknown),
            fix="Export it again without them",
        )
    return GltfFile(path, document, _buffers(path, document, binary))


def _glb_chunks(path: Path, data: bytes) -> tuple[bytes, bytes | None]:
    if len(data) < 20:
        raise InputError(path, "is truncated", got=f"{len(data)} bytes", expected="at least 20")
    version, length = struct.unpack_from("<II", data, 4)
    if version != 2:
        raise InputError(path, "unsupported GLB version", got=version, expected=2)
    if length > len(data):
        raise InputError(path, "is truncated", got=f"{len(data)} bytes", expected=length)
    chunks: dict[int, bytes] = {}
    offset = 12
    while offset + 8 <= length:
        size, kind = struct.unpack_from("<II", data, offset)
        if offset + 8 + size > length:
            raise InputError(path, "a chunk reaches past the end of the file", got=f"{size} bytes")
        chunks.setdefault(kind, data[offset + 8 : offset + 8 + size])
        offset += 8 + size
    if _JSON not in chunks:
        raise InputError(path, "has no JSON chunk")
    return chunks[_JSON], chunks.get(_BIN)


def _buffers(path: Path, document: Mapping[str, Any], binary: bytes | None) -> tuple[bytes, ...]:
    loaded = []
    for index, buffer in enumerate(document.get("buffers", [])):
        if "uri" in buffer:
            data = read_uri(path, str(buffer["uri"]), f"buffers[{index}]")
        elif index == 0 and binary is not None:
            data = binary
        else:
            raise InputError(path, f"buffers[{index}] has neither a uri nor a binary chunk")
        size = int(buffer.get("byteLength", 0))
        if len(data) < size:
            raise InputError(
                path, f"buffers[{index}] is truncated", got=f"{len(data)} bytes", expected=size
            )
        loaded.append(data)
    return tuple(loaded)


def read_uri(path: Path, uri: str, user: str) -> bytes:
    """Bytes a URI stands for: embedded data, or a file in or below the document's folder."""
    if uri.startswith("data:"):
        header, _, payload = uri.partition(",")
        if not header.endswith(";base64"):
            raise InputError(path, f"{user} has a data URI that is not base64")
        try:
            return base64.b64decode(payload, validate=True)
        except (binascii.Error, ValueError) as error:
            raise InputError(path, f"{user} has a damaged data URI ({error})") from error
    name = unquote(uri)
    folder = path.parent.resolve()
    target = (folder / name).resolve()
    if "://" in name or "\\" in name or "\0" in name or not target.is_relative_to(folder):
        raise InputError(
            path,
            f"{user} names a file outside the document's folder",
            got=uri,
            expected="a relative path below it",
        )
    if not target.is_file():
        raise InputError(path, f"{user} names a file that is not there", got=uri)
    return read_bytes(target)
