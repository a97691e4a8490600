# SPDX-License-Identifier: GPL-2.0-or-later
"""Memory that lies: no audit of it raises anything but GdbFpuError, or reads without end."""

from __future__ import annotations

import random
from contextlib import suppress

import pytest
from audit_machines import (
    BITS,
    COMPACTED,
    FPSTATE_AT,
    M44,
    M49,
    M66,
    M310,
    M510,
    M616,
    PERM,
    SIZE,
    SYMBOLS,
    TASK_FPSTATE,
    M41Xsaves,
    frame,
)
from fake_kernel import CPU_OFFSETS

from gdbfpu.audit.bytemap import map_json, map_table, read_map
from gdbfpu.audit.engine import Audit, apply
from gdbfpu.audit.inject import FRAME_WRITES, WRITES, frame_writes, writes_for
from gdbfpu.audit.rule import Scope
from gdbfpu.audit.text import audit_json, audit_sarif, audit_table
from gdbfpu.errors import GdbFpuError, UsageError
from gdbfpu.fpu.xstate import MAX_IMAGE
from gdbfpu.text.screen import PLAIN, Screen

EVERY = b"\xff" * 8
NOWHERE = 0xDEAD000000000000
MACHINES = (M310, M41Xsaves, M44, M49, M510, M66)
STACK = 0x7FFD5C965140


def survive(m):
    """Look at all there is; return the audit."""
    m.target.reads.clear()
    said = m.whole()
    assert isinstance(said, Audit)
    assert sum(length for _, length in m.target.reads) < 20 * MAX_IMAGE
    assert max(length for _, length in m.target.reads) <= MAX_IMAGE
    for render in (audit_json, audit_sarif):
        render(said, True)
    audit_table(said, True, Screen(colour=True))
    for task in (m.alice, m.bob):
        snapshot = m.snapshot()
        for scope in ("sanitize", "fork", "exec", "sigreturn", "fault"):
            apply(Scope(scope), m.task(task), snapshot, snapshot.view)
        try:
            snapshot = m.snapshot(gaps=True)
            found = read_map(snapshot, snapshot.view(m.task(task)))
            map_table(found, True)
            map_json(found, True)
        except GdbFpuError:
            pass
        snapshot = m.snapshot()
        for rule in WRITES:
            try:
                writes_for(snapshot, rule, snapshot.view(m.task(task)))
            except GdbFpuError:
                continue
    return said


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(
    "words",
    [
        EVERY + EVERY,
        bytes(8) + EVERY,
        EVERY + COMPACTED.to_bytes(8, "little"),
        bytes(7) + b"\x40" + bytes(7) + b"\xc0",
    ],
)
def test_headers(machine, words):
    m = machine()
    m.poke(m.alice, 512, words + b"\xff" * 48)
    said = survive(m)
    rules = {f.rule for f in said.findings if f.subject.startswith("alice")}
    assert "XCOMP" in rules
    assert said.verdict == "findings"


@pytest.mark.parametrize("machine", [M66, M616])
@pytest.mark.parametrize("size", [0, 511, 512, 575, 576, MAX_IMAGE, MAX_IMAGE + 1, (1 << 32) - 1])
def test_sizes(machine, size):
    m = machine()
    m.fpstate(m.bob, SIZE, size, 4)
    said = survive(m)
    told = [one.subject for one in said.undecided if one.why.startswith("not read")]
    unreadable = not 512 <= size <= 4000  # bytes that are there
    assert ("bob (pid 11)" in told) is unreadable


@pytest.mark.parametrize("machine", [M66, M616, M310])
@pytest.mark.parametrize("pointer", [0, 1, NOWHERE, (1 << 64) - 64])
def test_pointers_to_states(machine, pointer):
    m = machine()
    where = 8 if machine is M310 else FPSTATE_AT
    for task in (m.alice, m.bob):
        m.in_fpu(task, where, pointer)
    said = survive(m)
    told = {one.subject for one in said.undecided if one.why.startswith("not read")}
    if machine is M310 and pointer == 0:  # a task that never used the FPU
        assert told == set()
    else:
        assert {"alice (pid 10)", "bob (pid 11)"} <= told


@pytest.mark.parametrize("machine", [M66, M616])
def test_a_guest_state_that_points_nowhere(machine):
    for pointer in (1, NOWHERE, (1 << 64) - 8):
        m = machine()
        m.in_fpu(m.bob, TASK_FPSTATE, pointer)
        survive(m)


@pytest.mark.parametrize("machine", MACHINES)
def test_owners_that_are_no_tasks(machine):
    m = machine()
    name = "fpu_owner_task" if issubclass(machine, M310) else "fpu_fpregs_owner_ctx"
    for value in (1, NOWHERE, (1 << 64) - 1):
        m.target.put_int(m.in_cpu(name, 0), value)
        if issubclass(machine, M310):
            m.in_fpu(m.alice, 4, 0, 4)
        elif machine in (M44,):
            m.in_fpu(m.alice, 5, 0, 1)
        said = survive(m)
        told = {f.rule for f in said.findings} - {"SANOFF"}
        assert told <= {"LAZYFP", "OWNER"} and len(told) == 1
        lazy = [f.read for f in said.findings if f.rule == "LAZYFP"]
        assert all(read.endswith("the registers of a task that has ended") for read in lazy)


@pytest.mark.parametrize("machine", MACHINES)
def test_running_tasks_that_are_nowhere(machine):
    m = machine()
    m.target.put_int(CPU_OFFSETS[1] + SYMBOLS["current_task"], NOWHERE)
    said = survive(m)
    told = {(one.rule, one.subject) for one in said.undecided}
    assert {("READ", "CPU 1"), ("TWICE", "the kernel")} <= told
    assert said.findings == () or machine is M41Xsaves


@pytest.mark.parametrize("machine", [M66, M616])
def test_every_bit_of_a_state_set(machine):
    m = machine()
    start = m.at(m.bob) - m.inside
    m.target.put(start, b"\xff" * 40)
    m.fpstate(m.bob, SIZE, 960, 4)
    m.in_fpu(m.bob, PERM, (1 << 64) - 1)
    m.target.put_int(m.bob + 1648, (1 << 64) - 1)
    said = survive(m)
    assert {"AMXBUF", "GUEST", "XCOMP2", "XFD3"} <= {f.rule for f in said.findings}
    m.fpstate(m.bob, BITS, 0xFFFFFFFF, 4)
    survive(m)


@pytest.mark.parametrize("machine", MACHINES)
def test_tables_of_the_kernel(machine):
    """Offsets and sizes that lead out of every area."""
    for value in (0, 1, 0xFFFFFFFE):
        m = machine()
        for name in ("xstate_offsets", "xstate_sizes"):
            m.put(name, 0)
            m.target.put(m.target.symbols[name] + 0x400000, value.to_bytes(4, "little") * 20)
            m.target.symbols[name] += 0x400000
            m.target.sizes[name] = 80
        survive(m)


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("seed", range(2))
def test_noise(machine, seed):
    """Areas, heads and per-CPU words of any value."""
    chosen = random.Random(f"{machine.__name__} {seed}")
    m = machine()
    m.target.put(m.at(m.alice), chosen.randbytes(800))
    m.target.put(m.fpu(m.bob), chosen.randbytes(16))
    for start, data in list(m.target.ranges.items()):
        if len(data) in (1, 8) and start in {at for at in m.target.ranges if at > CPU_OFFSETS[0]}:
            m.target.put(start, chosen.randbytes(len(data)))
    try:
        said = m.whole()
    except GdbFpuError:
        return  # no kernel at all
    assert isinstance(said, Audit)


def test_noise_in_areas_is_found():
    """An area of random bytes cannot pass."""
    for machine in MACHINES:
        m = machine()
        m.target.put(m.at(m.alice), random.Random(machine.__name__).randbytes(800))
        assert {f.rule for f in survive(m).findings} >= {"XCOMP", "MXCSR"}


# --- frames


def look(m, image, **more):
    said = m.frame(bytes(image), **more)
    audit_table(said, True, PLAIN)
    return {f.rule for f in said.findings}


@pytest.mark.parametrize("machine", [M44, M510, M66, M49])
def test_frames_cut_anywhere(machine):
    m = machine()
    whole = bytes(frame(832, 7, 7, {}))
    for size in (*range(1, 40, 13), *range(440, 600, 7), 700, 832, 835):
        rules = look(m, whole[:size])
        assert "FRAME" in rules
    assert "FRAME" not in look(m, whole) or machine is not M44


@pytest.mark.parametrize("machine", [M44, M510, M66])
@pytest.mark.parametrize("ia32", [False, True])
def test_frames_that_lie(machine, ia32):
    m = machine()
    base = 112 if ia32 else 0
    for place in (464, 468, 472, 480, 512, 520, 528):
        for value in (EVERY, bytes(8), b"\1" + bytes(7), b"\0\0\0\x80" + bytes(4)):
            image = frame(832, 7, 7, {}, ia32=ia32)
            image[base + place : base + place + 8] = value
            look(m, image, before=m.peek(m.alice, 0, 832), past=(b"\1" * 64, b"\1" * 64))
            for rule in FRAME_WRITES:
                with suppress(UsageError):  # FRAME32 is of 32-bit frames
                    frame_writes(rule, STACK, bytes(image))


@pytest.mark.parametrize("seed", range(8))
def test_frames_of_noise(seed):
    chosen = random.Random(seed)
    m = (M44, M510, M66, M49)[seed % 4]()
    for size in (1, 500, 832, 2700):
        image = bytearray(chosen.randbytes(size))
        look(m, image, registers={"xmm0": bytes(16)})
        if size > 468:
            image[464:468] = b"\x53\x58\x50\x46"  # FP_XSTATE_MAGIC1
            look(m, image, before=bytes(chosen.randbytes(100)))
            look(m, image, before=bytes(chosen.randbytes(832)))
