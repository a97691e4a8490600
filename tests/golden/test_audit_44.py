# SPDX-License-Identifier: GPL-2.0-or-later
"""The audit over the 24 hits recorded on a real Linux 4.4.60: untouched, and with planted bytes."""

from __future__ import annotations

import json

import pytest
from fake_kernel import (
    COMMON,
    CPU_OFFSETS,
    FPU,
    FPU_44,
    GOLDEN,
    PF_KTHREAD,
    World,
    struct,
    task_struct,
)

from gdbfpu.audit.bytemap import read_map
from gdbfpu.audit.engine import apply, audit
from gdbfpu.audit.finding import Severity
from gdbfpu.audit.rule import Scope
from gdbfpu.audit.snapshot import Snapshot
from gdbfpu.audit.text import audit_json, audit_table, summary
from gdbfpu.fpu import model as fpu
from gdbfpu.kernel.tasks import Kernel
from gdbfpu.layouts.types import Layouts
from gdbfpu.text.screen import PLAIN

HITS = GOLDEN["hits"]
IDS = [f"{i}-{hit['comm']}" for i, hit in enumerate(HITS)]
XORG = next(hit for hit in HITS if hit["comm"] == "Xorg" and hit["header"]["xfeatures"] == 7)
SAVED = [hit for hit in HITS if hit["header"]["xfeatures"] == 7 and hit["comm"] != "Xorg"]
SAVED_IDS = [f"{HITS.index(hit)}-{hit['comm']}" for hit in SAVED]
MXCSR_MASK = XORG["fxsave"]["mxcsr_mask"]  # 0xffff: the CPU's, as every save wrote it
STATE = FPU + 64  # in task_struct
AVX = 576
LAYOUTS = Layouts(
    [
        task_struct(),
        *COMMON,
        FPU_44[0],
        struct("cpuinfo_x86", 200, ("x86", 0, 1), ("x86_vendor", 1, 1), ("x86_capability", 12, 76)),
    ]
)
FUNCTIONS = (
    *("copy_fpstate_to_sigframe", "fpu__restore_sig", "fpstate_sanitize_xstate", "fpu__copy"),
    *("fpu__clear", "fpregs_get", "xfpregs_get", "xstateregs_get"),
)


class Recorded:
    """The recorded machine at one hit: CPU 1 runs the task, and other programs sleep."""

    def __init__(self, hit, *others):
        self.world = World("qemu")
        self.target = self.world.target
        self.world.add(0, b"swapper/0", flags=PF_KTHREAD)
        self.task = self._add(hit)
        self.others = [self._add(other) for other in others]
        for other in self.others:  # who sleeps has no registers
            self.target.put_int(other + FPU + 5, 0, 1)
        owner = self.task if hit["fpu"]["fpregs_active"] else 0
        for i, name in enumerate(FUNCTIONS):
            self.target.symbols[name] = 0xFFFFFFFF81A00000 + 0x100 * i
        for place, name, values, size in (
            (0xD000, "fpu_fpregs_owner_ctx", (0, owner and owner + FPU), 8),
            (0xD010, "in_kernel_fpu", (0, 0), 1),
        ):
            self.target.symbols[name] = place
            for offset, value in zip(CPU_OFFSETS, values):
                self.target.put_int(offset + place, value, size)
        self.target.symbols["mxcsr_feature_mask"] = 0xFFFFFFFF84000000
        self.target.put_int(0xFFFFFFFF84000000, MXCSR_MASK, 4)
        self.world.run(self.world.groups[0][0], 0)
        self.world.run(self.task, 1)
        self.target.registers["rip"] = int(hit["pc"], 16)

    def _add(self, hit):
        return self.world.add(
            hit["pid"],
            hit["comm"].encode(),
            address=int(hit["fpu_address"], 16) - GOLDEN["offsets"]["fpu"],
            fpu=bytes.fromhex(hit["fpu_bytes"]),
        )

    def poke(self, offset, data, task=None):
        self.target.put((task or self.task) + STATE + offset, data)

    def snapshot(self):
        return Snapshot(fpu.probe(Kernel(self.target, LAYOUTS)))

    def audit(self):
        return audit(self.snapshot(), None, lambda count: None)

    def apply(self, scope):
        snapshot = self.snapshot()
        task = snapshot.model.kernel.task(self.task)
        return apply(Scope(scope), task, snapshot, snapshot.view)


def others_of(hit):
    """Another hit of each other program."""
    found = {other["comm"]: other for other in HITS if other["comm"] != hit["comm"]}
    return found.values()


@pytest.mark.parametrize("hit", HITS, ids=IDS)
def test_a_real_kernel_untouched_has_nothing_to_find(hit):
    machine = Recorded(hit, *others_of(hit))
    said = machine.audit()
    assert said.findings == ()
    assert said.kernel == GOLDEN["kernel"].strip()
    words = "fpu-audit: clean: 0 errors, 0 warnings, 0 notes in 4 tasks; 5 not decidable"
    assert summary(said) == words
    for scope in ("sanitize", "fork", "sigreturn"):
        assert machine.apply(scope) == []


@pytest.mark.parametrize("hit", SAVED, ids=SAVED_IDS)
def test_bytes_of_another_task_behind_a_cleared_bit(hit):
    """Xorg's upper halves: byte j of ymm[i] is ((i << 4) | j & 15) ^ 0xff; one of 256 is zero."""
    machine = Recorded(hit, XORG)
    machine.poke(AVX, bytes.fromhex(XORG["fpu_bytes"])[64 + AVX : 64 + 832])
    machine.poke(512, b"\3")
    said = machine.audit()
    (found,) = said.findings
    assert (found.rule, found.severity, found.component) == ("STALE", Severity.ERROR, "AVX")
    assert found.subject == f"{hit['comm']} (pid {hit['pid']})"
    assert found.address == machine.task + STATE + AVX
    assert found.read == (
        "255 of 256 bytes are not initial, from byte 576; the header's bit 2 is clear; "
        "256 bytes equal AVX of Xorg (pid 30)"
    )
    why = "the stale bytes reach user space unchanged through NT_X86_XSTATE and a core dump"
    assert found.why == why
    expected = bytes((i << 4 | k) ^ 0xFF for i in range(16) for k in range(16)).replace(b"\0", b"")
    assert found.evidence == expected
    assert said.verdict == "findings"


def test_a_part_of_another_tasks_bytes():
    """Two registers of Xorg's, from ymm4 on, in audiod's area."""
    hit = next(hit for hit in SAVED if hit["comm"] == "audiod")
    machine = Recorded(hit, XORG)
    machine.poke(512, b"\3")
    machine.poke(AVX + 64, bytes.fromhex(XORG["fpu_bytes"])[64 + AVX + 64 :][:32])
    (found,) = machine.audit().findings
    assert found.address == machine.task + STATE + 640
    assert found.read.startswith("32 of 256 bytes are not initial, from byte 640;")
    assert found.read.endswith("; 32 bytes equal AVX of Xorg (pid 30)")


@pytest.mark.parametrize("hit", SAVED, ids=SAVED_IDS)
def test_what_cleans_on_the_way_out_makes_it_a_note(hit):
    """fpu_user_xstate_size came with a register set that is cleaned (4.8)."""
    machine = Recorded(hit, XORG)
    machine.poke(AVX, bytes.fromhex(XORG["fpu_bytes"])[64 + AVX : 64 + 832])
    machine.poke(512, b"\3")
    machine.target.symbols["fpu_user_xstate_size"] = 0xFFFFFFFF84001000
    machine.target.put_int(0xFFFFFFFF84001000, 832, 4)
    said = machine.audit()
    assert [(f.rule, f.severity) for f in said.findings] == [("STALE", Severity.NOTE)]
    assert said.findings[0].why.startswith(
        "no path of this kernel copies the stale bytes unchanged"
    )
    assert said.verdict == "notes"


def test_a_tasks_own_stale_bytes_have_no_other_owner():
    machine = Recorded(XORG, *others_of(XORG))
    machine.poke(512, b"\3")
    (found,) = machine.audit().findings
    assert found.read == (
        "255 of 256 bytes are not initial, from byte 576; the header's bit 2 is clear"
    )


X87 = next(hit for hit in SAVED if hit["comm"] == "x87calc")


def test_the_x87_state_of_a_program_behind_a_cleared_bit():
    """x87calc: FCW 0x0b7f, FSW 0x1804, five registers: +inf, -0, -2.25, 1.5, pi."""
    machine = Recorded(X87, *others_of(X87))
    machine.poke(512, b"\6")
    (found,) = machine.audit().findings
    assert "equal" not in found.read  # MXCSR and its mask, beside the x87 words, are everybody's
    image = bytes.fromhex(X87["fpu_bytes"])[64:]
    state = [*range(5), *range(6, 24), *(32 + 16 * i + k for i in range(8) for k in range(10))]
    stale = [at for at in state if image[at] and (at, image[at]) not in ((0, 0x7F), (1, 3))]
    assert stale[:4] == [1, 2, 3, 4]  # 0x0b of FCW, FSW's two, the tags
    assert (found.component, found.address) == ("x87", machine.task + STATE + 1)
    assert found.read.startswith(f"{len(stale)} of 160 bytes are not initial, from byte 1;")
    # inf: 2 bytes, -0: 1, -2.25: 3, 1.5: 3, pi: 10
    values = {at // 16 - 2 for at in stale if at >= 32}
    assert values == {0, 1, 2, 3, 4}
    assert len([at for at in stale if 32 <= at < 48]) == 3  # 0x7fff and bit 63


@pytest.mark.parametrize("value", [b"\xff" * 8, (1 << 63 | 7).to_bytes(8, "little")])
@pytest.mark.parametrize("hit", HITS[:4], ids=IDS[:4])
def test_cve_2017_15537(hit, value):
    """PTRACE_SETREGSET and sigreturn let a user set xcomp_bv: the next XRSTOR faults."""
    machine = Recorded(hit, *others_of(hit))
    machine.poke(520, value)
    (found,) = machine.audit().findings
    assert (found.rule, found.severity) == ("XCOMP", Severity.ERROR)
    assert found.address == machine.task + STATE + 520
    number = int.from_bytes(value, "little")
    assert found.read == (
        f"xcomp_bv is {number:#x}, but the kernel saves in the standard format, where it must be 0"
    )
    assert found.why.startswith(
        "XRSTOR faults (#GP) on this header, and the CPU keeps the registers"
    )
    assert found.evidence == value
    assert [f.rule for f in machine.apply("sigreturn")] == ["SIGREST"]


@pytest.mark.parametrize("place", [528, 536, 575])
def test_cve_2017_15537_reserved_bytes(place):
    machine = Recorded(X87)
    machine.poke(place, b"\x80")
    (found,) = machine.audit().findings
    assert (found.rule, found.address) == ("XCOMP", machine.task + STATE + place)
    assert found.read == f"reserved bytes of the header are not zero, from byte {place}"


@pytest.mark.parametrize("hit", HITS, ids=IDS)
def test_every_byte_of_a_real_area_has_a_name(hit):
    machine = Recorded(hit)
    snapshot = Snapshot(machine.snapshot().model, gaps=True)
    found = read_map(snapshot, snapshot.view(snapshot.model.kernel.task(machine.task)))
    used = bool(hit["header"]["xfeatures"])
    kinds = {"in use" if used else "initial", "in use", "reserved", "padding", "header"}
    assert {piece.kind for piece in found.pieces} == kinds
    assert sum(piece.end - piece.start for piece in found.pieces) == 832
    named = {piece.component for piece in found.pieces}
    assert named == {"x87", "SSE", "AVX", "MXCSR and its mask", "reserved", "software", ""}
    assert {piece.dirty for piece in found.pieces} == {0}
    assert {copied for _, copied in found.paths} == {0}


def test_the_map_of_planted_bytes():
    machine = Recorded(X87, XORG)
    machine.poke(AVX, bytes.fromhex(XORG["fpu_bytes"])[64 + AVX : 64 + 832])
    machine.poke(512, b"\3")
    snapshot = machine.snapshot()
    found = read_map(snapshot, snapshot.view(snapshot.model.kernel.task(machine.task)))
    tail = [(p.start, p.end, p.kind, p.component, p.dirty) for p in found.pieces[-2:]]
    assert tail == [(576, 831, "stale", "AVX", 255), (831, 832, "initial", "AVX", 0)]
    assert {way.name: copied for way, copied in found.paths if copied} == {
        "NT_X86_XSTATE": 255,
        "a core dump": 255,
        "fork": 255,  # lazily switched
    }


def test_no_byte_of_xorgs_is_in_an_answer():
    machine = Recorded(X87, XORG)
    theirs = bytes.fromhex(XORG["fpu_bytes"])[64 + AVX : 64 + 832]
    machine.poke(AVX, theirs)
    machine.poke(512, b"\3")
    said = machine.audit()
    assert theirs[16:32].hex() in json.dumps(audit_json(said, True))
    hidden = json.dumps(audit_json(said, False)) + audit_table(said, False, PLAIN)
    for at in range(0, 252, 4):
        assert theirs[at : at + 4].hex() not in hidden
        assert theirs[at : at + 4].hex(" ") not in hidden
