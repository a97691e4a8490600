# SPDX-License-Identifier: GPL-2.0-or-later
"""GdbTarget: the Memory and Machine protocols on top of GDB's Python API."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import gdb
from gdb.unwinder import Unwinder, register_unwinder

from gdbfpu.dbg.core_file import check, held_by_core
from gdbfpu.dbg.fpu_registers import Monitor, vector_registers
from gdbfpu.dbg.language import evaluate, evaluate_register, in_c
from gdbfpu.dbg.symbols import symbol_address
from gdbfpu.dbg.threads import selected_thread
from gdbfpu.errors import CorruptState, MemoryFault, NoAnswer
from gdbfpu.fpu.qemu_registers import UnknownDump
from gdbfpu.kernel.stubs import CORE, KGDB, QEMU
from gdbfpu.target import Answers, Frame, Stub, Thread

__all__ = ("GdbTarget",)

_U64 = (1 << 64) - 1
_ARGUMENTS = ("rdi", "rsi", "rdx", "rcx", "r8", "r9")  # System V AMD64 ABI
_SUBJECTS = {"struct fpu": "fpu", "struct task_struct": "task"}
_MAX_CODE = 4096  # the most bytes of a function to read


class _FrameName(Unwinder):  # type: ignore[misc]
    """Tells GDB the ID of the newest frame while a register is written.

    GDB looks for that frame again at each write. To find the frame's ID without our help, GDB would
    read the return address from the stack, to look for tail calls.
    """

    def __init__(self) -> None:
        super().__init__("gdbfpu")
        self.enabled = False
        self.sp = self.pc = gdb.Value(0)  # the frame's ID, as GDB asks for it

    @contextmanager
    def for_a_write(self) -> Iterator[None]:
        self.enabled = True
        try:
            yield
        finally:
            self.enabled = False
            gdb.invalidate_cached_frames()

    def __call__(self, pending: gdb.PendingFrame) -> gdb.UnwindInfo:
        named = pending.create_unwind_info(self)
        # GDB then thinks that the caller is this frame again, and looks no further.
        named.add_saved_register("rip", pending.read_register("rip"))
        return named


_NAMED = _FrameName()
register_unwinder(None, _NAMED, replace=True)


class GdbTarget:
    """The kernel that GDB is attached to, as long as that connection lasts."""

    def __init__(self) -> None:
        self._inferior = gdb.selected_inferior()
        self._addresses: dict[str, int | None] = {}
        self.slide = 0
        self.answers: Answers | None = None  # of the stopped CPU, for one command
        self.stub = self._find_stub()
        self._monitor = Monitor(self._connection() if self.stub is QEMU else "")
        self._held = held_by_core() if self.stub is CORE else None

    @property
    def machine(self) -> GdbTarget:
        """Return this object: through GDB it also shows the CPUs, as far as the stub does."""
        return self

    def move_symbols(self, vmlinux: Path, slide: int) -> None:
        """Have GDB read its symbols again, `slide` bytes above the addresses in `vmlinux`."""
        name = str(vmlinux).replace("\\", "\\\\").replace('"', '\\"')
        with in_c():
            gdb.execute(f'symbol-file -o {slide:#x} "{name}"', False, True)
        self._addresses.clear()

    def _connection(self) -> str:
        """Return the kind of the connection, as `info connections` names it, or ``."""
        connection = getattr(self._inferior, "connection", None)
        return connection.type if connection is not None else ""

    def _find_stub(self) -> Stub:
        """Tell the stubs apart: QEMU's shows gs_base, KGDB's shows general registers only."""
        if self._connection() == "core":
            return CORE
        return KGDB if self.register("gs_base") is None else QEMU

    def read_memory(self, address: int, length: int) -> bytes:
        """Return exactly `length` bytes at `address`; raise MemoryFault or NoAnswer otherwise.

        No single read asks the stub for more than its `max_read` bytes.
        """
        data = bytearray()
        most = self.stub.max_read or length
        address &= _U64  # a member's offset taken from a NULL pointer wraps, as in C
        if self._held is not None:
            check(self._held, address, length)
        began = time.monotonic()
        try:
            while len(data) < length:
                step, began = min(most, length - len(data)), time.monotonic()
                data += self._inferior.read_memory(address + len(data), step)
        except (gdb.error, OverflowError) as error:
            if time.monotonic() - began >= max(1, gdb.parameter("remotetimeout")):
                raise NoAnswer from error  # an error of the stub's own comes sooner
            raise MemoryFault(address, length) from error
        return bytes(data)

    def write_memory(self, address: int, data: bytes) -> None:
        """Write `data` at `address`; raise MemoryFault."""
        try:
            self._inferior.write_memory(address & _U64, data)
        except (gdb.error, OverflowError) as error:
            raise MemoryFault(address, len(data)) from error

    def symbol_address(self, name: str) -> int | None:
        """Return the address of symbol `name`, or None if the kernel has none."""
        if name not in self._addresses:
            self._addresses[name] = symbol_address(name)
        return self._addresses[name]

    def symbol_size(self, name: str) -> int:
        """Return the size in bytes of the object `name`, or 0 if it is not known."""
        try:
            return int(evaluate(f"sizeof(::{name})"))
        except gdb.error:
            return 0

    def task_argument(self, function: str) -> tuple[str, str] | None:
        """Return the register and the kind (`fpu`, `task`) of the first argument with a task."""
        free = list(_ARGUMENTS)
        try:
            for field in evaluate(f"::{function}").type.fields():
                kind = field.type.strip_typedefs()
                taken = free[: 1 if kind.sizeof <= 8 else 2 if kind.sizeof <= 16 else 0]
                del free[: len(taken)]
                if kind.code != gdb.TYPE_CODE_PTR:
                    continue
                subject = _SUBJECTS.get(str(kind.target().unqualified()))
                if subject and taken:
                    return taken[0], subject
        except gdb.error:
            pass
        return None

    def inlined_copies(self, function: str) -> tuple[int, ...]:
        """Return the addresses where `function` was inlined, as GDB finds them in DWARF."""
        try:
            with in_c():
                places = gdb.decode_line(function)[1] or ()
        except gdb.error:
            return ()
        return tuple(sorted(place.pc for place in places))

    def register(self, name: str) -> int | None:
        """Return register `name` of the stopped thread as u64, None if the stub hides it.

        This makes no gdb.Frame: to make one, GDB also unwinds its caller, which reads the stack.
        """
        try:
            return int(evaluate_register(f"${name}")) & _U64
        except gdb.error:
            return None

    def write_register(self, name: str, value: int) -> None:
        """Set register `name` of the stopped thread to `value` (u64); raise gdb.error."""
        with _NAMED.for_a_write():
            evaluate_register(f"${name} = {value:#x}")

    def control_register(self, cpu: int, name: str) -> int | None:
        """Return control register `name` of CPU number `cpu`, None over KGDB, which hides it."""
        with self._on_cpu(cpu) as shown:
            return self.register(name) if shown else None

    def fpu_registers(self, cpu: int) -> dict[str, bytes]:
        """Return the FPU registers of CPU number `cpu`, or none over KGDB."""
        if not self.stub.shows_vector_registers:
            return {}
        try:
            return self._monitor.fpu_registers(cpu)
        except UnknownDump:  # no QEMU, or one that prints them in an unknown way
            with self._on_cpu(cpu) as shown:
                return vector_registers() if shown else {}

    @contextmanager
    def _on_cpu(self, cpu: int) -> Iterator[bool]:
        """Select the thread that is CPU number `cpu`; yield whether the stub shows it."""
        shown = self.stub.shows_vector_registers  # if not, GDB need not ask for all threads
        threads = self._inferior.threads() if shown else ()
        threads = [t for t in threads if t.ptid[1] == cpu + 1]
        before = selected_thread()
        if not threads or before is None:
            yield False
            return
        frame = gdb.selected_frame()
        threads[0].switch()
        try:
            yield True
        finally:
            before.switch()
            frame.select()

    def stopped_thread(self) -> Thread:
        """Return the thread that stopped; raise CorruptState if the stub names none."""
        thread = selected_thread()
        if thread is None:
            raise CorruptState("the stub does not say which thread stopped: attach again")
        return Thread(thread.num, thread.ptid[1])

    def threads(self) -> tuple[Thread, ...]:
        """Return all threads, as `info threads` would list them now."""
        return tuple(Thread(t.num, t.ptid[1]) for t in self._inferior.threads())

    def callers(self) -> Iterator[Frame]:
        """Yield the frames of the callers, innermost first, with those of inlined functions.

        If a frame cannot be unwound, the last frame is called `(unreadable)`.
        """
        at = self.register("rip") or 0, self.register("rsp") or 0
        try:
            frame = gdb.newest_frame()
            while frame.type() == gdb.INLINE_FRAME:  # the probed function's own inlined parts
                frame = frame.older()
            while (frame := frame.older()) is not None:
                at = _u64(frame.read_register("rip")), _u64(frame.read_register("rsp"))
                yield Frame(frame.name() or f"{at[0]:#x}", *at)
        except gdb.error:
            yield Frame("(unreadable)", *at)

    def whole_function(self, address: int) -> bytes:
        """Return the code of the function that begins at `address`, empty if it is too long."""
        code = self.function_code(address)
        return code if len(code) < _MAX_CODE else b""

    def function_code(self, address: int) -> bytes:
        """Return the code in memory of the function that begins at `address`.

        If GDB has no debugging information for it, as many bytes as a prologue may take.
        """
        block = _function_block(address)
        length = block.end - address if block is not None else 64
        return self.read_memory(address, min(length, _MAX_CODE))


def _u64(value: gdb.Value) -> int:
    return int(value) & _U64


def _function_block(address: int) -> gdb.Block | None:
    """Return the block of the function at `address`, None if GDB knows none.

    This is the outermost block below the file's blocks. At an entry, the blocks of functions that
    were inlined there lie within it.
    """
    found, block = None, gdb.block_for_pc(address)
    while block is not None and not block.is_static and not block.is_global:
        if block.function is not None:
            found = block
        block = block.superblock
    return found
