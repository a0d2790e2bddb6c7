import asyncio

from host_tests.support.raises import raises
from iothub.compat import (
    EPOCH,
    Future,
    const,
    quote,
    random,
    sleep_ms,
    ticks_diff,
    ticks_ms,
    unix_time,
    unquote,
    utf8,
    wait_for,
    write_quoted,
)
from iothub.errors import OperationTimeout


def on_loop(main):
    return asyncio.run(asyncio.wait_for(main(), 10))


# -- percent-encoding ---------------------------------------------------------------------------


def test_unreserved_characters_stay():
    text = "ABCXYZabcxyz0189-_.~"
    assert quote(text) == text
    assert unquote(text) == text


def test_all_other_bytes_become_upper_case_escapes():
    assert quote(" +/=&?#%$") == "%20%2B%2F%3D%26%3F%23%25%24"
    assert quote("é漢😀") == "%C3%A9%E6%BC%A2%F0%9F%98%80"
    assert quote(b"\x00\x7f\xff") == "%00%7F%FF"
    assert quote("") == ""


def test_quoted_text_is_appended():
    out = bytearray(b"a b%")
    write_quoted(out, "c d")
    write_quoted(out, b"\xc3\xa9")
    write_quoted(out, "plain")
    assert bytes(out) == b"a b%c%20d%C3%A9plain"


def test_unquote_takes_either_case_and_keeps_plus():
    assert unquote("a%20b+c%2f%2F") == "a b+c//"
    assert unquote("%C3%A9%e6%bc%a2") == "é漢"


def test_what_is_no_escape_stays():
    for text in ("%", "%4", "%zz", "100%", "%4g", "%%41"):
        assert unquote(text) == text.replace("%41", "A")


def test_unquote_keeps_characters_that_were_not_encoded():
    assert unquote("é%20漢") == "é 漢"


def test_bytes_that_are_not_utf8_are_an_error():
    raises(ValueError, unquote, "%ff")
    raises(ValueError, unquote, "a%C3")


def test_utf8_gives_what_takes_a_buffer():
    out = bytearray()
    out.extend(utf8("é漢"))
    assert bytes(out) == b"\xc3\xa9\xe6\xbc\xa2"


# -- time ---------------------------------------------------------------------------------------


def test_unix_time_is_seconds_since_1970():
    assert EPOCH in (0, 946684800)
    assert isinstance(unix_time(), int)
    assert unix_time() > 1767225600  # 2026-01-01: when this was written


def test_ticks_go_on_while_a_task_sleeps():
    async def main():
        start = ticks_ms()
        assert isinstance(start, int)
        await sleep_ms(20)
        assert ticks_diff(ticks_ms(), start) >= 19

    on_loop(main)


def test_random_is_a_fraction_that_varies():
    found = {random() for _ in range(50)}
    assert all(0 <= one < 1 for one in found)
    assert len(found) > 40


def test_const_is_the_number_itself():
    assert const(400000) == 400000


# -- deadlines ----------------------------------------------------------------------------------


def test_wait_for_gives_the_result_or_the_error():
    async def main():
        async def give():
            return 5

        async def fail():
            raise ValueError("its own")

        assert await wait_for(give(), 5, "tcp") == 5
        try:
            await wait_for(fail(), 5, "tcp")
        except ValueError as error:
            return str(error)

    assert on_loop(main) == "its own"


def test_wait_for_names_the_stage_and_the_time():
    async def main():
        ended = []

        async def never():
            try:
                await asyncio.sleep(60)
            finally:
                ended.append(1)

        try:
            await wait_for(never(), 0.01, "connack")
        except OperationTimeout as error:
            assert error.stage == "connack"
            assert str(error) == "connack: no answer within 0.01 s"
            return ended

    assert on_loop(main) == [1]


def test_wait_for_never_loses_a_cancellation():
    async def main():
        cancelled = 0
        for turns in range(8):
            future = Future()
            task = asyncio.create_task(wait_for(future, 5, "connack"))
            for _ in range(5):
                await asyncio.sleep(0)
            future.set_result(1)
            for _ in range(turns):
                await asyncio.sleep(0)
            if task.done():
                assert await task == 1
                break
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                cancelled += 1
            else:
                raise AssertionError(f"the cancellation after {turns} turns is lost")
        return cancelled

    assert on_loop(main) > 0


def test_wait_for_that_is_cancelled_cancels_what_it_waits_for():
    async def main():
        ended = Future()

        async def never():
            try:
                await asyncio.sleep(60)
            finally:
                ended.set_result()

        task = asyncio.create_task(wait_for(never(), 60, "connack"))
        for _ in range(5):
            await asyncio.sleep(0)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            await ended
            return True

    assert on_loop(main)


def test_cancellation_from_within_is_no_timeout():
    async def main():
        async def cancels():
            raise asyncio.CancelledError

        try:
            await wait_for(cancels(), 5, "handler")
        except asyncio.CancelledError:
            return True

    assert on_loop(main)
