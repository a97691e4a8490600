# SPDX-License-Identifier: GPL-2.0-or-later
"""The errors of the test machines: one line each, saying what to do."""

from __future__ import annotations

__all__ = ("GivenError", "HarnessError", "MachineLost", "SetupError")


class HarnessError(Exception):
    """The root of every error that this package raises on purpose."""


class SetupError(HarnessError):
    """Something that a machine needs could not be downloaded, verified or built."""


class GivenError(SetupError):
    """What a person gave by hand is not what it has to be: nothing else is taken in its place."""


class MachineLost(HarnessError):
    """A machine panicked, ended or did not answer within its deadline.

    `console` is the end of what the guest said on its console; `ended` that QEMU is going, too.
    """

    def __init__(self, how: str, console: str = "", *, ended: bool = False) -> None:
        super().__init__(f"{how}\n{console}" if console else how)
        self.how = how
        self.console = console
        self.ended = ended
