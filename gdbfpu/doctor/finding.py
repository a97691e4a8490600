# SPDX-License-Identifier: GPL-2.0-or-later
"""What a check finds: a verdict, what was looked at, and what to type."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Callable, NamedTuple, TypeVar

from gdbfpu.errors import GdbFpuError, described
from gdbfpu.text.printable import one_line

__all__ = (
    "Answer",
    "Finding",
    "Verdict",
    "examine",
    "fine",
    "limited",
    "not_applicable",
    "trouble",
    "unknown",
)

_T = TypeVar("_T")


class Verdict(Enum):
    """What a check comes to; the value is the word for people, the order that of importance."""

    TROUBLE = "trouble"
    LIMITED = "limited"
    UNKNOWN = "cannot be told"
    FINE = "ok"
    NOT_APPLICABLE = "not applicable"


class Answer(NamedTuple):
    """A check's `verdict`, what it has `seen`, and the lines to type as a `mend`.

    LIMITED means that gdbfpu works, but cannot show or do something on this machine.
    """

    verdict: Verdict
    seen: str
    mend: tuple[str, ...] = ()


class Finding(NamedTuple):
    """The answer of the check called `check`."""

    check: str
    verdict: Verdict
    seen: str
    mend: tuple[str, ...]


def trouble(seen: str, *mend: str) -> Answer:
    """Return the answer of a check that knows what is wrong."""
    return Answer(Verdict.TROUBLE, seen, mend)


def limited(seen: str, *mend: str) -> Answer:
    """Return the answer of a check that knows what cannot be had here."""
    return Answer(Verdict.LIMITED, seen, mend)


def unknown(seen: str, *mend: str) -> Answer:
    """Return the answer of a check that could not look; `mend` lets it look."""
    return Answer(Verdict.UNKNOWN, seen, mend)


def fine(seen: str) -> Answer:
    """Return the answer of a check that found nothing wrong."""
    return Answer(Verdict.FINE, seen)


def not_applicable(seen: str) -> Answer:
    """Return the answer of a check that has nothing to look at here."""
    return Answer(Verdict.NOT_APPLICABLE, seen)


def examine(checks: Mapping[str, Callable[[_T], Answer]], patient: _T) -> tuple[Finding, ...]:
    """Return what each of `checks` finds in `patient`, the most important first."""
    order = list(Verdict)
    return tuple(sorted(_findings(checks, patient), key=lambda found: order.index(found.verdict)))


def _findings(checks: Mapping[str, Callable[[_T], Answer]], patient: _T) -> Iterator[Finding]:
    for name, check in checks.items():
        answer = _guarded(check, patient)
        mend = tuple(map(one_line, answer.mend))
        yield Finding(name, answer.verdict, one_line(answer.seen), mend)


def _guarded(check: Callable[[_T], Answer], patient: _T) -> Answer:
    """Return the answer of `check`. If it fails, the other checks still have something to say."""
    try:
        return check(patient)
    except GdbFpuError as error:
        return unknown(str(error))
    except Exception as error:  # noqa: BLE001 - GDB is asked in states that nobody foresees
        return unknown(described(error))
