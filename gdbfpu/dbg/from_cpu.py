# SPDX-License-Identifier: GPL-2.0-or-later
"""Ask the stopped CPU for its registers while a command runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from gdbfpu.dbg.session import Session

__all__ = ("from_cpu",)


@contextmanager
def from_cpu(session: Session, wanted: bool, *, image: bool = True) -> Iterator[None]:
    """If `wanted`, the session's target has the CPU's answers for the block of code.

    `image` says whether that needs the FPU registers, too. A stub that shows the registers itself
    is not asked. Raises GdbFpuError.
    """
    target = session.target
    if not wanted or target.stub.shows_vector_registers:
        yield
        return
    target.answers = session.questions.ask(image)
    try:
        yield
    finally:
        target.answers = None
