"""A Docker engine that answers what a test has it answer: what no real one does when asked.

It listens where the current context of the Docker client leads, so that DOCKER_HOST stays free.
"""

from __future__ import annotations

import hashlib
import json
import socketserver
import tempfile
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

API_VERSION = "1.41"


class Request(BaseHTTPRequestHandler):
    """A request: `method`, `path` without the version, and the ways to answer."""

    protocol_version = "HTTP/1.1"
    server: FakeEngine

    def address_string(self) -> str:
        return "a socket"

    def log_message(self, format: str, *arguments: Any) -> None:
        pass

    def answer(self, status: int, body: object) -> None:
        """An answer in JSON."""
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def stream(self, *parts: bytes, end: bool = True) -> None:
        """An answer in parts; without an end it breaks off."""
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for part in (*parts, b"") if end else parts:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
        self.close_connection = True

    def body(self) -> bytes:
        """What was sent. ValueError when it breaks off."""
        if "Content-Length" in self.headers:
            return self.rfile.read(int(self.headers["Content-Length"]))
        whole = b""
        while size := int(self.rfile.readline() or b"x", 16):
            whole += self.rfile.read(size)
            self.rfile.readline()
        return whole

    def do_GET(self) -> None:
        path = self.path.removeprefix(f"/v{API_VERSION}")
        self.server.asked.append(f"{self.command} {path}")
        if path == "/version":
            self.answer(200, {"ApiVersion": API_VERSION, "Version": self.server.version})
            return
        for start, reply in self.server.replies.items():
            if f"{self.command} {path}".startswith(start):
                reply(self)
                return
        self.answer(404, {"message": f"no such thing: {path}"})

    do_POST = do_GET


class FakeEngine(socketserver.ThreadingUnixStreamServer):
    """`replies`: what becomes of a request, by how it starts. Anything else is not there."""

    daemon_threads = True

    def __init__(self, socket: Path) -> None:
        super().__init__(str(socket), Request)
        self.version = "20.10.24"
        self.asked: list[str] = []
        self.replies: dict[str, Callable[[Request], None]] = {}


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The socket of the engine that would be asked; nothing listens there."""
    # Not tmp_path: the name of a socket may have 107 characters.
    with tempfile.TemporaryDirectory(prefix="engine-") as folder:
        socket = Path(folder, "docker.sock")
        (Path(folder) / "config.json").write_text(json.dumps({"currentContext": "fake"}))
        context = Path(folder, "contexts", "meta", hashlib.sha256(b"fake").hexdigest())
        context.mkdir(parents=True)
        endpoints = {"docker": {"Host": f"unix://{socket}", "SkipTLSVerify": False}}
        described = {"Name": "fake", "Metadata": {}, "Endpoints": endpoints}
        (context / "meta.json").write_text(json.dumps(described))
        monkeypatch.setenv("DOCKER_CONFIG", folder)
        for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY"):
            monkeypatch.delenv(name, raising=False)
        yield socket


@pytest.fixture
def fake_engine(no_engine: Path) -> Iterator[FakeEngine]:
    """An engine that has nothing but what a test gives it."""
    with FakeEngine(no_engine) as engine:
        thread = threading.Thread(target=engine.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield engine
        engine.shutdown()
        thread.join()
