# SPDX-License-Identifier: GPL-2.0-or-later
"""Choose a kernel and say why; if it fails, choose another."""

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
"""The kernel to use if PREFERRED is not available."""

_ANSWER = 4.0  # seconds for the network to answer, including the name look-up

_T = TypeVar("_T")


def kernel_name() -> str:
    """Return the name of the kernel to use, as in the catalogue.

    The environment's KERNEL names it. If KERNEL is not set, this chooses one and prints which and
    why. Raises SetupError.
    """
    named = os.environ.get("KERNEL")
    if named:
        return named
    available, reason = availability(load()[PREFERRED])
    chosen = PREFERRED if available else FALLBACK
    print(f"kernel: {chosen}, because {PREFERRED} {reason}", file=sys.stderr, flush=True)
    return chosen


def first_that(attempt: Callable[[str], _T]) -> _T:
    """Return the result of `attempt(name)` for the first kernel that it succeeds for.

    If it raises SetupError, this prints the error in one line and tries the next kernel with
    KGDB. If the user named this kernel, or gave something unusable, the error is raised instead.
    """
    names = _in_order()
    for name, following in zip(names, names[1:], strict=False):
        try:
            return attempt(name)
        except GivenError:
            raise
        except SetupError as error:
            print(f"kernel: using {following} instead: {error}", file=sys.stderr, flush=True)
            forget_pair(name)
    return attempt(names[-1])


def _in_order() -> list[str]:
    """Return the names of the kernels to try, best first."""
    first = kernel_name()
    if os.environ.get("KERNEL"):
        return [first]
    names = [entry.name for entry in load().values() if "kgdb" in entry.stubs]
    return names[names.index(first) :]


def availability(entry: Entry) -> tuple[bool, str]:
    """Return whether a kernel is available, and why, without a large download.

    Raises SetupError.
    """
    if given_pair(entry.name):
        return True, "is given by VMLINUX and BZIMAGE"
    entry = given_source(entry)
    if cached(entry).is_dir():
        return True, "is in the cache"
    if entry.kind != "tarball":
        return True, f"comes from Debian {entry.suite}"
    if "://" not in entry.url:
        return Path(entry.url).is_file(), f"is built from {entry.url}"
    failure = _unreachable(entry.url)
    return (False, f"is not available ({failure})") if failure else (True, "can be downloaded")


def _unreachable(url: str) -> str:
    """Return why `url` cannot be downloaded, or an empty string if it can."""
    answer: Future[str] = Future()
    # A name look-up has no deadline of its own, nor has a silent proxy.
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
