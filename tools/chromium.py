"""Headless Chromium, spoken to through the pipes of its DevTools protocol."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-default-apps", "--disable-dev-shm-usage", "--enable-unsafe-webgpu",
    "--remote-debugging-pipe", "--window-size=560,300", "--force-device-scale-factor=1",
)  # fmt: skip
PATIENCE_S = 240.0


def executable() -> str | None:
    """Where a Chromium is, if there is one."""
    named = [shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome")]
    return next((path for path in named if path), None)


class Chromium:
    """A browser with one page; every request that the page makes is recorded."""

    def __init__(self) -> None:
        path = executable()
        assert path is not None
        self.folder = tempfile.TemporaryDirectory(
            prefix="etendue-chromium-", ignore_cleanup_errors=True
        )
        ours_in, theirs_out = os.pipe()
        theirs_in, ours_out = os.pipe()
        command = [path, *FLAGS, f"--user-data-dir={self.folder.name}", "about:blank"]

        def wire() -> None:  # the protocol is spoken on 3 and 4
            a, b = os.dup(theirs_in), os.dup(theirs_out)
            os.dup2(a, 3)
            os.dup2(b, 4)

        with Path(self.folder.name, "log").open("wb") as log:
            self.process = subprocess.Popen(
                command, preexec_fn=wire, close_fds=False, stdout=log, stderr=log
            )
        os.close(theirs_in)
        os.close(theirs_out)
        self._read, self._write = ours_in, ours_out
        self._rest, self._number = b"", 0
        self.requests: list[str] = []
        self.console: list[str] = []
        self.session: str | None = None
        targets = self.call("Target.getTargets")["targetInfos"]
        page = next(t["targetId"] for t in targets if t["type"] == "page")
        attached = self.call("Target.attachToTarget", targetId=page, flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Network", "Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command and wait for its answer."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self.session is not None:
            message["sessionId"] = self.session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + PATIENCE_S
        while True:
            answer = self._next(end)
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]

    def _next(self, end: float) -> dict[str, Any]:
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._read], [], [], max(0.0, end - time.monotonic()))
            if not ready:
                raise TimeoutError(f"Chromium is silent; console: {self.console}")
            data = os.read(self._read, 1 << 20)
            if not data:
                raise RuntimeError("Chromium has ended")
            self._rest += data
        text, _, self._rest = self._rest.partition(b"\0")
        message = json.loads(text)
        what, params = message.get("method"), message.get("params", {})
        if what == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif what == "Runtime.exceptionThrown":
            self.console.append(json.dumps(params["exceptionDetails"])[:2000])
        elif what == "Runtime.consoleAPICalled":
            self.console.append(json.dumps(params["args"])[:2000])
        elif what == "Log.entryAdded":
            self.console.append(params["entry"]["text"])
        return message

    def go(self, address: str) -> None:
        """Open a page."""
        self.call("Page.navigate", url=address)

    def run(self, expression: str) -> Any:
        """The value of an expression, awaited; an exception there is a RuntimeError here."""
        found = self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in found:
            raise RuntimeError(json.dumps(found["exceptionDetails"])[:2000])
        return found["result"].get("value")

    def wait(self, expression: str) -> None:
        """Until an expression is true."""
        end = time.monotonic() + PATIENCE_S
        while not self.run(expression):
            if time.monotonic() > end:
                raise TimeoutError(f"{expression} is never true; console: {self.console}")
            time.sleep(0.1)

    def close(self) -> None:
        """End the browser."""
        self.process.kill()
        self.process.wait()
        os.close(self._read)
        os.close(self._write)
        self.folder.cleanup()
