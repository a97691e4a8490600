# SPDX-License-Identifier: GPL-2.0-or-later
"""`gdbfpu install-gdb` and `uninstall-gdb`."""

from __future__ import annotations

import subprocess
import sys

from gdbfpu.commands.dependencies import other_python
from gdbfpu.commands.gdb_init import SOURCE, add_line, init_file, remove_line
from gdbfpu.errors import UsageError, writing

__all__ = ("install_text", "uninstall_text")

_ASK = "python import sys; print('%d.%d' % sys.version_info[:2], sys.base_prefix)"
_DEADLINE = 60.0  # seconds


def install_text() -> str:
    """Add the line to GDB's init file; return what was done.

    Raises UsageError if GDB could not load this installation, or the file cannot be written.
    """
    if SOURCE.parents[1].name.endswith("-packages"):  # not a checkout
        _check_python()
    file = init_file()
    with writing(file):
        return add_line(file)


def uninstall_text() -> str:
    """Remove the line from GDB's init file; return what was done. Raises UsageError."""
    file = init_file()
    with writing(file):
        return remove_line(file)


def _check_python() -> None:
    """Raise UsageError unless GDB's Python is the one that gdbfpu is installed for."""
    version, prefix = _gdb_python()
    own = "{}.{}".format(*sys.version_info)
    if version != own:
        raise UsageError(other_python(own, version, prefix))


def _gdb_python() -> tuple[str, str]:
    """Return the version and the prefix of the Python that is built into GDB."""
    command = ["gdb", "-nx", "-batch", "-ex", _ASK]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_DEADLINE)
    except FileNotFoundError as error:
        raise UsageError("there is no gdb: install it, then run this again") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(f"gdb does not run: {error}") from error
    version, _, prefix = done.stdout.strip().partition(" ")
    if not prefix:
        raise UsageError("this GDB has no Python: gdbfpu needs one that has, as distributions do")
    return version, prefix
