# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests of kernels have in common: an empty cache, a tree to build, a server of it."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from kernel_tree import entry_for, tarball

from qemu.catalogue import Entry


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """An empty cache, and an environment that names no kernel."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("KERNEL", "KERNEL_TARBALL", "VMLINUX", "BZIMAGE", "CPU"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "cache" / "gdbfpu"


@pytest.fixture
def entry(cache, tmp_path) -> Entry:
    """The entry `tiny`, whose tarball is on this machine."""
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "c.config").write_text("# a comment\nCONFIG_TTY=y\nCONFIG_A=0x1\n")
    return entry_for(tarball(tmp_path / "upstream"), tmp_path / "configs")


class _Cut(http.server.SimpleHTTPRequestHandler):
    """Serves files; /cut/ in a path promises 100 bytes more than there are."""

    requests: list[str]

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.server.requests.append(self.path)
        whole = Path(self.directory, Path(self.path).name)
        if not whole.is_file():
            self.send_error(404)
            return
        data = whole.read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data) + 100 * ("/cut/" in self.path)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server(entry) -> Iterator[http.server.ThreadingHTTPServer]:
    """A server of the entry's tarball, which keeps the paths that it was asked for."""

    def handler(*args: object) -> _Cut:
        return _Cut(*args, directory=entry.directory)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.requests = []
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join(10)
