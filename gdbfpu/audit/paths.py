# SPDX-License-Identifier: GPL-2.0-or-later
"""The paths on which the kernel copies a task's FPU memory, and whether stale bytes go along.

Source: arch/x86/kernel/fpu/{signal,regset,core,xstate}.c of the kernels named next to each
branch (arch/x86/kernel/{i387,xsave,process}.c up to 4.1). The kernel's symbols tell which branch
applies.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gdbfpu.audit.snapshot import Snapshot
from gdbfpu.fpu.xstate import LAZY_COUNTERS

__all__ = ("ExportPath", "export_paths", "inherit_paths")


@dataclass(frozen=True)
class ExportPath:
    """A path on which the kernel copies the area.

    `name` is the path's name in user space, `function` the kernel function that makes the copy.
    `raw` is true if the copy includes stale bytes, and `how` says why. `legacy` is true if only
    the first 512 bytes are copied.
    """

    name: str
    function: str
    raw: bool
    how: str
    legacy: bool = False


def export_paths(snapshot: Snapshot) -> tuple[ExportPath, ...]:
    """Return the paths to user space in this kernel."""
    makers = (_signal_frame, _prfpreg, _prxfpreg, _xstate, _core_dump)
    return tuple(path for maker in makers for path in maker(snapshot))


def inherit_paths(snapshot: Snapshot) -> tuple[ExportPath, ...]:
    """Return the paths to the kernel memory of another task or another program."""
    return tuple(path for maker in (_fork, _exec) for path in maker(snapshot))


def _first(snapshot: Snapshot, *names: str) -> str:
    """Return the first of `names` that is a symbol of the kernel, or `` if none is."""
    return next((name for name in names if snapshot.has(name)), "")


def _cleaner(snapshot: Snapshot) -> str:
    """Return the function that cleans a register set, or `` if there is none.

    The function is copy_xstate_to_uabi_buf since 5.14 (commit eb6f51723f03),
    fpstate_sanitize_xstate in 4.2 to 5.13, and __sanitize_i387_state up to 4.1.
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
        how = f"XSAVE writes loaded registers to the frame; {cleaner} cleans memory before a copy"
    else:
        raw, how = True, "memory is copied, and nothing cleans it"
    yield ExportPath("a signal frame", function, raw, how)


def _regset(snapshot: Snapshot, name: str, function: str, legacy: bool) -> Iterator[ExportPath]:
    if not snapshot.has(function):
        return
    cleaner = _cleaner(snapshot)
    how = f"{cleaner} cleans the area first" if cleaner else "nothing cleans the area"
    yield ExportPath(name, function, not cleaner, how, legacy)


def _prfpreg(snapshot: Snapshot) -> Iterator[ExportPath]:
    yield from _regset(snapshot, "NT_PRFPREG", "xfpregs_get", True)
    yield from _regset(snapshot, "NT_PRFPREG of a 32-bit task", "fpregs_get", True)


def _prxfpreg(snapshot: Snapshot) -> Iterator[ExportPath]:
    yield from _regset(snapshot, "NT_PRXFPREG of a 32-bit task", "xfpregs_get", True)


def _xstate(snapshot: Snapshot) -> Iterator[ExportPath]:
    """Yield the path of NT_X86_XSTATE.

    Up to 4.7 xstateregs_get copies the area unchanged. Kernels with fpu_user_xstate_size (since
    4.8) clean the area first.
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
    how = "the area is copied unchanged (up to 4.7)"
    yield ExportPath("NT_X86_XSTATE", "xstateregs_get", True, how)


def _core_dump(snapshot: Snapshot) -> Iterator[ExportPath]:
    notes = [*_prfpreg(snapshot), *_xstate(snapshot)]
    if notes:
        raw = any(path.raw for path in notes)
        functions = " and ".join(dict.fromkeys(path.function for path in notes))
        how = "the notes have what ptrace reads"
        yield ExportPath("a core dump", functions, raw, how)


def _fork(snapshot: Snapshot) -> Iterator[ExportPath]:
    """Yield the path of a parent's stale bytes to its child.

    Up to 4.1, and with lazy switching up to 4.9, the child's area is a copy of the parent's. In
    4.10 to 5.13 the kernel sets the child's area to zero. Then it saves the registers there or, if
    TIF_NEED_FPU_LOAD is set (since 5.2), copies the parent's area. Since 5.14 the kernel copies
    the whole task_struct and saves the registers over the copied area. Since 6.16 it saves them
    over zeros instead.
    """
    function = _first(snapshot, "fpu_clone", "fpu__copy", "arch_dup_task_struct")
    outside = snapshot.model.kernel.layouts.find("task_struct", "thread.fpu") is None
    if function == "fpu_clone" and outside:
        how = "the child's area is set to zero before the registers are saved to it"
        yield ExportPath("fork", function, False, how)
    elif function == "fpu_clone":
        yield ExportPath(
            "fork",
            "arch_dup_task_struct and fpu_clone",
            True,
            "the child's area starts as a copy; XSAVEC and XSAVES skip initial components",
        )
    elif function == "fpu__copy" and snapshot.model.switching == "eager":
        live = snapshot.model.live_flag
        how = "the child's area is set to zero before the registers are saved to it"
        if not live:
            how = "the parent's area is copied if TIF_NEED_FPU_LOAD is set, else " + how
        yield ExportPath("fork", function, not live, how)
    elif function:
        yield ExportPath("fork", function, True, "the parent's area is copied unchanged")


def _exec(snapshot: Snapshot) -> Iterator[ExportPath]:
    """Yield the path of a program's stale bytes to the next program.

    In 4.9 to 5.7 (commit b22cbe404a9c; 4.8.15) fpu__clear writes the initial state to memory.
    Before that, and again with fpu__clear_all (5.8 to 5.13), eager switching resets only the
    registers. fpu_flush_thread (since 5.14) resets the legacy region and the header.
    """
    function = _first(snapshot, "fpu_flush_thread", "fpu__clear_all", "fpu__clear", "flush_thread")
    if not function:
        return
    could_be_lazy = any(snapshot.model.kernel.layouts.find(*place) for place in LAZY_COUNTERS)
    old = could_be_lazy or not snapshot.has("fpu_user_xstate_size")
    if function == "fpu_flush_thread":
        raw, how = True, "the header is reset, but the bytes after it stay"
    elif snapshot.model.switching == "eager" and (old or function == "fpu__clear_all"):
        raw, how = True, "only registers are reset: memory keeps the bytes until the next save"
    else:
        raw, how = False, "memory is reset, or no longer used"
    yield ExportPath("exec", function, raw, how)
