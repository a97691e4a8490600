# SPDX-License-Identifier: GPL-2.0-or-later
"""Files that are no kernel are told as what they are."""

from __future__ import annotations

import gzip
import lzma
import os

import pytest
import zstandard
from kernel_like import run

from gdbfpu.errors import GdbFpuError
from gdbfpu.layouts import elf
from gdbfpu.layouts.search import has_dwarf


def told(path):
    with pytest.raises(GdbFpuError) as caught:
        has_dwarf(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kinds")
    (folder / "k.c").write_text("int main(void) { return 0; }")
    run("gcc", "-g", "-c", "-o", "k.o", "k.c", cwd=folder)
    run("gcc", "-g", "-no-pie", "-o", "k", "k.c", cwd=folder)
    return folder / "k"


def test_object(program):
    words = told(program.with_suffix(".o"))
    assert "k.o is a relocatable object (vmlinux.o, a module, a .dwo file)" in words
    assert "use the vmlinux" in words


def test_core(program, tmp_path):
    dump = f"generate-core-file {tmp_path / 'core'}"
    run("gdb", "-nx", "-batch", "-ex", "break main", "-ex", "run", "-ex", dump, program)
    assert "core is a core file or a dump, not a kernel" in told(tmp_path / "core")


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("aarch64-linux-gnu", "EM_AARCH64"),
        ("i386-linux-gnu", "EM_386"),
        ("x86_64-linux-gnux32", r"a 32-bit (x32) form of EM_X86_64"),
        ("riscv64-linux-gnu", "EM_RISCV"),
        ("mips-linux-gnu", "EM_MIPS"),
    ],
)
def test_other_machines(tmp_path, target, name):
    (tmp_path / "k.c").write_text("int x;")
    run("clang", f"--target={target}", "-c", "-o", "k.o", "k.c", cwd=tmp_path)
    assert f"k.o is for {name}, but gdbfpu reads EM_X86_64" in told(tmp_path / "k.o")


def test_bzimage(tmp_path):
    """As the boot protocol has it: 55aa at 510, HdrS at 514."""
    data = b"MZ" + bytes(508) + b"\x55\xaa\xeb\x6aHdrS" + bytes(5000)
    (tmp_path / "bzImage").write_bytes(data)
    words = told(tmp_path / "bzImage")
    assert "a compressed kernel (bzImage), which has no types" in words
    assert "debug package" in words
    assert "extract-vmlinux" in words


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("gzip", gzip.compress),
        ("xz", lzma.compress),
        ("zstd", zstandard.compress),
    ],
)
def test_compressed(program, tmp_path, name, pack):
    (tmp_path / "packed").write_bytes(pack(program.read_bytes()))
    assert f"packed is not an ELF file: it is compressed with {name}; unpack it" in told(
        tmp_path / "packed"
    )


@pytest.mark.parametrize("head", [b"KDUMP   \6\0\0\0", b"makedumpfile\0\0\0\0"])
def test_dumps(tmp_path, head):
    (tmp_path / "vmcore").write_bytes(head + bytes(5000))
    assert "vmcore is not an ELF file but a dump" in told(tmp_path / "vmcore")


def test_bare_btf(program, tmp_path):
    run("cp", program, tmp_path / "k")
    run("pahole", "-J", tmp_path / "k")
    run("objcopy", "--dump-section", f".BTF={tmp_path / 'btf'}", tmp_path / "k", tmp_path / "copy")
    assert "btf is not an ELF file but bare BTF" in told(tmp_path / "btf")


def test_what_is_no_regular_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert told(tmp_path / "pipe").endswith("pipe is not a regular file")
    assert "cannot read" in told(tmp_path)


def test_odd_types(program, tmp_path):
    data = bytearray(program.read_bytes())
    data[16:18] = b"\0\xfe"  # e_type
    (tmp_path / "odd").write_bytes(data)
    assert "odd is an ELF file of type 65024" in told(tmp_path / "odd")
    (tmp_path / "short").write_bytes(data[:18])
    assert "short is an ELF file, but it is cut off" in told(tmp_path / "short")


def test_a_kernel_may_be_a_shared_object(tmp_path):
    """As a kernel linked with -pie is."""
    (tmp_path / "k.c").write_text("int main(void) { return 0; }")
    run("gcc", "-g", "-pie", "-fPIE", "-o", "k", "k.c", cwd=tmp_path)
    assert has_dwarf(tmp_path / "k")
    assert elf.build_id(tmp_path / "k")
