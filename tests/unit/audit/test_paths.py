# SPDX-License-Identifier: GPL-2.0-or-later
"""The ways out of an area, kernel by kernel, as those kernels' sources have them."""

from __future__ import annotations

import pytest
from audit_machines import M44, M49, M66, M310, M510, M517, M616, SYMBOLS, M44Eager, struct

from gdbfpu.audit.paths import export_paths, inherit_paths
from gdbfpu.layouts.types import Layouts

RAW, CLEAN = True, False


def paths(m):
    snapshot = m.snapshot()
    found = (*export_paths(snapshot), *inherit_paths(snapshot))
    return {path.name: (path.function, path.raw) for path in found}


def expected(frame, notes, xstate, dump, fork, exec_):
    """The ways by name; `notes` tells whether NT_PRFPREG and its like are raw."""
    return {
        "a signal frame": frame,
        "NT_PRFPREG": ("xfpregs_get", notes),
        "NT_PRFPREG of a 32-bit task": ("fpregs_get", notes),
        "NT_PRXFPREG of a 32-bit task": ("xfpregs_get", notes),
        "NT_X86_XSTATE": ("xstateregs_get", xstate),
        "a core dump": ("xfpregs_get and fpregs_get and xstateregs_get", dump),
        "fork": fork,
        "exec": exec_,
    }


def eager310():
    m = M310()
    m.target.put_int(SYMBOLS["boot_cpu_data"] + 12 + 4 * 3, 1 << 29, 4)
    return m


def without_counter(machine):
    """4.4.178 and 4.9: no lazy switching, no counter."""
    m = machine()
    m.layouts = Layouts(
        struct("fpu", 3904, *((x.name, x.offset, x.size) for x in s.members if x.name != "counter"))
        if s.name == "fpu"
        else s
        for s in map(m.layouts.struct, m.layouts.names())
    )
    return m


def m48():
    """4.8: fpu_user_xstate_size came, b22cbe404a9c had not yet."""
    m = M44Eager()
    m.put("fpu_user_xstate_size", 832, 4)
    m.put("fpu_kernel_xstate_size", 832, 4)
    m.forget("xstate_size")
    return m


def m52():
    m = M510()
    m.forget("fpu__clear_all")
    m.functions("fpu__clear")
    return m


def m514():
    m = M510()
    m.forget("fpu__clear_all", "fpu__copy", "fpstate_sanitize_xstate")
    m.functions("fpu_flush_thread", "fpu_clone", "copy_xstate_to_uabi_buf")
    return m


OLD_FRAME = ("save_xstate_sig", CLEAN)
FRAME = ("copy_fpstate_to_sigframe", CLEAN)
ERAS = {
    "3.10 lazy": (
        M310,
        expected(
            OLD_FRAME, CLEAN, RAW, RAW, ("arch_dup_task_struct", RAW), ("flush_thread", CLEAN)
        ),
    ),
    "3.10 eager": (
        eager310,
        expected(OLD_FRAME, CLEAN, RAW, RAW, ("arch_dup_task_struct", RAW), ("flush_thread", RAW)),
    ),
    "4.4 lazy": (
        M44,
        expected(FRAME, CLEAN, RAW, RAW, ("fpu__copy", RAW), ("fpu__clear", CLEAN)),
    ),
    "4.4 eager": (
        M44Eager,
        expected(FRAME, CLEAN, RAW, RAW, ("fpu__copy", CLEAN), ("fpu__clear", RAW)),
    ),
    "4.4.178": (
        lambda: without_counter(M44),
        expected(FRAME, CLEAN, RAW, RAW, ("fpu__copy", CLEAN), ("fpu__clear", RAW)),
    ),
    "4.8": (m48, expected(FRAME, CLEAN, CLEAN, CLEAN, ("fpu__copy", CLEAN), ("fpu__clear", RAW))),
    "4.9": (
        M49,
        expected(FRAME, CLEAN, CLEAN, CLEAN, ("fpu__copy", CLEAN), ("fpu__clear", CLEAN)),
    ),
    "5.2": (m52, expected(FRAME, CLEAN, CLEAN, CLEAN, ("fpu__copy", RAW), ("fpu__clear", CLEAN))),
    "5.10": (
        M510,
        expected(FRAME, CLEAN, CLEAN, CLEAN, ("fpu__copy", RAW), ("fpu__clear_all", RAW)),
    ),
    **{
        name: (
            machine,
            expected(
                *(FRAME, CLEAN, CLEAN, CLEAN),
                ("arch_dup_task_struct and fpu_clone", RAW),
                ("fpu_flush_thread", RAW),
            ),
        )
        for name, machine in {"5.14": m514, "5.17": M517, "6.6": M66}.items()
    },
    "6.16": (
        M616,
        expected(FRAME, CLEAN, CLEAN, CLEAN, ("fpu_clone", CLEAN), ("fpu_flush_thread", RAW)),
    ),
}


@pytest.mark.parametrize("era", ERAS)
def test_ways_out(era):
    machine, ways = ERAS[era]
    assert paths(machine()) == ways


@pytest.mark.parametrize("era", ERAS)
def test_which_have_the_legacy_region_only(era):
    snapshot = ERAS[era][0]().snapshot()
    ways = (*export_paths(snapshot), *inherit_paths(snapshot))
    legacy = [way.name for way in ways if way.legacy]
    assert legacy == [
        "NT_PRFPREG",
        "NT_PRFPREG of a 32-bit task",
        "NT_PRXFPREG of a 32-bit task",
    ]
    assert all(way.how and not way.how.endswith(".") for way in ways)


WORDS = {
    "3.10 lazy": {
        "a signal frame": "XSAVE writes loaded registers to the frame; "
        "__sanitize_i387_state cleans memory before a copy",
        "NT_PRFPREG": "__sanitize_i387_state cleans the area first",
        "fork": "the parent's area is copied unchanged",
        "exec": "memory is reset, or no longer used",
    },
    "4.4 lazy": {
        "a signal frame": "XSAVE writes loaded registers to the frame; "
        "fpstate_sanitize_xstate cleans memory before a copy",
        "a core dump": "the notes have what ptrace reads",
    },
    "4.4 eager": {
        "a signal frame": "XSAVE writes loaded registers to the frame; "
        "fpstate_sanitize_xstate cleans memory before a copy",
        "NT_X86_XSTATE": "the area is copied unchanged (up to 4.7)",
        "fork": "the child's area is set to zero before the registers are saved to it",
        "exec": "only registers are reset: memory keeps the bytes until the next save",
    },
    "5.10": {
        "a signal frame": "XSAVE writes the registers to the frame; memory is not copied",
        "NT_X86_XSTATE": "fpstate_sanitize_xstate cleans the area first",
        "fork": "the parent's area is copied if TIF_NEED_FPU_LOAD is set, else the child's area "
        "is set to zero before the registers are saved to it",
    },
    "6.6": {
        "NT_X86_XSTATE": "copy_xstate_to_uabi_buf cleans the area first",
        "fork": "the child's area starts as a copy; XSAVEC and XSAVES skip initial components",
        "exec": "the header is reset, but the bytes after it stay",
    },
}


@pytest.mark.parametrize("era", WORDS)
def test_how(era):
    snapshot = ERAS[era][0]().snapshot()
    how = {way.name: way.how for way in (*export_paths(snapshot), *inherit_paths(snapshot))}
    assert {name: how[name] for name in WORDS[era]} == WORDS[era]


def test_kernel_in_which_nothing_cleans():
    m = M44()
    m.forget("fpstate_sanitize_xstate")
    found = paths(m)
    assert all(raw for name, (_, raw) in found.items() if name not in ("exec",))
    how = {way.name: way.how for way in export_paths(m.snapshot())}
    assert how["a signal frame"] == "memory is copied, and nothing cleans it"
    assert how["NT_PRFPREG"] == "nothing cleans the area"


def test_kernel_with_none_of_the_functions():
    m = M44()
    m.forget(
        *("copy_fpstate_to_sigframe", "fpregs_get", "xfpregs_get", "xstateregs_get"),
        *("fpu__copy", "fpu__clear"),
    )
    assert paths(m) == {}


def test_a_cleaner_of_5_14_that_is_called_by_its_other_name():
    m = M66()
    m.forget("copy_xstate_to_uabi_buf")
    m.functions("__copy_xstate_to_uabi_buf")
    how = {way.name: way.how for way in export_paths(m.snapshot())}
    assert how["NT_X86_XSTATE"] == "__copy_xstate_to_uabi_buf cleans the area first"


def test_fxsave_has_no_extended_note():
    m = M44()
    m.put("xfeatures_mask", 0)
    m.target.put_int(SYMBOLS["xstate_size"], 512, 4)
    found = paths(m)
    assert "NT_X86_XSTATE" not in found
    assert found["a core dump"] == ("xfpregs_get and fpregs_get", CLEAN)
