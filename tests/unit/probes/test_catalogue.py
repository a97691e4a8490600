# SPDX-License-Identifier: GPL-2.0-or-later
"""The catalogue of probes, and the choice among them."""

from __future__ import annotations

import pytest
from fake import FakeTarget

from gdbfpu.errors import MissingSymbol, UsageError
from gdbfpu.kernel.stubs import QEMU
from gdbfpu.probes.catalogue import CATALOGUE, select, unavailable
from gdbfpu.probes.jobs import GROUPS, Job

SIGFRAME, SANITIZE = "copy_fpstate_to_sigframe", "fpstate_sanitize_xstate"


def kernel_with(**addresses):
    target = FakeTarget()
    target.symbols = addresses
    return target


def chosen(target, names=()):
    return [(probe.function, address) for probe, address in select(target, names)]


@pytest.fixture
def target():
    return kernel_with(**{SANITIZE: 0x2000, SIGFRAME: 0x1000, "save_xstate_sig_not": 0x3000})


def test_all_that_the_kernel_has(target):
    assert chosen(target) == [(SIGFRAME, 0x1000), (SANITIZE, 0x2000)]
    assert chosen(kernel_with(**{SIGFRAME: 0x1000})) == [(SIGFRAME, 0x1000)]
    old = kernel_with(save_xstate_sig=1, __sanitize_i387_state=2)
    assert chosen(old) == [("save_xstate_sig", 1), ("__sanitize_i387_state", 2)]


def test_named_ones_in_the_order_named_once_each(target):
    assert chosen(target, [SANITIZE]) == [(SANITIZE, 0x2000)]
    assert chosen(target, iter([SANITIZE, SIGFRAME, SANITIZE])) == [
        (SANITIZE, 0x2000),
        (SIGFRAME, 0x1000),
    ]


def test_a_function_at_address_zero_is_there():
    assert chosen(kernel_with(**{SIGFRAME: 0})) == [(SIGFRAME, 0)]


def test_unknown_name_is_refused_with_what_there_is(target):
    with pytest.raises(UsageError) as caught:
        select(target, [SIGFRAME, "schedule"])
    message = str(caught.value)
    assert "'schedule'" in message
    assert all(probe.function in message for probe in CATALOGUE)
    assert "\n" not in message


def test_function_that_this_kernel_lacks_is_named(target):
    with pytest.raises(MissingSymbol) as caught:
        select(target, [SIGFRAME, "save_xstate_sig"])
    assert caught.value.name == "save_xstate_sig"
    with pytest.raises(MissingSymbol) as caught:
        select(kernel_with(schedule=1))
    assert caught.value.name == SIGFRAME


@pytest.mark.parametrize(
    ("function", "subject", "registers"),
    [
        # int copy_fpstate_to_sigframe(void __user *buf, void __user *fp, int size), 4.2
        (SIGFRAME, "current", ("rdi", "rsi", "rdx")),
        # void fpstate_sanitize_xstate(struct fpu *fpu), 4.2
        (SANITIZE, "fpu", ("rdi",)),
        # int save_xstate_sig(void __user *buf, void __user *fx, int size), 3.7
        ("save_xstate_sig", "current", ("rdi", "rsi", "rdx")),
        # void __sanitize_i387_state(struct task_struct *), 2.6.35
        ("__sanitize_i387_state", "task", ("rdi",)),
        # void restore_fpregs_from_fpstate(struct fpstate *fpstate, u64 mask), 5.16
        ("restore_fpregs_from_fpstate", "current", ("rdi", "rsi")),
        # void __restore_fpregs_from_fpstate(union fpregs_state *fpstate, u64 mask), 5.14
        ("__restore_fpregs_from_fpstate", "current", ("rdi", "rsi")),
        # void fpstate_reset(struct fpu *fpu), 5.16
        ("fpstate_reset", "typed", ("rdi",)),
        # long fpu_xstate_prctl(struct task_struct *tsk, int option, unsigned long arg2), 5.16;
        # without tsk since 5.19
        ("fpu_xstate_prctl", "typed", ("rdi", "rsi", "rdx")),
        # void fpu_update_guest_xfd(struct fpu_guest *guest_fpu, u64 xfd), 5.17
        ("fpu_update_guest_xfd", "current", ("rdi", "rsi")),
        # void fpu_sync_guest_vmexit_xfd_state(void), 5.17
        ("fpu_sync_guest_vmexit_xfd_state", "current", ()),
        # void fpu_copy_guest_fpstate_to_uabi(struct fpu_guest *gfpu, void *buf, unsigned int size,
        # u64 xfeatures, u32 pkru), 6.6; without xfeatures since 5.16
        ("fpu_copy_guest_fpstate_to_uabi", "current", ("rdi", "rsi", "rdx", "rcx", "r8")),
        # int fpu_copy_uabi_to_guest_fpstate(struct fpu_guest *gfpu, const void *buf, u64 xcr0,
        # u32 *vpkru), 5.16
        ("fpu_copy_uabi_to_guest_fpstate", "current", ("rdi", "rsi", "rdx", "rcx")),
        # void fpu_idle_fpregs(void), 6.0
        ("fpu_idle_fpregs", "current", ()),
        # void fpu__resume_cpu(void), 4.2
        ("fpu__resume_cpu", "current", ()),
        # bool irq_fpu_usable(void), 3.3
        ("irq_fpu_usable", "current", ()),
    ],
)
def test_arguments_as_the_kernel_declares_them(function, subject, registers):
    (probe,) = [probe for probe in CATALOGUE if probe.function == function]
    assert (probe.subject, probe.registers) == (subject, registers)
    assert probe.job.purpose


def test_catalogue_names_each_function_once():
    functions = [probe.function for probe in CATALOGUE]
    assert len(set(functions)) == len(functions)
    assert {probe.subject for probe in CATALOGUE} <= {"current", "fpu", "task", "typed"}


# --- groups, jobs, and what this kernel's declarations say


def test_a_group_is_the_newest_function_of_each_of_its_jobs():
    names = ("switch_fpu_return", "copy_fpregs_to_fpstate", "__switch_to", SIGFRAME)
    target = kernel_with(**{name: at for at, name in enumerate(names, 1)})
    assert chosen(target, ()) == [(SIGFRAME, 4)]
    found = [(probe.function, address) for probe, address in select(target, (), ["switch"])]
    assert found == [("copy_fpregs_to_fpstate", 2), ("switch_fpu_return", 1)]
    both = select(target, ["__switch_to"], ["switch"])
    assert [probe.function for probe, _ in both] == [
        "__switch_to",
        "copy_fpregs_to_fpstate",
        "switch_fpu_return",
    ]


def test_a_group_that_this_kernel_has_nothing_of():
    with pytest.raises(MissingSymbol):
        select(kernel_with(**{SIGFRAME: 1}), (), ["xfd"])


def test_default_probes_are_of_the_signal_group_only():
    assert {probe.job.group for probe in CATALOGUE if probe.default} == {"signal"}
    assert set(GROUPS) == {
        *("signal", "switch", "load", "task", "ptrace", "kernel", "refused", "xfd", "kvm", "cpu"),
        "fault",
    }


def test_each_job_has_a_function():
    assert {probe.job for probe in CATALOGUE} == set(Job)


def test_declaration_tells_whose_state_it_is():
    """fpu__copy took two struct fpu up to 5.1, two tasks later; uabi_buf has its task third."""
    target = kernel_with(fpu__copy=1, copy_xstate_to_uabi_buf=2, exit_thread=3)
    target.arguments = {"fpu__copy": ("rdi", "fpu"), "copy_xstate_to_uabi_buf": ("rdx", "task")}
    names = ["fpu__copy", "copy_xstate_to_uabi_buf", "exit_thread"]
    found = [(p.subject, p.register) for p, _ in select(target, names)]
    assert found == [("fpu", "rdi"), ("task", "rdx"), ("current", "rdi")]


def test_noinstr_code_is_refused_over_kgdb_only():
    target = kernel_with(
        exc_device_not_available=0x2500, __noinstr_text_start=0x2000, __noinstr_text_end=0x2600
    )
    with pytest.raises(UsageError, match="exc_device_not_available cannot be probed: noinstr"):
        select(target, ["exc_device_not_available"])
    with pytest.raises(MissingSymbol):
        select(target, (), ["switch"])
    target.symbols["exc_device_not_available"] = 0x2600
    assert chosen(target, ["exc_device_not_available"]) == [("exc_device_not_available", 0x2600)]
    target.symbols["exc_device_not_available"] = 0x2000
    target.stub = QEMU
    assert chosen(target, ["exc_device_not_available"]) == [("exc_device_not_available", 0x2000)]


def test_declaration_is_asked_where_kernels_differ_only():
    target = kernel_with(**{SIGFRAME: 1, SANITIZE: 2})
    target.arguments = {SIGFRAME: ("rsi", "task"), SANITIZE: ("rsi", "task")}
    found = [(probe.subject, probe.register) for probe, _ in select(target)]
    assert found == [("current", "rdi"), ("fpu", "rdi")]


@pytest.mark.parametrize(("address", "refused"), [(1, 0), (2, 1), (5, 1), (6, 0)])
def test_bounds_of_noinstr_code(address, refused):
    target = kernel_with(xstateregs_get=address, __noinstr_text_start=2, __noinstr_text_end=6)
    (probe,) = [probe for probe in CATALOGUE if probe.function == "xstateregs_get"]
    expected = "noinstr: KGDB refuses breakpoints there" if refused else ""
    assert unavailable(target, probe) == expected


@pytest.mark.parametrize("end", ["start", "end"])
def test_kernel_without_noinstr_code(end):
    target = kernel_with(xstateregs_get=5, **{f"__noinstr_text_{end}": 5})
    assert chosen(target, ["xstateregs_get"]) == [("xstateregs_get", 5)]


def test_group_passes_over_what_kgdb_refuses():
    target = kernel_with(
        xstateregs_set=5, xstateregs_get=9, __noinstr_text_start=2, __noinstr_text_end=6
    )
    found = [probe.function for probe, _ in select(target, (), ["ptrace"])]
    assert found == ["xstateregs_get"]


def test_why_a_probe_is_unavailable():
    target = kernel_with(**{SIGFRAME: 1, "xfpregs_get": 2})
    target.inlined = {"fpu__drop": (0x1234, 0x5678)}
    said = {probe.function: unavailable(target, probe) for probe in CATALOGUE}
    assert said[SIGFRAME] == said["xfpregs_get"] == ""
    assert said["save_xstate_sig"] == f"not in this kernel; use {SIGFRAME}"
    assert said["fpu__drop"] == "inlined at 0x1234, 0x5678"
    assert said[SANITIZE] == "not in this kernel"
