# SPDX-License-Identifier: GPL-2.0-or-later
"""The memory and registers of the imitated kernel of the gdb tier, stopped before its first hit."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from elftools.elf.elffile import ELFFile

from tests.gdb.gdb_harness import Compiler, finish, start, started

__all__ = ("KernelImage", "make_image")

_REGISTERS = (  # struct user_regs_struct, in a core's NT_PRSTATUS
    *("r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx", "rdx"),
    *("rsi", "rdi", "orig_rax", "rip", "user_cs", "eflags", "rsp", "user_ss"),
)
_BEFORE = 112  # bytes of struct elf_prstatus before them
_MEMBERS = ("tasks", "thread_node", "signal", "comm", "pid", "tgid", "flags", "thread.fpu")


@dataclass(frozen=True)
class KernelImage:
    """The `program` that GDB reads symbols from, and its `memory`: ranges and their start.

    `offsets` are those of members of task_struct, `size` its bytes, `tasks` the task_structs.
    """

    program: Path
    memory: tuple[tuple[int, bytes], ...]
    registers: dict[str, int]
    symbols: dict[str, int]
    offsets: dict[str, int]
    size: int

    @property
    def tasks(self) -> tuple[int, ...]:
        """Return the addresses of the task_structs, without that of init_task."""
        count = 13
        return tuple(self.symbols["tasks"] + n * self.size for n in range(count - 1))


def make_image(folder: Path) -> KernelImage:
    """Compile the program, run it up to its first delivery, and take its memory."""
    program, core = Compiler(folder)(), folder / "core"
    places = [f"output/d (long)&((struct task_struct *)0)->{name}" for name in _MEMBERS]
    before = started(program)
    commands = (*before, *places, "output/d sizeof(struct task_struct)")
    output = finish(start(*commands, f"generate-core-file {core}", "kill"))
    *numbers, size = map(int, output.parts[len(before) : len(commands)])
    with core.open("rb") as stream:
        elf = ELFFile(stream)
        memory = _loaded(elf)
        notes = next(elf.iter_segments("PT_NOTE")).iter_notes()
        status = next(n["n_descdata"] for n in notes if n["n_type"] == "NT_PRSTATUS")
    with program.open("rb") as stream:  # a core leaves out what is in the program's file
        memory += _loaded(ELFFile(stream))
    raw = status.encode("latin-1") if isinstance(status, str) else bytes(status)
    values = struct.unpack_from(f"<{len(_REGISTERS)}Q", raw, _BEFORE)
    return KernelImage(
        program,
        memory,
        dict(zip(_REGISTERS, values)),
        _symbols(program),
        dict(zip(_MEMBERS, numbers)),
        size,
    )


def _loaded(elf: ELFFile) -> tuple[tuple[int, bytes], ...]:
    return tuple((part["p_vaddr"], part.data()) for part in elf.iter_segments("PT_LOAD"))


def _symbols(program: Path) -> dict[str, int]:
    with program.open("rb") as stream:
        table = ELFFile(stream).get_section_by_name(".symtab")
        return {one.name: one["st_value"] for one in table.iter_symbols() if one["st_value"]}
