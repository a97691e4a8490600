# SPDX-License-Identifier: GPL-2.0-or-later
"""`gdbfpu layout`, held to what the compiled program itself says of its types."""

from __future__ import annotations

import json
import subprocess

import pytest

from gdbfpu.cli import main

ID = "00112233445566778899aabbccddeeff01234567"
TYPES = """
#include <stddef.h>
#include <stdio.h>
struct fpstate { unsigned size, user_size; };
struct xstate_header { unsigned long xfeatures, xcomp_bv, reserved[6]; };
struct fpu {
    unsigned last_cpu;
    struct fpstate *fpstate;
    union { struct xstate_header header; unsigned char bytes[576]; };
    struct xstate_header *headers[3];
    unsigned first:3, second:7, :6, third:1;
} fpu;
struct list_head { struct list_head *next, *prev; } head;
struct task_struct { unsigned flags; struct list_head tasks; } init_task;
"""
ANCHOR = "int copy_fpstate_to_sigframe(void) { return fpu.first + !head.next; }\n"
MEMBERS = {
    "fpu": ("last_cpu", "fpstate", "header", "bytes", "headers"),
    "xstate_header": ("xfeatures", "xcomp_bv", "reserved"),
    "list_head": ("next", "prev"),
    "fpstate": ("size", "user_size"),
    "task_struct": ("flags", "tasks"),
}
WHAT = {
    ("fpu", "fpstate"): "fpstate *",
    ("fpu", "header"): "xstate_header",
    ("fpu", "bytes"): "[576]",
    ("fpu", "headers"): "xstate_header * [3]",
    ("fpu", "first"): "bits 0 to 2",
    ("fpu", "second"): "bits 3 to 9",
    ("fpu", "third"): "bits 0 to 0",
    ("xstate_header", "reserved"): "[6]",
    ("list_head", "next"): "list_head *",
    ("list_head", "prev"): "list_head *",
    ("task_struct", "tasks"): "list_head",
}


def run(*argv):
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=60).stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("layout")


@pytest.fixture(scope="module")
def program(folder):
    said = "".join(
        f'printf("{name} {member} %zu %zu\\n", offsetof(struct {name}, {member}),'
        f" sizeof(((struct {name} *)0)->{member}));\n"
        for name, members in MEMBERS.items()
        for member in members
    ) + "".join(f'printf("{name} - 0 %zu\\n", sizeof(struct {name}));\n' for name in MEMBERS)
    (folder / "k.c").write_text(f"{TYPES}{ANCHOR}int main(void) {{ {said} return 0; }}")
    flags = ("-g", "-no-pie", f"-Wl,--build-id=0x{ID}")
    run("gcc", *flags, "-o", folder / "k", folder / "k.c")
    return folder / "k"


@pytest.fixture(scope="module")
def said(program):
    """What the program prints: (type, member or -) to offset and size."""
    lines = map(str.split, run(program).splitlines())
    return {(name, member): (int(offset), int(size)) for name, member, offset, size in lines}


def test_table(program, said, capsys):
    assert main(["layout", str(program)]) == 0
    *lines, empty, last = capsys.readouterr().out.splitlines()
    assert (empty, last) == ("", f"layouts from DWARF; build-id {ID}")
    assert lines[0].split() == ["type", "member", "offset", "size", "what"]
    sizes, found, what = {}, {}, {}
    for line in lines[2:]:
        fields = line.split(maxsplit=4)
        if len(fields) == 2:
            sizes[fields[0]] = int(fields[1])
        else:
            key = fields[0], fields[1]
            found[key] = int(fields[2]), int(fields[3])
            what[key] = fields[4] if len(fields) == 5 else ""
    assert sizes == {name: size for (name, member), (_, size) in said.items() if member == "-"}
    expected = {key: place for key, place in said.items() if key[1] != "-"}
    assert {key: place for key, place in found.items() if "bits" not in what[key]} == expected
    assert {key: text for key, text in what.items() if text} == WHAT


def test_json(program, said, capsys):
    assert main(["layout", str(program), "--format", "json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert (data["build_id"], data["source"]) == (ID, "DWARF")
    members = {
        (struct["name"], member["name"]): (member["offset"], member["size"])
        for struct in data["structs"]
        for member in struct["members"]
        if member["bit_size"] is None
    }
    sizes = {(struct["name"], "-"): (0, struct["size"]) for struct in data["structs"]}
    assert {**members, **sizes} == said


def test_btf_of_a_stripped_file(program, folder, capsys):
    run("cp", program, folder / "btf")
    run("pahole", "-J", folder / "btf")
    run("strip", "--strip-debug", folder / "btf")
    assert main(["layout", str(folder / "btf")]) == 0
    assert capsys.readouterr().out.endswith(
        f"\nlayouts from BTF (btf has no DWARF); build-id {ID}\n"
    )


def test_file_without_build_id(program, folder, capsys):
    run("objcopy", "--remove-section", ".note.gnu.build-id", program, folder / "anonymous")
    assert main(["layout", str(folder / "anonymous")]) == 0
    assert capsys.readouterr().out.endswith("\nlayouts from DWARF; build-id none\n")


def test_errors_are_one_line(program, folder, capsys):
    run("strip", "-o", folder / "stripped", program)
    (folder / "o.c").write_text("int main(void) { return 0; }")
    run("gcc", "-g", "-o", folder / "other", folder / "o.c")
    (folder / "text").write_text("no kernel")
    for name, words in {
        "stripped": "has neither DWARF nor BTF",
        "other": "no types 'fpu', 'task_struct': is it a Linux kernel",
        "text": "is not an ELF file",
        "missing": "cannot read",
    }.items():
        assert main(["layout", str(folder / name)]) == 1
        captured = capsys.readouterr()
        (line,) = captured.err.splitlines()
        assert line.startswith("gdbfpu: ")
        assert words in line
        assert captured.out == ""
