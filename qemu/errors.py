# SPDX-License-Identifier: GPL-2.0-or-later
"""The errors of the test machines: each is one line that says what to do."""

from __future__ import annotations

__all__ = ("GivenError", "HarnessError", "MachineLost", "SetupError")


class HarnessError(Exception):
    """Base class of all errors that this package raises on purpose."""


class SetupError(HarnessError):
    """Something that a machine needs could not be downloaded, verified or built."""


class GivenError(SetupError):
    """What the user gave is unusable. It is never replaced by something else."""


class MachineLost(HarnessError):
    """A machine panicked, ended or did not answer within its deadline.

    `console` is the end of the guest's console output; `ended` is true if QEMU ends, too.
    """

    def __init__(self, how: str, console: str = "", *, ended: bool = False) -> None:
        super().__init__(f"{how}\n{console}" if console else how)
        self.how = how
        self.console = console
        self.ended = ended
