"""iothub.quoting: percent-encoding."""

from host_tests.support.raises import raises
from iothub.quoting import quote, unquote


def test_unreserved_characters_are_unchanged():
    text = "ABCXYZabcxyz0189-_.~"
    assert quote(text) == text
    assert unquote(text) == text


def test_all_other_bytes_become_upper_case_escapes():
    assert quote(" +/=&?#%$") == "%20%2B%2F%3D%26%3F%23%25%24"
    assert quote("é漢😀") == "%C3%A9%E6%BC%A2%F0%9F%98%80"
    assert quote(b"\x00\x7f\xff") == "%00%7F%FF"
    assert quote("") == ""


def test_unquote_accepts_both_cases_and_keeps_plus():
    assert unquote("a%20b+c%2f%2F") == "a b+c//"
    assert unquote("%C3%A9%e6%bc%a2") == "é漢"


def test_invalid_escapes_are_unchanged():
    for text in ("%", "%4", "%zz", "100%", "%4g", "%%41"):
        assert unquote(text) == text.replace("%41", "A")


def test_unquote_keeps_characters_that_were_not_encoded():
    assert unquote("é%20漢") == "é 漢"


def test_bytes_that_are_not_utf8_are_an_error():
    raises(ValueError, unquote, "%ff")
    raises(ValueError, unquote, "a%C3")
