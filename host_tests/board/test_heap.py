"""tools.board.heap: the heap that a program gets beside the stand-ins."""

import pytest

from tools.board.heap import heap_size, standins_size
from tools.interpreter import word_size


def test_size_in_words_grows_with_the_word():
    assert heap_size("64wK") - standins_size() == 64 * 1024 * word_size() // 4
    assert heap_size("1wM") - standins_size() == 1024 * 1024 * word_size() // 4


def test_size_in_bytes_does_not():
    assert heap_size("200K") - standins_size() == 200 * 1024
    assert heap_size("65536") - standins_size() == 65536


def test_standins_hold_what_was_measured():
    assert 1000 < standins_size() // word_size() < 10000  # words


@pytest.mark.parametrize("text", ["", "much", "wK", "-4K", "4", "1.5M"])
def test_what_is_no_size_is_named(text):
    with pytest.raises(ValueError, match="is not a size such as 128wK"):
        heap_size(text)
