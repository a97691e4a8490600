# SPDX-License-Identifier: GPL-2.0-or-later
"""A plugin of pytest that runs the tests on mutants instead of on the code.

All is imported and collected once. A mutant lives in a process that is forked off: it gets the
faulty code in place of the function's own, and runs the tests that call this function, the short
ones first, until one fails.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import FrameType, FunctionType
from typing import Any

import pytest
from _pytest.runner import runtestprotocol

from tests.torture.mutation.mutator import Mutant, code_of

__all__ = ("Runner",)

_FAILED = 77  # the exit status of a process whose work has failed
_SPARE, _LONGEST = 10.0, 60.0  # seconds that a mutant may take besides what its tests take

LOG = Path(tempfile.gettempdir()) / f"mutants-{os.getpid()}.log"
"""What the last mutant wrote."""

_Calls = set[tuple[str, int]]
"""Places of functions: file and first line."""


class Runner:
    """Runs the collected tests on `mutants`. `survivors` are those that no test found."""

    def __init__(self, mutants: Sequence[Mutant]) -> None:
        self._mutants = mutants
        self.survivors: list[Mutant] = []
        self.untested: list[Mutant] = []

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run the mutants; pytest itself has nothing more to do."""
        files = {str(mutant.file) for mutant in self._mutants}
        known = _apart(lambda: _measured(session.items, files), 3600.0)
        assert known is not None, "the tests died"
        failed = [name for name, (passed, _, _) in known.items() if not passed]
        assert not failed, f"without a mutant these fail: {failed}"
        began = time.monotonic()
        for number, mutant in enumerate(self._mutants, 1):
            self._judge(mutant, session.items, known)
            if not number % 20:
                gone, lived = time.monotonic() - began, len(self.survivors)
                print(f"{number} of {len(self._mutants)}, {lived} live, {gone:.0f} s", flush=True)
        return True

    def _judge(self, mutant: Mutant, items: Sequence[pytest.Item], known: dict[str, Any]) -> None:
        place = [str(mutant.file), mutant.first]
        calling = [i for i in items if place in known[i.nodeid][2]]
        calling.sort(key=lambda item: known[item.nodeid][1])
        takes = sum(known[item.nodeid][1] for item in calling)
        found = _apart(lambda: _killed(mutant, calling), min(_LONGEST, 5 * takes + _SPARE))
        if found is False:
            (self.survivors if calling else self.untested).append(mutant)


def _apart(work: Callable[[], Any], seconds: float) -> Any:
    """Return what `work` returns in a process of its own; None if it dies or takes too long."""
    with tempfile.TemporaryFile() as answer:
        child = os.fork()
        if not child:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.setitimer(signal.ITIMER_REAL, seconds)
            log = os.open(LOG, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
            for number in range(3):
                os.dup2(log, number)
            try:
                answer.write(json.dumps(work()).encode())
                answer.flush()
                os._exit(0)
            except BaseException:  # noqa: BLE001 - it is in the log
                traceback.print_exc(file=sys.__stderr__)
            finally:
                os._exit(_FAILED)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert status != _FAILED, LOG.read_text()
        answer.seek(0)
        said = answer.read()
        return json.loads(said) if said else None


def _measured(items: Iterable[pytest.Item], files: set[str]) -> dict[str, tuple[bool, float, list]]:
    """Return by test: whether it passes, the seconds that it takes, what it calls in `files`."""
    found = {}
    for item in items:
        calls: _Calls = set()
        began = time.monotonic()
        sys.settrace(_noting(calls, files))
        passed = _passes(item)
        sys.settrace(None)
        found[item.nodeid] = passed, time.monotonic() - began, sorted(calls)
    return found


def _noting(calls: _Calls, files: set[str]) -> Callable[[FrameType, str, object], None]:
    def note(frame: FrameType, _event: str, _arg: object) -> None:
        code = frame.f_code
        if code.co_filename in files:
            calls.add((code.co_filename, code.co_firstlineno))

    return note


def _passes(item: pytest.Item) -> bool:
    return all(not report.failed for report in runtestprotocol(item, nextitem=None, log=False))


def _killed(mutant: Mutant, items: Iterable[pytest.Item]) -> bool:
    """Return whether one of the tests `items` fails on `mutant`."""
    code = code_of(mutant)
    named = (code.co_filename, code.co_qualname, code.co_firstlineno)
    own = [f for f in gc.get_objects() if isinstance(f, FunctionType) and _named(f) == named]
    assert own, f"no function {named}"
    for function in own:
        function.__code__ = code
    return any(not _passes(item) for item in items)


def _named(function: FunctionType) -> tuple[str, str, int]:
    code = function.__code__
    return code.co_filename, code.co_qualname, code.co_firstlineno
