# SPDX-License-Identifier: GPL-2.0-or-later
"""The FPU registers of a CPU: what QEMU's monitor prints, and what its gdbstub shows to GDB.

The monitor prints whole vector registers and the x87 tags. GDB knows the low halves and no tags.
"""

from __future__ import annotations

import time
from contextlib import suppress

import gdb

from gdbfpu.dbg.waiting import alarm
from gdbfpu.fpu.qemu_registers import UnknownDump, parse_registers

__all__ = ("Monitor", "monitor_answer", "vector_registers")

_U64 = (1 << 64) - 1
_WORDS = (("fcw", "fctrl", 2), ("fsw", "fstat", 2), ("mxcsr", "mxcsr", 4))
"""Our names, GDB's names, and bytes."""
_PATIENCE = 10.0  # seconds
_REMOTE = ("remote", "extended-remote")
_KVM = "kvm support: enabled"  # hmp_info_kvm() in QEMU


class Monitor:
    """QEMU's monitor, to which GDB passes commands of the stub's connection `kind`.

    An error of gdb.execute() within stop() makes GDB end the user's `continue`, even if it is
    handled. So whether there is a monitor is found out here, before any stop().
    """

    def __init__(self, kind: str) -> None:
        self._there, self._kvm = False, False
        with suppress(gdb.error):  # a stub without a monitor
            if kind in _REMOTE:
                # QEMU then has the x87 registers in the order of KVM's XSAVE image, ST(0) first.
                # Its own emulator has them by their physical numbers. Source:
                # x86_cpu_xrstor_all_areas() in QEMU.
                self._kvm = _KVM in monitor_answer("info kvm")
                self._there = True

    def fpu_registers(self, cpu: int) -> dict[str, bytes]:
        """Return the FPU registers of CPU number `cpu`, named as in gdbfpu.xsave.live.

        Raises UnknownDump if there is no such monitor or it prints them in an unknown way.
        """
        try:
            told = monitor_answer("info registers -a") if self._there else ""
        except gdb.error as error:
            raise UnknownDump(str(error)) from error
        return parse_registers(told, stack_order=self._kvm).get(cpu, {})


def monitor_answer(command: str) -> str:
    """Return what the stub's monitor answers; raise gdb.error, also if that is not text.

    GDB itself waits for the answer without end.
    """
    until = time.monotonic() + _PATIENCE
    try:
        with alarm(_PATIENCE):
            return str(gdb.execute(f"monitor {command}", to_string=True))
    except UnicodeDecodeError as error:
        raise gdb.error("the answer of the monitor is not text") from error
    except KeyboardInterrupt as error:
        if time.monotonic() < until:  # the user's own
            raise
        raise gdb.error(f"the monitor does not answer in {_PATIENCE:.0f} s") from error


def vector_registers() -> dict[str, bytes]:
    """Return those registers of the selected thread that each stub shows alike, by our names.

    The tag word and the x87 registers are left out: QEMU shows zero for the first, and up to 7.2
    calls the physical registers st0 to st7. Returns nothing if the stub hides any of the others.
    """
    found = {}
    try:
        frame = gdb.newest_frame()
        for name, register, size in _WORDS:
            value = int(frame.read_register(register)) & (1 << 8 * size) - 1
            found[name] = value.to_bytes(size, "little")
        for i in range(16):
            halves = frame.read_register(f"xmm{i}")["v2_int64"]
            words = (int(halves[n]) & _U64 for n in (0, 1))
            found[f"xmm{i}"] = b"".join(word.to_bytes(8, "little") for word in words)
    except (gdb.error, ValueError):  # GDB knows no such register of this target
        return {}
    return found
