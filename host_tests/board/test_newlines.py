"""tools/board/newlines.py: the ends of lines on a serial port."""

from tools.board.newlines import Newlines


def test_a_programs_lines_end_with_cr_lf_and_prompts_stay_as_they_are():
    newlines = Newlines()
    assert newlines.to_host(b"a\nb\r\n>>> ") == b"a\r\nb\r\n>>> "


def test_a_line_end_in_two_pieces():
    newlines = Newlines()
    assert newlines.to_host(b"a\r") + newlines.to_host(b"\nb\n") == b"a\r\nb\r\n"


def test_a_call_for_the_hosts_files_passes_as_it_is():
    newlines = Newlines()
    assert newlines.to_host(b"x\n\x18\x04") == b"x\r\n\x18\x04"
    newlines.from_host(b"\x18")
    assert newlines.to_host(b"\n\x00\x00\x00path\n\x18\n") == b"\n\x00\x00\x00path\n\x18\n"
    newlines.from_host(b"\x00")
    assert newlines.to_host(b"done\n") == b"done\r\n"


def test_a_program_that_prints_the_call_by_chance_gets_its_lines_back_with_the_next_key():
    newlines = Newlines()
    newlines.to_host(b"\x18")
    newlines.from_host(b"\r")
    assert newlines.to_host(b"\n") == b"\r\n"
