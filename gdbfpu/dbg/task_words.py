# SPDX-License-Identifier: GPL-2.0-or-later
"""The pids and names of the stopped kernel's tasks, as words for completion.

Completion never prints and never fails, and the user waits for it. So a walk over the tasks ends
after a short time, and the next TAB goes on from there. Until it is complete, the tasks of the
trace's totals are offered, too.
"""

from __future__ import annotations

import functools
import re
import time
from collections.abc import Iterator
from itertools import islice
from typing import Any

import gdb

from gdbfpu.commands.model import glimpse
from gdbfpu.commands.parser import Live
from gdbfpu.dbg.debug_files import debug_helpers, kernel_file
from gdbfpu.dbg.session import Session, session
from gdbfpu.dbg.target import GdbTarget
from gdbfpu.errors import GdbFpuError
from gdbfpu.kernel import identity
from gdbfpu.kernel.tasks import Kernel, Task

__all__ = ("task_words",)

_PATIENCE = 0.3  # seconds that a walk may take at one TAB
_MOST = 5000  # tasks
_AWKWARD = re.compile(r"[\s\"'\\]")  # what GDB does not take for a part of one word


def task_words(kind: Live) -> set[str]:
    """Return the pids or the names of user tasks, as words of a command."""
    known = session()
    found = _walk().tasks(known)
    if not _walk().complete:
        found |= {(row.pid, row.comm) for row in known.totals.tasks.values()}
    if kind is Live.PIDS:
        return {str(pid) for pid, _ in found}
    return {_AWKWARD.sub("?", comm) for _, comm in found}


class _Walk:
    """A walk over the tasks of the stopped kernel. It begins anew when the kernel has run."""

    def __init__(self) -> None:
        self.complete = False
        self._target: GdbTarget | None = None
        self._kernel: Kernel | None = None
        self._tasks: Iterator[Task] | None = None
        self._found: set[tuple[int, str]] = set()
        gdb.events.cont.connect(self._again)

    def _again(self, _event: Any = None) -> None:
        self._tasks, self._found, self.complete = None, set(), False

    def tasks(self, known: Session) -> set[tuple[int, str]]:
        """Return pid and name of the user tasks found so far, after a walk of at most _PATIENCE."""
        try:
            target = known.target
        except GdbFpuError:  # no kernel, or it runs
            target = None
        if target is not self._target:
            self._target, self._kernel = target, None
            self._again()
        try:
            if target is not None:
                self._go_on(known)
        except (GdbFpuError, OSError, gdb.error):  # another kernel, no file, corrupt memory
            self._tasks = None
        return set(self._found)

    def _go_on(self, known: Session) -> None:
        if self._tasks is None:
            self._kernel = known.known_kernel or self._kernel or _glimpse(known)
            if self._kernel is None:
                return
            self._tasks = islice(self._kernel.tasks(), _MOST)
        end = time.monotonic() + _PATIENCE
        for task in self._tasks:
            if not task.kthread:
                self._found.add((task.pid, task.comm))
            if time.monotonic() > end:
                return
        self.complete = True


def _glimpse(known: Session) -> Kernel | None:
    """Return the kernel if its types are known at once.

    To read them from a vmlinux takes seconds, and to find a kernel that KASLR moved is said aloud.
    Both are left to a command.
    """
    target, vmlinux = known.target, kernel_file()
    target.slide = identity.file_slide(target, vmlinux)
    build_id = identity.verify(target, vmlinux)
    return glimpse(target, vmlinux, build_id, debug_helpers(vmlinux))


@functools.cache
def _walk() -> _Walk:
    return _Walk()
