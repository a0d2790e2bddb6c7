"""board.watchdog: it is fed while all deadlines hold, and the missed deadline is reported."""

import asyncio

from host_tests.support.board_on_hub import PATIENCE, board_on_hub, console_until

# In place of main.py's last lines: seconds are fewer, and something goes wrong.
MAIN = """
import asyncio, time
import iothub.health
import board.watchdog
import main as app

iothub.health._SLACK = 0
app.interval = 0.2
before = board.watchdog.Watchdog.__init__

def short(self, client, timeout, check=None):
    before(self, client, 2, check)
    client._options["timeout"] = 1
    asyncio.create_task(trouble(client))

board.watchdog.Watchdog.__init__ = short

async def trouble(client):
    while not client.connected:
        await asyncio.sleep(0.1)
    await asyncio.sleep(1)
    {}

asyncio.run(app.main())
"""


def run(tmp_path, trouble, scenario, note=None, **settings):
    def prepare(disk):
        if note is not None:
            (disk / "overrun.txt").write_bytes(note)
        (disk / "app_main.py").write_text((disk / "main.py").read_text())
        text = MAIN.replace("import main as app", "import app_main as app").format(trouble)
        (disk / "main.py").write_text(text)

    async def main():
        async with board_on_hub(tmp_path, prepare=prepare, watchdog="60", **settings) as found:
            await scenario(*found)

    asyncio.run(asyncio.wait_for(main(), 2 * PATIENCE))


def test_blocked_event_loop_resets_the_board(tmp_path):
    async def scenario(board, service):
        await console_until(board, "started by: power on")
        await console_until(board, "sent:")
        lines = await console_until(board, "started by:")
        assert lines[-1] == "started by: watchdog"
        assert board.resets == 1
        await reported(service, "watchdog")

    run(tmp_path, "time.sleep(60)", scenario)


def test_dead_keep_alive_task_resets_the_board_and_is_reported(tmp_path):
    async def scenario(board, service):
        await console_until(board, "sent:")
        lines = await console_until(board, "started by:")
        assert "watchdog: keep-alive did not end in time" in lines
        assert lines[-1] == "started by: watchdog: keep-alive"
        await reported(service, "watchdog: keep-alive")

    run(tmp_path, "client._supervisor._ticker.cancel()", scenario)


def test_connection_attempt_that_does_not_end_is_reported(tmp_path):
    trouble = "client._supervisor.connecting_since = 0; iothub.health._STEPS = 1"

    async def scenario(board, service):
        await console_until(board, "sent:")
        lines = await console_until(board, "started by:")
        assert lines[-1] == "started by: watchdog: connect"

    run(tmp_path, trouble, scenario)


def test_watchdog_is_fed_while_deadlines_hold(tmp_path):
    async def scenario(board, service):
        async for _ in numbered(board, "sent:", 30):  # three times its two seconds
            assert board.resets == 0
        await service.local.cut_connection("d")  # what has deadlines of its own is no trouble
        async for _ in numbered(board, "sent:", 15):
            assert board.resets == 0

    run(tmp_path, "pass", scenario)


async def numbered(board, text, count):
    for number in range(count):
        await console_until(board, text)
        yield number


async def reported(service, cause):
    """Wait until the reported properties tell why the board started."""
    while True:
        twin = await service.get_twin("d")
        health = twin["properties"]["reported"].get("health", {})
        if health.get("resetCause") == cause:
            assert health["connections"] >= 1
            assert health["heapLow"] > 0
            return
        await asyncio.sleep(0.05)


def test_invalid_reset_note_is_ignored(tmp_path):
    async def scenario(board, _):
        lines = await console_until(board, "started by:")
        assert lines[-1] == "started by: power on"
        await console_until(board, "sent:")

    run(tmp_path, "pass", scenario, note=b"\xff" * 16)


def test_uptime_is_independent_of_the_clock(tmp_path):
    trouble = """import machine
    health = iothub.health.Health(client)
    machine.RTC().datetime((2040, 1, 1, 6, 0, 0, 0, 0))
    print("uptime", health.report_body()["uptime"])"""

    async def scenario(board, _):
        lines = await console_until(board, "uptime ")
        assert 1 <= int(lines[-1].split()[1]) < PATIENCE

    run(tmp_path, trouble, scenario)
