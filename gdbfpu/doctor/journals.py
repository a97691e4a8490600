# SPDX-License-Identifier: GPL-2.0-or-later
"""What fast traces have left on the disk: journals of kernels that nobody has restored."""

from __future__ import annotations

import time
from pathlib import Path

from gdbfpu.doctor.finding import Answer, fine, limited
from gdbfpu.fast.journal import SUFFIX
from gdbfpu.text.counted import counted

__all__ = ("journals_answer",)


def journals_answer(folder: Path) -> Answer:
    """Return what there is of journals in `folder`: one for each trace that was not ended.

    They are never removed unasked: the machine may still be there, and only its journal can
    restore it.
    """
    ages = sorted(path.lstat().st_mtime for path in folder.glob(f"*{SUFFIX}"))
    if not ages:
        return fine("no fast trace was left behind")
    oldest = time.strftime("%Y-%m-%d", time.localtime(ages[0]))
    return limited(
        f"{counted(len(ages), 'fast trace')} not ended, the oldest of {oldest}; see {folder}",
        "# in a GDB on a machine that is still there, unless its trace is on:",
        "fpu-trace off",
        "# in a shell, if all these machines are gone or were restarted:",
        f"rm {folder}/*{SUFFIX}",
    )
