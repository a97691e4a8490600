# SPDX-License-Identifier: GPL-2.0-or-later
"""A measured figure beside its rivals', and what it is to reach."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

MORE_IS_BETTER = ("hits/s",)
"""The units of which more is better; of all others less is."""

_REACH = re.compile(r"(at most|at least|<=|>=) *([0-9][0-9,]*(?:\.[0-9]+)?) *(\S+)?")
_TIMES = ("x", "times")


@dataclass(frozen=True)
class Row:
    """One line of the table.

    `what` is measured in `unit`: `ours`, None where it could not be, and by name the `rivals`';
    medians of `runs` runs of `command`. `ratio` tells how many times better gdbfpu is than the
    best rival (below 1: worse). `reach` is `at most N UNIT` or `at least N UNIT` of ours, `at
    least N x` of the ratio (a bare number means that, too), or words, and then `met` tells whether
    it is so. `note` says what else has to be known.
    """

    what: str
    ours: float | None
    unit: str
    rivals: dict[str, float] = field(default_factory=dict)
    reach: str | float = ""
    command: str = ""
    runs: int = 1
    ratio: float | None = None
    met: bool | None = None
    note: str = ""

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Row:
        """Return the row that a part or a JSON file tells of; raise ValueError for another form."""
        known = {each.name for each in fields(cls)}
        lacking = {"what", "ours", "unit", "rivals", "reach", "command", "runs"} - set(data)
        if lacking or set(data) - known:
            raise ValueError(f"not a row: lacks {sorted(lacking)}, has {sorted(data)}")
        numbers = [data["ours"], data.get("ratio"), *data["rivals"].values()]
        if not all(n is None or _is_number(n) for n in numbers) or type(data["runs"]) is not int:
            raise ValueError(f"not a row: something else than a number in {data!r}")
        return cls(**data)

    def to_dict(self) -> dict[str, Any]:
        """Return the row with what follows from it, as the JSON file has it."""
        return {**asdict(self), "ratio": self.times, "met": self.reached}

    @property
    def best(self) -> str | None:
        """Return the name of the best rival."""
        choose = max if self.unit in MORE_IS_BETTER else min
        return choose(self.rivals, key=self.rivals.__getitem__, default=None)

    @property
    def times(self) -> float | None:
        """Return how many times better gdbfpu is than the best rival."""
        if self.ratio is not None or self.ours is None or self.best is None:
            return self.ratio
        over, under = self.ours, self.rivals[self.best]
        if self.unit not in MORE_IS_BETTER:
            over, under = under, over
        return over / under if under else None

    @property
    def reached(self) -> bool | None:
        """Return whether `reach` is reached, None when that cannot be told."""
        found = _REACH.match(self.reach) if isinstance(self.reach, str) else None
        if self.met is not None or (isinstance(self.reach, str) and not found):
            return self.met
        if found is None:
            word, limit, value = "at least", float(self.reach), self.times
        else:
            word, limit = found[1], float(found[2].replace(",", ""))
            value = self.times if found[3] in _TIMES else self.ours
        if value is None:
            return None
        return value <= limit if word in ("at most", "<=") else value >= limit


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
