"""Messages between viewer and renderer: a JSON object a line over a socket, nothing is executed."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

LIMIT = 1 << 22  # bytes of a line; more is no message of ours

Message = dict[str, Any]


def encode(message: Message) -> bytes:
    """One line."""
    return json.dumps(message, separators=(",", ":"), default=str).encode() + b"\n"


def send(connection: socket.socket, message: Message) -> bool:
    """Whether it could be sent: False once the other side has gone."""
    try:
        connection.sendall(encode(message))
    except OSError:
        return False
    return True


def receive(connection: socket.socket) -> Iterator[Message]:
    """Messages until the other side goes away; lines that are none are skipped."""
    rest = b""
    while True:
        try:
            part = connection.recv(1 << 16)
        except OSError:
            return
        if not part:
            return
        *lines, rest = (rest + part).split(b"\n")
        if len(rest) > LIMIT:
            rest = b""
        for line in lines:
            message = decode(line)
            if message is not None:
                yield message


def decode(line: bytes) -> Message | None:
    """The object in a line, None when there is none."""
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) else None
