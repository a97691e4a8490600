# SPDX-License-Identifier: GPL-2.0-or-later
"""`make demo`: boot a kernel, trace its FPU use over KGDB, print the report, make its page."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

from qemu.errors import HarnessError
from qemu.session import demo_machine, gdb_command

__all__ = ("main",)

_HITS = 100
_TRACE = 120.0  # seconds; it takes about five
_ROOT = Path(__file__).resolve().parent.parent
_EVENTS, _PAGE = _ROOT / "build" / "demo.jsonl", _ROOT / "build" / "demo.html"


def _commands() -> tuple[str, ...]:
    out = shlex.quote(str(_EVENTS))
    trace = f"fpu-trace on --limit {_HITS} --state full --out {out}"
    return ("source gdbfpu", trace, "continue", "fpu-report", "detach")


def main() -> int:
    """Run the demonstration; return the exit status."""
    _PAGE.parent.mkdir(exist_ok=True)
    for old in (_EVENTS, _PAGE):
        old.unlink(missing_ok=True)
    try:
        with demo_machine() as (machine, kernel):
            argv = gdb_command(kernel.vmlinux, machine.kgdb, _commands(), batch=True, echo=True)
            status = subprocess.run(argv, stdin=subprocess.DEVNULL, timeout=_TRACE).returncode
            machine.check()
        return status or _write_page()
    except HarnessError as error:
        print(f"demo: {error}", file=sys.stderr)
    except subprocess.TimeoutExpired:
        print(f"demo: GDB did not finish within {_TRACE:.0f} seconds", file=sys.stderr)
    except KeyboardInterrupt:
        print("demo: interrupted", file=sys.stderr)
    return 1


def _write_page() -> int:
    """Make the page of the trace, and name it; return the exit status."""
    argv = [sys.executable, "-m", "gdbfpu", "export", _EVENTS, "--to", "html", "--out", _PAGE]
    status = subprocess.run(argv, cwd=_ROOT, timeout=_TRACE).returncode
    if not status:
        print(f"demo: all of this trace as a page, for a browser: {_PAGE}")
    return status


if __name__ == "__main__":
    sys.exit(main())
