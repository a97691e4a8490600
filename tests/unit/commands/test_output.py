# SPDX-License-Identifier: GPL-2.0-or-later
"""`--out`: a new file, refused before the work, there as a whole or not at all."""

from __future__ import annotations

import errno
import os
import resource
import signal
from functools import partial

import pytest

from gdbfpu.commands.audit_options import audit_parser
from gdbfpu.commands.decode_options import decode_parser
from gdbfpu.commands.info_options import info_parser
from gdbfpu.commands.layout_options import layout_parser
from gdbfpu.commands.output import output
from gdbfpu.commands.report_files_options import report_files_parser
from gdbfpu.commands.report_options import report_parser
from gdbfpu.commands.state_options import state_parser
from gdbfpu.commands.trace_options import trace_parser
from gdbfpu.errors import UsageError


class Interrupted(BaseException):
    """As a ^C raises."""


def refused(out):
    """What is said of `out` before any work is done."""
    with pytest.raises(UsageError) as caught, output(out, print):
        pytest.fail("the work was done")
    return str(caught.value)


def test_without_a_file_it_is_shown():
    shown = []
    with output(None, shown.append) as put:
        put("text")
    assert shown == ["text"]


def test_a_new_file(tmp_path):
    out, mask = tmp_path / "out", os.umask(0o027)
    try:
        with output(out, print) as put:
            assert not out.exists()
            put("Zoë \udcff")
    finally:
        os.umask(mask)
    assert out.read_text(encoding="utf-8") == "Zoë \\udcff\n"
    assert out.stat().st_mode & 0o777 == 0o640
    assert list(tmp_path.iterdir()) == [out]


def test_what_is_there_is_refused_first(tmp_path):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    (tmp_path / "folder").mkdir()
    for name in ("file", "link", "folder", "."):
        out = tmp_path / name
        assert refused(out) == f"{out} exists already: name a new file or remove it"
    assert (tmp_path / "file").read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 3


def test_where_nothing_can_be_written(tmp_path):
    out = tmp_path / "none" / "out"
    assert refused(out) == f"cannot write {out}: No such file or directory"
    (tmp_path / "file").touch()
    out = tmp_path / "file" / "out"
    assert refused(out) == f"cannot write {out}: Not a directory"


@pytest.mark.parametrize("error", [Interrupted, KeyboardInterrupt, UsageError, OSError])
def test_nothing_is_left_of_work_that_failed(tmp_path, error):
    out = tmp_path / "out"
    with pytest.raises(error), output(out, print):
        raise error
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_left_of_what_does_not_fit(tmp_path):
    """A limit stands in for a full disk: a part is written, then no more."""
    out, text = tmp_path / "out", "x" * 100_000
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.raises(UsageError) as caught, output(out, print) as put:
            put(text)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert str(caught.value) == f"cannot write {out}: File too large"
    assert list(tmp_path.iterdir()) == []
    with output(out, print) as put:
        put(text)
    assert len(out.read_text()) == 100_001


@pytest.mark.parametrize("links", [True, False])
def test_a_file_that_came_meanwhile_stays(tmp_path, monkeypatch, links):
    out = tmp_path / "out"
    if not links:
        monkeypatch.setattr(os, "link", no_link)
    with pytest.raises(UsageError, match="exists already"), output(out, print) as put:
        out.write_text("another's")
        put("mine")
    assert out.read_text() == "another's"
    assert list(tmp_path.iterdir()) == [out]


def no_link(*_):
    raise OSError(errno.EPERM, "Operation not permitted")


def test_file_systems_without_hard_links(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "link", no_link)
    out = tmp_path / "out"
    with output(out, print) as put:
        put("text")
    assert out.read_text() == "text\n"
    assert list(tmp_path.iterdir()) == [out]


NAMES_OF_FILES = (
    (trace_parser, "on --out"),
    (report_parser, "--out"),
    (report_parser, "--from"),
    (audit_parser, "--out"),
    (decode_parser, ""),
    (layout_parser, ""),
    (partial(state_parser, stopped=False), "--core c --vmlinux"),
    (partial(info_parser, stopped=False), "--vmlinux v --core"),
    (report_files_parser, "--vmcoreinfo"),
)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "a file name is empty"),
        ("~nosuch/x", "'~nosuch/x': no home directory for this user"),
    ],
)
@pytest.mark.parametrize(("make", "words"), NAMES_OF_FILES)
def test_names_that_are_no_files(make, words, name, said):
    with pytest.raises(UsageError) as caught:
        make().parse([*words.split(), name])
    assert said in str(caught.value)
