"""tools/board/newlines.py: the ends of lines on a serial port."""

from tools.board.newlines import Newlines


def test_program_lines_end_with_cr_lf_and_prompts_are_unchanged():
    newlines = Newlines()
    assert newlines.to_host(b"a\nb\r\n>>> ") == b"a\r\nb\r\n>>> "


def test_line_end_in_two_pieces():
    newlines = Newlines()
    assert newlines.to_host(b"a\r") + newlines.to_host(b"\nb\n") == b"a\r\nb\r\n"


def test_mpremote_mount_requests_pass_unchanged():
    newlines = Newlines()
    assert newlines.to_host(b"x\n\x18\x04") == b"x\r\n\x18\x04"
    newlines.from_host(b"\x18")
    assert newlines.to_host(b"\n\x00\x00\x00path\n\x18\n") == b"\n\x00\x00\x00path\n\x18\n"
    newlines.from_host(b"\x00")
    assert newlines.to_host(b"done\n") == b"done\r\n"


def test_printed_mount_request_is_corrected_with_the_next_key():
    newlines = Newlines()
    newlines.to_host(b"\x18")
    newlines.from_host(b"\r")
    assert newlines.to_host(b"\n") == b"\r\n"
