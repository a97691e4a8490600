# SPDX-License-Identifier: GPL-2.0-or-later
"""The checks of `fpu-doctor`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Callable

from gdbfpu.doctor.attached import (
    check_architecture,
    check_build_id,
    check_connection,
    check_kaslr,
    check_mode,
    check_types,
    check_vmlinux,
)
from gdbfpu.doctor.debugger import Debugger
from gdbfpu.doctor.device import rate_answer
from gdbfpu.doctor.finding import Answer, fine, not_applicable, trouble
from gdbfpu.doctor.kernel import check_blocklist, check_cpu, check_rodata
from gdbfpu.doctor.stub import check_kvm, check_packets

__all__ = ("CHECKS",)


def _python(debugger: Debugger) -> Answer:
    python = debugger.python()
    if python.lacking:
        return trouble(
            f"{python.versions} lacks {' and '.join(python.lacking)}; it looks in "
            f"{', '.join(filter(None, python.path))}",
            "# in a shell",
            "gdbfpu doctor",
        )
    return fine(f"{python.versions}, with all packages")


def _line(debugger: Debugger) -> Answer:
    device = debugger.device()
    if device is None:
        return not_applicable("GDB is not attached through a tty")
    return rate_answer(device, debugger.baud())


CHECKS: Mapping[str, Callable[[Debugger], Answer]] = {
    "Python": _python,
    "architecture": check_architecture,
    "connection": check_connection,
    "CPU mode": check_mode,
    "vmlinux": check_vmlinux,
    "KASLR": check_kaslr,
    "build-id": check_build_id,
    "types": check_types,
    "KVM": check_kvm,
    "packets": check_packets,
    "blocklist": check_blocklist,
    "rodata": check_rodata,
    "CPU model": check_cpu,
    "line": _line,
}
"""All that `fpu-doctor` looks at; KASLR first places the symbols that the others need."""
