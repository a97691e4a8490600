# SPDX-License-Identifier: GPL-2.0-or-later
"""GDB's settings as a trace wants them, and as they were before it."""

from __future__ import annotations

import gdb

from gdbfpu.target import Stub

__all__ = ("Settings",)

_READS = "remote memory-read-packet-size"
_UNTOUCHED = f"The {_READS.split()[1]} is 0 (default)."
_DEEP = 4  # callers from which on a backtrace reads more of the stack at once
_LINE = 256  # bytes, a power of two; no stub's max_read is less


class Settings:
    """Settings that a trace has changed; `restore` brings back what was there."""

    def __init__(self) -> None:
        self._before: list[tuple[str, str]] = []  # what to bring back, the last first
        self._due: list[tuple[str, str]] = []  # what was brought back, and perhaps has to be again

    def change(self, stub: Stub, backtrace: int) -> None:
        """Set what a trace over `stub` wants that takes `backtrace` callers at a hit.

        A pager would hold the kernel at a hit. GDB reads the stack in lines of 64 bytes, a packet
        each: longer ones pay where several are needed. From KGDB it takes no more at a time than
        half of what the registers take, 156 bytes on x86-64.
        """
        self._bring_back()
        self._set("pagination", False)
        if backtrace >= _DEEP:
            self._set("dcache line-size", _LINE)
        if stub.max_read is not None:
            self._lengthen_reads(stub.max_read)

    def restore(self) -> None:
        """Set all that was changed as it was before; harmless when nothing was.

        It is done once more after GDB's next prompt. A trace that ends while GDB handles a stop
        finds pagination as it was at the stop when that is handled, which is after the prompt.
        An event that GDB has posted and not handled when it ends makes GDB 13 crash: so none is
        posted where no prompt comes, as in batch mode.
        """
        if self._before:
            self._due, self._before = self._before[::-1], []
            for name, value in self._due:
                gdb.execute(f"set {name} {value}", False, True)
            gdb.events.before_prompt.connect(self._before_prompt)

    def _before_prompt(self) -> None:
        gdb.events.before_prompt.disconnect(self._before_prompt)
        gdb.post_event(self._bring_back)

    def _bring_back(self) -> None:
        due, self._due = self._due, []
        for name, value in due:
            gdb.execute(f"set {name} {value}", False, True)

    def _set(self, name: str, value: bool | int) -> None:
        before = gdb.parameter(name)
        gdb.execute(f"set {name} {_written(value)}", False, True)
        self._before.append((name, _written(before)))

    def _lengthen_reads(self, most: int) -> None:
        """Let a packet read up to `most` bytes, unless the person has set how many.

        Two hexadecimal digits a byte: GDB halves the number. It asks back before it takes a
        fixed one for true, and the number has to be there first.
        """
        if not gdb.execute(f"show {_READS}", False, True).startswith(_UNTOUCHED):
            return
        self._before += [(_READS, "0"), (_READS, "limit")]
        gdb.execute(f"set {_READS} {_written(2 * most)}", False, True)
        confirm = gdb.parameter("confirm")
        gdb.execute("set confirm off", False, True)
        gdb.execute(f"set {_READS} fixed", False, True)
        gdb.execute(f"set confirm {'on' if confirm else 'off'}", False, True)


def _written(value: bool | int) -> str:
    """Return `value` as `set` takes it; decimal digits would be read by `input-radix`."""
    return ("off", "on")[value] if isinstance(value, bool) else f"{value:#x}"
