# SPDX-License-Identifier: GPL-2.0-or-later
"""Which kernel to use, and why, and which instead where that one is no use."""

from __future__ import annotations

import os
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import Future
from http.client import HTTPException
from pathlib import Path
from threading import Thread
from typing import TypeVar

from qemu.catalogue import Entry, load
from qemu.errors import GivenError, SetupError
from qemu.given import PREFERRED, forget_pair, given_pair
from qemu.kernels import cached
from qemu.tarball import given_source

__all__ = ("FALLBACK", "availability", "first_that", "kernel_name")

FALLBACK = "kgdb-5.10"
"""The kernel that is used where PREFERRED cannot be had."""

_ANSWER = 4.0  # seconds in which the network has to answer, name look-up included

_T = TypeVar("_T")


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


def first_that(attempt: Callable[[str], _T]) -> _T:
    """Return what `attempt` makes of the kernel to use, by its name in the catalogue.

    Where it raises SetupError, that is said in one line and the next kernel with KGDB is tried,
    unless the person asked for this one or gave something that is no use: then it is raised.
    """
    names = _in_order()
    for name, following in zip(names, names[1:], strict=False):
        try:
            return attempt(name)
        except GivenError:
            raise
        except SetupError as error:
            print(f"kernel: {following} instead: {error}", file=sys.stderr, flush=True)
            forget_pair(name)
    return attempt(names[-1])


def _in_order() -> list[str]:
    """Return the names of the kernels to try, the one to use first."""
    first = kernel_name()
    if os.environ.get("KERNEL"):
        return [first]
    names = [entry.name for entry in load().values() if "kgdb" in entry.stubs]
    return names[names.index(first) :]


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
