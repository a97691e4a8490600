# SPDX-License-Identifier: GPL-2.0-or-later
"""80-bit numbers: every class, and decimals known from elsewhere (glibc's printf of %.21Lg)."""

from decimal import Decimal
from fractions import Fraction

import pytest
from fpu_images import float80
from hypothesis import given
from hypothesis import strategies as st

from gdbfpu.xsave.components.float80 import Float80

INTEGER_BIT = 1 << 63
PI = "3.1415926535897932385"
LARGEST = "1.189731495357231765e+4932"


@pytest.mark.parametrize(
    ("negative", "exponent", "significand", "kind", "decimal", "hexfloat"),
    [
        (0, 0, 0, "zero", "0", "0x0p+0"),
        (1, 0, 0, "zero", "-0", "-0x0p+0"),
        (0, 16383, INTEGER_BIT, "normal", "1", "0x1p+0"),
        (1, 16384, 0x9000000000000000, "normal", "-2.25", "-0x1.2p+1"),
        (
            0,
            16384,
            0xC90FDAA22168C235,
            "normal",
            "3.1415926535897932385",
            "0x1.921fb54442d1846ap+1",
        ),
        (0, 16379, 0xCCCCCCCCCCCCCCCD, "normal", "0.1", "0x1.999999999999999ap-4"),
        (
            0,
            0x7FFE,
            2**64 - 1,
            "normal",
            "1.189731495357231765e+4932",
            "0x1.fffffffffffffffep+16383",
        ),
        (0, 1, INTEGER_BIT, "normal", "3.3621031431120935063e-4932", "0x1p-16382"),
        (0, 0, 1, "denormal", "4e-4951", "0x0.0000000000000002p-16382"),
        (0, 0, INTEGER_BIT, "pseudo-denormal", "3.3621031431120935063e-4932", "0x1p-16382"),
        (0, 16383, 1 << 62, "unnormal", "0.5", "0x0.8p+0"),
        (0, 16383, 0, "unnormal", "0", "0x0p+0"),
        (0, 0x7FFF, INTEGER_BIT, "infinity", "inf", "inf"),
        (1, 0x7FFF, INTEGER_BIT, "infinity", "-inf", "-inf"),
        (0, 0x7FFF, 0, "pseudo-infinity", "inf", "inf"),
        (0, 0x7FFF, 5, "pseudo-NaN", "nan(0x0000000000000005)", "nan(0x0000000000000005)"),
        (1, 0x7FFF, 3 << 62, "real indefinite", "-nan(0xc000000000000000)", None),
        (0, 0x7FFF, 3 << 62, "quiet NaN", "nan(0xc000000000000000)", None),
        (1, 0x7FFF, 3 << 62 | 0x123, "quiet NaN", "-nan(0xc000000000000123)", None),
        (0, 0x7FFF, INTEGER_BIT | 7, "signaling NaN", "nan(0x8000000000000007)", None),
    ],
)
def test_classes(negative, exponent, significand, kind, decimal, hexfloat):
    number = Float80.from_bytes(float80(negative, exponent, significand))
    assert (number.kind, number.decimal) == (kind, decimal)
    assert number.hexfloat == (hexfloat or decimal)


def test_raw_digits():
    raw = float80(1, 16384, 0xC90FDAA22168C235)
    assert Float80.from_bytes(raw).raw == "0xc000c90fdaa22168c235"


SMALLEST = -16382 - 63  # the power of two of the lowest bit of a denormal


def read_back(text):
    """The (significand, power of its lowest bit) of the 80-bit number nearest to a decimal.

    Ties go to the even significand. In exact fractions, so nothing here rounds by itself.
    """
    value = Fraction(text)
    power = max(value.numerator.bit_length() - value.denominator.bit_length() - 64, SMALLEST)
    while value / Fraction(2) ** power >= 2**64:
        power += 1
    significand = round(value / Fraction(2) ** power)  # half to even
    return (significand, power) if significand < 2**64 else (2**63, power + 1)


def shorter(text):
    """The two decimals with one digit less that are next to the decimal `text`, if it has two."""
    number = Decimal(text)
    digits, exponent = number.as_tuple().digits, number.as_tuple().exponent
    stripped = "".join(map(str, digits)).rstrip("0")
    exponent += len(digits) - len(stripped)
    head = int(stripped[:-1] or 0)
    return [f"{whole}e{exponent + 1}" for whole in (head, head + 1) if whole]


def assert_shortest(exponent, significand):
    here = significand, max(exponent, 1) - 16383 - 63
    text = Float80.from_bytes(float80(0, exponent, significand)).decimal
    assert read_back(text) == here, text
    assert here not in [read_back(other) for other in shorter(text)], text


@given(st.integers(0, 1), st.integers(16200, 16600), st.integers(INTEGER_BIT, 2**64 - 1))
def test_decimal_names_this_number_and_no_other(negative, exponent, significand):
    """The decimal lies nearer to this number than to its neighbours."""
    assert_shortest(exponent, significand)
    text = Float80.from_bytes(float80(negative, exponent, significand)).decimal
    assert text.startswith("-") == bool(negative)


POWERS = (*range(1, 0x7FFE, 173), *range(16383 - 140, 16383 + 140))


@pytest.mark.parametrize("exponents", [POWERS[i::8] for i in range(8)])
def test_decimal_of_powers_of_two_and_their_neighbours(exponents):
    """Below a power of two the next number is only half as far away as above."""
    for exponent in exponents:
        for significand in (INTEGER_BIT, INTEGER_BIT + 1, 2**64 - 1):
            assert_shortest(exponent, significand)


def test_decimal_of_denormal_powers_of_two():
    for bit in range(63):
        assert_shortest(0, 1 << bit)


@pytest.mark.parametrize(
    ("exponent", "significand", "decimal"),
    [
        (16383 - 37, INTEGER_BIT, "7.2759576141834259033e-12"),
        (16383 - 38, 2**64 - 1, "7.275957614183425903e-12"),
        (16443, 0x8000001088A4C126, "1152921513483343908.8"),  # of two as near, the even one
        (16383 + 64, INTEGER_BIT, "18446744073709551616"),
    ],
)
def test_decimals_that_numpy_prints(exponent, significand, decimal):
    """What numpy 2 prints of the same long double."""
    assert Float80.from_bytes(float80(0, exponent, significand)).decimal == decimal


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_hexfloat_of_a_double_is_pythons(value):
    mantissa, exponent = abs(value).hex().split("p") if value else ("0x0", "+0")
    significand = int(Fraction(float.fromhex(mantissa + "p0")) * 2**63)
    if significand >> 63 == 0 and value:
        return  # a denormal double is a normal number of 80 bits
    biased = int(exponent) + 16383 if value else 0
    negative = str(value).startswith("-")
    got = Float80.from_bytes(float80(negative, biased, significand)).hexfloat
    assert float.fromhex(got) == value
