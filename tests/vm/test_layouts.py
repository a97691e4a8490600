# SPDX-License-Identifier: GPL-2.0-or-later
"""The layouts of a real kernel's types: read from its DWARF, from BTF, and by pahole.

A kernel that was built without BTF gets the one that pahole makes of its DWARF.
"""

from __future__ import annotations

import json
import re
import subprocess
import time
from pathlib import Path

import pytest

from gdbfpu.cli import main
from gdbfpu.commands.model import ANCHORS, TYPES
from gdbfpu.layouts import btf, elf, search
from gdbfpu.layouts.types import Layouts
from qemu.catalogue import load
from qemu.kernels import Kernel

IN_EVERY_KERNEL = {"fpu", "fxregs_state", "task_struct", "thread_struct", "xstate_header"}


def run(*argv: object) -> str:
    command = [str(word) for word in argv]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=300).stdout


@pytest.fixture(scope="module")
def data(kernel: Kernel, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    own = elf.btf_section(kernel.vmlinux)
    if own is not None:
        return own
    assert load()[kernel.name].kind != "debian-image", "Debian builds its kernels with BTF"
    made = tmp_path_factory.mktemp("btf") / "vmlinux.btf"
    run("pahole", "-J", f"--btf_encode_detached={made}", kernel.vmlinux)
    return made.read_bytes()


@pytest.fixture(scope="module")
def layouts(data: bytes) -> Layouts:
    found = btf.read_layouts(data, TYPES)
    assert set(found.names()) >= IN_EVERY_KERNEL
    return found


def test_equal_to_dwarf(kernel: Kernel, layouts: Layouts) -> None:
    """Every type that gdbfpu reads, every field of every member."""
    symbols = [line.split() for line in run("nm", kernel.vmlinux).splitlines()]
    anchors = {fields[-1]: int(fields[0], 16) for fields in symbols if fields[-1] in ANCHORS}
    other = search.read_layouts(kernel.vmlinux, TYPES, anchors)
    assert set(other.names()) >= IN_EVERY_KERNEL
    for name in other.names():
        assert layouts.struct(name) == other.struct(name)


MEMBER = re.compile(
    r"(\w+)(?:\[\w*\])*\)?(?:\([^;]*\))?(?::\d+)?(?: __attribute__.*)?;"
    r"\s+/\*\s+(\d+)(?::\s*(\d+))?\s+(\d+) \*/"
)


def members(shown: str) -> dict[str, tuple[int, int]]:
    """What pahole shows of one type: each member's first bit and size in bytes.

    The members of a struct within it are its own where that struct has no name.
    """
    levels: list[dict[str, tuple[int, int]]] = [{}]
    for line in shown.splitlines()[1:]:
        if line.endswith("{"):
            levels.append({})
        elif line.startswith("}"):
            break
        elif line.lstrip().startswith("}"):
            inner = levels.pop()
            levels[-1].update({} if MEMBER.search(line) else inner)
        if found := MEMBER.search(line):
            name, offset, bit, size = found.groups()
            levels[-1][name] = (8 * int(offset) + int(bit or 0), int(size))
    assert len(levels) == 1
    return levels[0]


@pytest.mark.parametrize("name", sorted(IN_EVERY_KERNEL))
def test_equal_to_pahole(data: bytes, layouts: Layouts, name: str, tmp_path: Path) -> None:
    (tmp_path / "btf").write_bytes(data)
    expected = members(run("pahole", "-F", "btf", "-C", name, tmp_path / "btf"))
    found = {
        member.name: (8 * member.offset + (member.bit_offset or 0), member.size)
        for member in layouts.struct(name).members
    }
    assert len(found) == len(layouts.struct(name).members)
    assert found == expected


def test_command_is_equal_to_pahole(
    kernel: Kernel, data: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What `gdbfpu layout` prints of the file, without GDB."""
    assert main(["layout", str(kernel.vmlinux), "--format", "json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["source"] == "DWARF"
    assert f"Build ID: {shown['build_id']}\n" in run("readelf", "-n", kernel.vmlinux)
    structs = {struct["name"]: struct["members"] for struct in shown["structs"]}
    assert set(structs) >= IN_EVERY_KERNEL
    (tmp_path / "btf").write_bytes(data)
    for name in sorted(IN_EVERY_KERNEL):
        expected = members(run("pahole", "-F", "btf", "-C", name, tmp_path / "btf"))
        found = {m["name"]: (8 * m["offset"] + (m["bit_offset"] or 0), m["size"])
            for m in structs[name]}  # fmt: skip
        assert found == expected


def test_time(data: bytes) -> None:
    """A distribution's BTF is 4 MiB and more; it is read while one waits for GDB's prompt."""
    before = time.process_time()
    btf.read_layouts(data, TYPES)
    assert time.process_time() - before < 0.5
