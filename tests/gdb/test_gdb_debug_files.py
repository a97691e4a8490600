# SPDX-License-Identifier: GPL-2.0-or-later
"""Debug files as GDB has them: those that it opened, and a debuginfod that it may ask."""

from __future__ import annotations

import http.server
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from gdb_harness import NOTES, Compiler, trace

ID = "00112233445566778899aabbccddeeff01234567"
ON, INFO = "fpu-trace on --probe copy_fpstate_to_sigframe", "fpu-info"


@pytest.fixture
def parted(compiler: Compiler, tmp_path: Path) -> tuple[Path, Path]:
    """The program without debugging information, and that in a file which it does not name."""
    file, debug, script = tmp_path / "vmlinux", tmp_path / "debug", tmp_path / "notes.ld"
    script.write_text(NOTES)
    program = compiler(f"-Wl,-T,{script}", f"-Wl,--build-id=0x{ID}")
    for argv in (
        ["objcopy", "--strip-debug", program, file],
        ["objcopy", "--only-keep-debug", program, debug],
    ):
        subprocess.run(argv, check=True, timeout=60)
    return file, debug


def test_nothing_is_there(parted: tuple[Path, Path]) -> None:
    output = trace(parted[0], ON)
    assert output.parts[0].startswith("fpu-trace: ")
    assert "has neither DWARF nor BTF" in output.parts[0]


def test_the_file_that_gdb_has_opened(parted: tuple[Path, Path], tmp_path: Path) -> None:
    """Found by a setting of GDB's own, so that nobody else could know of it."""
    file, debug = parted
    there = tmp_path / "set" / ".build-id" / ID[:2] / f"{ID[2:]}.debug"
    there.parent.mkdir(parents=True)
    debug.rename(there)
    before = f"set debug-file-directory {tmp_path / 'set'}"
    output = trace(file, f"symbol-file {file}", ON, INFO)
    assert "has neither DWARF nor BTF" in output.parts[1]
    output = trace(file, before, f"symbol-file {file}", ON, INFO)
    assert output.parts[2].startswith("fpu-trace: copy_fpstate_to_sigframe at 0x"), output.text
    assert "members in DWARF" in output.parts[3]


@pytest.fixture
def server(
    parted: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[str, list[str]]]:
    """A debuginfod that has the debug file: its URL, and the paths that it was asked for."""
    data, asked = parted[1].read_bytes(), list[str]()
    wanted = f"/buildid/{ID}/debuginfo"

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200 if self.path == wanted else 404)
            body = data if self.path == wanted else b""
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    monkeypatch.setenv("DEBUGINFOD_CACHE_PATH", str(tmp_path / "fetched"))
    monkeypatch.delenv("DEBUGINFOD_URLS", raising=False)
    yield f"http://127.0.0.1:{made.server_port}", asked
    made.shutdown()
    thread.join(10)
    made.server_close()


def test_debuginfod_that_is_turned_on(
    parted: tuple[Path, Path], server: tuple[str, list[str]]
) -> None:
    """Turned on when the file was read already, so that gdbfpu has to ask."""
    url, asked = server
    turned_on = ("set debuginfod enabled on", f"set debuginfod urls {url}")
    output = trace(parted[0], *turned_on, ON, INFO)
    assert f"asking {url} for debug information for build-id {ID}" in output.parts[2]
    assert "fpu-trace: copy_fpstate_to_sigframe at 0x" in output.parts[2], output.text
    assert "members in DWARF" in output.parts[3]
    assert len(asked) == 1


@pytest.mark.parametrize("enabled", ["off", "ask"])
def test_debuginfod_that_is_not(
    parted: tuple[Path, Path], server: tuple[str, list[str]], enabled: str
) -> None:
    url, asked = server
    commands = (f"set debuginfod enabled {enabled}", f"set debuginfod urls {url}", ON)
    output = trace(parted[0], *commands)
    assert "has neither DWARF nor BTF" in output.parts[2]
    assert asked == []
