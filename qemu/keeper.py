# SPDX-License-Identifier: GPL-2.0-or-later
"""The process that keeps one QEMU: it ends QEMU and removes its files, however the parent ends.

Run as a program: `keeper.py COMMAND ARGUMENT...`. It makes a private directory and prints its path
on a line. Then it runs the command there and passes on the output. It ends when the command ends,
or at the end of file on its own standard input, which it also reaches if the parent is killed.
It uses the standard library only, because it runs without the package around it.
"""

from __future__ import annotations

import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile

__all__ = ("main",)

_PR_SET_PDEATHSIG = 1


def main(argv: list[str]) -> int:
    """Run `argv` in a private directory until it ends or standard input does.

    Returns its exit status; 128 plus the number of the signal if one ended it; 127 if it cannot
    start.
    """
    directory = tempfile.mkdtemp(prefix="gdbfpu-")
    try:
        os.write(sys.stdout.fileno(), f"{directory}\n".encode())
        return _keep(argv, directory)
    except OSError as error:
        os.write(sys.stdout.fileno(), f"{argv[0]}: {error.strerror}\n".encode())
        return 127
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _keep(argv: list[str], directory: str) -> int:
    with subprocess.Popen(
        argv,
        cwd=directory,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
        preexec_fn=_die_with_keeper,
    ) as process:
        ended = os.pidfd_open(process.pid)
        try:
            # Nothing is ever sent: standard input is ready only when it ends.
            select.select([sys.stdin.fileno(), ended], [], [])
        finally:
            os.close(ended)
            process.kill()
    status = process.returncode
    return 128 - status if status < 0 else status


def _die_with_keeper() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    # The parent ends it by closing the pipe; a ^C is meant for GDB.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    sys.exit(main(sys.argv[1:]))
