# SPDX-License-Identifier: GPL-2.0-or-later
"""All rules, as their modules declare them, and what no rule can decide from memory."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

from gdbfpu.audit import fpstate, frame, frame_diff, header, legacy, ownership, returns, stale
from gdbfpu.audit.rule import BlindSpot, Rule, Scope

__all__ = ("BLIND_SPOTS", "RULES", "rules_of")

_FAMILIES = (stale, header, legacy, ownership, fpstate, frame, frame_diff, returns)


def _declared(module: ModuleType) -> Iterator[Rule]:
    """Yield the rules that `module` declares, from its top down; not those that it imports."""
    for each in vars(module).values():
        if isinstance(each, Rule) and each.check.__module__ == module.__name__:
            yield each


_DECLARED = tuple(rule for module in _FAMILIES for rule in _declared(module))

RULES = tuple(rule for rule in _DECLARED if not rule.again)
"""All rules, each once, in the order in which an audit follows them."""

BLIND_SPOTS = (
    BlindSpot("MSR", "XCR0, IA32_XSS, IA32_XFD and CR0.TS are in CPUs, not in memory"),
    BlindSpot("MODOPT", "who wrote an area that a CPU tracks for XSAVEOPT is seen in a trace only"),
    fpstate.UABI,
    BlindSpot("CORE", "what a note or core dump had between components (CVE-2020-10732) is gone"),
    BlindSpot(
        "MICROARCH",
        "Zenbleed (CVE-2023-20593), Downfall (CVE-2022-40982) and MDS leak from inside the CPU",
    ),
)
"""What no audit of memory decides, and why; it is never to be taken for clean."""


def rules_of(scope: Scope) -> tuple[Rule, ...]:
    """Return the rules that are followed in `scope`."""
    return tuple(rule for rule in _DECLARED if rule.scope is scope)
