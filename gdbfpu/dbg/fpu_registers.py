# SPDX-License-Identifier: GPL-2.0-or-later
"""The FPU registers of a CPU: what QEMU's monitor prints, and what its gdbstub shows to GDB.

The monitor prints whole vector registers and the x87 tags. GDB knows the low halves and no tags.
"""

from __future__ import annotations

from contextlib import suppress

import gdb

from gdbfpu.fpu.qemu_registers import parse_registers

__all__ = ("Monitor", "vector_registers")

_U64 = (1 << 64) - 1
_WORDS = (("fcw", "fctrl", 2), ("fsw", "fstat", 2), ("mxcsr", "mxcsr", 4))
"""Our names, GDB's names, and bytes."""
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
                self._kvm = _KVM in _answer("info kvm")
                self._there = True

    def fpu_registers(self, cpu: int) -> dict[str, bytes]:
        """Return the FPU registers of CPU number `cpu`, named as in gdbfpu.xsave.live.

        Raises UnknownDump if there is no such monitor or it prints them in an unknown way.
        """
        told = _answer("info registers -a") if self._there else ""
        return parse_registers(told, stack_order=self._kvm).get(cpu, {})


def _answer(command: str) -> str:
    """Return what the stub's monitor answers; raise gdb.error."""
    return str(gdb.execute(f"monitor {command}", to_string=True))


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
