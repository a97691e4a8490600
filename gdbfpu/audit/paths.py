# SPDX-License-Identifier: GPL-2.0-or-later
"""The ways out of a task's FPU memory, and what each does with stale bytes in this kernel.

Source: arch/x86/kernel/fpu/{signal,regset,core,xstate}.c of the kernels named beside each
branch (arch/x86/kernel/{i387,xsave,process}.c up to 4.1). Which branch is told by symbols.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gdbfpu.audit.snapshot import Snapshot
from gdbfpu.fpu.xstate import LAZY_COUNTERS

__all__ = ("ExportPath", "export_paths", "inherit_paths")


@dataclass(frozen=True)
class ExportPath:
    """A way that a copy of the area takes.

    `name` is what user space calls it, `function` the kernel function that copies; `raw` tells
    whether stale bytes go with it, `how` why, in a sentence. `legacy` is for one that has the
    first 512 bytes only.
    """

    name: str
    function: str
    raw: bool
    how: str
    legacy: bool = False


def export_paths(snapshot: Snapshot) -> tuple[ExportPath, ...]:
    """Return the ways to user space that this kernel has."""
    makers = (_signal_frame, _prfpreg, _prxfpreg, _xstate, _core_dump)
    return tuple(path for maker in makers for path in maker(snapshot))


def inherit_paths(snapshot: Snapshot) -> tuple[ExportPath, ...]:
    """Return the ways into another task's, or another program's, kernel memory."""
    return tuple(path for maker in (_fork, _exec) for path in maker(snapshot))


def _first(snapshot: Snapshot, *names: str) -> str:
    """Return the first of `names` that is a symbol of the kernel, `` where none is."""
    return next((name for name in names if snapshot.has(name)), "")


def _cleaner(snapshot: Snapshot) -> str:
    """Return the function that a register set is cleaned by, `` where there is none.

    copy_xstate_to_uabi_buf since 5.14 (commit eb6f51723f03), fpstate_sanitize_xstate 4.2 to
    5.13, __sanitize_i387_state before.
    """
    return _first(
        snapshot,
        "copy_xstate_to_uabi_buf",
        "__copy_xstate_to_uabi_buf",
        "fpstate_sanitize_xstate",
        "__sanitize_i387_state",
    )


def _signal_frame(snapshot: Snapshot) -> Iterator[ExportPath]:
    function = _first(snapshot, "copy_fpstate_to_sigframe", "save_xstate_sig")
    if not function:
        return
    cleaner = _cleaner(snapshot)
    raw = False
    if snapshot.model.switching == "eager" and not snapshot.model.live_flag:  # 5.2 on
        how = "XSAVE writes the registers to the frame; memory is not copied"
    elif cleaner:
        how = f"XSAVE writes loaded registers to the frame, {cleaner} cleans memory first"
    else:
        raw, how = True, "nothing cleans memory that is copied"
    yield ExportPath("a signal frame", function, raw, how)


def _regset(snapshot: Snapshot, name: str, function: str, legacy: bool) -> Iterator[ExportPath]:
    if not snapshot.has(function):
        return
    cleaner = _cleaner(snapshot)
    how = f"{cleaner} cleans first" if cleaner else "nothing cleans"
    yield ExportPath(name, function, not cleaner, how, legacy)


def _prfpreg(snapshot: Snapshot) -> Iterator[ExportPath]:
    yield from _regset(snapshot, "NT_PRFPREG", "xfpregs_get", True)
    yield from _regset(snapshot, "NT_PRFPREG of a 32-bit task", "fpregs_get", True)


def _prxfpreg(snapshot: Snapshot) -> Iterator[ExportPath]:
    yield from _regset(snapshot, "NT_PRXFPREG of a 32-bit task", "xfpregs_get", True)


def _xstate(snapshot: Snapshot) -> Iterator[ExportPath]:
    """Yield the way of NT_X86_XSTATE.

    Up to 4.7 xstateregs_get copies the buffer as it is; what came with fpu_user_xstate_size (4.8)
    cleans it.
    """
    if not snapshot.has("xstateregs_get") or snapshot.model.format == "fxsave":
        return
    if (
        snapshot.has("fpu_user_xstate_size")
        or snapshot.has("copy_xstate_to_uabi_buf")
        or snapshot.has("fpu_user_cfg")
    ):
        yield from _regset(snapshot, "NT_X86_XSTATE", "xstateregs_get", False)
        return
    how = "it copies the buffer as it is (up to 4.7)"
    yield ExportPath("NT_X86_XSTATE", "xstateregs_get", True, how)


def _core_dump(snapshot: Snapshot) -> Iterator[ExportPath]:
    notes = [*_prfpreg(snapshot), *_xstate(snapshot)]
    if notes:
        raw = any(path.raw for path in notes)
        functions = " and ".join(dict.fromkeys(path.function for path in notes))
        how = "the notes are what ptrace reads"
        yield ExportPath("a core dump", functions, raw, how)


def _fork(snapshot: Snapshot) -> Iterator[ExportPath]:
    """Yield what a child has of its parent's stale bytes.

    Up to 4.1 and, lazily switching, up to 4.9: the area as it is; 4.10 to 5.13: an area set to
    zero, then the registers or, where TIF_NEED_FPU_LOAD is set (5.2 on), the parent's area;
    5.14 on: the whole task_struct, then the registers over it; 6.16 on, zeros in place of it.
    """
    function = _first(snapshot, "fpu_clone", "fpu__copy", "arch_dup_task_struct")
    behind = snapshot.model.kernel.layouts.find("task_struct", "thread.fpu") is None
    if function == "fpu_clone" and behind:
        how = "the child's area is set to zero before the registers are saved to it"
        yield ExportPath("fork", function, False, how)
    elif function == "fpu_clone":
        yield ExportPath(
            "fork",
            "arch_dup_task_struct and fpu_clone",
            True,
            "the child's area begins as a copy, and XSAVEC or XSAVES leave what is initial",
        )
    elif function == "fpu__copy" and snapshot.model.switching == "eager":
        live = snapshot.model.live_flag
        how = "the child's area is set to zero before the registers are saved to it"
        if not live:
            how = "the parent's area is copied where TIF_NEED_FPU_LOAD is set, else " + how
        yield ExportPath("fork", function, not live, how)
    elif function:
        yield ExportPath("fork", function, True, "the parent's area is copied as it is")


def _exec(snapshot: Snapshot) -> Iterator[ExportPath]:
    """Yield what a program has of its predecessor's bytes.

    fpu__clear of 4.9 to 5.7 (commit b22cbe404a9c; 4.8.15) puts the initial state into memory;
    before, and again in fpu__clear_all (5.8 to 5.13), eager switching resets registers only;
    fpu_flush_thread (5.14 on) resets the legacy region and the header.
    """
    function = _first(snapshot, "fpu_flush_thread", "fpu__clear_all", "fpu__clear", "flush_thread")
    if not function:
        return
    could_be_lazy = any(snapshot.model.kernel.layouts.find(*place) for place in LAZY_COUNTERS)
    old = could_be_lazy or not snapshot.has("fpu_user_xstate_size")
    if function == "fpu_flush_thread":
        raw, how = True, "the header is reset, what is behind it keeps its bytes"
    elif snapshot.model.switching == "eager" and (old or function == "fpu__clear_all"):
        raw, how = True, "only registers are reset: memory keeps the bytes until the next save"
    else:
        raw, how = False, "memory is reset, or given up"
    yield ExportPath("exec", function, raw, how)
