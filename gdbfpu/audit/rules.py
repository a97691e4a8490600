# SPDX-License-Identifier: GPL-2.0-or-later
"""All rules, and what no rule can decide from memory."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

from gdbfpu.audit import (
    control,
    fpstate,
    frame,
    frame_diff,
    header,
    kvm,
    legacy,
    microarch,
    ownership,
    returns,
    stale,
)
from gdbfpu.audit.rule import BlindSpot, Rule, Scope

__all__ = ("BLIND_SPOTS", "RULES", "rules_of")

_FAMILIES = (
    stale,
    header,
    legacy,
    ownership,
    fpstate,
    kvm,
    microarch,
    control,
    frame,
    frame_diff,
    returns,
)


def _declared(module: ModuleType) -> Iterator[Rule]:
    """Yield the rules that `module` declares, in order, without those that it imports."""
    for each in vars(module).values():
        if isinstance(each, Rule) and each.check.__module__ == module.__name__:
            yield each


_DECLARED = tuple(rule for module in _FAMILIES for rule in _declared(module))

RULES = tuple(rule for rule in _DECLARED if not rule.repeats)
"""All rules, each once, in the order in which an audit applies them."""

BLIND_SPOTS = (
    BlindSpot("MODOPT", "only a trace shows who wrote an area that a CPU tracks for XSAVEOPT"),
    BlindSpot(
        "CORE",
        "bytes between components in a note or core dump (CVE-2020-10732) do not stay in memory",
    ),
)
"""What no audit of memory can decide, and why. An audit lists these as undecided."""


def rules_of(scope: Scope) -> tuple[Rule, ...]:
    """Return the rules of `scope`."""
    return tuple(rule for rule in _DECLARED if rule.scope is scope)
