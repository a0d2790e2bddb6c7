"""iothub.amqp.times: ms since 1970 to and from ISO 8601, beyond what a board's clock knows."""

from host_tests.support.raises import raises
from iothub.amqp.times import iso, milliseconds

PAIRS = (
    ("1970-01-01T00:00:00.000Z", 0),
    ("1969-12-31T23:59:59.999Z", -1),
    ("2000-02-29T12:00:00.000Z", 951825600000),
    ("2024-12-31T23:59:59.500Z", 1735689599500),
    ("2030-01-02T03:04:05.000Z", 1893553445000),
    ("2096-12-31T00:00:00.000Z", 4007750400000),
    ("2100-03-01T00:00:00.000Z", 4107542400000),
    ("0001-01-01T00:00:00.000Z", -62135596800000),  # .NET's least time, and its last
    ("9999-12-31T23:59:59.999Z", 253402300799999),
)


def test_both_ways():
    for text, number in PAIRS:
        assert iso(number) == text
        assert milliseconds(text) == number


def test_every_day_of_some_years():
    number = 0
    for year in range(1970, 2105):
        leap = year % 4 == 0 and year % 100 != 0 or year % 400 == 0
        days = 366 if leap else 365
        for day in range(0, days, 31):
            text = iso((number + day) * 86400000)
            assert text[:4] == str(year)
            assert milliseconds(text) == (number + day) * 86400000
        assert iso((number + days) * 86400000 - 1) == f"{year}-12-31T23:59:59.999Z"
        number += days


def test_other_forms():
    for text, number in (
        ("2030-01-02", 1893542400000),
        ("2030-01-02T03:04", 1893553440000),
        ("2030-01-02 03:04:05", 1893553445000),
        ("2030-01-02T03:04:05.678901", 1893553445678),
        ("2030-01-02T03:04:05.6z", 1893553445600),
        ("2030-01-02T03:04:05+00:00", 1893553445000),
        ("2030-01-02T04:34:05+01:30", 1893553445000),
        ("2030-01-01T22:04:05.5-0500", 1893553445500),
    ):
        assert milliseconds(text) == number, text


class Moment:
    def isoformat(self):
        return "2030-01-02T03:04:05+00:00"


def test_datetime():
    assert milliseconds(Moment()) == 1893553445000


def test_what_is_no_time():
    for wrong in ("soon", "", "2030", 1893553445, "2030-13-01", "2030-01-02T3:4:5", b"2030-01-02"):
        assert "expiry_time_utc is " in str(raises(ValueError, milliseconds, wrong))
