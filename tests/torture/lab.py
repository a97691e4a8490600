# SPDX-License-Identifier: GPL-2.0-or-later
"""A machine under load over one of its stubs, started anew only if a fault has ended it."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from qemu.building import MODULE
from qemu.cache import cache_root
from qemu.console import PROMPT
from qemu.cpus import model_for
from qemu.guest.cpio import write_initramfs
from qemu.guest.image import test_image
from qemu.kernels import Kernel
from qemu.session import gdb_alone
from qemu.vm import Machine
from tests.torture.debugger import Debugger
from tests.vm.oracle import symbols_of

__all__ = ("STUBS", "Lab")

STUBS = ("kgdb", "gdbstub")
BOOT = 120.0  # seconds; it takes about two
ENTER = 2.0  # seconds for a kernel under load to run into a probe that is still in its text
PRESSES, HEARD = 5, 4.0  # of ^C, and for how many seconds each may take

# Signals that leave the guest time for its shell: over KGDB, its clock goes on during a hit, which
# takes 20 ms, and on a busy host much longer.
LOAD = "x87calc 0 100 > /dev/null & ymmall 0 100 > /dev/null &"


class Lab:
    """The kernel over `stub`, and GDBs on it that run in `folder`. A context manager."""

    def __init__(
        self, kernel: Kernel, stub: str, folder: Path, *, load: str = LOAD, cpus: int = 2
    ) -> None:
        self.kernel = kernel
        self.stub = stub
        self.folder = folder
        self.symbols = symbols_of(kernel.vmlinux)
        self._load, self._cpus = load, cpus
        self._machine: Machine | None = None
        self._text = b""
        # Layouts and GDB's index are kept, but not in the person's cache.
        cache = folder / "cache"
        (cache / "gdbfpu").mkdir(parents=True)
        (cache / "gdbfpu/venv").symlink_to(cache_root() / "venv")
        self._environment = {
            "XDG_CACHE_HOME": str(cache),
            "XDG_STATE_HOME": str(folder / "state"),
            "GDBFPU_CACHE": "on",
        }

    def __enter__(self) -> Lab:
        return self

    def __exit__(self, *_: object) -> None:
        self.lose()

    @property
    def machine(self) -> Machine:
        """The machine, which is booted if there is none, or goes on from its first boot."""
        if self._machine is None:
            saved = self.folder / "saved"
            self._machine = machine = Machine(
                self.kernel.bzimage,
                self._image(),
                cpu=model_for(self.kernel),
                smp=self._cpus,
                saved=saved if saved.exists() else None,
            )
            machine.boot(PROMPT, BOOT)
            if not saved.exists():
                machine.save(saved)
                self._text = self.text()
            self.start_load()
        return self._machine

    def _image(self) -> Path:
        """Return the image of the tests with the kernel's module in its root directory."""
        image, root = self.folder / "image", self.folder / "root"
        if not image.exists():
            root.mkdir()
            shutil.copy(self.kernel.vmlinux.with_name(f"{MODULE}.ko"), root)
            write_initramfs(root, image)
            image.write_bytes(test_image().read_bytes() + image.read_bytes())
        return image

    def start_load(self) -> None:
        """Start the programs that take signals all the time."""
        self.machine.run(self._load, 20.0)

    @property
    def booted(self) -> bool:
        """Whether there is a machine."""
        return self._machine is not None

    @property
    def socket(self) -> Path:
        """The Unix socket of the stub."""
        return self.machine.kgdb if self.stub == "kgdb" else self.machine.gdbstub

    def new_file(self) -> Path:
        """Return where a file can be written, alone in its directory."""
        return Path(tempfile.mkdtemp(dir=self.folder)) / "events"

    def lose(self) -> None:
        """End the machine; the next one is booted when it is asked for."""
        if self._machine is not None:
            self._machine.close()
            self._machine = None

    def text(self) -> bytes:
        """Return the kernel's whole text, as the CPUs execute it."""
        start, end = self.symbols["_stext"], self.symbols["_etext"]
        return self.machine.read_memory(start, end - start)

    def changed(self) -> str:
        """Return where the kernel's text differs from what it was after the boot, if it does."""
        now, start = self.text(), self.symbols["_stext"]
        if now == self._text:
            return ""
        places = [
            f"{start + i:#x}"
            for i, (a, b) in enumerate(zip(now, self._text, strict=True))
            if a != b
        ]
        return f"{len(places)} bytes of the kernel's text differ, the first at {places[0]}"

    @contextmanager
    def attach(self, socket: Path | None = None) -> Iterator[Debugger]:
        """Yield a GDB that has read gdbfpu, attached to the kernel, which is stopped.

        `socket` is of a proxy in front of the stub. A CPU in KGDB spins, so that GDB is ready
        before the kernel enters it.
        """
        argv = gdb_alone(self.kernel.vmlinux, batch=False)
        index = (
            "set python print-stack full",
            f"set index-cache directory {self.folder}/index",
            "set index-cache enabled on",
        )
        for option in (*index, "set confirm off", "set width 0"):
            argv[3:3] = ["-iex", option]
        with Debugger(argv, self.folder, self._environment) as gdb:
            gdb.ask("source gdbfpu", "fpu-trace status")
            if self.stub == "kgdb":
                self._enter_kgdb()
            gdb.ask(f"target remote {socket or self.socket}")
            yield gdb

    def stop(self, gdb: Debugger) -> str:
        """Stop the kernel that runs for `gdb`; return what GDB printed since it ran.

        KGDB does not hear a ^C while the kernel runs. QEMU does not hear one that crosses with a
        breakpoint that it reports: then somebody presses ^C again.
        """
        if self.stub == "kgdb":
            self.machine.break_in()
            return gdb.done()
        for _ in range(PRESSES):
            gdb.interrupt()
            if gdb.comes_back(HEARD):
                return gdb.printed
        raise AssertionError(f"GDB does not hear ^C, pressed {PRESSES} times")

    def _enter_kgdb(self) -> None:
        """Have the kernel enter KGDB. If a probe is left in its text, it does so by itself."""
        deadline = time.monotonic() + ENTER
        while not self._in_kgdb():
            if self.text() == self._text or time.monotonic() > deadline:
                self.machine.break_in()
                return
            time.sleep(0.05)

    def _in_kgdb(self) -> bool:
        data = self.machine.read_memory(self.symbols["kgdb_active"], 4)
        return int.from_bytes(data, "little", signed=True) != -1
