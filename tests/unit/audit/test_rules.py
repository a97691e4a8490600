# SPDX-License-Identifier: GPL-2.0-or-later
"""What holds of all rules: each is followed, and has a planted defect in its module's tests."""

from __future__ import annotations

import importlib
import pkgutil
import runpy
from pathlib import Path

import pytest

import gdbfpu.audit
from gdbfpu.audit.finding import Finding, Severity, Undecided
from gdbfpu.audit.rule import Defect, Rule, Scope, Unknown, rule
from gdbfpu.audit.rules import RULES, rules_of

HERE = Path(__file__).parent
TEST = "test_a_planted_defect_is_found_and_nothing_else"
MODULES = [
    importlib.import_module(f"gdbfpu.audit.{module.name}")
    for module in pkgutil.iter_modules(gdbfpu.audit.__path__)
]
DECLARED = {
    (each.name, each.scope): each
    for module in MODULES
    for each in vars(module).values()
    if isinstance(each, Rule)
}


def family(each: Rule) -> str:
    """The name of the module that declares a rule."""
    return each.check.__module__.rpartition(".")[2]


FAMILIES = {
    name: runpy.run_path(str(HERE / f"test_{name}.py")) for name in map(family, DECLARED.values())
}


@pytest.mark.parametrize("each", DECLARED.values(), ids=lambda each: f"{each.name}-{each.scope}")
def test_every_rule_has_a_planted_defect(each):
    plants = FAMILIES[family(each)]["planted"].plants
    assert plants[each.name], f"nobody showed that {each.name} finds anything"


@pytest.mark.parametrize("name", FAMILIES)
def test_every_planted_defect_is_looked_for(name):
    """Those that are below the test would not be."""
    planted, (mark,) = FAMILIES[name]["planted"], FAMILIES[name][TEST].pytestmark
    looked_for = [(rule, *what) for rule, *what in (param.values for param in mark.args[1])]
    assert looked_for == [(rule, *each) for rule in planted.plants for each in planted.plants[rule]]


def test_only_rules_are_planted():
    planted = {rule for module in FAMILIES.values() for rule in module["planted"].plants}
    assert planted == {each.name for each in RULES}


def test_every_rule_is_followed():
    assert {(each.name, scope) for scope in Scope for each in rules_of(scope)} == set(DECLARED)
    names = [each.name for each in RULES]
    assert len(set(names)) == len(names) == len({name for name, _ in DECLARED})


# --- what the declaration does


@rule("X", scope=Scope.TASK, severity=Severity.WARNING, invariant="It is so.")
def declared(snapshot, view):
    yield Defect("who", "what", 1, "why")


@declared.also(Scope.FRAME)
def declared_again(snapshot, view):
    yield Unknown("why not")


def test_a_finding_has_its_rules_name_and_severity():
    (said,) = declared.check(None, None)
    finding = Finding("X", Severity.WARNING, "who", "what", 1, "why")
    assert declared.result(said, "a task") == finding


def test_a_finding_may_be_less_than_its_rules():
    said = Defect("who", "what", 1, "why", "AVX", b"\1", Severity.NOTE)
    finding = Finding("X", Severity.NOTE, "who", "what", 1, "why", "AVX", b"\1")
    assert declared.result(said, "a task") == finding


def test_what_is_undecided_has_its_rules_name_and_the_subject():
    (said,) = declared_again.check(None, None)
    assert declared_again.result(said, "a frame") == Undecided("X", "a frame", "why not")


def test_a_rule_may_hold_in_a_second_scope():
    assert (declared.scope, declared_again.scope) == (Scope.TASK, Scope.FRAME)
    assert (declared.repeats, declared_again.repeats) == (False, True)
    assert (declared_again.name, declared_again.severity, declared_again.invariant) == (
        declared.name,
        declared.severity,
        declared.invariant,
    )
