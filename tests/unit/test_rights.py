# SPDX-License-Identifier: GPL-2.0-or-later
"""No more rights than needed: no shell, no network, nothing executed that was read, own files only.

The first part walks the syntax trees of all that is Python here, the second makes files.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from event_files import HEADER, HIT, written

from gdbfpu.errors import UsageError
from gdbfpu.fast.journal import find_journals, write_journal
from gdbfpu.fast.loan import find_loans, write_loan
from gdbfpu.layouts import cache
from gdbfpu.layouts.types import Layouts, Member, StructLayout
from gdbfpu.private import make_private_folder, new_private_file, read_private
from gdbfpu.report.event_lines import open_events
from gdbfpu.trace.event_file import EventWriter

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("gdbfpu", "qemu", "scripts", "tests", "docs")
SCRIPTS = [path for path in (ROOT / "scripts").iterdir() if path.is_file()]
FILES = [
    *(path for name in FOLDERS for path in (ROOT / name).rglob("*.py")),
    *(path for path in SCRIPTS if path.read_bytes().startswith(b"#!/usr/bin/env python3")),
]
TREES = {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text()) for path in FILES}

SHELLS = {"os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"}
MUTATES_OUR_OWN = {("tests/torture/mutation/mutator.py", "calls compile")}
EXECUTES = {"eval", "exec", "compile", "__import__"}
UNPICKLES = {"pickle", "_pickle", "cPickle", "dill", "marshal", "shelve", "jsonpickle", "yaml"}
NETWORK = {"AF_INET", "AF_INET6", "create_server", "create_connection", "start_server",
           "http.server", "socketserver", "xmlrpc", "ftplib", "telnetlib", "requests"}  # fmt: skip
DOWNLOADS = {"urlopen", "urlretrieve", "build_opener"}
DOWNLOADERS = {"qemu/sources.py", "qemu/choice.py"}
"""The first compares the SHA-256 of all that it gets, the second asks whether it can be had."""
GDB_SHELLS = re.compile(r"\s*(!|shell\b|make\b|pipe\b|\||python\b|python-interactive\b|pi\b|py\b)")


def dotted(node: ast.AST) -> str:
    """Return `a.b.c` for such an expression, `` for another."""
    if isinstance(node, ast.Attribute):
        before = dotted(node.value)
        return f"{before}.{node.attr}" if before else node.attr
    return getattr(node, "id", "")


def begins(node: ast.AST) -> str:
    """Return the text with which a text, or one with values in it, begins."""
    if isinstance(node, ast.JoinedStr) and node.values:
        node = node.values[0]
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def names_of(tree: ast.AST) -> Iterator[str]:
    """Yield all that a tree imports, and each name that it takes from something."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield str(node.module)
            for alias in node.names:
                yield from (alias.name, f"{node.module}.{alias.name}")
        elif isinstance(node, ast.Attribute):
            yield node.attr


def faults(tree: ast.AST) -> Iterator[str]:
    """Yield what can execute what somebody else wrote, or has names that others can guess."""
    yield from (f"has {name}" for name in names_of(tree) if name in UNPICKLES | SHELLS)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield from _of_call(node)


def _of_call(call: ast.Call) -> Iterator[str]:
    name = dotted(call.func)
    if name in SHELLS or name in EXECUTES:
        yield f"calls {name}"
    if name.endswith("tempfile.mktemp"):
        yield "makes a predictable name"
    if name.rpartition(".")[2] in DOWNLOADS:
        yield "downloads"
    for word in call.keywords:
        if word.arg == "shell" and getattr(word.value, "value", True) is not False:
            yield "runs a shell"
    if name == "gdb.execute" and call.args and GDB_SHELLS.match(begins(call.args[0])):
        yield f"has GDB run {begins(call.args[0])!r}"


def test_the_walk_sees_all() -> None:
    known = {"gdbfpu/dbg/target.py", "qemu/vm.py", "scripts/setup", "tests/unit/test_rights.py"}
    assert known <= set(TREES)


def test_nothing_here_executes_what_it_reads_or_runs_a_shell() -> None:
    found = {(file, fault) for file, tree in TREES.items() for fault in faults(tree)}
    assert found == {(file, "downloads") for file in DOWNLOADERS} | MUTATES_OUR_OWN


def test_nothing_but_tests_has_to_do_with_the_network() -> None:
    """Tests have servers on loopback."""
    found = {(f, n) for f, tree in TREES.items() for n in names_of(tree) if n in NETWORK}
    assert {one for one in found if not one[0].startswith("tests/")} == set()
    assert found != set()


def test_predictable_names_are_in_no_code() -> None:
    """A file below /tmp that others can guess: of what runs, not of what is tested."""
    said = {
        (file, node.value)
        for file, tree in TREES.items()
        if file.startswith(("gdbfpu/", "qemu/", "scripts/"))
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        and re.match(r"(/var)?/tmp/|/dev/shm/", node.value)
    }  # fmt: skip
    assert {one for one in said if not one[0].startswith("qemu/guest/")} == set()


@pytest.mark.parametrize(
    "source",
    ["import subprocess\nsubprocess.run('a', shell=True)", "subprocess.run(x, shell=wanted)",
     "os.system('a')", "from os import popen as p, system\nos.popen(a)", "eval(text)", "exec(text)",
     "compile(a, b, c)", "import pickle", "from marshal import loads", "import yaml",
     "socket.socket(socket.AF_INET)", "socket.create_server(a)", "from socket import AF_INET6",
     "import http.server", "from http import server", "import socketserver", "tempfile.mktemp()",
     "gdb.execute('shell ls')", "gdb.execute('!ls')", "gdb.execute(f'pipe {a} | b')",
     "urllib.request.urlopen(a)"],
)  # fmt: skip
def test_what_has_too_many_rights_is_seen(source: str) -> None:
    tree = ast.parse(source)
    assert [*faults(tree), *(name for name in names_of(tree) if name in NETWORK)] != []


def test_what_is_all_right_is_not_seen() -> None:
    source = "re.compile(a)\nsubprocess.run([a], shell=False)\ngdb.execute('show shell')\nx.exec(a)"
    assert list(faults(ast.parse(source))) == []


def test_shell_scripts_and_makefile() -> None:
    """They name their files, and get nothing but by apt, pip and the harness."""
    scripts = [ROOT / "Makefile", ROOT / ".ci" / "run"]
    scripts += [path for path in SCRIPTS if b"/sh" in path.read_bytes()[:30]]
    for path in scripts:
        said = re.findall(r"\beval\b|\bcurl\b|\bwget\b|/tmp/\w+|\bnc -l", path.read_text())
        assert said == [], path


# --- files


@pytest.fixture
def open_mask() -> Iterator[None]:
    """A user whose files everybody may read and write, unless a program says otherwise."""
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.mark.usefixtures("open_mask")
def test_an_event_file_is_read_by_its_owner_only(tmp_path: Path) -> None:
    """It has register values, which may be keys."""
    EventWriter(tmp_path / "events", {}).close()
    assert mode(tmp_path / "events") == 0o600


def test_an_event_file_is_never_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        new_private_file(tmp_path / "link")
    assert not (tmp_path / "elsewhere").exists()


QUESTION = cache.Question("ab" * 20, ("a",), ())
ENTRY = [["f", 0xFFFFFFFF81000000, "0f1f440000", "e900000000"]]
JOURNAL = {"build_id": "ab", "base": 0xFFFFFFFFC0000000, "code_pages": 1, "entries": ENTRY}


def stored_layouts(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep layouts in a new cache below `folder`; return the file."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    monkeypatch.delenv("GDBFPU_CACHE", raising=False)
    cache.store(QUESTION, Layouts([StructLayout("a", 8, (Member("b", 0, 8),))]))
    (file,) = folder.rglob("*.json")
    return file


@pytest.mark.usefixtures("open_mask")
def test_the_cache_is_its_owners_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folders that are made for it are, too: in one that others write they could rename it."""
    file = stored_layouts(tmp_path / "new" / "cache", monkeypatch)
    assert mode(file) == 0o600
    made = [folder for folder in file.parents if tmp_path in folder.parents]
    assert {folder.name: mode(folder) for folder in made} == dict.fromkeys(
        ("layouts", "gdbfpu", "cache", "new"), 0o700
    )
    assert cache.load(QUESTION) is not None


@pytest.mark.usefixtures("open_mask")
def test_journals_and_loans_are_their_owners_only(tmp_path: Path) -> None:
    folder = tmp_path / "state" / "gdbfpu"
    journal = write_journal(folder, "ab", 0xFFFFFFFFC0000000, 1, ())
    loan = write_loan(folder, "ab", {"rax": 1}, 8, 8)
    assert [mode(p) for p in (journal.path, loan.path, folder, folder.parent)] == [
        0o600, 0o600, 0o700, 0o700,
    ]  # fmt: skip


@pytest.fixture
def stranger() -> int:
    """The id of another user, to whom files are given: only root can do that, and CI is root."""
    assert os.geteuid() == 0, "run this test as root: it needs files of another user"
    return 65534


def test_another_users_cache_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stranger: int
) -> None:
    file = stored_layouts(tmp_path, monkeypatch)
    assert cache.load(QUESTION) is not None
    os.chown(file, stranger, stranger)
    assert cache.load(QUESTION) is None


def test_another_users_event_file_is_not_read(tmp_path: Path, stranger: int) -> None:
    """A copy is; so is a pipe, which nobody can change behind the reader."""
    file = written(tmp_path / "events", HIT)
    os.chown(file, stranger, stranger)
    refused = pytest.raises(UsageError, match="belongs to another user: read a copy of it")
    with refused, open_events(file, lambda lines: None):
        pass
    copy = shutil.copy(file, tmp_path / "copy")
    with open_events(Path(copy), lambda lines: None) as lines:
        assert lines.header.kernel == HEADER["kernel"]
    reading, writing = os.pipe()
    with os.fdopen(reading), os.fdopen(writing, "wb") as pipe:
        os.fchown(writing, stranger, stranger)
        pipe.write(file.read_bytes())
        pipe.flush()
        with open_events(Path(f"/dev/fd/{reading}"), lambda lines: None) as lines:
            assert lines.header.kernel == HEADER["kernel"]


def test_another_users_journals_and_loans_are_not_read(tmp_path: Path, stranger: int) -> None:
    journal = tmp_path / "fast-x.journal"
    journal.write_text(json.dumps(JOURNAL))
    loan = write_loan(tmp_path, "ab", {"rax": 1}, 8, 8).path
    assert len([*find_journals(tmp_path, "ab"), *find_loans(tmp_path, "ab")]) == 2
    for path in (journal, loan):
        os.chown(path, stranger, stranger)
    assert [*find_journals(tmp_path, "ab"), *find_loans(tmp_path, "ab")] == []


def test_links_and_files_that_others_can_write_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = stored_layouts(tmp_path / "cache", monkeypatch)
    kept = file.rename(tmp_path / "kept")
    file.symlink_to(kept)
    assert cache.load(QUESTION) is None
    file.unlink()
    kept.rename(file)
    assert cache.load(QUESTION) is not None
    for bits in (0o620, 0o602, 0o666):
        file.chmod(bits)
        assert cache.load(QUESTION) is None
    journal = tmp_path / "fast-x.journal"
    journal.write_text(json.dumps(JOURNAL))
    journal.chmod(0o666)
    assert list(find_journals(tmp_path, "ab")) == []


def test_a_file_that_is_too_long_is_not_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(100))
    assert read_private(path, 100) == bytes(100)
    with pytest.raises(ValueError, match="too long"):
        read_private(path, 99)


@pytest.mark.usefixtures("open_mask")
def test_folders_that_are_there_stay_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir(0o755)
    make_private_folder(tmp_path / "there" / "one" / "two")
    assert [mode(tmp_path / name) for name in ("there", "there/one", "there/one/two")] == [
        0o755, 0o700, 0o700,
    ]  # fmt: skip
