# SPDX-License-Identifier: GPL-2.0-or-later
"""The catalogue of probes, and the choice among them."""

from __future__ import annotations

import pytest
from fake import FakeTarget

from gdbfpu.errors import MissingSymbol, UsageError
from gdbfpu.probes import CATALOGUE, select

SIGFRAME, SANITIZE = "copy_fpstate_to_sigframe", "fpstate_sanitize_xstate"


def kernel_with(**addresses):
    target = FakeTarget()
    target.symbols = addresses
    return target


def chosen(target, names=()):
    return [(probe.function, address) for probe, address in select(target, names)]


@pytest.fixture
def target():
    return kernel_with(**{SANITIZE: 0x2000, SIGFRAME: 0x1000, "save_xstate_sig_not": 0x3000})


def test_all_that_the_kernel_has(target):
    assert chosen(target) == [(SIGFRAME, 0x1000), (SANITIZE, 0x2000)]
    assert chosen(kernel_with(**{SIGFRAME: 0x1000})) == [(SIGFRAME, 0x1000)]
    old = kernel_with(save_xstate_sig=1, __sanitize_i387_state=2)
    assert chosen(old) == [("save_xstate_sig", 1), ("__sanitize_i387_state", 2)]


def test_named_ones_in_the_order_named_once_each(target):
    assert chosen(target, [SANITIZE]) == [(SANITIZE, 0x2000)]
    assert chosen(target, iter([SANITIZE, SIGFRAME, SANITIZE])) == [
        (SANITIZE, 0x2000),
        (SIGFRAME, 0x1000),
    ]


def test_a_function_at_address_zero_is_there():
    assert chosen(kernel_with(**{SIGFRAME: 0})) == [(SIGFRAME, 0)]


def test_unknown_name_is_refused_with_what_there_is(target):
    with pytest.raises(UsageError) as caught:
        select(target, [SIGFRAME, "schedule"])
    message = str(caught.value)
    assert "'schedule'" in message
    assert all(probe.function in message for probe in CATALOGUE)
    assert "\n" not in message


def test_function_that_this_kernel_lacks_is_named(target):
    with pytest.raises(MissingSymbol) as caught:
        select(target, [SIGFRAME, "save_xstate_sig"])
    assert caught.value.name == "save_xstate_sig"
    with pytest.raises(MissingSymbol) as caught:
        select(kernel_with(schedule=1))
    assert caught.value.name == SIGFRAME


@pytest.mark.parametrize(
    ("function", "subject", "registers"),
    [
        # int copy_fpstate_to_sigframe(void __user *buf, void __user *fp, int size), 4.2
        (SIGFRAME, "current", ("rdi", "rsi", "rdx")),
        # void fpstate_sanitize_xstate(struct fpu *fpu), 4.2
        (SANITIZE, "fpu", ("rdi",)),
        # int save_xstate_sig(void __user *buf, void __user *fx, int size), 3.7
        ("save_xstate_sig", "current", ("rdi", "rsi", "rdx")),
        # void __sanitize_i387_state(struct task_struct *), 2.6.35
        ("__sanitize_i387_state", "task", ("rdi",)),
    ],
)
def test_arguments_as_the_kernel_declares_them(function, subject, registers):
    (probe,) = [probe for probe in CATALOGUE if probe.function == function]
    assert (probe.subject, probe.registers) == (subject, registers)
    assert probe.purpose


def test_catalogue_names_each_function_once():
    functions = [probe.function for probe in CATALOGUE]
    assert len(set(functions)) == len(functions)
    assert {probe.subject for probe in CATALOGUE} <= {"current", "fpu", "task"}
