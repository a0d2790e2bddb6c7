"""Mutations of valid bytes: the same cases in the same order in both interpreters.

HOSTILE_CASES=n makes n of each kind, HOSTILE_SEED=n others than usual.
"""

import gc
import os

if hasattr(gc, "threshold"):
    gc.threshold(4096)  # as boot.py does: garbage must not fragment a small heap

_LOUD = (0, 1, 2, 0x7F, 0x80, 0xFF)
_LENGTHS = (b"\xff\xff\xff\x7f", b"\xff\xff\xff\xff", b"\x80\x80\x80\x80\x80", b"\0\0\0\0")


class Chance:
    """Pseudo-random numbers from a seed (xorshift32), the same in both interpreters."""

    def __init__(self, seed):
        self._state = (seed + 1) * 2654435761 & 0xFFFFFFFF or 1

    def below(self, limit):
        """0 <= n < limit."""
        state = self._state
        state ^= state << 13 & 0xFFFFFFFF
        state ^= state >> 17
        self._state = state = (state ^ state << 5) & 0xFFFFFFFF
        return (state >> 3) % limit

    def one(self, things):
        return things[self.below(len(things))]


def cases(usual):
    """A Chance for each case; `usual` is their default number."""
    seed = int(os.getenv("HOSTILE_SEED") or 1) * 1000003
    for number in range(int(os.getenv("HOSTILE_CASES") or usual)):
        yield Chance(seed + number)


def mutated(chance, parts, most=4):
    """One to `most` of `parts` in a row, changed in up to three places; a bytearray."""
    data = bytearray()
    for _ in range(1 + chance.below(most)):
        data.extend(chance.one(parts))
    for _ in range(chance.below(4)):
        _CHANGES[chance.below(len(_CHANGES))](chance, data, parts)
    return data


def _flip(chance, data, parts):
    if data:
        data[chance.below(len(data))] ^= 1 << chance.below(8)


def _set(chance, data, parts):
    if data:
        data[chance.below(len(data))] = chance.one(_LOUD)


def _truncate(chance, data, parts):
    data[chance.below(len(data) + 1) :] = b""


def _cut(chance, data, parts):
    at = chance.below(len(data) + 1)
    data[at : at + 1 + chance.below(12)] = b""


def _splice(chance, data, parts):
    other = chance.one(parts)
    at, start = chance.below(len(data) + 1), chance.below(len(other) + 1)
    data[at:at] = other[start : start + 1 + chance.below(40)]


def _blow_up(chance, data, parts):
    at = min(len(data), 1 + chance.below(8) if chance.below(2) else chance.below(len(data) + 1))
    length = chance.one(_LENGTHS)
    data[at : at + len(length)] = length


def _repeat(chance, data, parts):
    at = chance.below(len(data) + 1)
    data[at:at] = bytes(data[at : at + 1 + chance.below(20)]) * (1 + chance.below(30))


_CHANGES = (_flip, _set, _truncate, _cut, _splice, _blow_up, _repeat)


def pieces(chance, data):
    """`data` cut into pieces, as a stream may deliver it."""
    data, at = bytes(data), 0
    while at < len(data):
        size = 1 + chance.below(chance.one((1, 4, 60, 600)))
        yield data[at : at + size]
        at += size
