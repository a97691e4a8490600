# SPDX-License-Identifier: GPL-2.0-or-later
"""The cache of layouts: what is believed, what is not, and that it never gets in the way."""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import threading
import zlib
from functools import partial
from pathlib import Path

import pytest
from fake import FakeTarget
from kernel_like import ANCHORS, NEEDED, TYPES, build

from gdbfpu.errors import MissingType
from gdbfpu.layouts import cache as layoutcache
from gdbfpu.layouts import elf
from gdbfpu.layouts import sources as debuginfo
from gdbfpu.layouts.cache import Question, load, store
from gdbfpu.layouts.types import Layouts, Member, StructLayout

ROOT = Path(__file__).parents[3]
ID = "e0c94673e97d58a386e99a20572aa7d597d5aa5c"
QUESTION = Question(ID, ("fpu", "task_struct", "xregs_state"), ("save", "restore"))
LAYOUTS = Layouts(
    [
        StructLayout(
            "fpu", 16, (Member("last_cpu", 0, 4), Member("fpstate", 8, 8, "fpstate", True))
        ),
        StructLayout("task_struct", 64, (Member("flag", 8, 4, bit_offset=3, bit_size=1),)),
    ]
)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A cache directory of the test's own; return where the layouts are kept in it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("GDBFPU_CACHE", raising=False)
    return tmp_path / "cache" / "gdbfpu" / "layouts"


@pytest.fixture
def file(home):
    """The file of QUESTION, which answers it."""
    store(QUESTION, LAYOUTS)
    assert load(QUESTION) is not None
    return home / f"{ID}.json"


def rewrite(file, body=None, **changes):
    """Write `file` anew with another body or head, its checksum right for what it says then."""
    head, old = file.read_bytes().split(b"\n")
    body = old if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    said = {**json.loads(head), "crc32": zlib.crc32(body), **changes}
    file.write_bytes(json.dumps(said).encode() + b"\n" + body)


def test_what_was_stored_is_loaded(home):
    assert load(QUESTION) is None
    store(QUESTION, LAYOUTS)
    found = load(QUESTION)
    assert found.names() == ("fpu", "task_struct")
    assert [found.struct(name) for name in found.names()] == [
        LAYOUTS.struct(name) for name in found.names()
    ]
    assert found.source == "cache (DWARF)"
    assert LAYOUTS.source == "DWARF"
    assert [path.name for path in home.iterdir()] == [f"{ID}.json"]


def test_the_directory_is_private(file):
    assert file.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    "other",
    [
        QUESTION._replace(build_id=ID[:-1] + "d"),
        QUESTION._replace(types=("fpu", "task_struct")),
        QUESTION._replace(types=(*QUESTION.types, "fpstate")),
        QUESTION._replace(anchors=("restore", "save")),
        QUESTION._replace(anchors=()),
        QUESTION._replace(needed=("fpu",)),
        QUESTION._replace(variables=(("init_fpstate", "fpu"),)),
        QUESTION._replace(files=((1, 2, 3, 4, 5),)),
    ],
)
def test_another_question_is_not_answered(file, other):
    assert load(other) is None
    file.rename(file.with_name(f"{other.build_id}.json"))
    assert load(other) is None


@pytest.mark.parametrize(
    "build_id", ["", "../../../etc/passwd", "abc", "g" * 40, "a" * 129, "A" * 40]
)
def test_what_is_no_build_id_names_no_file(home, build_id):
    store(QUESTION._replace(build_id=build_id), LAYOUTS)
    assert load(QUESTION._replace(build_id=build_id)) is None
    assert not home.exists()


def test_other_readers_are_not_believed(file, monkeypatch, tmp_path):
    """Any change to the code that makes layouts ends what it made before."""
    for source in (ROOT / "gdbfpu" / "layouts").glob("*.py"):
        (tmp_path / source.name).write_bytes(source.read_bytes())
    monkeypatch.setattr(layoutcache, "__file__", str(tmp_path / "cache.py"))
    layoutcache._readers.cache_clear()
    try:
        assert load(QUESTION) is not None
        with (tmp_path / "dwarf.py").open("a") as stream:
            stream.write("# changed\n")
        layoutcache._readers.cache_clear()
        assert load(QUESTION) is None
        store(QUESTION, LAYOUTS)
        assert load(QUESTION) is not None
        (tmp_path / "dwarf.py").unlink()  # installed without its source
        layoutcache._readers.cache_clear()
        assert load(QUESTION) is None
    finally:
        layoutcache._readers.cache_clear()


def test_other_heads_are_not_believed(file):
    rewrite(file)
    assert load(QUESTION) is not None
    for changes in (
        {"readers": 1},
        {"build_id": ID[::-1]},
        {"types": []},
        {"odd": 1},
        {"crc32": 0},
    ):
        store(QUESTION, LAYOUTS)
        rewrite(file, **changes)
        assert load(QUESTION) is None, changes


def damaged_layouts():
    good = LAYOUTS.to_json()
    yield {**good, "structs": []}
    yield {**good, "structs": [good["structs"][0]] * 2}
    yield {**good, "structs": [{**good["structs"][0], "name": "never_asked_for"}]}
    yield {**good, "structs": [{**good["structs"][0], "size": 12}]}  # a member beyond the end
    yield {**good, "structs": [{**good["structs"][0], "size": 1 << 62}]}
    yield {**good, "structs": [{**good["structs"][0], "size": -16}]}
    yield {**good, "structs": {}}
    yield {**good, "source": "DWARF\x1b[2J"}
    yield {**good, "source": 7}
    yield [good]
    yield None
    yield b"[" * 100_000  # too deep for Python's parser
    yield b'{"source": "DWARF", "structs": ' + b"9" * 10_000 + b"}"
    yield b"\xff\xfe" * 50
    yield b"NaN"
    yield b" "


def test_hostile_contents_with_the_right_checksum(file):
    for body in damaged_layouts():
        rewrite(file, body)
        assert load(QUESTION) is None, body


def test_any_damage_is_seen(file):
    """Each cut, and a bit turned over at each of many places."""
    data, rng = file.read_bytes(), random.Random(6)
    for length in {0, 1, data.index(b"\n"), data.index(b"\n") + 1, len(data) - 1} | {
        rng.randrange(len(data)) for _ in range(100)
    }:
        file.write_bytes(data[:length])
        assert load(QUESTION) is None, length
    for _ in range(200):
        changed = bytearray(data)
        changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        file.write_bytes(changed)
        assert load(QUESTION) is None, changed
    file.write_bytes(data + b"x")
    assert load(QUESTION) is None
    file.write_bytes(data)
    assert load(QUESTION) is not None


def test_a_file_that_is_too_large_is_not_read(file):
    with file.open("r+b") as stream:
        stream.truncate(1 << 40)  # a hole: reading it all would take all memory
    assert load(QUESTION) is None


def test_what_is_no_file_of_ones_own(file, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: file.stat().st_uid + 1)
    assert load(QUESTION) is None
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(file.parents[2]))
    monkeypatch.delenv("GDBFPU_CACHE", raising=False)
    assert load(QUESTION) is not None
    file.unlink()
    os.mkfifo(file)
    assert load(QUESTION) is None  # and does not wait for somebody to write into it
    file.unlink()
    file.mkdir()
    assert load(QUESTION) is None
    store(QUESTION, LAYOUTS)
    assert list(file.parent.iterdir()) == [file]


def test_damage_is_written_anew(file):
    file.write_bytes(b"rubbish")
    assert load(QUESTION) is None
    store(QUESTION, LAYOUTS)
    assert load(QUESTION) is not None


def test_a_directory_that_cannot_be_made_is_no_error(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    store(QUESTION, LAYOUTS)
    assert load(QUESTION) is None
    assert (tmp_path / "file").read_text() == "in the way"


def test_a_write_that_fails_leaves_nothing_behind(file):
    """As on a full disk, with the draft written in part."""
    file.write_bytes(b"old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))
    try:
        store(QUESTION, LAYOUTS)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert file.read_bytes() == b"old"
    assert list(file.parent.iterdir()) == [file]
    store(QUESTION, LAYOUTS)
    assert file.read_bytes() != b"old"


def test_nothing_is_written_through_a_link(file, tmp_path):
    """Neither through the file itself nor through one under a name that a draft may have."""
    mine, names = tmp_path / "mine", (file.name, f".{file.name}.{os.getpid()}", f".{file.name}")
    file.unlink()
    mine.write_text("mine")
    for name in names:
        (file.parent / name).symlink_to(mine)
    store(QUESTION, LAYOUTS)
    assert mine.read_text() == "mine"
    assert not file.is_symlink()
    assert load(QUESTION).names() == LAYOUTS.names()


def test_nobody_sees_a_part_of_it(file):
    """A reader beside a writer that goes on and on finds the file whole each time."""
    store(QUESTION, LAYOUTS)
    whole, seen, done = file.read_bytes(), set(), threading.Event()

    def read():
        while not done.is_set():
            seen.add(file.read_bytes())

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(300):
        store(QUESTION, LAYOUTS)
    done.set()
    reader.join(10)
    assert seen == {whole}


def test_off(file, monkeypatch):
    monkeypatch.setenv("GDBFPU_CACHE", "off")
    assert load(QUESTION) is None
    file.unlink()
    store(QUESTION, LAYOUTS)
    assert not file.exists()


@pytest.mark.parametrize("base", ["", "relative/path"])
def test_without_xdg_it_is_in_the_home(tmp_path, monkeypatch, base):
    """The XDG base directory specification: a path that is not absolute is ignored."""
    monkeypatch.setenv("XDG_CACHE_HOME", base)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    store(QUESTION, LAYOUTS)
    assert (tmp_path / "home/.cache/gdbfpu/layouts" / f"{ID}.json").is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


# --- where it stands among the sources of layouts


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """A program with DWARF and BTF, and a build-id."""
    folder = tmp_path_factory.mktemp("program")
    (folder / "fpu.c").write_text(
        "struct fpu { unsigned last_cpu; struct fpstate *fpstate; } fpu;"
        "int anchor(void) { return fpu.last_cpu; } int main(void) { return anchor(); }"
    )
    argv = ["gcc", "-g", "-no-pie", f"-Wl,--build-id=0x{ID}", "-o", folder / "both"]
    subprocess.run([*argv, folder / "fpu.c"], check=True, timeout=60)
    subprocess.run(["pahole", "-J", folder / "both"], check=True, timeout=60)
    return folder / "both"


@pytest.fixture
def target(program):
    made = FakeTarget()
    shown = subprocess.run(["nm", program], check=True, capture_output=True, text=True, timeout=60)
    lines = map(str.split, shown.stdout.splitlines())
    made.symbols = {fields[2]: int(fields[0], 16) for fields in lines if len(fields) == 3}
    return made


def test_sources_and_the_cache(target, program, home, tmp_path):
    asked = Question(ID, ("fpu",), ("anchor",))

    def source(build_id=ID, file=program):
        question = asked._replace(build_id=build_id)
        found = debuginfo.read_layouts(target, file, question)
        assert found.member("fpu", "fpstate") == Member("fpstate", 8, 8, "fpstate", True)
        return found.source

    assert source("") == "DWARF"
    assert not home.exists()
    assert [source(), source()] == ["DWARF", "cache (DWARF)"]
    (home / f"{ID}.json").write_bytes(b"")
    assert [source(), source()] == ["DWARF", "cache (DWARF)"]
    stripped = tmp_path / "stripped"
    subprocess.run(["strip", "-g", "-o", stripped, program], check=True, timeout=60)
    assert [source(ID[::-1], stripped), source(ID[::-1], stripped)] == ["BTF", "cache (BTF)"]


def test_the_kernels_memory_is_not_kept(target, program, home, tmp_path):
    """It is the one source that is not a file of the person's own."""
    bare, raw = tmp_path / "bare", tmp_path / "btf"
    dump = ["objcopy", "--dump-section", f".BTF={raw}", program, tmp_path / "copy"]
    subprocess.run(dump, check=True, timeout=60)
    remove = ["objcopy", "-g", "--remove-section=.BTF", program, bare]
    subprocess.run(remove, check=True, timeout=60)
    target.put(0x1000, raw.read_bytes())
    target.symbols.update(__start_BTF=0x1000, __stop_BTF=0x1000 + raw.stat().st_size)
    found = debuginfo.read_layouts(target, bare, Question(ID, ("fpu",), ("anchor",)))
    assert found.source == "BTF in memory"
    assert not home.exists()


def test_cli_reads_dwarf_once(program, tmp_path):
    """`gdbfpu layout` on a program that has two of the types, with an anchor of its name."""
    text = "struct fpu { int last_cpu; } fpu; struct task_struct { int flags; } init_task;"
    text += "int main(void) { return fpu.last_cpu; }"
    text += "int copy_fpstate_to_sigframe(void) { return fpu.last_cpu; }"
    (tmp_path / "k.c").write_text(text)
    argv = ["gcc", "-g", "-no-pie", f"-Wl,--build-id=0x{ID}", "-o", tmp_path / "k"]
    subprocess.run([*argv, tmp_path / "k.c"], check=True, timeout=60)

    def last_line(**more):
        command = [sys.executable, "-m", "gdbfpu", "layout", tmp_path / "k"]
        done = subprocess.run(command, env={**os.environ, **more}, cwd=ROOT, check=True,
            capture_output=True, text=True, timeout=60)  # fmt: skip
        return done.stdout.splitlines()[-1]

    said = f"layouts from {{}}; build-id {ID}"
    assert last_line(GDBFPU_CACHE="off") == said.format("DWARF")
    assert [last_line(), last_line()] == [said.format("DWARF"), said.format("cache (DWARF)")]
    assert last_line(GDBFPU_CACHE="off") == said.format("DWARF")


def test_the_same_build_id_is_not_enough(target, program, tmp_path):
    """A damaged copy, and one that was changed in its place, are read for themselves."""
    asked = Question(ID, ("fpu",), ("anchor",))

    def read(file):
        found = debuginfo.read_layouts(target, file, asked)
        return found.source, found.struct("fpu").size

    run = partial(subprocess.run, check=True, timeout=60)
    (tmp_path / "other.c").write_text((program.parent / "fpu.c").read_text().replace(
        "last_cpu;", "last_cpu; char more[100];", 1))  # fmt: skip
    other, copy = tmp_path / "other", tmp_path / "copy"
    argv = ["gcc", "-g", "-no-pie", f"-Wl,--build-id=0x{ID}", "-o", other]
    run([*argv, tmp_path / "other.c"])
    shutil.copy2(program, copy)
    assert [read(copy), read(copy)] == [("DWARF", 16), ("cache (DWARF)", 16)]
    assert [read(other), read(other)] == [("DWARF", 112), ("cache (DWARF)", 112)]
    assert [read(copy), read(copy)] == [("DWARF", 16), ("cache (DWARF)", 16)]
    times = copy.stat()
    copy.write_bytes(other.read_bytes())  # in its place, with its old times
    os.utime(copy, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert [read(copy), read(copy)] == [("DWARF", 112), ("cache (DWARF)", 112)]


def test_files_beside_it_count(tmp_path, home):
    """Another .dwo file, or none, ends what was kept; a change without a trace is no change."""
    question = Question(ID, TYPES, ANCHORS, NEEDED)
    file = build(tmp_path, "gcc", "-gsplit-dwarf")

    def source():
        addresses = partial(elf.symbol_addresses, file)
        return debuginfo.from_file(file, question, addresses).source

    assert [source(), source()] == ["DWARF", "cache (DWARF)"]
    dwo = tmp_path / "signal.dwo"
    dwo.touch()
    assert [source(), source()] == ["DWARF", "cache (DWARF)"]
    dwo.unlink()
    with pytest.raises(MissingType):
        for other in tmp_path.glob("*.dwo"):
            other.unlink()
        source()


def test_a_debug_file_that_comes_later(target, program, home, tmp_path):
    """BTF was the best there was; then the debug package was installed."""
    stripped, debug = tmp_path / "stripped", tmp_path / "stripped.debug"
    run = partial(subprocess.run, check=True, timeout=60)
    run(["objcopy", "--only-keep-debug", program, debug])
    run(["objcopy", "--strip-debug", f"--add-gnu-debuglink={debug}", program, stripped])
    debug.rename(tmp_path / "away")
    asked = Question(ID, ("fpu",), ("anchor",))

    def source():
        return debuginfo.read_layouts(target, stripped, asked).source

    assert [source(), source()] == ["BTF", "cache (BTF)"]
    (tmp_path / "away").rename(debug)
    assert [source(), source()] == ["DWARF", "cache (DWARF)"]


def test_what_a_damaged_file_gave_is_not_kept(target, program, home, tmp_path):
    """BTF in place of DWARF that cannot be read: the next session tries again."""
    shown = subprocess.run(["readelf", "-SW", program], check=True, capture_output=True, text=True)
    line = next(line for line in shown.stdout.splitlines() if " .debug_abbrev " in line)
    at, size = (int(word, 16) for word in line.split("]")[1].split()[3:5])
    data = bytearray(program.read_bytes())
    data[at : at + size] = bytes((255,)) * size
    (tmp_path / "damaged").write_bytes(data)
    found = debuginfo.read_layouts(
        target, tmp_path / "damaged", Question(ID, ("fpu",), ("anchor",))
    )
    assert found.source == "BTF"
    assert not home.exists()
