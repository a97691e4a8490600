# SPDX-License-Identifier: GPL-2.0-or-later
"""`python3 -m gdbfpu`: the same as the command `gdbfpu`."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable

__all__ = ("main",)

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> int:
    """Run the command line; return the exit status.

    A signal ends the program without a message, as it ends any other program. Before that, the
    handler removes files that are not complete. The handler raises no exception: a signal can
    arrive at any point of the program, even while the program handles another exception.
    """
    _on_signals(signal.SIG_DFL)  # during the imports there is nothing to remove
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)  # the installed command blocks them
    from gdbfpu import cli
    from gdbfpu.commands.output import remove_drafts
    from gdbfpu.commands.streams import prepare

    def end(number: int, _frame: object) -> None:
        remove_drafts()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    _on_signals(end)
    prepare()
    status = cli.main()
    _on_signals(signal.SIG_DFL)
    return status


def _on_signals(action: Callable[[int, object], None] | signal.Handlers) -> None:
    """Set `action` for each signal, except for those that are ignored, as with nohup."""
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, action)


if __name__ == "__main__":
    sys.exit(main())
