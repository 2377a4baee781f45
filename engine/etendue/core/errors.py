"""One error shape for everything a user can cause or meet."""

from __future__ import annotations

from collections.abc import Callable


class EtendueError(Exception):
    """Reads `<subject>: <problem>; got <x>, expected <y>. <what to do>` and ends the program.

    `subject` names the object (a file, an option, a node), `fix` tells the user what to do.
    """

    exit_code = 1

    def __init__(
        self,
        subject: object,
        problem: str,
        *,
        got: object | None = None,
        expected: object | None = None,
        fix: str | None = None,
    ) -> None:
        text = f"{subject}: {problem}"
        parts = [
            f"{word} {value}"
            for word, value in (("got", got), ("expected", expected))
            if value is not None
        ]
        if parts:
            text += "; " + ", ".join(parts)
        if fix:
            text += f". {fix}"
        super().__init__(text)

    def __reduce__(self) -> tuple[Callable[..., EtendueError], tuple[type[EtendueError], str]]:
        return _again, (type(self), str(self))  # worker processes send errors back


def _again(kind: type[EtendueError], text: str) -> EtendueError:
    error = kind.__new__(kind)
    Exception.__init__(error, text)
    return error


class InputError(EtendueError):
    """The user's file, option or value is wrong."""

    exit_code = 2


class DeviceError(EtendueError):
    """A device, driver or library this needs is absent or unusable."""

    exit_code = 3
