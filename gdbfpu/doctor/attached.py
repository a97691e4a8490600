# SPDX-License-Identifier: GPL-2.0-or-later
"""Does GDB see the right kernel: architecture, the CPU's mode, vmlinux, KASLR, types?"""

from __future__ import annotations

from gdbfpu.doctor.debugger import Debugger
from gdbfpu.doctor.finding import Answer, fine, not_applicable, trouble, unknown
from gdbfpu.doctor.vmlinux import file_answer, types_answer
from gdbfpu.errors import GdbFpuError, MemoryFault, WrongKernel
from gdbfpu.kernel import identity
from gdbfpu.target import Machine

__all__ = (
    "check_architecture",
    "check_build_id",
    "check_connection",
    "check_kaslr",
    "check_mode",
    "check_types",
    "check_vmlinux",
)

_ASK = (
    "# in a shell, to learn who answers on a serial line",
    "gdbfpu doctor --device /dev/ttyS0 --baud 115200",
)
_X86_64 = "i386:x86-64"  # GDB's name of it; its variants begin so
_LMA = 10  # EFER.LMA: the CPU is in IA-32e mode; Intel SDM volume 3, 2.2.1
_USER = 3  # CS.RPL of user mode
_AGAIN = "# then attach again, by the same `target remote`"


def check_architecture(debugger: Debugger) -> Answer:
    """Does GDB expect the registers that an x86-64 stub sends?"""
    name = debugger.architecture()
    if name.startswith(_X86_64):
        return fine(name)
    return trouble(
        f"GDB takes the CPU for {name}, but the stub sends the registers of x86-64. GDB then says "
        "`Remote 'g' packet reply is too long`, or shows wrong registers",
        *(["disconnect"] if debugger.attached() else []),
        f"set architecture {_X86_64}",
        _AGAIN,
    )


def check_connection(debugger: Debugger) -> Answer:
    """Is there a stopped kernel to look at?"""
    try:
        target = debugger.target()
    except GdbFpuError as error:
        return unknown(str(error), *([] if debugger.attached() else _ASK))
    what = "a stub that can run it" if target.stub.runs else "a memory dump"
    return fine(f"{target.stub.name}, {what}")


def check_mode(debugger: Debugger) -> Answer:
    """Is the CPU in 64-bit mode? Firmware and boot loaders are not."""
    target = debugger.target()
    if target.register("efer") is None:
        return not_applicable("KGDB and dumps show a kernel that runs already")
    if not _in_64_bit_mode(target):
        return trouble(
            "the CPU is not in 64-bit mode: the kernel has not started",
            "continue",
            "# and ^C when the kernel runs",
        )
    return fine("64-bit mode")


def _in_64_bit_mode(target: Machine) -> bool:
    efer = target.register("efer")
    return efer is None or bool(efer >> _LMA & 1)


def _started(debugger: Debugger) -> Machine:
    """Return the target; raise GdbFpuError before its kernel runs, as memory is another's then."""
    target = debugger.target()
    if not _in_64_bit_mode(target):
        raise GdbFpuError("the kernel has not started")
    return target


def check_vmlinux(debugger: Debugger) -> Answer:
    """Has GDB a kernel's file?"""
    try:
        vmlinux = debugger.vmlinux()
    except GdbFpuError as error:
        return trouble(str(error), "file PATH/vmlinux")
    return file_answer(vmlinux)


def check_build_id(debugger: Debugger) -> Answer:
    """Is vmlinux that of the running kernel?"""
    target, vmlinux = _started(debugger), debugger.vmlinux()
    debugger.slide()
    try:
        build_id = identity.verify(target, vmlinux)
    except WrongKernel as error:
        fetch = f"debuginfod-find debuginfo {error.build_id}" if error.build_id else ""
        return trouble(
            str(error),
            *([fetch] if fetch else []),
            "# give GDB the vmlinux of the running kernel",
            "file PATH/vmlinux",
        )
    except MemoryFault as error:
        raise GdbFpuError(f"the kernel is not where vmlinux says: {error}") from error
    return fine(f"{build_id}, of both" if build_id else "none; the banners match")


def check_kaslr(debugger: Debugger) -> Answer:
    """Where does the kernel lie?"""
    target = _started(debugger)
    slide = debugger.slide()
    if slide is None:
        segment = target.register("cs")
        mode = ", which stopped in user mode" if (segment or 0) & _USER == _USER else ""
        return unknown(
            f"vmlinux's kernel is at none of the places where KASLR puts one, as far as this CPU"
            f"{mode} shows them",
            "continue",
            "# and ^C again, until a CPU in kernel mode stops; or boot the kernel with nokaslr",
        )
    if slide:
        return fine(f"the kernel lies {slide:#x} above vmlinux; GDB's symbols are moved along")
    return fine("the kernel lies where vmlinux says")


def check_types(debugger: Debugger) -> Answer:
    """Where do the kernel's types come from?"""
    return types_answer(debugger.vmlinux(), debugger.layouts)
