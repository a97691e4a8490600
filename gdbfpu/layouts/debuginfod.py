# SPDX-License-Identifier: GPL-2.0-or-later
"""Get a kernel's debug file from a debuginfod server, if the user has turned that on.

elfutils' `debuginfod-find` does the work: it asks the servers in DEBUGINFOD_URLS, keeps the file
in its own cache and prints the file's name.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

from gdbfpu.errors import GdbFpuError

__all__ = ("URLS", "fetcher")

URLS = "DEBUGINFOD_URLS"
"""The environment variable with the servers to ask, separated by spaces."""

_TOOL = "debuginfod-find"
_BUILD_ID = re.compile("[0-9a-f]{16,128}")


def fetcher(urls: str, say: Callable[[str], object]) -> Callable[[str], Path | None] | None:
    """Return a function that gets the debug file for a build-id (hex) from the servers `urls`.

    Returns None if there are no servers. The function calls `say` with a line that says whom it
    asks; the tool prints its progress to standard error. The function returns None for a wrong
    build-id. It raises GdbFpuError if no server has the file or the tool is not installed.
    """
    if not urls.split():
        return None

    def fetch(build_id: str) -> Path | None:
        if not _BUILD_ID.fullmatch(build_id):
            return None
        say(f"asking {' '.join(urls.split())} for debug information for build-id {build_id} ...\n")
        return _ask(build_id, urls)

    return fetch


def _ask(build_id: str, urls: str) -> Path:
    import subprocess  # takes longer to load than a cached answer

    environment = {**os.environ, URLS: urls, "DEBUGINFOD_PROGRESS": "1"}
    argv = [_TOOL, "debuginfo", build_id]
    try:
        done = subprocess.run(
            argv, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False
        )
    except OSError as error:
        raise GdbFpuError(
            f"cannot ask {URLS}: {_TOOL} is missing, install the package debuginfod"
        ) from error
    name = os.fsdecode(done.stdout).strip()
    if done.returncode or not name:
        raise GdbFpuError(f"no server in {URLS} has debug information for build-id {build_id}")
    return Path(name)
