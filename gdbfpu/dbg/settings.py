# SPDX-License-Identifier: GPL-2.0-or-later
"""Change GDB's settings for a trace, and restore them afterwards."""

from __future__ import annotations

import gdb

from gdbfpu.target import Stub

__all__ = ("Settings",)

_READS = "remote memory-read-packet-size"
_UNTOUCHED = f"The {_READS.split()[1]} is 0 (default)."
_DEEP = 4  # a backtrace with this many callers or more reads the stack in longer lines
_LINE = 256  # bytes, a power of two; no stub's max_read is less


class Settings:
    """The settings that a trace has changed; `restore` brings back the old values."""

    def __init__(self) -> None:
        self._before: list[tuple[str, str]] = []  # old values, to restore in reverse order
        self._due: list[tuple[str, str]] = []  # old values that were restored, to restore again

    def change(self, stub: Stub, backtrace: int) -> None:
        """Set what a trace over `stub` needs if it records `backtrace` callers at each hit.

        A pager would hold the kernel at a hit. GDB reads the stack in lines of 64 bytes, with a
        packet for each line. Longer lines save packets if a backtrace needs several. By default,
        GDB makes no packet longer than the packet with all registers. On x86-64, KGDB's registers
        have 156 bytes, so a read from KGDB gets at most 156 bytes.

        After a software breakpoint, GDB sets the program counter back. For a program of Linux, it
        then also writes orig_rax, so that no system call is restarted: a packet more at each hit. A
        kernel is no such program, and KGDB has no such register.
        """
        self._bring_back()
        self._set("pagination", False)
        if backtrace >= _DEEP:
            self._set("dcache line-size", _LINE)
        if stub.in_kernel:
            self._set("osabi", "none")
        if stub.max_read is not None:
            self._lengthen_reads(stub.max_read)

    def restore(self) -> None:
        """Restore all settings that were changed; do nothing if none were changed.

        The settings are restored once more after GDB's next prompt. A trace may end while GDB
        handles a stop: then, after the prompt, GDB sets pagination to its value at the stop.
        To restore them then, we post an event. GDB 13 crashes if it exits before it handles a
        posted event. So we post the event only at a prompt, and not in batch mode, for example.
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

    def _set(self, name: str, value: bool | int | str) -> None:
        before = gdb.parameter(name)
        gdb.execute(f"set {name} {_written(value)}", False, True)
        self._before.append((name, _written(before)))

    def _lengthen_reads(self, most: int) -> None:
        """Let a packet read up to `most` bytes, unless the user has set a limit.

        GDB halves the number that we set, since a byte takes two hexadecimal digits. The number
        must be set before `fixed`. GDB asks for confirmation before it accepts `fixed`.
        """
        if not gdb.execute(f"show {_READS}", False, True).startswith(_UNTOUCHED):
            return
        self._before += [(_READS, "0"), (_READS, "limit")]
        gdb.execute(f"set {_READS} {_written(2 * most)}", False, True)
        confirm = gdb.parameter("confirm")
        gdb.execute("set confirm off", False, True)
        gdb.execute(f"set {_READS} fixed", False, True)
        gdb.execute(f"set confirm {'on' if confirm else 'off'}", False, True)


def _written(value: bool | int | str) -> str:
    """Return `value` as `set` takes it: a number in hexadecimal, whatever `input-radix` is."""
    if isinstance(value, str):
        return value
    return ("off", "on")[value] if isinstance(value, bool) else f"{value:#x}"
