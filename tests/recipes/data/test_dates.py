import re

import numpy as np
import pytest
from dateutil import parser

from recipes.data import dates

FIRST = {
    "31.3.2084": "2084-03-31",
    "tue 25 dec 2074": "2074-12-25",
    "Monday, October 6, 2098": "2098-10-06",
    "January 30th, 1939": "1939-01-30",
}


@pytest.fixture(scope="module")
def parts():
    return dates.embedded()


def test_pairs_are_the_same_each_time(parts):
    assert dict(zip(*(column[:4].tolist() for column in parts[0]), strict=True)) == FIRST
    assert [len(texts) for texts, _ in parts] == [10_000, 1_000, 1_000]
    assert all(column.dtype.kind == "U" for part in parts for column in part)


def test_no_day_is_there_twice(parts):
    days = np.concatenate([written for _, written in parts])
    assert len(set(days)) == 12_000
    assert min(days) == "1900-01-01"
    assert "2099-12-20" < max(days) <= "2099-12-31"
    assert dates._written(dates._FIRST, "{day}.{number}.{year}") == "1.1.1900"


def test_a_pair_is_of_one_day(parts):
    for texts, written in parts:
        for text, iso in zip(texts, written, strict=True):
            day = parser.parse(text.removeprefix("the "), dayfirst="." in text)
            assert day.date().isoformat() == iso


def test_weekdays_are_those_of_the_calendar(parts):
    weekdays = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
    named = 0
    for texts, written in parts:
        for text, iso in zip(texts, written, strict=True):
            first = re.split("[ ,]", text.lower())[0]
            if first in weekdays or first in [each[:3] for each in weekdays]:
                assert weekdays[parser.parse(iso).weekday()].startswith(first)
                named += 1
    assert named > 2000


def test_every_way_of_writing_is_in_every_part(parts):
    day, year, month = r"\d{1,2}", r"\d{4}", "[a-z]{3,9}"
    weekday, ordinal = "[a-z]{6,9}", r"\d{1,2}(st|nd|rd|th)"
    ways = [
        f"{day} {month} {year}",
        f"{weekday}, {day} {month} {year}",
        f"[a-z]{{3}} {day} [a-z]{{3}} {year}",
        f"{month} {day}, {year}",
        f"{weekday}, {month} {day}, {year}",
        f"{month} {ordinal}, {year}",
        f"the {ordinal} of {month} {year}",
        rf"{day}\.{day}\.{year}",
        f"{day}/{day}/{year}",
        f"{year}, {month} {ordinal}",
    ]
    for texts, _ in parts:
        of_way = [[text for text in texts if re.fullmatch(way, text.lower())] for way in ways]
        assert sum(map(len, of_way)) == len(texts)
        assert all(len(found) > 0.05 * len(texts) for found in of_way)
        assert 0.1 < np.mean([text == text.lower() and "." not in text for text in texts]) < 0.35
        short = [text for text in texts if re.match(rf"{day} [a-z]{{3}} {year}", text.lower())]
        assert len(short) > 0.05 * len(texts)


@pytest.mark.parametrize(
    ("day", "suffix"),
    [(1, "st"), (2, "nd"), (3, "rd"), (4, "th"), (11, "th"), (12, "th"), (13, "th"), (20, "th"),
     (21, "st"), (22, "nd"), (23, "rd"), (30, "th"), (31, "st")],
)  # fmt: skip
def test_ordinals(day, suffix):
    assert dates._suffix(day) == suffix
