# SPDX-License-Identifier: GPL-2.0-or-later
"""How gdbfpu sees a kernel: Memory, of a live kernel or a dump, and Machine, stopped in GDB."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

__all__ = ("Answers", "Frame", "Machine", "Memory", "Stub", "Thread", "read_u32", "read_u64")


@dataclass(frozen=True)
class Thread:
    """A thread in the debugger: `num` as in `info threads`, `lwp` as the stub numbers it."""

    num: int
    lwp: int


class Frame(NamedTuple):
    """A function's frame: its name, its program counter and stack pointer (u64 each)."""

    name: str
    pc: int
    sp: int


@dataclass(frozen=True)
class Stub:
    """The stub or the dump through which we read a kernel, and what it can do.

    `name` is for people and for event files. Code tests for an ability:

    - `read_gap`, `read_run`: members at most `read_gap` bytes apart are read together, at most
      `read_run` bytes at a time;
    - `max_read`: the most bytes in one read, or None if GDB itself splits large reads;
    - `runs`: the kernel can run, and stop at a breakpoint;
    - `in_kernel`: the stub is part of the kernel. The kernel's variables say which CPUs the stub
      holds, and the stub refuses breakpoints in some of the kernel's code;
    - `threads_are_tasks`: a thread's id is the pid of a task; otherwise each thread is a CPU;
    - `shows_vector_registers`: the FPU's and the control registers of each CPU can be read.
    """

    name: str
    read_run: int
    read_gap: int
    max_read: int | None = None
    runs: bool = True
    in_kernel: bool = False
    threads_are_tasks: bool = False
    shows_vector_registers: bool = False


@dataclass(frozen=True)
class Answers:
    """The registers of CPU number `cpu` now, as it answered when it was asked over KGDB.

    - `control`: control registers and MSRs by name (u64): `cr0`, `cr4` and `efer`, and `ia32_xss`
      and `ia32_xfd` if the CPU has them.
    - `xcr0_size`: how many bytes a standard image of the components in XCR0 has, from
      CPUID.(0xD,0):EBX; 0 if XSAVE is not enabled.
    - `image`: the FPU registers of the running task, in the kernel's format. It is empty if the CPU
      does not have them, and then `why` says why.
    - `instruction`: the instruction with which the CPU wrote the image.
    """

    cpu: int
    control: Mapping[str, int]
    xcr0_size: int = 0
    image: bytes = b""
    instruction: str = ""
    why: str = ""


class Memory(Protocol):
    """Memory and symbols of a kernel. Addresses are virtual, lengths are in bytes."""

    @property
    def stub(self) -> Stub:
        """Return the stub or the dump that we read."""

    @property
    def machine(self) -> Machine | None:
        """Return the stopped machine with this memory, or None for a dump that shows no CPUs."""

    @property
    def slide(self) -> int:
        """Return how many bytes symbols lie above their addresses in vmlinux (KASLR)."""

    def read_memory(self, address: int, length: int) -> bytes:
        """Return exactly `length` bytes at `address`; raise MemoryFault otherwise."""

    def symbol_address(self, name: str) -> int | None:
        """Return the address of symbol `name`, or None if the kernel has none."""

    def symbol_size(self, name: str) -> int:
        """Return the size in bytes of the object `name`, or 0 if it is not known."""


class Machine(Memory, Protocol):
    """A stopped machine in a debugger: its memory, functions, CPUs and threads."""

    @property
    def answers(self) -> Answers | None:
        """Return what the stopped CPU answered, None if it was not asked."""

    def task_argument(self, function: str) -> tuple[str, str] | None:
        """Return the register and the kind of the first argument of `function` that gives a task.

        The kind is `fpu` for a `struct fpu *`, `task` for a `struct task_struct *`. Returns None
        if no argument has one of these types.
        """

    def inlined_copies(self, function: str) -> tuple[int, ...]:
        """Return the addresses where the compiler inlined `function`."""

    def register(self, name: str) -> int | None:
        """Return general register `name` (`rdi`, `gs_base`) of the stopped thread, if known."""

    def control_register(self, cpu: int, name: str) -> int | None:
        """Return control register `name` (`cr0`) of CPU number `cpu`, None if it is hidden."""

    def fpu_registers(self, cpu: int) -> dict[str, bytes]:
        """Return the FPU registers of CPU number `cpu` that the stub shows, now.

        Names and bytes are as in gdbfpu.xsave.live (`fcw`, `ftw`, `st0`, `mxcsr`, `ymm0`). What
        the stub does not show is not there.
        """

    def stopped_thread(self) -> Thread:
        """Return the thread that stopped."""

    def threads(self) -> tuple[Thread, ...]:
        """Return all threads, as `info threads` would list them now."""

    def callers(self) -> Iterator[Frame]:
        """Yield the frames of the callers, innermost first, without the stopped function's frame.

        Each frame is unwound only when it is needed. The debugger does not know where the kernel
        begins: frames beyond that point come from what user space put on the stack (see
        `CallPath`).
        """


def read_u32(memory: Memory, address: int) -> int:
    """Return the little-endian u32 at `address`; raise MemoryFault."""
    return int.from_bytes(memory.read_memory(address, 4), "little")


def read_u64(memory: Memory, address: int) -> int:
    """Return the little-endian u64 at `address`; raise MemoryFault."""
    return int.from_bytes(memory.read_memory(address, 8), "little")
