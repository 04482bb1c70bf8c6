"""Headless Chromium by its driver, in the protocol of WebDriver: opens a page without a network, runs scripts, takes pictures."""

import base64
import json
import shutil
import socket
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

MISSING = "chromium and chromedriver are not installed (Debian: apt install chromium chromium-driver)"


def is_there() -> bool:
    """Whether the browser and its driver are installed."""
    return all(shutil.which(name) for name in ("chromium", "chromedriver"))


class Browser:
    """A browser with one page. Use it in a `with` block."""

    def __init__(self, *, width: int = 1200, height: int = 900) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self._driver = subprocess.Popen(["chromedriver", f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self._place = f"http://127.0.0.1:{port}/session"
        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", f"--window-size={width},{height}"]
        flags += ["--host-resolver-rules=MAP * ~NOTFOUND"]  # no name leads anywhere
        asked = {"browserName": "chrome", "goog:chromeOptions": {"args": flags}, "goog:loggingPrefs": {"browser": "ALL"}}
        end = time.monotonic() + 60
        while True:
            try:
                self._place += f"/{self._ask('', {'capabilities': {'alwaysMatch': asked}})['sessionId']}"
                return
            except OSError:
                if time.monotonic() > end:
                    self._driver.kill()
                    raise
                time.sleep(0.1)

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, *error: object) -> None:
        self._ask("", None, method="DELETE")
        self._driver.terminate()
        self._driver.wait()

    def _ask(self, what: str, body: dict | None, *, method: str = "POST") -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._place + what, data, {"Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer)["value"]

    def open(self, path: Path) -> None:
        """Opens a file."""
        self._ask("/url", {"url": path.resolve().as_uri()})

    def run(self, script: str, *arguments: Any) -> Any:
        """Runs a script in the page and gives back what it returns."""
        return self._ask("/execute/sync", {"script": script, "args": list(arguments)})

    def until(self, script: str) -> Any:
        """What a script returns once that is true."""
        end = time.monotonic() + 60
        while not (found := self.run(script)):
            assert time.monotonic() < end, script
            time.sleep(0.1)
        return found

    def errors(self) -> list[str]:
        """What the page complained of."""
        said = self._ask("/se/log", {"type": "browser"})
        return [one["message"] for one in said if one["level"] in ("SEVERE", "WARNING")]

    def picture(self, path: Path) -> None:
        """A picture of what is in view."""
        path.write_bytes(base64.b64decode(self._ask("/screenshot", None, method="GET")))
