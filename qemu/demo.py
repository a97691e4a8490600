# SPDX-License-Identifier: GPL-2.0-or-later
"""`make demo`: boot a kernel, trace its FPU use over KGDB, print the report, leave nothing."""

from __future__ import annotations

import subprocess
import sys

from qemu.errors import HarnessError
from qemu.session import demo_machine, gdb_command

__all__ = ("main",)

_HITS = 100
_TRACE = 120.0  # seconds; it takes about five
_COMMANDS = (
    "source gdbfpu",
    f"fpu-trace on --limit {_HITS}",
    "continue",
    "fpu-report",
    "detach",
)


def main() -> int:
    """Run the demonstration; return the exit status."""
    try:
        with demo_machine() as (machine, kernel):
            argv = gdb_command(kernel.vmlinux, machine.kgdb, _COMMANDS, batch=True, echo=True)
            status = subprocess.run(argv, stdin=subprocess.DEVNULL, timeout=_TRACE).returncode
            machine.check()
            return status
    except HarnessError as error:
        print(f"demo: {error}", file=sys.stderr)
    except subprocess.TimeoutExpired:
        print(f"demo: GDB did not finish within {_TRACE:.0f} seconds", file=sys.stderr)
    except KeyboardInterrupt:
        print("demo: interrupted", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
