# SPDX-License-Identifier: GPL-2.0-or-later
"""`gdbfpu show` and `gdbfpu diff`. The images are made by hand, so each register is known."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from event_files import HIT, OTHER, SANITIZE, SIGFRAME, written
from fpu_images import xsave

ONES, TWOS = b"\x11" * 16, b"\x22" * 16
IMAGE = xsave(3, fcw=0x27F, xmm=(ONES,), mxcsr=0x1FA0)
LATER = xsave(3, fcw=0x27F, xmm=(ONES, TWOS))
FULL = {**HIT, "xfeatures": "0x3", "components": ["x87", "SSE"], "live": False, "raw": IMAGE.hex()}
TRACED = {**FULL, "seq": 2, "function": SANITIZE, "caller_pid": 77, "caller_comm": "gdb",
          "raw": LATER.hex(), "backtrace": ["xfpregs_get", "ptrace_request"]}  # fmt: skip
AUDIT = {
    "of": 2, "pid": 30, "undecided": [], "cleaned": {},
    "findings": [{"rule": "STALE", "why": "AVX has 32 stale bytes"}],
}  # fmt: skip
FRAME = {"use_of": 1, "task": HIT["task"], "pid": 30, "uses_fpu": True, "why": "SSE in the frame"}


@pytest.fixture
def file(tmp_path):
    return written(tmp_path / "hits", FULL, FRAME, {**OTHER, "seq": 3}, TRACED, AUDIT)


def gdbfpu(*words, given=b""):
    command = [sys.executable, "-m", "gdbfpu", *map(str, words)]
    environment = {**os.environ, "TZ": "UTC"}
    done = subprocess.run(command, capture_output=True, input=given, env=environment, timeout=30)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def test_a_hit_is_shown_whole(file):
    status, text, said = gdbfpu("show", file, "--hit", 1)
    assert (status, said) == (0, "")
    assert text.splitlines()[:8] == [
        "hit        1 on CPU 1 at 1970-01-01 00:00:00.000",
        "task       Xorg (pid 30, tgid 29), task_struct 0xffff888000001000, struct fpu "
        "0xffff888000001700",
        f"path       {SIGFRAME} < get_sigframe",
        "registers  in memory",
        "xfeatures  0x3 x87|SSE",
        "xcomp_bv   0x0",
        "uses FPU   yes: SSE in the frame",
        "",
    ]
    rows = {line.split()[0]: line for line in text.splitlines() if line and line[0] != " "}
    assert ONES.hex() in rows["xmm0"]
    assert "7f02" in rows["fcw"]


def test_a_hit_of_a_tracer_with_its_audit(file):
    status, text, _ = gdbfpu("show", file, "--hit", 2)
    lines = text.splitlines()
    assert status == 0
    assert f"path       {SANITIZE} < xfpregs_get < ptrace_request" in lines
    assert "running    gdb (pid 77)" in lines
    assert "audit      STALE: AVX has 32 stale bytes" in lines


def test_a_hit_as_json(file):
    status, text, _ = gdbfpu("show", file, "--hit", 2, "--format", "json")
    shown = json.loads(text)
    image = shown.pop("image")
    assert (status, image["registers"]["xmm1"]["bytes"]) == (0, TWOS.hex())
    assert shown == {
        "seq": 2, "time_ns": 1000, "function": SANITIZE, "pid": 30, "tgid": 29, "comm": "Xorg",
        "backtrace": ["xfpregs_get", "ptrace_request"], "cpu": 1, "task": HIT["task"],
        "fpu": HIT["fpu"], "live": False, "caller_pid": 77, "caller_comm": "gdb", "uses_fpu": True,
        "why": "AVX values in memory at hit 1", "findings": ["STALE: AVX has 32 stale bytes"],
    }  # fmt: skip


def test_a_hit_without_registers_says_so(file):
    status, text, _ = gdbfpu("show", file, "--hit", 3)
    assert status == 0
    assert text.splitlines()[-1] == "image      not recorded: use `fpu-trace on --state full`"


def test_a_hit_whose_registers_were_live_says_that_memory_is_older(tmp_path):
    file = written(tmp_path / "hits", {**FULL, "live": True})
    _, text, _ = gdbfpu("show", file, "--hit", 1)
    assert "registers  live in CPU 1" in text.splitlines()
    assert "note       the image is from memory: the CPU has newer registers" in text.splitlines()


def test_registers_of_the_cpu_take_the_place_of_older_ones(tmp_path):
    live = {"xmm1": "ab" * 16, "ftw": "03"}
    file = written(tmp_path / "hits", {**FULL, "live": True, "registers": live})
    _, text, _ = gdbfpu("show", file, "--hit", 1)
    assert "newer registers" not in text
    rows = {line.split()[0]: line.split() for line in text.splitlines() if line[:1].strip()}
    assert rows["xmm1"][-2:] == ["ab" * 16, "CPU"]
    assert rows["ftw"][-2:] == ["03", "CPU"]
    assert rows["xmm2"][-1] == rows["mxcsr"][-1] == "memory"
    _, text, _ = gdbfpu("show", file, "--hit", 1, "--format", "json")
    shown = json.loads(text)["image"]["registers"]
    assert (shown["xmm1"]["bytes"], shown["xmm1"]["source"]) == ("ab" * 16, "CPU")
    assert shown["mxcsr"]["source"] == "memory"


@pytest.mark.parametrize(
    "registers", [[], "xmm1", {"xmm1": 1}, {"xmm1": "zz"}, {"xmm1": "00"}, {"xmm99": "00" * 16},
                  {f"r{i}": "00" for i in range(200)}],
)  # fmt: skip
def test_registers_that_are_none_make_a_line_corrupt(tmp_path, registers):
    file = written(tmp_path / "hits", FULL, {**FULL, "seq": 2, "registers": registers})
    _, _, said = gdbfpu("show", file, "--hit", 2)
    assert "hit 2" in said
    assert "Traceback" not in said


def test_only_changed_registers_are_shown(file):
    status, text, said = gdbfpu("diff", file, 1, 2)
    assert (status, said) == (0, "")
    names = [line.split()[0] for line in text.splitlines()[5:] if line and line[0] != " "]
    assert names == ["mxcsr", "xmm1"]
    assert text.splitlines()[3].split() == ["register", "hit", "1", "hit", "2"]
    _, text, _ = gdbfpu("diff", file, 1, 2, "--component", "x87")
    assert "no register differs" in text.splitlines()


def test_each_hit_of_a_task_against_the_one_before(tmp_path):
    third = {**TRACED, "seq": 5, "raw": IMAGE.hex()}
    file = written(tmp_path / "hits", FULL, {**OTHER, "seq": 2}, {**TRACED, "seq": 4}, third)
    status, text, _ = gdbfpu("diff", file, "--task", 30)
    heads = [line.split()[1] for line in text.splitlines() if line.startswith("hit ")]
    assert (status, heads) == (0, ["1", "4", "4", "5"])
    assert text.count("mxcsr") == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("show", "--hit", 9), "hits has no hit 9: the last is 2"),
        (("diff", 1, 9), "hits has no hit 9: the last is 2"),
        (("diff", 1, 3), "hit 3 has no registers: record them with `fpu-trace on --state full`"),
        (("diff", 1), "give the numbers of two hits, or --task PID"),
        (("diff",), "give the numbers of two hits, or --task PID"),
        (("diff", "--task", 99), "hits has 0 hits of pid 99: two are needed"),
        (("diff", "--task", 31), "hits has 1 hit of pid 31: two are needed"),
        (("diff", 1, 2, "--component", "axv"), "the image has no component 'axv'; it has x87, SSE"),
        (("diff", 1, 2, "--task", 30), "A and --task cannot be combined; see `gdbfpu diff --help`"),
    ],
)
def test_what_cannot_be_shown(file, words, said):
    command, *rest = words
    status, text, error = gdbfpu(command, file, *rest)
    assert (status, text) == (1, "")
    assert error.replace(f"{file.parent}/", "") == f"gdbfpu: {said}\n"


@pytest.mark.parametrize(
    ("raw", "why"), [("xyz", "`raw` is not an image: "), (5, "`raw` is not a string")]
)
def test_registers_that_are_none(tmp_path, raw, why):
    file = written(tmp_path / "hits", {**FULL, "raw": raw}, TRACED)
    status, text, said = gdbfpu("show", file, "--hit", 1)
    assert (status, text) == (1, "")
    assert said.startswith(f"gdbfpu: {file} has no hit 1: the last is 2; line 2: {why}")


def test_an_image_that_is_cut_is_shown_with_its_defect(tmp_path):
    file = written(tmp_path / "hits", {**FULL, "raw": "00"})
    status, text, _ = gdbfpu("show", file, "--hit", 1)
    assert status == 0
    assert any(line.startswith("defect ") for line in text.splitlines())


def test_standard_input(file):
    status, text, _ = gdbfpu("show", "-", "--hit", 2, given=file.read_bytes())
    assert (status, text.split()[:2]) == (0, ["hit", "2"])
