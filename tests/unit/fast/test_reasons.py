# SPDX-License-Identifier: GPL-2.0-or-later
"""Each reason not to divert, and its line."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fake import FakeTarget
from fake_kernel import CPU_OFFSETS, World, layouts_44, struct

from gdbfpu.errors import MemoryFault, UsageError
from gdbfpu.fast.refusals import check_kernel, diverted_window
from gdbfpu.kernel.tasks import Kernel
from gdbfpu.layouts.types import Layouts
from gdbfpu.probes.catalogue import Probe
from gdbfpu.probes.jobs import Job

ENTRY = 0xFFFFFFFF8101D3C0
LOCKED, MODE, XEN = 0xFFFFFFFF82500000, 0xFFFFFFFF82500010, 0xFFFFFFFF82500020
FENTRY = bytes.fromhex("0f1f440000")  # the 5 bytes for ftrace
PUSHES = bytes.fromhex("55 4889e5 4156")  # push %rbp; mov %rsp,%rbp; push %r14
BODY = bytes.fromhex("4889f8 31c0 c3")
CURRENT = Probe("copy_fpstate_to_sigframe", Job.SAVE_FRAME, "current", 3, "4.2")
OF_FPU = Probe("fpstate_sanitize_xstate", Job.SANITIZE, "fpu", 1, "4.2")


@pytest.fixture
def kernel():
    return Kernel(World().target, layouts_44())


def window(kernel, code=PUSHES + BODY, probe=CURRENT, patched=()):
    return diverted_window(kernel, probe, code, ENTRY, frozenset(patched))


def why(kernel, **how):
    with pytest.raises(UsageError) as caught:
        window(kernel, **how)
    start = f"{how.get('probe', CURRENT).function} cannot be diverted: "
    assert str(caught.value).startswith(start)
    return str(caught.value).removeprefix(start)


# --- the kernel


def test_a_kernel_that_may_be_diverted(kernel):
    check_kernel(kernel, Layouts([]))


@pytest.mark.parametrize("level", [1, 2, 27, 0xFFFFFFFF])
def test_lockdown(kernel, level):
    kernel.target.symbols["kernel_locked_down"] = LOCKED
    kernel.target.put_int(LOCKED, 0, 4)
    check_kernel(kernel, Layouts([]))
    kernel.target.put_int(LOCKED, level, 4)
    with pytest.raises(UsageError) as caught:
        check_kernel(kernel, Layouts([]))
    assert str(caught.value) == (
        "this kernel is locked down (lockdown=), which forbids such writes"
    )


def test_lockdown_that_cannot_be_read(kernel):
    kernel.target.symbols["kernel_locked_down"] = LOCKED
    with pytest.raises(MemoryFault):
        check_kernel(kernel, Layouts([]))


def test_indirect_branch_tracking(kernel):
    types = Layouts([struct("tlb_state", 16, ("cr4", 8, 8))])
    kernel.target.symbols["cpu_tlbstate"] = 0x9000
    kernel.target.put_int(CPU_OFFSETS[0] + 0x9008, 0x3506F0)
    check_kernel(kernel, types)
    kernel.target.put_int(CPU_OFFSETS[0] + 0x9008, 0xB506F0)
    with pytest.raises(UsageError) as caught:
        check_kernel(kernel, types)
    assert str(caught.value) == (
        "the CPU checks indirect calls (IBT), so a debugger cannot make one"
    )


@pytest.mark.parametrize(("domain", "refused"), [(0, False), (1, True), (2, False)])
def test_a_xen_pv_guest(kernel, domain, refused):
    """include/xen/xen.h: XEN_NATIVE, XEN_PV_DOMAIN, XEN_HVM_DOMAIN."""
    kernel.target.symbols["xen_domain_type"] = XEN
    kernel.target.put_int(XEN, domain, 4)
    if not refused:
        check_kernel(kernel, Layouts([]))
        return
    with pytest.raises(UsageError) as caught:
        check_kernel(kernel, Layouts([]))
    assert str(caught.value) == (
        "this is a Xen PV guest, whose kernel cannot turn interrupts off itself"
    )


# --- a function


@pytest.mark.parametrize(
    ("code", "count"), [(PUSHES + BODY, 3), (FENTRY + BODY, 1), (b"\xf3\x0f\x1e\xfa" + FENTRY, 1)]
)
def test_what_a_jump_replaces(kernel, code, count):
    found = window(kernel, code=code)
    start = 4 if code[:4] == b"\xf3\x0f\x1e\xfa" else 0
    assert (found.address, found.instructions) == (ENTRY + start, count)
    assert found.code == code[start : start + len(found.code)]
    assert len(found.code) >= 5


@pytest.mark.parametrize("name", ["noinstr_text", "kprobes_text", "entry_text"])
def test_entry_code_and_what_kprobes_must_not_touch(kernel, name):
    kernel.target.symbols[f"__{name}_start"] = ENTRY
    kernel.target.symbols[f"__{name}_end"] = ENTRY + 1
    assert why(kernel) == "it is entry code, or kprobes must not touch it either (noinstr)"
    kernel.target.symbols[f"__{name}_end"] = ENTRY
    window(kernel)


@pytest.mark.parametrize(
    "symbol", ["x86_fpu_cache", "kvm_load_guest_fpu", "__ksymtab_fpstate_sanitize_xstate"]
)
def test_the_state_of_a_guest(kernel, symbol):
    """KVM is part of the kernel, or a module that the kernel offers the function."""
    kernel.target.symbols[symbol] = 0xFFFFFFFF82600000
    kernel.target.symbols["__ksymtab_something_else"] = 0xFFFFFFFF82600010
    assert why(kernel, probe=OF_FPU) == (
        "KVM calls it for the state of a guest, which is in no task"
    )
    window(kernel)
    del kernel.target.symbols[symbol]
    window(kernel, probe=OF_FPU)


def test_a_task_that_is_not_initialised(kernel):
    assert why(kernel, probe=replace(CURRENT, on_raw=True)) == (
        "its task is not initialised yet when it begins"
    )


@pytest.mark.parametrize("mode", [None, 1, 2])
def test_preemption(kernel, mode):
    """A task may have been preempted between two instructions, but not within one."""
    kernel.target.symbols["preempt_schedule"] = ENTRY + 0x1000
    if mode is not None:
        kernel.target.symbols["preempt_dynamic_mode"] = MODE
        kernel.target.put_int(MODE, mode, 4)
    if mode == 1:
        window(kernel)
    else:
        assert why(kernel) == (
            "this kernel preempts: a task may wait between its first instructions"
        )
    assert window(kernel, code=FENTRY + BODY).instructions == 1


@pytest.mark.parametrize("at", [0, 1, 4, 5])
def test_a_static_key_in_the_first_instructions(kernel, at):
    said = "the kernel patches its first instructions itself (static key)"
    assert why(kernel, patched=[ENTRY - 1, ENTRY + at]) == said
    window(kernel, patched=[ENTRY - 1, ENTRY + 6, 0])


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (b"\xc3", "`ret` is in its first bytes, which cannot be executed elsewhere"),
        (b"\xcc" + BODY, "a breakpoint of somebody else is in its first bytes"),
        (b"\x55\x90", "its first 2 bytes leave no room for a jump of 5"),
        (b"", "its first 0 bytes leave no room for a jump of 5"),
        (b"\x48\x8b\x05\0\0\0\0" + BODY, "`mov rax, qword ptr [rip]` is in its first bytes, which "
         "reads relative to rip"),
        (b"\xe8\1\0\0\0" + BODY, "its first instruction is a jump or a call: ftrace or a kprobe "
         "has it"),
        (PUSHES + b"\x06", "its byte 0x6 begins no instruction that capstone knows"),
        (PUSHES + b"\xeb\xf9", "the function jumps back into its first 6 bytes"),
    ],
)  # fmt: skip
def test_what_the_instructions_forbid(kernel, code, said):
    """The window's own reasons are told with the function's name."""
    assert why(kernel, code=code) == said


def test_nothing_is_read_but_what_the_reasons_need():
    target = FakeTarget()
    world = World(target=target)
    kernel = Kernel(world.target, layouts_44())
    target.reads.clear()
    target.writes.clear()
    window(kernel)
    check_kernel(kernel, Layouts([]))
    assert target.reads == target.writes == []
