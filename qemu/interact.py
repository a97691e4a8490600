# SPDX-License-Identifier: GPL-2.0-or-later
"""`make interact`: boot the demonstration's machine and leave the user in GDB, attached.

KGDB does not listen while the kernel runs, so it does not see the ^C that GDB sends. This process
gets the same ^C from the terminal and makes the kernel enter KGDB instead.
"""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
from pathlib import Path

from qemu.errors import HarnessError
from qemu.session import demo_machine, gdb_command
from qemu.vm import Machine

__all__ = ("main",)

# Lets a file exist while the kernel runs under GDB. A hit of a trace causes no `stop` event.
_FOLLOW = """python
import pathlib
def _gdbfpu_follow(path):
    def running(event):
        if not running.known:
            path.touch()
        running.known = True
    def stopped(event):
        path.unlink(missing_ok=True)
        running.known = False
    running.known = False
    gdb.events.cont.connect(running)
    gdb.events.stop.connect(stopped)
_gdbfpu_follow(pathlib.Path({path!r}))
end
"""


def main() -> int:
    """Run the session; return GDB's exit status."""
    try:
        with demo_machine() as (machine, kernel):
            running = machine.directory / "running"
            follow = machine.directory / "follow.gdb"
            follow.write_text(_FOLLOW.format(path=str(running)), encoding="utf-8")
            argv = gdb_command(kernel.vmlinux, machine.kgdb, ("source gdbfpu",), batch=False)
            print(f"\n{shlex.join(argv)}\n", flush=True)
            print("Now: fpu-trace on, continue, ^C, fpu-report; quit ends the machine.", flush=True)
            return _follow([*argv, "-x", str(follow)], machine, running)
    except HarnessError as error:
        print(f"interact: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("interact: interrupted", file=sys.stderr)
    return 1


def _follow(argv: list[str], machine: Machine, running: Path) -> int:
    """Run GDB until it ends; a ^C stops a running kernel."""
    interrupted: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _: interrupted.append(number))
    with subprocess.Popen(argv) as gdb:
        while True:
            try:
                return gdb.wait(timeout=0.1)
            except subprocess.TimeoutExpired:
                if interrupted and running.exists():
                    machine.break_in()
                interrupted.clear()


if __name__ == "__main__":
    sys.exit(main())
