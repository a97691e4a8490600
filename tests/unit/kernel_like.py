# SPDX-License-Identifier: GPL-2.0-or-later
"""A program of three files with a kernel's types, which says itself where their members are."""

from __future__ import annotations

import subprocess
from pathlib import Path

ANCHORS = ("copy_fpstate_to_sigframe", "kgdb_handle_exception")
TYPES = (
    *("debuggerinfo_struct", "fpregs_state", "fpstate", "fpu", "list_head", "mm_struct"),
    *("no_such_type", "pair_t", "signal_struct", "task_struct", "thread_struct", "xstate_header"),
)
NEEDED = ("debuggerinfo_struct", "fpu", "pair_t", "task_struct")

_HEADER = """
#include <stddef.h>
#include <stdio.h>
struct list_head { struct list_head *next, *prev; };
struct xstate_header { unsigned long xfeatures, xcomp_bv, reserved[6]; };
union fpregs_state { unsigned char bytes[832]; struct xstate_header header; };
struct fpstate { unsigned size, user_size; unsigned long flags; unsigned in_use:1, is_guest:1;
    union fpregs_state regs __attribute__((aligned(64))); };
typedef const struct fpstate fpstate_alias;
typedef struct { short low; long high; } pair_t;
struct fpu { unsigned last_cpu; unsigned long stamp; struct fpstate *fpstate; pair_t pair;
    struct { char first; union { int in_union; short other[3]; }; };
    struct fpstate __fpstate; };
struct thread_struct { unsigned long sp; struct fpu fpu; };
struct mm_struct { unsigned long pgd; int users; };
struct signal_struct { int live; struct list_head thread_head; };
struct task_struct { volatile long state; char comm[16]; struct list_head tasks;
    struct mm_struct *mm; struct signal_struct *signal; const struct task_struct *parent;
    struct list_head *lists[5]; int matrix[2][3]; struct thread_struct thread; };
extern struct task_struct init_task;
extern struct kgdb *kgdb_info;
long copy_fpstate_to_sigframe(struct fpu *fpu, fpstate_alias *alias, pair_t *pair);
int kgdb_handle_exception(int vector);
"""
_SIGNAL = """
#include "k.h"
struct task_struct init_task = { .comm = "swapper" };
__attribute__((noinline))
long copy_fpstate_to_sigframe(struct fpu *fpu, fpstate_alias *alias, pair_t *pair)
{ return fpu->__fpstate.regs.bytes[3] + alias->size + pair->high + fpu->last_cpu; }
"""
_DEBUG = """
#include "k.h"
struct debuggerinfo_struct { void *regs; struct task_struct *task; int state; } info[4];
__attribute__((noinline))
int kgdb_handle_exception(int vector) { return info[vector & 3].state; }
"""
_MEMBERS = {
    "struct list_head": ("next", "prev"),
    "struct xstate_header": ("xfeatures", "xcomp_bv", "reserved"),
    "union fpregs_state": ("bytes", "header"),
    "struct fpstate": ("size", "user_size", "flags", "regs"),
    "pair_t": ("low", "high"),
    "struct fpu": (
        *("last_cpu", "stamp", "fpstate", "pair", "first", "in_union", "other"),
        "__fpstate",
    ),
    "struct thread_struct": ("sp", "fpu"),
    "struct mm_struct": ("pgd", "users"),
    "struct signal_struct": ("live", "thread_head"),
    "struct task_struct": (
        *("state", "comm", "tasks", "mm", "signal", "parent", "lists", "matrix", "thread"),
    ),
}
_PRINT = (
    'printf("{name} {member} %zu %zu\\n", offsetof({type}, {member}),'
    " sizeof((({type} *)0)->{member}));"
)


def run(*argv, cwd=None):
    return subprocess.run(
        argv, cwd=cwd, check=True, capture_output=True, text=True, timeout=120
    ).stdout


def write_sources(folder: Path) -> None:
    """Write k.h, main.c, signal.c and debug.c."""
    said = "".join(
        _PRINT.format(name=kind.split()[-1], type=kind, member=member)
        for kind, members in _MEMBERS.items()
        for member in members
    )
    sizes = "".join(
        f'printf("{kind.split()[-1]} - 0 %zu\\n", sizeof({kind}));' for kind in _MEMBERS
    )
    main = (
        f'#include "k.h"\nint main(int argc, char **argv) {{ {said}{sizes} pair_t pair = {{1, 2}};'
        "return (copy_fpstate_to_sigframe(&init_task.thread.fpu,"
        "&init_task.thread.fpu.__fpstate, &pair) + kgdb_handle_exception(argc)) & 0; }"
    )
    for name, text in {
        "k.h": _HEADER,
        "main.c": main,
        "signal.c": _SIGNAL,
        "debug.c": _DEBUG,
    }.items():
        (folder / name).write_text(text)


def build(folder: Path, compiler: str, *flags: str) -> Path:
    """Compile the sources in `folder`, where split DWARF's files go; return the program."""
    if not (folder / "k.h").exists():
        write_sources(folder)
    names = ("main", "signal", "debug")
    for name in names:
        argv = (compiler, "-g", "-O1", "-fno-pie", *flags, "-c", f"{name}.c", "-o", f"{name}.o")
        run(*argv, cwd=folder)
    argv = (compiler, "-g", "-no-pie", *flags, "-Wl,--build-id", *(f"{name}.o" for name in names))
    run(*argv, "-o", "vmlinux", cwd=folder)
    return folder / "vmlinux"


def said(program: Path) -> dict[tuple[str, str], tuple[int, int]]:
    """Return what the program prints: (type, member or -) to offset and size."""
    lines = map(str.split, run(program).splitlines())
    return {(name, member): (int(offset), int(size)) for name, member, offset, size in lines}
