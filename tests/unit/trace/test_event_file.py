# SPDX-License-Identifier: GPL-2.0-or-later
"""The event file: whole lines of JSON, whatever happens."""

from __future__ import annotations

import json
import os
import shutil

import pytest

from gdbfpu.errors import UsageError
from gdbfpu.trace.event_file import EventWriter


@pytest.fixture
def path(tmp_path):
    return tmp_path / "events.jsonl"


def test_lines_are_there_at_once(path):
    writer = EventWriter(path, {"stub": "kgdb", "build_id": "ab"})
    assert path.read_text() == '{"schema": 1, "stub": "kgdb", "build_id": "ab"}\n'
    assert writer.path == path
    writer.write({"seq": 1, "comm": "caf\u00e9 \u2028", "raw": None})
    header, line = path.read_bytes().split(b"\n")[:-1]
    assert json.loads(header)["schema"] == 1
    assert json.loads(line) == {"seq": 1, "comm": "caf\u00e9 \u2028", "raw": None}
    assert line.isascii()
    writer.close()
    assert path.read_bytes().endswith(b"}\n")


def test_a_file_that_is_there_is_left_alone(path):
    path.write_text("precious")
    with pytest.raises(UsageError, match=r"events.jsonl exists already"):
        EventWriter(path, {})
    assert path.read_text() == "precious"


@pytest.mark.parametrize(
    ("name", "reason"),
    [("missing/events", "No such file or directory"), ("file/events", "Not a directory")],
)
def test_a_file_that_cannot_be_made(tmp_path, name, reason):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=f"cannot write .*{name}: {reason}") as caught:
        EventWriter(tmp_path / name, {})
    assert "\n" not in str(caught.value)


class Stream:
    """A raw stream that takes `space` bytes, at most three at a time, then no more."""

    def __init__(self, stream, space):
        self.stream, self.space = stream, space
        self.truncate, self.seek, self.close = stream.truncate, stream.seek, stream.close
        self.fileno = stream.fileno

    def write(self, data):
        if not self.space:
            raise OSError(28, "No space left on device")
        count = self.stream.write(data[: min(3, self.space)])
        self.space -= count
        return count


@pytest.mark.parametrize("space", [0, 1, 3, 10, 11])
def test_full_disk_leaves_whole_lines(path, space):
    writer = EventWriter(path, {})
    writer._stream = Stream(writer._stream, 11 + space)
    writer.write({"seq": 1})  # 11 bytes
    with pytest.raises(OSError, match="No space left"):
        writer.write({"seq": 22})  # 12 bytes
    assert [json.loads(line) for line in path.read_text().splitlines()] == [
        {"schema": 1},
        {"seq": 1},
    ]
    writer._stream.space = 99
    writer.write({"seq": 3})
    writer.close()
    assert path.read_text() == '{"schema": 1}\n{"seq": 1}\n{"seq": 3}\n'


@pytest.mark.parametrize("whole", [True, False])
def test_a_file_that_was_removed_gets_no_line(tmp_path, whole):
    """Nobody could read the line: neither if the file was removed, nor with its directory."""
    folder = tmp_path / "folder"
    folder.mkdir()
    writer = EventWriter(folder / "events", {})
    writer.write({"seq": 1})
    if whole:
        shutil.rmtree(folder)
    else:
        writer.path.unlink()
    with pytest.raises(OSError, match="it was removed"):
        writer.write({"seq": 2})
    writer.close()


def test_reader_without_permission_is_told(tmp_path, monkeypatch):
    def denied(*_args, **_kwargs):
        raise PermissionError(13, os.strerror(13))

    monkeypatch.setattr(os, "open", denied)
    with pytest.raises(UsageError, match="Permission denied"):
        EventWriter(tmp_path / "x", {})


def test_disk_without_room_for_the_header_leaves_no_file(path, monkeypatch):
    def full(_self, _event):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(EventWriter, "write", full)
    with pytest.raises(UsageError, match="No space left on device"):
        EventWriter(path, {})
    assert not path.exists()
