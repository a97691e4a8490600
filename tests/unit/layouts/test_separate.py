# SPDX-License-Identifier: GPL-2.0-or-later
"""Debugging information apart from the kernel: files that it names, and a server on loopback."""

from __future__ import annotations

import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import pytest
from kernel_like import ANCHORS, NEEDED, TYPES, build, run

from gdbfpu.errors import CorruptState, GdbFpuError, MissingType
from gdbfpu.layouts import elf, separate
from gdbfpu.layouts.cache import Question
from gdbfpu.layouts.debuginfod import fetcher
from gdbfpu.layouts.sources import Helpers, from_file

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return build(tmp_path_factory.mktemp("whole"), "gcc")


@pytest.fixture(scope="module")
def expected(whole):
    return read(whole).to_json()["structs"]


def read(file, helpers=None, needed=NEEDED):
    ident = elf.build_id(file) or ""
    question = Question(ident, TYPES, ANCHORS, needed)
    addresses = partial(elf.symbol_addresses, file)
    return from_file(file, question, addresses, helpers or Helpers())


def parted(whole, folder, *options):
    """Strip a copy of `whole` as a distribution does; return it and its debug file."""
    file, debug = folder / "vmlinux", folder / "vmlinux.debug"
    run("objcopy", "--only-keep-debug", *options, whole, debug)
    run("objcopy", "--strip-debug", *options, f"--add-gnu-debuglink={debug}", whole, file)
    return file, debug


@pytest.mark.parametrize("place", [".", ".debug"])
@pytest.mark.parametrize("options", [(), ("--remove-section=.note.gnu.build-id",)])
def test_debuglink(whole, expected, tmp_path, place, options):
    file, debug = parted(whole, tmp_path, *options)
    (tmp_path / place).mkdir(exist_ok=True)
    debug.rename(tmp_path / place / debug.name)
    layouts = read(file)
    assert (layouts.source, layouts.note) == ("DWARF", "")
    assert layouts.to_json()["structs"] == expected


def test_debuglink_below_the_systems_folder(whole, expected, tmp_path, monkeypatch):
    monkeypatch.setattr(separate, "DEBUG_ROOT", tmp_path / "debug")
    file, debug = parted(whole, tmp_path)
    there = tmp_path / "debug" / tmp_path.relative_to("/")
    there.mkdir(parents=True)
    debug.rename(there / debug.name)
    assert read(file).to_json()["structs"] == expected


def test_debuglink_of_another_crc(whole, tmp_path):
    """Without a build-id the CRC tells; with one, that does."""
    file, debug = parted(whole, tmp_path, "--remove-section=.note.gnu.build-id")
    debug.write_bytes(debug.read_bytes() + b"\0")
    assert read(file) is None


def test_debuglink_of_another_build(whole, tmp_path):
    file, debug = parted(whole, tmp_path)
    data, ident = debug.read_bytes(), bytes.fromhex(elf.build_id(whole))
    assert data.count(ident) == 1
    debug.write_bytes(data.replace(ident, ident[::-1]))
    assert read(file) is None


@pytest.mark.parametrize("name", [b"../vmlinux.debug", b"/etc/passwd", b"", b"v" * 300, b"vmlinux"])
def test_debuglink_of_an_odd_name(whole, tmp_path, name):
    file, _ = parted(whole, tmp_path)
    padded = name + bytes(4 - len(name) % 4)
    (tmp_path / "link").write_bytes(padded + bytes(4))
    run("objcopy", f"--update-section=.gnu_debuglink={tmp_path / 'link'}", file)
    assert read(file) is None


def test_by_build_id(whole, expected, tmp_path, monkeypatch):
    monkeypatch.setattr(separate, "DEBUG_ROOT", tmp_path / "debug")
    file, debug = parted(whole, tmp_path)
    ident = elf.build_id(whole)
    there = tmp_path / "debug" / ".build-id" / ident[:2] / f"{ident[2:]}.debug"
    there.parent.mkdir(parents=True)
    debug.rename(there)
    assert read(file).to_json()["structs"] == expected


def test_what_a_debugger_has_opened(whole, expected, tmp_path):
    file, debug = parted(whole, tmp_path)
    elsewhere = tmp_path / "elsewhere"
    debug.rename(elsewhere)
    assert read(file) is None
    assert read(file, Helpers(known=(elsewhere,))).to_json()["structs"] == expected


# --- BTF in place of DWARF


@pytest.fixture(scope="module")
def with_btf(whole, tmp_path_factory):
    file = tmp_path_factory.mktemp("btf") / "vmlinux"
    shutil.copy(whole, file)
    run("pahole", "-J", file)
    return file


def section(file, name):
    words = next(line for line in run("readelf", "-SW", file).splitlines() if f" {name} " in line)
    fields = words.split("]")[1].split()
    return int(fields[3], 16), int(fields[4], 16)


def test_btf_where_dwarf_is_damaged(whole, with_btf, expected, tmp_path):
    data = bytearray(with_btf.read_bytes())
    at, size = section(with_btf, ".debug_abbrev")
    data[at : at + size] = b"\xff" * size
    (tmp_path / "vmlinux").write_bytes(data)
    layouts = read(tmp_path / "vmlinux")
    assert layouts.source == "BTF"
    assert "vmlinux is damaged" in layouts.note
    assert layouts.origin == f"BTF ({layouts.note})"
    assert layouts.to_json()["structs"] == expected


def test_btf_where_dwarf_is_partial(whole, with_btf, expected, tmp_path):
    file = build(tmp_path, "gcc", "-femit-struct-debug-baseonly")
    run("objcopy", "--dump-section", f".BTF={tmp_path / 'btf'}", with_btf, tmp_path / "copy")
    run("objcopy", "--add-section", f".BTF={tmp_path / 'btf'}", file)
    layouts = read(file)
    assert layouts.source == "BTF"
    assert "CONFIG_DEBUG_INFO_REDUCED" in layouts.note
    assert layouts.to_json()["structs"] == expected


def test_both_lack_it(with_btf, tmp_path):
    with pytest.raises(GdbFpuError, match=r"no type 'nobody'.*; .*no type 'nobody': BTF") as caught:
        read(with_btf, needed=(*NEEDED, "nobody"))
    assert "\n" not in str(caught.value)


# --- debuginfod


class Server(http.server.BaseHTTPRequestHandler):
    """Answers as debuginfod does: /buildid/ID/debuginfo."""

    files: dict
    asked: list

    def do_GET(self):
        self.asked.append(self.path)
        data = self.files.get(self.path)
        self.send_response(404 if data is None else 200)
        self.send_header("Content-Length", str(len(data or b"")))
        self.end_headers()
        self.wfile.write(data or b"")

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch, tmp_path):
    """A server on loopback: its URL, its files by path, and what it was asked."""
    handler = type("Handler", (Server,), {"files": {}, "asked": []})
    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    monkeypatch.setenv("DEBUGINFOD_CACHE_PATH", str(tmp_path / "fetched"))
    monkeypatch.delenv("DEBUGINFOD_URLS", raising=False)
    yield f"http://127.0.0.1:{made.server_port}", handler
    made.shutdown()
    thread.join(10)
    made.server_close()


def lone(whole, tmp_path):
    """A stripped kernel without its debug file; that; the path that a server is asked for."""
    file, debug = parted(whole, tmp_path)
    data = debug.read_bytes()
    debug.unlink()
    return file, data, f"/buildid/{elf.build_id(whole)}/debuginfo"


def test_debuginfod(whole, expected, server, tmp_path):
    url, handler = server
    file, data, path = lone(whole, tmp_path)
    handler.files[path] = data
    said = []
    layouts = read(file, Helpers(fetch=fetcher(url, said.append)))
    assert layouts.to_json()["structs"] == expected
    assert handler.asked == [path]
    (line,) = said
    assert line == f"asking {url} for debug information for build-id {elf.build_id(whole)} ...\n"


def test_debuginfod_that_has_it_not(whole, server, tmp_path):
    url, handler = server
    file, _, path = lone(whole, tmp_path)
    with pytest.raises(GdbFpuError, match="no server in DEBUGINFOD_URLS has") as caught:
        read(file, Helpers(fetch=fetcher(url, lambda _: None)))
    assert "\n" not in str(caught.value)
    assert handler.asked == [path]


def test_debuginfod_that_answers_something_else(whole, server, tmp_path):
    url, handler = server
    file, _, path = lone(whole, tmp_path)
    handler.files[path] = b"<html>log in first</html>"
    with pytest.raises(GdbFpuError, match="is not an ELF file"):
        read(file, Helpers(fetch=fetcher(url, lambda _: None)))


def test_debuginfod_is_not_asked_for_what_is_here(whole, with_btf, server, tmp_path):
    url, handler = server
    fetch = fetcher(url, lambda _: None)
    assert read(whole, Helpers(fetch=fetch)).source == "DWARF"
    run("objcopy", "--strip-debug", with_btf, tmp_path / "vmlinux")
    assert read(tmp_path / "vmlinux", Helpers(fetch=fetch)).source == "BTF"
    assert handler.asked == []


def test_debuginfod_without_its_tool(whole, tmp_path, monkeypatch):
    file, _, _ = lone(whole, tmp_path)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(GdbFpuError, match="debuginfod-find is missing"):
        read(file, Helpers(fetch=fetcher("http://127.0.0.1:9", lambda _: None)))


def test_nobody_to_ask():
    assert fetcher("", print) is None
    assert fetcher("  ", print) is None


def test_command_line(whole, server, tmp_path):
    """It is asked where DEBUGINFOD_URLS says whom, and never otherwise; progress is shown."""
    url, handler = server
    file, data, path = lone(whole, tmp_path)
    handler.files[path] = data

    def layout(**more):
        return subprocess.run(
            [sys.executable, "-m", "gdbfpu", "layout", "--format", "json", file],
            cwd=ROOT, env={**os.environ, **more}, capture_output=True, text=True, timeout=60,
        )  # fmt: skip

    done = layout()
    assert (done.returncode, handler.asked) == (1, [])
    assert "has neither DWARF nor BTF" in done.stderr
    done = layout(DEBUGINFOD_URLS=url)
    assert handler.asked == [path]
    assert done.stderr.startswith(f"asking {url} ")
    assert done.returncode == 0, done.stderr
    structs = {each["name"]: each["size"] for each in json.loads(done.stdout)["structs"]}
    assert structs["task_struct"] == read_size(whole, "task_struct")


def read_size(program, name):
    shown = run("gdb", "-nx", "-batch", "-ex", f"print sizeof(struct {name})", program)
    return int(shown.split("=")[1])


def test_a_debug_file_that_is_damaged(whole, tmp_path):
    file, debug = parted(whole, tmp_path)
    at, size = section(debug, ".debug_abbrev")
    data = bytearray(debug.read_bytes())
    data[at : at + size] = b"\xff" * size
    debug.write_bytes(data)
    with pytest.raises(CorruptState, match=r"vmlinux\.debug is damaged"):
        read(file)


def test_types_that_the_kernel_shows_to_have(whole, tmp_path):
    """A variable's symbol says that its type has to be there."""
    question = Question("", TYPES, ANCHORS, NEEDED, (("init_task", "nobody"), ("none", "no_one")))
    with pytest.raises(MissingType) as caught:
        from_file(whole, question, partial(elf.symbol_addresses, whole))
    assert caught.value.names == ("nobody",)
