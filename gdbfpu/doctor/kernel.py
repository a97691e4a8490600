# SPDX-License-Identifier: GPL-2.0-or-later
"""What the kernel and its CPUs allow: breakpoints, and which registers there are to see."""

from __future__ import annotations

from collections.abc import Iterator

from gdbfpu.doctor.debugger import Debugger
from gdbfpu.doctor.finding import Answer, fine, limited, not_applicable, trouble, unknown
from gdbfpu.doctor.stub import emulated
from gdbfpu.errors import GdbFpuError
from gdbfpu.fpu.model import FpuModel
from gdbfpu.probes.blocklist import honours_blocklist, refused
from gdbfpu.probes.catalogue import CATALOGUE
from gdbfpu.target import Machine, read_u32
from gdbfpu.xsave import features

__all__ = ("check_blocklist", "check_cpu", "check_rodata")

_QEMU_HAS_THEM = "# QEMU's gdbstub (`-s`) takes breakpoints anywhere"


def check_blocklist(debugger: Debugger) -> Answer:
    """Does KGDB refuse any of the user's breakpoints, or a probe?"""
    target = debugger.target()
    if not target.stub.in_kernel:
        return not_applicable("only KGDB refuses breakpoints")
    if not honours_blocklist(target):
        return fine("not in this kernel (CONFIG_KGDB_HONOUR_BLOCKLIST)")
    bad = [p for p in debugger.breakpoints() if refused(target, p.address)]
    if bad:
        numbers = " ".join(dict.fromkeys(str(point.number) for point in bad))
        places = ", ".join(f"{point.number} at {point.address:#x}" for point in bad)
        return trouble(
            "KGDB refuses breakpoints in code that a breakpoint itself runs through (noinstr, "
            f"entry code), and `continue` fails: {places}",
            f"delete {numbers}",
            _QEMU_HAS_THEM,
        )
    probes = ", ".join(_refused_probes(target))
    if probes:
        return limited(f"KGDB refuses breakpoints in {probes}", _QEMU_HAS_THEM)
    return fine("no breakpoint is where KGDB refuses it")


def _refused_probes(target: Machine) -> Iterator[str]:
    for probe in CATALOGUE:
        address = target.symbol_address(probe.function)
        if address is not None and refused(target, address):
            yield probe.function


def check_rodata(debugger: Debugger) -> Answer:
    """Can a breakpoint that is planted now be removed later?

    KGDB removes a breakpoint in the way in which it planted it. As long as the kernel's text is
    writable, it writes there directly, and that fails once the kernel has protected its text.
    """
    target = debugger.target()
    if not target.stub.in_kernel:
        return not_applicable("only KGDB writes through the kernel's page tables")
    enabled, protected = (
        target.symbol_address(name) for name in ("rodata_enabled", "kernel_set_to_readonly")
    )
    if enabled is None and protected is None:
        return fine("this kernel never protects its text")
    if enabled is not None and not target.read_memory(enabled, 1)[0]:  # since 4.6
        return fine("rodata=off: the kernel's text stays writable")
    if protected is None:
        return unknown("this kernel does not say whether it has protected its text")
    if read_u32(target, protected):
        return fine("the kernel has protected its text already")
    return trouble(
        "the kernel has not protected its text yet. KGDB cannot remove a breakpoint planted now "
        "once it has: `KGDB: BP remove failed`, and the machine hangs",
        "# boot the kernel with rodata=off (since 4.6); or let it boot first, and stop it again by",
        "echo g > /proc/sysrq-trigger",
    )


def check_cpu(debugger: Debugger) -> Answer:
    """Which components can be seen on this CPU?"""
    model = debugger.model()
    names = features.describe(model.xstate.mask or features.FPSSE)  # FXSAVE has no mask
    if lacks := tuple(_lacks(debugger, model)):
        return limited(
            f"{names} can be seen, in {model.format} format. {'. '.join(lacks)}",
            "# on a CPU that has more; in QEMU:",
            "qemu-system-x86_64 -accel kvm -cpu host ...",
        )
    return fine(f"{names} can be seen, in {model.format} format")


def _lacks(debugger: Debugger, model: FpuModel) -> Iterator[str]:
    if not model.xstate.mask >> features.AVX & 1:
        yield "There is no AVX: no task uses it here"
    try:
        if emulated(debugger, model.kernel):
            yield (
                "QEMU emulates the CPU (TCG): it has no AVX-512 and no XSAVES, and each save sets "
                "all bits of the header, so that column components tells nothing"
            )
    except GdbFpuError as error:
        yield f"Whether the CPU is emulated cannot be told: {error}"
