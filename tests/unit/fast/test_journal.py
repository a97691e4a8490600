# SPDX-License-Identifier: GPL-2.0-or-later
"""What a new debugger finds on disk: whole journals and loans, or a line that names a bad one."""

from __future__ import annotations

import errno
import json
import os
import subprocess

import pytest

from gdbfpu.errors import CorruptState, UsageError
from gdbfpu.fast import journal as journal_module
from gdbfpu.fast.journal import Entry, find_journals, write_journal
from gdbfpu.fast.loan import find_loans, write_loan

BASE = 0xFFFFFFFFC0200000
ENTRIES = (
    Entry("copy_fpstate_to_sigframe", 0xFFFFFFFF8101D3C0, bytes(range(5)), b"\xe9\1\2\3\4"),
    Entry("fpstate_sanitize_xstate", 0xFFFFFFFF8101D7C0, b"\x0f\x1f\x44\0\0\x90", b"\xe9" * 6),
)
REGISTERS = {"rax": 0, "rip": 0xFFFFFFFF81200000, "r15": (1 << 64) - 1}


def stored(**changes):
    """The data of a good journal, as JSON has it, with `changes`."""
    entries = [[e.function, e.address, e.old.hex(), e.new.hex()] for e in ENTRIES]
    return {"build_id": "ab", "base": BASE, "code_pages": 2, "entries": entries, **changes}


def entry(function="f", address=BASE, old="00", new="11"):
    return [function, address, old, new]


def put(folder, text, name="fast-x.journal"):
    path = folder / name
    path.write_text(text if isinstance(text, str) else json.dumps(text))
    return path


# --- what is written


def test_a_journal_is_found_as_it_was_written(tmp_path):
    folder = tmp_path / "state" / "gdbfpu"
    written = write_journal(folder, "ab", BASE, 2, ENTRIES)
    (found,) = find_journals(folder, "ab")
    assert found == written
    assert (found.base, found.code_pages, found.entries) == (BASE, 2, ENTRIES)
    assert json.loads(found.path.read_text()) == stored()
    found.remove()
    assert list(folder.iterdir()) == []
    found.remove()  # somebody did it already


def test_nobody_else_can_read_it(tmp_path):
    folder = tmp_path / "gdbfpu"
    old = os.umask(0)
    try:
        written = write_journal(folder, "ab", BASE, 1, ENTRIES)
    finally:
        os.umask(old)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert written.path.stat().st_mode & 0o777 == 0o600


def test_only_those_of_this_kernel_in_a_lasting_order(tmp_path):
    first, second = (write_journal(tmp_path, "ab", BASE, 1, [one]) for one in ENTRIES)
    write_journal(tmp_path, "cd", BASE, 1, ENTRIES)
    write_loan(tmp_path, "ab", REGISTERS, BASE, BASE)
    found = list(find_journals(tmp_path, "ab"))
    assert found == sorted((first, second), key=lambda one: one.path)
    assert [one.entries for one in find_journals(tmp_path, "cd")] == [ENTRIES]


def test_no_folder_no_journals(tmp_path):
    assert list(find_journals(tmp_path / "none", "ab")) == []


def test_a_name_that_is_not_ascii_comes_back(tmp_path):
    one = Entry("größe", BASE, b"\0", b"\1")
    write_journal(tmp_path, "ab", BASE, 1, [one])
    assert [found.entries for found in find_journals(tmp_path, "ab")] == [(one,)]


def test_it_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(names(tmp_path)))
    write_journal(tmp_path, "ab", BASE, 1, ENTRIES)
    assert synced == [{".new"}]
    assert names(tmp_path) == {".journal"}


def names(folder):
    return {path.suffix for path in folder.iterdir()}


@pytest.mark.parametrize("write", ["dump", "fsync"])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()])
def test_half_a_journal_is_none(tmp_path, monkeypatch, write, error):
    """A full disk, or a ^C: nothing stays. A debugger killed there leaves what nobody reads."""

    def fail(*_):
        raise error

    module = {"dump": journal_module.json, "fsync": os}[write]
    monkeypatch.setattr(module, write, fail)
    with pytest.raises((UsageError, KeyboardInterrupt)) as caught:
        write_journal(tmp_path, "ab", BASE, 1, ENTRIES)
    if isinstance(error, OSError):
        assert str(caught.value) == (
            f"no journal can be written to {tmp_path}, so nothing is changed: No space left"
        )
    assert list(tmp_path.iterdir()) == []
    put(tmp_path, '{"build_id": "a', "fast-x.new")
    assert list(find_journals(tmp_path, "ab")) == []


def test_a_folder_that_cannot_be_made(tmp_path):
    file = put(tmp_path, "", "file")
    with pytest.raises(UsageError, match=r"^no journal can be written to .*: Not a directory$"):
        write_journal(file / "gdbfpu", "ab", BASE, 1, ENTRIES)


# --- what is read


DAMAGED = {
    "empty": "",
    "cut": json.dumps(stored())[:-3],
    "not JSON": "entries",
    "deep": "[" * 100_000,
    "not ASCII": json.dumps(stored(build_id="ä"), ensure_ascii=False),
    "a list": "[]",
    "null": "null",
    "a number": "17",
    "no build-id": "{}",
    "no entries": {"build_id": "ab"},
    "entries that are none": stored(entries=5),
    "entries by name": stored(entries={"f": 1}),
    "an entry that is none": stored(entries=[None]),
    "too few values": stored(entries=[["f", 1, "00"]]),
    "too many values": stored(entries=[[*entry(), 1]]),
    "a name that is none": stored(entries=[entry(function=7)]),
    "escapes in a name": stored(entries=[entry(function="\x1b[31mf")]),
    "a line in a name": stored(entries=[entry(function="f\ng")]),
    "an address as text": stored(entries=[entry(address="12")]),
    "an address with a fraction": stored(entries=[entry(address=1.5)]),
    "an address that is true": stored(entries=[entry(address=True)]),
    "an endless address": stored(entries=[entry(address=float("inf"))]),
    "no address": stored(entries=[entry(address=None)]),
    "an address below 0": stored(entries=[entry(address=-1)]),
    "a large address": stored(entries=[entry(address=1 << 64)]),
    "a number of 5,000 digits": json.dumps(stored()).replace(str(BASE), "9" * 5000),
    "no hex": stored(entries=[entry(old="0g")]),
    "half a byte": stored(entries=[entry(old="0")]),
    "bytes as a number": stored(entries=[entry(old=0)]),
    "no bytes": stored(entries=[entry(old="", new="")]),
    "fewer bytes": stored(entries=[entry(old="0000", new="11")]),
    "more bytes": stored(entries=[entry(old="00", new="1111")]),
    "many bytes": stored(entries=[entry(old="00" * 65, new="11" * 65)]),
    "no base": stored(base=None),
    "a base within a page": stored(base=BASE + 8),
    "no pages": stored(code_pages=0),
    "pages below 0": stored(code_pages=-1),
    "many pages": stored(code_pages=257),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_journal_is_named(tmp_path, name):
    path = put(tmp_path, DAMAGED[name])
    with pytest.raises(CorruptState) as caught:
        list(find_journals(tmp_path, "ab"))
    assert str(caught.value) == f"{path} is not a journal of a fast trace: remove it"


LONG = [entry(old="00" * 64, new="11" * 64)]


@pytest.mark.parametrize(
    "changes", [{}, {"code_pages": 256}, {"entries": []}, {"more": 1}, {"entries": LONG}]
)
def test_what_is_just_good(tmp_path, changes):
    put(tmp_path, stored(**changes))
    assert len(list(find_journals(tmp_path, "ab"))) == 1


def test_the_damaged_parts_of_another_kernels_do_not_matter(tmp_path):
    put(tmp_path, stored(build_id="cd", entries=5))
    assert list(find_journals(tmp_path, "ab")) == []


def test_a_huge_file_is_not_read(tmp_path, monkeypatch):
    path = put(tmp_path, json.dumps(stored()) + " " * (1 << 20))
    monkeypatch.setattr(journal_module.json, "loads", lambda _: pytest.fail("it was read"))
    with pytest.raises(CorruptState, match="remove it"):
        list(find_journals(tmp_path, "ab"))
    os.truncate(path, 1 << 20)
    monkeypatch.undo()
    assert len(list(find_journals(tmp_path, "ab"))) == 1


def test_a_file_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    put(tmp_path, stored())
    error = PermissionError(errno.EACCES, "Permission denied")  # root may read anything

    def refuse(*_, **__):
        raise error

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(CorruptState, match="remove it"):
        list(find_journals(tmp_path, "ab"))


def test_another_users_files_are_not_read(tmp_path, monkeypatch):
    put(tmp_path, "rubbish")
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    assert list(find_journals(tmp_path, "ab")) == []


def test_what_is_no_file_is_passed_by(tmp_path):
    """A pipe would keep the debugger waiting for ever."""
    subprocess.run(["mkfifo", tmp_path / "pipe.journal"], check=True, timeout=10)
    (tmp_path / "folder.journal").mkdir()
    good = put(tmp_path, stored(), "good")
    (tmp_path / "link.journal").symlink_to(good)
    assert list(find_journals(tmp_path, "ab")) == []


def test_one_that_another_debugger_removes_meanwhile(tmp_path, monkeypatch):
    path = put(tmp_path, stored())
    put(tmp_path, stored(), "fast-y.journal")
    honest = os.open

    def remove_first(name, *how):
        if name == path:
            path.unlink()
        return honest(name, *how)

    monkeypatch.setattr(os, "open", remove_first)
    (found,) = find_journals(tmp_path, "ab")
    assert found.path.name == "fast-y.journal"


# --- loans


def test_a_loan_is_found_as_it_was_written(tmp_path):
    written = write_loan(tmp_path, "ab", REGISTERS, BASE + 8, 0xFFFFFFFF81234567)
    (found,) = find_loans(tmp_path, "ab")
    assert found == written
    assert (found.registers, found.sp, found.back) == (REGISTERS, BASE + 8, 0xFFFFFFFF81234567)
    assert list(find_loans(tmp_path, "cd")) == list(find_journals(tmp_path, "ab")) == []
    found.repay()
    assert list(tmp_path.iterdir()) == []
    found.repay()


GOOD = {"build_id": "ab", "registers": REGISTERS, "sp": BASE, "back": BASE}
BAD_LOANS = {
    "no registers": {"build_id": "ab", "sp": BASE, "back": BASE},
    "registers in a list": {**GOOD, "registers": [1]},
    "a value as text": {**GOOD, "registers": {"rax": "1"}},
    "a large value": {**GOOD, "registers": {"rax": 1 << 64}},
    "something else than a register": {**GOOD, "registers": {"rax = 1, $rbx": 1}},
    "no stack": {**GOOD, "sp": None},
    "a place below 0": {**GOOD, "back": -1},
}


@pytest.mark.parametrize("name", BAD_LOANS)
def test_a_damaged_loan_is_named(tmp_path, name):
    path = put(tmp_path, BAD_LOANS[name], "fast-x.loan")
    with pytest.raises(CorruptState) as caught:
        list(find_loans(tmp_path, "ab"))
    assert str(caught.value) == f"{path} is not a journal of a fast trace: remove it"
    put(tmp_path, GOOD, "fast-x.loan")
    assert len(list(find_loans(tmp_path, "ab"))) == 1


def test_each_has_a_name_of_its_own(tmp_path):
    """No file of another trace is ever written over."""
    paths = {write_journal(tmp_path, "ab", BASE, 1, ENTRIES).path for _ in range(20)}
    assert len(paths) == 20 == len(list(tmp_path.iterdir()))
