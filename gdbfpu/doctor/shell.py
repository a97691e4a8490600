# SPDX-License-Identifier: GPL-2.0-or-later
"""`gdbfpu doctor`: what a shell can look at, without a kernel."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Callable

from gdbfpu.commands.doctor_options import ShellDoctorOptions
from gdbfpu.commands.model import file_layouts, helpers_here
from gdbfpu.doctor.asking import RATES, ask
from gdbfpu.doctor.device import adapters, rate_answer, rights_answer
from gdbfpu.doctor.finding import Answer, Verdict, examine, not_applicable
from gdbfpu.doctor.gdb_program import check_gdb, check_packages, check_source
from gdbfpu.doctor.journals import journals_answer
from gdbfpu.doctor.text import findings_json, findings_text, has_trouble
from gdbfpu.doctor.vmlinux import file_answer, types_answer
from gdbfpu.errors import GdbFpuError, UsageError
from gdbfpu.fast.journal import journal_folder
from gdbfpu.text.screen import Screen

__all__ = ("doctor_answer",)

_Check = Callable[[ShellDoctorOptions], Answer]


def doctor_answer(options: ShellDoctorOptions, screen: Screen) -> tuple[str, int]:
    """Return what `gdbfpu doctor` prints, and its exit status: 1 if there is trouble."""
    if options.baud is not None and options.baud not in RATES:
        rates = ", ".join(map(str, sorted(RATES)))
        raise UsageError(f"no tty has a rate of {options.baud} bit/s; there are: {rates}")
    found = examine(_checks(options), options)
    write = findings_json if options.format == "json" else findings_text
    return write(found, screen), int(has_trouble(found))


def _checks(options: ShellDoctorOptions) -> dict[str, _Check]:
    """Return the checks to make: those of devices for the one named, or for each USB adapter."""
    devices = [options.device] if options.device else [Path("/dev") / name for name in adapters()]
    checks: dict[str, _Check] = {
        "GDB": check_gdb,
        "packages": check_packages,
        "source gdbfpu": check_source,
        "vmlinux": _vmlinux,
        "types": _types,
        "journals": _journals,
    }
    for device in devices:
        checks[f"{device}"] = partial(_rights, device)
        checks[f"{device}, rate"] = partial(_rate, device)
    if not devices:
        checks |= {"device": _no_device, "rate": partial(_rate, None)}
    return {**checks, "who answers": _answers}


def _vmlinux(options: ShellDoctorOptions) -> Answer:
    if options.vmlinux is None:
        return not_applicable("no VMLINUX is named")
    return file_answer(options.vmlinux)


def _types(options: ShellDoctorOptions) -> Answer:
    if options.vmlinux is None:
        return not_applicable("no VMLINUX is named")
    return types_answer(options.vmlinux, partial(file_layouts, options.vmlinux, helpers_here()))


def _journals(_: ShellDoctorOptions) -> Answer:
    return journals_answer(journal_folder())


def _rights(device: Path, _: ShellDoctorOptions) -> Answer:
    return rights_answer(device)


def _no_device(_: ShellDoctorOptions) -> Answer:
    return not_applicable("no --device is named, and no USB adapter is plugged in")


def _rate(device: Path | None, options: ShellDoctorOptions) -> Answer:
    return rate_answer(device, options.baud)


def _answers(options: ShellDoctorOptions) -> Answer:
    if options.device is None:
        return not_applicable("no --device is named")
    if rights_answer(options.device).verdict is not Verdict.FINE:
        raise GdbFpuError(f"{options.device} cannot be used")
    return ask(options.device, options.baud)
