# SPDX-License-Identifier: GPL-2.0-or-later
"""A GDB that runs commands beside the test, its output in a file, with a deadline on each wait."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qemu.gdbs import STRICT
from qemu.kernels import Kernel
from qemu.session import gdb_command


class GdbRun:
    """GDB on `kernel`, attached to `socket`, running `commands` and then ending.

    `options` go before everything else, for what has to be set before GDB connects.
    """

    def __init__(
        self,
        kernel: Kernel,
        socket: Path,
        commands: Sequence[str],
        folder: Path,
        options: Sequence[str] = (),
    ) -> None:
        argv = gdb_command(kernel.vmlinux, socket, commands, batch=True)
        for option in reversed(options):
            argv[4:4] = ["-ex", option]
        self._log = folder / f"gdb-{time.monotonic_ns()}.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env={**os.environ, **STRICT, "GDBFPU_CACHE": "off"},
            )

    def __enter__(self) -> GdbRun:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()

    @property
    def output(self) -> str:
        return self._log.read_text(errors="replace")

    def wait_for(self, text: str, timeout: float = 60.0) -> None:
        """Wait until GDB has printed `text`."""
        deadline = time.monotonic() + timeout
        while text not in self.output:
            assert self.process.poll() is None, f"GDB ended without {text!r}:\n{self.output}"
            assert time.monotonic() < deadline, f"no {text!r} in {timeout} s:\n{self.output}"
            time.sleep(0.05)

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def finish(self, timeout: float = 120.0) -> str:
        """Wait for GDB's end; return its output, which may hold no sign of a crash."""
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"GDB runs on after {timeout} s:\n{self.output[-4000:]}") from None
        output = self.output
        assert status == 0, output[-4000:]
        for sign in ("Traceback", "Python Exception", "internal-error", "Error occurred"):
            assert sign not in output, output[-4000:]
        return output


def events(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the header and the hits of an event file, and its audits' lines."""
    header, *lines = (json.loads(line) for line in path.read_text().splitlines())
    return header, [line for line in lines if "use_of" not in line]
