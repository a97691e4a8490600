# SPDX-License-Identifier: GPL-2.0-or-later
"""Memory and Machine: the two ways in which gdbfpu sees a kernel, dead or stopped."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

__all__ = ("Frame", "Machine", "Memory", "Stub", "Thread", "read_u32", "read_u64")


@dataclass(frozen=True)
class Thread:
    """A thread as the debugger numbers it: `num` as in `info threads`, `lwp` the stub's id."""

    num: int
    lwp: int


class Frame(NamedTuple):
    """A function's frame: its name, its program counter and stack pointer (u64 each)."""

    name: str
    pc: int
    sp: int


@dataclass(frozen=True)
class Stub:
    """What answers for the kernel, and what can be asked of it.

    `name` is for people and for event files; code asks for an ability:

    - `read_gap`, `read_run`: members at most `read_gap` bytes apart share one read, which is at
      most `read_run` bytes long;
    - `max_read`: the most bytes that one read may ask for, None where GDB itself splits reads;
    - `runs`: the kernel can go on, and stop at a breakpoint;
    - `in_kernel`: the stub is a part of the kernel, whose own variables tell which CPUs it holds,
      and which refuses breakpoints in some of its code;
    - `threads_are_tasks`: a thread's id is a task's pid, else a thread is a CPU;
    - `shows_vector_registers`: each CPU's x87, SSE and control registers can be read.
    """

    name: str
    read_run: int
    read_gap: int
    max_read: int | None = None
    runs: bool = True
    in_kernel: bool = False
    threads_are_tasks: bool = False
    shows_vector_registers: bool = False


class Memory(Protocol):
    """A kernel's memory and symbols, live or dead. Addresses are virtual, lengths bytes."""

    @property
    def stub(self) -> Stub:
        """Return what answers for the kernel."""

    @property
    def machine(self) -> Machine | None:
        """Return the stopped machine that has this memory, None for a dump without CPUs."""

    @property
    def slide(self) -> int:
        """Return how many bytes the symbols lie above the addresses in vmlinux (KASLR)."""

    def read_memory(self, address: int, length: int) -> bytes:
        """Return exactly `length` bytes at `address`; raise MemoryFault otherwise."""

    def symbol_address(self, name: str) -> int | None:
        """Return the address of symbol `name`, or None if the kernel has none."""

    def symbol_size(self, name: str) -> int:
        """Return the bytes of the object called `name`, 0 when not known."""


class Machine(Memory, Protocol):
    """A stopped machine in a debugger: CPUs and threads beside its memory, and their functions."""

    def task_argument(self, function: str) -> tuple[str, str] | None:
        """Return the register of `function`'s first argument that leads to a task, and how.

        That is `fpu` for a `struct fpu *`, `task` for a `struct task_struct *`, None for none.
        """

    def inlined_copies(self, function: str) -> tuple[int, ...]:
        """Return the addresses where `function` was inlined, empty where it was not."""

    def register(self, name: str) -> int | None:
        """Return general register `name` (`rdi`, `gs_base`) of the stopped thread, if known."""

    def control_register(self, cpu: int, name: str) -> int | None:
        """Return control register `name` (`cr0`) of CPU number `cpu`, None where it is hidden."""

    def fpu_registers(self, cpu: int) -> dict[str, bytes]:
        """Return the x87 and SSE registers that CPU number `cpu` holds, as far as they are shown.

        Names as in `FpuImage` (`fcw`, `fsw`, `st0`, `xmm0`, `mxcsr`), bytes in memory order.
        """

    def stopped_thread(self) -> Thread:
        """Return the thread that stopped."""

    def threads(self) -> tuple[Thread, ...]:
        """Return all threads, as `info threads` would list them now."""

    def callers(self) -> Iterator[Frame]:
        """Yield the frames that led here, innermost first, without the stopped function's own.

        Each is unwound when it is asked for. They go on for as long as the debugger believes
        that there are more, into what user space put on the stack (see `CallPath`).
        """


def read_u32(memory: Memory, address: int) -> int:
    """Return the little-endian u32 at `address`; raise MemoryFault."""
    return int.from_bytes(memory.read_memory(address, 4), "little")


def read_u64(memory: Memory, address: int) -> int:
    """Return the little-endian u64 at `address`; raise MemoryFault."""
    return int.from_bytes(memory.read_memory(address, 8), "little")
