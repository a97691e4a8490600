# SPDX-License-Identifier: GPL-2.0-or-later
"""Dumps of a kernel that never ran, through drgn: whole, filtered, cut off, damaged.

tests/torture/fuzz has the kernel, which the compiler fills in, and writes its dumps.
"""

from __future__ import annotations

import json
import os

import pytest

from gdbfpu.cli import main
from tests.torture.fuzz import dump_files


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    """The file vmlinux, the pages of its memory by number, and its VMCOREINFO."""
    vmlinux = dump_files.build(tmp_path_factory.mktemp("kernel"))
    data = vmlinux.read_bytes()
    return vmlinux, dump_files.pages(data), dump_files.vmcoreinfo(data)


def asked(kernel, tmp_path, capfd, data, *words):
    """Return status, standard output and standard error of a command on the dump `data`."""
    core = tmp_path / f"core{os.urandom(4).hex()}"
    core.write_bytes(data)
    status = main([*words, "--core", str(core), "--vmlinux", str(kernel[0])])
    captured = capfd.readouterr()
    return status, captured.out, captured.err.replace(str(core), "CORE")


FORMS = {
    **{how: lambda memory, info, how=how: dump_files.kdump(memory, info, how)
       for how in ("zlib", "zstd", "plain")},
    "flattened": lambda memory, info: dump_files.flattened(dump_files.kdump(memory, info, "zlib")),
    "elf": dump_files.elf,
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_each_form_tells_the_same(kernel, tmp_path, capfd, form):
    """What is expected is in kernel.c."""
    data = FORMS[form](*kernel[1:])
    status, out, err = asked(kernel, tmp_path, capfd, data, "report", "--format", "json")
    assert (status, err) == (0, "")
    tasks = {task["comm"]: (task["pid"], task["uses_fpu"]) for task in json.loads(out)["tasks"]}
    assert tasks == {"init": (1, True), "ymmall": (30, True), "worker": (31, True)}
    status, out, err = asked(kernel, tmp_path, capfd, data, "state", "30", "--format", "json")
    assert (status, err) == (0, "")
    state = json.loads(out)
    assert state["registers"]["ymm0"]["bytes"] == ("07" + "00" * 15) * 2
    assert state["registers"]["mxcsr"]["bytes"] == "801f0000"


def without_its_last_page(kernel):
    return dump_files.kdump(*kernel[1:], "plain")[:-6000]


def with_notes_beyond_its_end(kernel):
    data = dump_files.kdump(*kernel[1:], "zlib")
    return data[:4152] + (1 << 20).to_bytes(8, "little") + data[4160:]  # size_note


@pytest.mark.parametrize("damaged", [without_its_last_page, with_notes_beyond_its_end])
def test_dump_that_was_cut_off(kernel, tmp_path, capfd, damaged):
    """libkdumpfile maps the file, and reads behind its end."""
    status, out, err = asked(kernel, tmp_path, capfd, damaged(kernel), "report")
    assert (status, out) == (1, "")
    assert err == "gdbfpu: CORE is damaged, or was cut off: reading it ended with SIGBUS\n"


def test_vmcoreinfo_that_is_no_text(kernel, tmp_path, capfd):
    _, memory, info = kernel
    data = dump_files.kdump(memory, info.replace(b"OSRELEASE", b"X=\xff\nOSRELEASE"), "zlib")
    status, out, err = asked(kernel, tmp_path, capfd, data, "report")
    assert (status, err) == (0, "")
    assert "ymmall" in out
