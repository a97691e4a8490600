# SPDX-License-Identifier: GPL-2.0-or-later
"""The 80-bit double extended format: numbers of every class, in decimal and hexadecimal.

Source: Intel SDM volume 1, 4.2 (tables 4-3 and 8-3, with the unsupported encodings).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal

__all__ = ("Float80", "neighbours")

_BIAS = 16383
_INTEGER_BIT = 1 << 63
_QUIET_BIT = 1 << 62
_INDEFINITE = 0xC000000000000000
_WIDE = Context(prec=60, Emin=-999999, Emax=999999)
_MOST_DIGITS = 21  # enough for any 64-bit significand


@dataclass(frozen=True)
class Float80:
    """A number in ten bytes: `negative`, the biased `exponent` (15 bits), `significand` (u64)."""

    negative: bool
    exponent: int
    significand: int

    @classmethod
    def from_bytes(cls, raw: bytes) -> Float80:
        """Return the number in the first ten bytes of `raw` (little endian)."""
        top = int.from_bytes(raw[8:10], "little")
        return cls(bool(top >> 15), top & 0x7FFF, int.from_bytes(raw[:8], "little"))

    @property
    def kind(self) -> str:
        """Return the class of the number, in the words of the SDM."""
        integer_bit = bool(self.significand & _INTEGER_BIT)
        if self.exponent == 0x7FFF:
            return self._special(integer_bit)
        if self.exponent == 0:
            if not self.significand:
                return "zero"
            return "pseudo-denormal" if integer_bit else "denormal"
        return "normal" if integer_bit else "unnormal"

    def _special(self, integer_bit: bool) -> str:
        fraction = self.significand & ~_INTEGER_BIT
        name = ("" if integer_bit else "pseudo-") + ("NaN" if fraction else "infinity")
        if not fraction or not integer_bit:
            return name
        if self.negative and self.significand == _INDEFINITE:
            return "real indefinite"
        return "quiet NaN" if fraction & _QUIET_BIT else "signaling NaN"

    @property
    def raw(self) -> str:
        """Return the twenty hexadecimal digits: sign and exponent, then the significand."""
        return f"{self.negative << 15 | self.exponent:#06x}{self.significand:016x}"

    @property
    def decimal(self) -> str:
        """Return the shortest decimal that reads back as this number; `inf`, `nan(0x…)`."""
        sign = "-" if self.negative else ""
        if self.exponent == 0x7FFF:
            return sign + self._not_finite()
        return sign + (_plain(self._shortest()) if self.significand else "0")

    @property
    def hexfloat(self) -> str:
        """Return the number as `0x1.8p+0`: exact, the integer bit before the point."""
        sign = "-" if self.negative else ""
        if self.exponent == 0x7FFF:
            return sign + self._not_finite()
        fraction = f"{(self.significand & ~_INTEGER_BIT) << 1:016x}".rstrip("0")
        point = "." if fraction else ""
        power = self._power if self.significand else 0
        return f"{sign}0x{self.significand >> 63}{point}{fraction}p{power:+d}"

    @property
    def _power(self) -> int:
        """Return the power of two of the integer bit."""
        return max(self.exponent, 1) - _BIAS

    def _not_finite(self) -> str:
        if self.significand & ~_INTEGER_BIT:
            return f"nan({self.significand:#018x})"
        return "inf"

    def _shortest(self) -> Decimal:
        """Return the decimal of fewest digits that reads back as this number.

        If there are several, return the nearest. The number below a power of two is only half a
        unit away.
        """
        unit = _WIDE.power(Decimal(2), self._power - 63)
        value = _WIDE.multiply(Decimal(self.significand), unit)
        above = _WIDE.divide(unit, Decimal(2))
        halved = self.significand == _INTEGER_BIT and self.exponent > 1
        below = _WIDE.divide(above, Decimal(2)) if halved else above
        low, high = _WIDE.subtract(value, below), _WIDE.add(value, above)
        even = self.significand % 2 == 0  # halfway between two numbers reads as the even one
        for digits in range(1, _MOST_DIGITS):
            found = [
                short
                for short in neighbours(value, digits)
                if low < short < high or (even and short in (low, high))
            ]
            if found:
                return min(found, key=lambda short: _WIDE.abs(_WIDE.subtract(short, value)))
        return _rounded(value, _MOST_DIGITS, ROUND_HALF_EVEN)


def neighbours(value: Decimal, digits: int) -> Iterator[Decimal]:
    """Yield the decimals of `digits` digits next to `value`: the nearest, one below, one above."""
    for rounding in (ROUND_HALF_EVEN, ROUND_FLOOR, ROUND_CEILING):
        yield _rounded(value, digits, rounding)


def _rounded(value: Decimal, digits: int, rounding: str) -> Decimal:
    return Context(prec=digits, rounding=rounding, Emin=-999999, Emax=999999).plus(value)


def _plain(value: Decimal) -> str:
    """Return `value` without an exponent where that stays short."""
    if -5 <= value.adjusted() < _MOST_DIGITS:
        text = f"{value:f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    return str(value.normalize(_WIDE)).lower()
