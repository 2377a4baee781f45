"""Reading XML from strangers: no document type, no entities, nothing but elements."""

from __future__ import annotations

from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

from etendue.core.errors import InputError

MAX_BYTES = 64 << 20


def read_xml(path: Path) -> tuple[str, Element]:
    """Return text and root element of an XML file, or raise `InputError`.

    Document types, entity declarations and external references are refused: they are what
    expansion bombs and file disclosure are made of.
    """
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    data = read_bytes(path)
    if len(data) > MAX_BYTES:
        raise InputError(path, "is too large for a scene", got=f"{len(data)} bytes")
    try:
        root = fromstring(data, forbid_dtd=True, forbid_entities=True, forbid_external=True)
    except ParseError as error:
        raise InputError(path, f"is not well-formed XML ({error})") from error
    except DefusedXmlException as error:
        raise InputError(
            path,
            "declares a document type or entities, which are refused",
            fix="Remove the <!DOCTYPE ...> block",
        ) from error
    except (ValueError, LookupError) as error:
        raise InputError(path, f"is not readable XML ({error})") from error
    return _decode(path, data), root


def _decode(path: Path, data: bytes) -> str:
    for encoding in ("utf-8-sig", "latin-1"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise InputError(path, "is not text")


def read_bytes(path: Path) -> bytes:
    """Content of a user's file; absent, unreadable or empty files are `InputError`s."""
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise InputError(path, "no such file", fix="Check the path") from error
    except IsADirectoryError as error:
        raise InputError(path, "is a folder", expected="a file") from error
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})") from error
    if not data:
        raise InputError(path, "is empty")
    return data
