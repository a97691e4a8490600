# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands on dumps, as far as they go without one; tests/vm/test_kdump.py has a dump."""

from __future__ import annotations

import sys
from types import ModuleType

import drgn
import pytest
from vmcore_files import note, vmcore, write

from gdbfpu.cli import main
from gdbfpu.errors import LEFT_OUT, MemoryFault
from gdbfpu.kdump.target import _open_elf


def failing(capsys, *words):
    assert main(words) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    return line


def test_drgn_is_missing(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "drgn", None)
    assert failing(capsys, "info", "--core", "core", "--vmlinux", "vmlinux") == (
        "gdbfpu: reading a dump needs drgn: pip install drgn"
    )


@pytest.mark.parametrize("command", ["state", "info"])  # report: see test_from_events.py
def test_dump_has_to_be_named(capsys, command):
    assert failing(capsys, command) == (
        "gdbfpu: the following arguments are required: --core, --vmlinux; "
        f"see `gdbfpu {command} --help`"
    )


def test_file_that_is_no_dump(capsys, tmp_path):
    core = tmp_path / "core"
    core.write_text("not a dump of anything")
    line = failing(capsys, "info", "--core", str(core), "--vmlinux", sys.executable)
    assert line.startswith(f"gdbfpu: drgn cannot read {core}: ")


def test_files_that_are_not_there(capsys, tmp_path):
    none = str(tmp_path / "none")
    for core, vmlinux in ((none, sys.executable), (sys.executable, none)):
        line = failing(capsys, "report", "--core", core, "--vmlinux", vmlinux)
        assert line == f"gdbfpu: cannot read {none}: No such file or directory"
    words = ("--core", sys.executable, "--vmlinux", sys.executable, "--vmcoreinfo", none)
    assert failing(capsys, "report", *words) == (
        f"gdbfpu: cannot read {none}: No such file or directory"
    )


def test_contradictions_are_refused_as_in_gdb(capsys):
    line = failing(capsys, "state", "1", "--comm", "init", "--core", "c", "--vmlinux", "v")
    assert line.startswith("gdbfpu: PID or ADDRESS and --comm cannot be combined")


def test_signal_frames_are_not_offered(capsys):
    words = ("--sigframe", "0x7fff0000", "--core", "c", "--vmlinux", "v")
    assert failing(capsys, "state", *words).startswith("gdbfpu: unrecognized arguments: --sigframe")
    assert main(["state", "--help"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("usage: gdbfpu state ")
    assert "--core" in out
    assert "sigframe" not in out


class FakeDrgn(ModuleType):
    """drgn, as far as opening a kdump file goes; libkdumpfile knows no zstd."""

    class FaultError(Exception):
        pass

    class ProgramFlags:
        IS_LINUX_KERNEL = 1

    class Architecture:
        X86_64 = "x86-64"

    @staticmethod
    def Platform(architecture):  # noqa: N802
        return architecture

    class Program:
        flags = 1

        def __init__(self, platform, vmcoreinfo=None):
            pass

        def set_core_dump(self, core):
            pass

        def set_linux_kernel_custom(self, text, live):
            pass

        def __getitem__(self, name):
            return self

        def to_bytes_(self):
            return b"SYMBOL(swapper_pg_dir)=ffffffff82a10000\n"

        def read(self, address, length):
            assert (address, length) == (0xFFFFFFFF82A10000, 4096)
            raise FakeDrgn.FaultError("cannot read: Unsupported compression method: zstd\nmore")


def test_compression_that_is_not_supported(capsys, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "drgn", FakeDrgn("drgn"))
    core = tmp_path / "core"
    core.write_bytes(b"KDUMP   ")
    line = failing(capsys, "info", "--core", str(core), "--vmlinux", sys.executable)
    assert line == (
        f"gdbfpu: drgn cannot read {core}: cannot read: Unsupported compression method: zstd; "
        "if that is its compression, rewrite the dump with `makedumpfile -c`"
    )


def test_drgn_is_too_old(capsys, monkeypatch):
    monkeypatch.delattr(FakeDrgn.Program, "set_linux_kernel_custom")
    monkeypatch.setitem(sys.modules, "drgn", FakeDrgn("drgn"))
    assert failing(capsys, "info", "--core", "core", "--vmlinux", sys.executable) == (
        "gdbfpu: this drgn is too old to read a dump: pip install --upgrade drgn"
    )


def elf_dump(tmp_path, info):
    """An ELF dump of one page, which is not a kernel."""
    notes = note(b"VMCOREINFO", info) if info is not None else b""
    return str(write(tmp_path, vmcore((1 << 63, 0, bytes(4096), 8192), notes=notes)))


@pytest.mark.parametrize(
    ("info", "said"),
    [
        (None, "contains no VMCOREINFO: give its --vmcoreinfo"),
        (b"", "VMCOREINFO does not contain valid OSRELEASE"),
        (b"OSRELEASE=6\nPAGESIZE=4096\n", "VMCOREINFO does not contain valid swapper_pg_dir"),
    ],
)
def test_elf_dump_without_what_it_needs(capsys, tmp_path, info, said):
    core = elf_dump(tmp_path, info)
    line = failing(capsys, "info", "--core", core, "--vmlinux", sys.executable)
    assert core in line
    assert line.endswith(said)


@pytest.mark.parametrize("phys_base", ["", "NUMBER(phys_base)=0\n"])
def test_memory_by_page_tables(tmp_path, phys_base):
    """Page 1 has all tables; page 2 is mapped and saved, page 3 mapped and left out.

    Up to 4.9 VMCOREINFO does not say phys_base; then a program header maps the top table.
    """
    top, text = 0xFFFFFFFF80001000, 0xFFFFFFFF80000000
    table = {511: 0x1003, 510: 0x1003, 0: 0x1003, 2: 0x2003, 3: 0x3003, 4: 0x7F003}
    page = b"".join(table.get(i, 0).to_bytes(8, "little") for i in range(512))
    saved = bytes(4096) + page + b"M" * 4096
    info = f"OSRELEASE=6\nPAGESIZE=4096\nSYMBOL(swapper_pg_dir)={top:x}\n{phys_base}"
    core = write(
        tmp_path, vmcore((text, 0, saved, 0x4000), notes=note(b"VMCOREINFO", info.encode()))
    )
    program, _ = _open_elf(drgn, core, None)
    assert program.read(text + 0x2000, 4) == b"MMMM"
    with pytest.raises(MemoryFault) as fault:
        program.read(text + 0x2FFC, 8)
    assert fault.value.why == LEFT_OUT
    with pytest.raises(MemoryFault) as fault:
        program.read(text + 0x4000, 8)
    assert fault.value.why == ""
    with pytest.raises(drgn.FaultError):
        program.read(text + 0x5000, 8)
