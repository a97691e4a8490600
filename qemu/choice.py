# SPDX-License-Identifier: GPL-2.0-or-later
"""Which kernel to use, and why: `python -m qemu.choice` prints its name."""

from __future__ import annotations

import os
import sys
import urllib.error
import urllib.request
from concurrent.futures import Future
from http.client import HTTPException
from pathlib import Path
from threading import Thread

from qemu.catalogue import Entry, load
from qemu.errors import HarnessError
from qemu.given import PREFERRED, given_pair
from qemu.kernels import cached
from qemu.tarball import given_source

__all__ = ("FALLBACK", "availability", "kernel_name", "main")

FALLBACK = "kgdb-5.10"
"""The kernel that is used where PREFERRED cannot be had."""

_ANSWER = 4.0  # seconds in which the network has to answer, name look-up included


def kernel_name() -> str:
    """Return the name in the catalogue of the kernel to use; say which and why if none is named.

    The environment's KERNEL names it. Raises SetupError.
    """
    named = os.environ.get("KERNEL")
    if named:
        return named
    available, reason = availability(load()[PREFERRED])
    chosen = PREFERRED if available else FALLBACK
    print(f"kernel: {chosen}, as {PREFERRED} {reason}", file=sys.stderr, flush=True)
    return chosen


def availability(entry: Entry) -> tuple[bool, str]:
    """Return whether a kernel can be had, found out without a large download, and the reason.

    Raises SetupError.
    """
    if given_pair(entry.name):
        return True, "is given by VMLINUX and BZIMAGE"
    entry = given_source(entry)
    if cached(entry).is_dir():
        return True, "is in the cache"
    if entry.kind != "tarball":
        return True, f"is Debian {entry.suite}'s"
    if "://" not in entry.url:
        return Path(entry.url).is_file(), f"is built from {entry.url}"
    failure = _unreachable(entry.url)
    return (False, f"cannot be had ({failure})") if failure else (True, "can be downloaded")


def _unreachable(url: str) -> str:
    """Return why the network does not offer `url`, or an empty string where it does."""
    answer: Future[str] = Future()
    # Neither a name look-up nor a proxy that is silent has a deadline of its own.
    Thread(target=lambda: answer.set_result(_ask(url)), daemon=True).start()
    try:
        return answer.result(_ANSWER)
    except TimeoutError:
        return f"{url}: no answer within {_ANSWER:.0f} s"


def _ask(url: str) -> str:
    request = urllib.request.Request(url, method="HEAD")
    try:
        urllib.request.build_opener().open(request, timeout=_ANSWER).close()
    except urllib.error.HTTPError as error:
        error.close()
        return f"{url}: {error}"
    except (OSError, HTTPException) as error:
        return f"{url}: {getattr(error, 'reason', error)}"
    return ""


def main() -> int:
    """Print the name of the kernel to use; return the exit status."""
    try:
        print(kernel_name())
    except HarnessError as error:
        print(f"kernel: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
