"""Dates as people write them, and as ISO 8601 has them: "Monday, 6 July 1998" and "1998-07-06".

The pairs are made here, always the same. No two are of one day, so that no day of the test is in
training, nor the day of one of its pairs in another way of writing. A split is (texts (N,), ISO
dates (N,)), both strings.
"""

from datetime import date, timedelta

import numpy as np

NAME = "dates"
EMBEDDED = "days from 1900 to 2099, written in twelve ways"
_FIRST, _DAYS = date(1900, 1, 1), 73_049  # to the end of 2099
_COUNTS = (10_000, 1_000, 1_000)
_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
# No way leaves open which number is the month: between dots the day is first, as in Europe, and
# between slashes the month, as in America.
_WAYS = (
    "{day} {month} {year}",
    "{day} {month:.3} {year}",
    "{weekday}, {day} {month} {year}",
    "{weekday:.3} {day} {month:.3} {year}",
    "{month} {day}, {year}",
    "{month:.3} {day}, {year}",
    "{weekday}, {month} {day}, {year}",
    "{month} {ordinal}, {year}",
    "the {ordinal} of {month} {year}",
    "{day}.{number}.{year}",
    "{number}/{day}/{year}",
    "{year}, {month} {ordinal}",
)


def embedded():
    """(training, validation, test): 10,000, 1,000 and 1,000 pairs."""
    random = np.random.default_rng(0)
    days = random.permutation(_DAYS)[: sum(_COUNTS)]
    ways = random.integers(len(_WAYS), size=len(days))
    in_lower_case = random.random(len(days)) < 0.2
    pairs = []
    for day, way, lower in zip(days, ways, in_lower_case, strict=True):
        when = _FIRST + timedelta(days=int(day))
        text = _written(when, _WAYS[way])
        pairs.append((text.lower() if lower else text, when.isoformat()))
    texts, dates = map(np.array, zip(*pairs, strict=True))
    ends = np.cumsum(_COUNTS)
    return tuple(
        (texts[end - count : end], dates[end - count : end])
        for count, end in zip(_COUNTS, ends, strict=True)
    )


def _written(when, way):
    return way.format(
        day=when.day,
        number=when.month,
        year=when.year,
        month=_MONTHS[when.month - 1],
        weekday=_WEEKDAYS[when.weekday()],
        ordinal=f"{when.day}{_suffix(when.day)}",
    )


def _suffix(day):
    """Of 1st, 2nd, 3rd, 4th, 11th, 21st."""
    return {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th") if day // 10 != 1 else "th"
