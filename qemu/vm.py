# SPDX-License-Identifier: GPL-2.0-or-later
"""A virtual machine whose kernel can be debugged over KGDB and over QEMU's gdbstub."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from qemu.console import Console
from qemu.errors import HarnessError, MachineLost, SetupError
from qemu.kept import Kept
from qemu.monitor import Monitor

__all__ = ("QEMU", "Machine")

QEMU = "qemu-system-x86_64"

_KVM_BOOT = 10.0  # seconds for a boot with KVM; it takes two if KVM works
_FIRST_LINE = 60.0  # seconds for the kernel's first line on the console: it takes one or two
_DYING = 2.0  # seconds for QEMU to end after it closed the console
_SAVE, _POLL = 60.0, 0.02  # seconds to save or load a machine, and between two questions
_SYSRQ = 10.0  # seconds for the kernel to answer a SysRq key
# KGDB reports a breakpoint that it cannot remove at the level `info`, so every level has to reach
# the console (ignore_loglevel). The other options silence the mouse and the random number
# generator, whose messages would appear in the middle of a command's output.
# An emulated CPU but the first measures its delays ten thousand times too short, so that KGDB on it
# does not wait for the others. `lpj` is right for a TSC of 2.5 GHz and CONFIG_HZ=250.
_COMMAND_LINE = (
    "console=ttyS0 kgdboc=ttyS1,115200 panic=-1 ignore_loglevel i8042.noaux random.trust_cpu=on "
    "lpj=10000000"
)
# A CPU that waits in KGDB spins. If it takes a core of the host from the CPU that it waits for, a
# hit takes five times as long; on one thread, QEMU leaves a CPU that spins.
_THREADS, _ONE_THREAD = "tcg,thread=multi", "tcg,thread=single"
_SOCKETS = ("console", "kgdb", "qmp", "gdb")

_T = TypeVar("_T")


class Machine:
    """A guest: `kernel` (a bzImage) and `initrd` on `smp` CPUs of model `cpu`.

    `memory` is QEMU's -m. `append` goes to the end of the kernel's command line, which has the
    console on ttyS0, KGDB on ttyS1 and no wait after a panic; with `kaslr` the kernel may
    relocate itself. `kvm` asks for KVM; if the guest does not boot with KVM in time, it boots
    without. Emulated CPUs share a thread if the host has no core to spare; with `parallel` each
    always has its own. With `saved`, a file that `save` of such a machine wrote, it goes on from
    there, which takes a tenth of a boot. A context manager: it leaves no process and no file, even
    if this process is killed.
    """

    def __init__(
        self,
        kernel: Path,
        initrd: Path,
        *,
        cpu: str = "max",
        smp: int = 2,
        memory: str = "512M",
        append: str = "",
        kaslr: bool = False,
        kvm: bool = False,
        parallel: bool = False,
        saved: Path | None = None,
    ) -> None:
        # One CPU per socket: a kernel without ACPI reads the firmware's MP table, which lists only
        # one core of each socket.
        cpus = f"{smp},sockets={smp},cores=1,threads=1"
        line = [_COMMAND_LINE, *([] if kaslr else ["nokaslr"]), append]
        self._arguments = [
            *("-no-user-config", "-display", "none", "-nic", "none", "-no-reboot", "-S"),
            *("-cpu", cpu, "-smp", cpus, "-m", memory),
            *("-kernel", str(kernel.resolve()), "-initrd", str(initrd.resolve())),
            *("-append", " ".join(line).rstrip()),
        ]
        for name in _SOCKETS:
            chardev = f"socket,id={name},path={name}.sock,server=on,wait=off"
            self._arguments += ["-chardev", chardev]
        self._arguments += ["-serial", "chardev:console", "-serial", "chardev:kgdb"]
        self._arguments += ["-gdb", "chardev:gdb", "-mon", "chardev=qmp,mode=control"]
        if saved is not None:
            self._arguments += ["-incoming", f"exec:cat {shlex.quote(str(saved.resolve()))}"]
        self._saved = saved
        spare = len(os.sched_getaffinity(0)) > smp
        self._emulator = _THREADS if parallel or spare else _ONE_THREAD
        self.accelerator = "kvm" if kvm else self._emulator
        self._kept: Kept | None = None
        self._console: Console | None = None
        self._monitor: Monitor | None = None

    def __enter__(self) -> Machine:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def command_line(self) -> list[str]:
        """Return the command that runs QEMU, in the directory of the sockets."""
        return [QEMU, "-accel", self.accelerator, *self._arguments]

    @property
    def directory(self) -> Path:
        """Return the private directory that holds the sockets."""
        if self._kept is None:
            raise HarnessError("the machine is not booted")
        return self._kept.directory

    @property
    def kgdb(self) -> Path:
        """Return the Unix socket that is the KGDB UART, ttyS1."""
        return self.directory / "kgdb.sock"

    @property
    def gdbstub(self) -> Path:
        """Return the Unix socket of QEMU's gdbstub."""
        return self.directory / "gdb.sock"

    @property
    def console_log(self) -> str:
        """Return all that was read from the console."""
        return self.console.log

    @property
    def console(self) -> Console:
        """Return the console, ttyS0."""
        if self._console is None:
            raise HarnessError("the machine is not booted")
        return self._console

    @property
    def monitor(self) -> Monitor:
        """Return the connection to QEMU's monitor."""
        if self._monitor is None:
            raise HarnessError("the machine is not booted")
        return self._monitor

    def boot(self, until: str, timeout: float) -> None:
        """Boot until the console shows the regular expression `until`, for `timeout` seconds.

        Raises MachineLost.
        """
        if self.accelerator == "kvm":
            try:
                self._boot(until, min(timeout, _KVM_BOOT))
                return
            except MachineLost as lost:
                self.close()
                print(f"KVM does not boot this guest ({lost.how}): using TCG", file=sys.stderr)
                self.accelerator = self._emulator
        self._boot(until, timeout)

    def run(self, command: str, timeout: float) -> str:
        """Run a command in the guest's shell and return its output; raise MachineLost."""
        return self._explained(lambda: self.console.run(command, timeout))

    def wait_console(self, pattern: str, timeout: float) -> str:
        """Wait for a regular expression on the console; return what came before it.

        Raises MachineLost at the deadline of `timeout` seconds, at once when the kernel is lost.
        """
        return self._explained(lambda: self.console.wait(pattern, timeout))

    def check(self) -> None:
        """Raise MachineLost if the kernel said that it is in trouble or QEMU has ended."""
        self._explained(self.console.check)

    def alive(self) -> bool:
        """Return whether the kernel runs and has not said that it is in trouble."""
        if self._kept is None:
            return False
        try:
            self.check()
        except MachineLost:
            return False
        return not self._kept.ended(0)

    def break_in(self) -> None:
        """Make the running kernel enter KGDB, by SysRq-g on the console; raise MachineLost."""
        self.monitor.execute("chardev-send-break", id="console")
        self.console.send("g")
        self.wait_console(r"(?i)sysrq ?: [^\r\n]*DEBUG", _SYSRQ)

    def read_memory(self, address: int, length: int) -> bytes:
        """Return `length` bytes of guest memory at the virtual `address`, as CPU 0 maps it.

        This does not stop the guest. Raises HarnessError if the address is not mapped.
        """
        file = self.directory / "memory"
        signed = address - (1 << 64) if address >> 63 else address  # what QMP takes
        self.monitor.execute("memsave", val=signed, size=length, filename=file.name)
        data = file.read_bytes()
        file.unlink()
        return data

    def save(self, file: Path) -> None:
        """Write the machine's state to `file`, and let it run on; raise HarnessError."""
        self.monitor.execute("stop")
        self.monitor.execute("migrate", uri=f"exec:cat > {shlex.quote(str(file.resolve()))}")
        self._becomes("query-migrate", "completed")
        self.monitor.execute("cont")

    def _becomes(self, question: str, *wanted: str) -> None:
        """Ask QEMU until its status is one that is `wanted`; raise HarnessError."""
        deadline = time.monotonic() + _SAVE
        while (status := self.monitor.execute(question)["status"]) not in wanted:
            if status == "failed" or time.monotonic() > deadline:
                raise HarnessError(f"{question}: {status}")
            time.sleep(_POLL)

    def close(self) -> None:
        """End the machine and remove its files; do nothing if it does not run."""
        if self._monitor is not None:
            self._monitor.close()
            self._monitor = None
        if self._console is not None:
            self._console.close()
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    def _boot(self, until: str, timeout: float) -> None:
        if self._kept is not None:
            raise HarnessError("the machine is booted already")
        if shutil.which(QEMU) is None:
            raise SetupError(f"{QEMU} is not installed: run make setup")
        deadline = time.monotonic() + timeout
        self._kept = Kept(self.command_line)
        # QEMU waits for `cont`, so that no line of the console is lost.
        self._console = console = Console(self._kept.connect("console.sock", deadline))
        try:
            self._monitor = Monitor(self._kept.connect("qmp.sock", deadline))
            if self._saved is not None:
                self._becomes("query-status", "prelaunch", "paused")
            self._monitor.execute("cont")
        except HarnessError as error:
            raise MachineLost(self._kept.ended(_DYING) or str(error)) from error
        if self._saved is not None:
            console.send("\n")  # the shell has printed its prompt before
        life = min(_FIRST_LINE, max(0.0, deadline - time.monotonic()))
        self._explained(lambda: console.wait_for_life(life))
        self.wait_console(until, max(0.0, deadline - time.monotonic()))

    def _explained(self, call: Callable[[], _T]) -> _T:
        """Return `call()`; if it raises MachineLost, add how QEMU ended, if it did."""
        try:
            return call()
        except MachineLost as lost:
            ended = self._kept.ended(_DYING) if self._kept and lost.ended else ""
            if not ended:
                raise
            raise MachineLost(f"{lost.how}; {ended}", lost.console) from lost
