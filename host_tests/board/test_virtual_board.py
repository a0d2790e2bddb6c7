"""The virtual board, used by the real mpremote and through its serial port."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from host_tests.support.virtual_board import PATIENCE, at_terminal, virtual_board
from tools.interpreter import output

ANYTHING = bytes(range(256)) * 3 + b"\x03\x04\n\r\n\x18\x00"


@pytest.fixture
def board(tmp_path):
    with virtual_board(tmp_path / "flash") as board:
        board.settle()
        yield board


def put(board, name, text):
    path = os.path.join(board.folder, name)
    with open(path, "w") as file:
        file.write(text)


# -- mpremote --------------------------------------------------------------------------------


def test_mpremote_exec_run_and_files(board, tmp_path):
    script = tmp_path / "script.py"
    script.write_text("import os\nprint(os.listdir('/'), 'ä')\n")
    data = tmp_path / "data.bin"
    data.write_bytes(ANYTHING)
    board.mpremote("fs", "mkdir", ":/lib", "+", "fs", "cp", data, ":/lib/data.bin")
    assert board.mpremote("run", script) == "['lib'] ä\r\n"
    assert hashlib.sha256(ANYTHING).hexdigest() in board.mpremote(
        "fs", "sha256sum", ":/lib/data.bin"
    )
    board.mpremote("fs", "cp", ":/lib/data.bin", tmp_path / "back.bin")
    assert (tmp_path / "back.bin").read_bytes() == ANYTHING
    assert "data.bin" in board.mpremote("fs", "ls", ":lib")
    board.mpremote("fs", "rm", ":lib/data.bin")
    assert "data.bin" not in board.mpremote("fs", "ls", ":lib")


def test_paths_are_those_of_a_board(board):
    said = board.mpremote("exec", "import os, sys; print(os.getcwd(), sys.path)")
    assert said == "/ ['', '.frozen', '/lib']\r\n"


def test_mpremote_mount_reads_and_writes_any_byte(board, tmp_path):
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "in.bin").write_bytes(ANYTHING)
    (tmp_path / "here" / "copy.py").write_text(
        "with open('in.bin', 'rb') as source, open('out.bin', 'wb') as sink:\n"
        "    sink.write(source.read())\n"
        "print('copied')\n"
    )
    assert "copied\r\n" in board.mpremote("mount", tmp_path / "here", "exec", "import copy")
    assert (tmp_path / "here" / "out.bin").read_bytes() == ANYTHING


def test_mip_installs_a_local_package(board, tmp_path):
    (tmp_path / "hello.py").write_text("print('hello from lib')\n")
    (tmp_path / "package.json").write_text(json.dumps({"urls": [["hello.py", "hello.py"]]}))
    board.mpremote("mip", "install", "--no-mpy", tmp_path / "package.json")
    assert board.mpremote("exec", "import hello") == "hello from lib\r\n"


def test_reset_runs_main_and_mpremotes_soft_reset_does_not(board):
    put(board, "main.py", "open('ran', 'a').write('x')\n")
    ran = os.path.join(board.folder, "ran")
    board.mpremote("soft-reset")
    assert not os.path.exists(ran)
    with board.opened() as typist:
        typist.type(b"import machine; machine.reset()\r")
        typist.expect(b"(SW_CPU_RESET)\r\n")
        typist.expect(b">>> ")
    with open(ran) as file:
        assert file.read() == "x"
    board.mpremote("reset")
    for _ in range(1000):  # it waits for a moment on the board, when mpremote has gone
        with open(ran) as file:
            if file.read() == "xx":
                break
        time.sleep(0.01)
    else:
        raise AssertionError("main.py did not run")


def test_repl_at_a_terminal(board):
    command = [sys.executable, "-m", "mpremote", "connect", board.port, "repl"]
    with at_terminal(command) as (mpremote, person):
        person.expect(b"to exit this shell")
        person.type(b"print(6*7)\r")
        person.expect(b"\n42\r\n>>> ")
        person.type(b"\x1d")
        assert mpremote.wait(PATIENCE) == 0


def test_error_is_printed_as_on_a_board(board):
    said = board.mpremote("exec", "1/0", check=False)
    assert 'File "<stdin>", line 1, in <module>' in said
    assert said.split()[-4:] == ["ZeroDivisionError:", "divide", "by", "zero"]


# -- the console -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "program",
    [
        "while True: pass",
        "import asyncio; asyncio.run(asyncio.Event().wait())",
        "import time; time.sleep(99)",
    ],
)
def test_ctrl_c_interrupts_a_program(board, program):
    put(board, "main.py", f"print('begun')\n{program}\n")
    with board.opened() as typist:
        typist.type(b"\x04")
        typist.expect(b"begun\r\n")
        typist.type(b"\x03")
        typist.expect(b"KeyboardInterrupt: \r\n")
        typist.expect(b">>> ")
        typist.type(b"1+1\r")
        typist.expect(b"2\r\n>>> ")


def test_soft_reset_restarts_the_program(board):
    with board.opened() as typist:
        typist.type(b"\r\x03")
        typist.expect(b">>> ")
        typist.type(b"x = 5\r")
        typist.expect(b">>> ")
        put(board, "boot.py", "print('in boot')\n")
        put(board, "main.py", "print('main', 'x' in globals(), __file__)\n")
        typist.type(b"\x04")
        assert b"MPY: soft reboot\r\n" in typist.expect(b"in boot\r\n")
        typist.expect(b"main False main.py\r\n")
        typist.expect(b"MicroPython ")
        typist.expect(b">>> ")


def test_exception_in_boot_skips_main(board):
    put(board, "boot.py", "import nothing\n")
    put(board, "main.py", "print('main')\n")
    with board.opened() as typist:
        typist.type(b"\r\x03\x04")
        said = typist.expect(b"MicroPython ")
        assert b"ImportError: no module named 'nothing'" in said
        assert b"start.py" not in said
        assert b"main" not in said.replace(b"<module>", b"")


def test_sys_exit_in_main_restarts_it(board):
    put(board, "main.py", "import sys\nprint('begun')\nsys.exit()\n")
    with board.opened() as typist:
        typist.type(b"\x04")
        typist.expect(b"begun\r\nMPY: soft reboot\r\nbegun\r\n")


def test_second_program_gets_a_port_busy_error(board):
    with board.opened():
        said = board.mpremote("exec", "1", check=False)
    assert "it may be in use by another program" in said


# -- the hardware ----------------------------------------------------------------------------

CAUSE = "import machine; print(machine.reset_cause(), machine.RTC().memory())"


def test_rtc_memory_survives_deep_sleep_and_not_power_off(board):
    put(board, "main.py", CAUSE + "\n")
    with board.opened() as typist:
        typist.type(b"\r\x03")
        typist.expect(b">>> ")
        typist.type(b"import machine; machine.RTC().memory(b'kept'); machine.deepsleep(10)\r")
        typist.expect(b"\n4 b'kept'\r\n")
        typist.expect(b">>> ")
        typist.type(b"machine.reset()\r")
        typist.expect(b"\n2 b'kept'\r\n")
        board.command("reset")
        typist.expect(b"\n1 b''\r\n")


def test_reset_button_wakes_a_board_that_sleeps_for_ever(board):
    put(board, "main.py", CAUSE + "\n")
    with board.opened() as typist:
        typist.type(b"import machine; print('good night'); machine.deepsleep()\r")
        typist.expect(b"\r\ngood night\r\n")
        board.command("reset")
        typist.expect(b"(POWERON_RESET)\r\n1 b''\r\n")


def test_nothing_runs_after_machine_reset(board):
    with board.opened() as typist:
        typist.type(b"\r\x03")
        typist.expect(b">>> ")
        typist.type(b"\x05")
        typist.type(b"import machine\rtry: machine.reset()\rfinally: print('fi'+'nally')\r\x04")
        typist.expect(b"MicroPython ")
        typist.type(b"print('af'+'ter')\r")
        assert b"finally\r\n" not in typist.expect(b"after\r\n")


def test_watchdog_resets_a_program_that_does_not_feed_it(board):
    put(board, "main.py", CAUSE + "\n")
    with board.opened() as typist:
        typist.type(b"\r\x03")
        typist.expect(b">>> ")
        typist.type(b"import machine; w = machine.WDT(timeout=300)\r")
        typist.expect(b">>> ")
        typist.type(b"import time\rfor i in range(6): time.sleep_ms(100); w.feed()\r\r\r")
        typist.type(b"print('al'+'ive')\r")
        typist.expect(b"alive\r\n")
        typist.expect(b"WDT_SYS_RESET)\r\n3 b''\r\n")


def test_clock_starts_in_2000_and_survives_a_reset(board):
    year = "import time; print(time.gmtime()[0])"
    assert board.mpremote("exec", year) == "2000\r\n"
    board.mpremote("rtc", "--set")
    assert int(board.mpremote("exec", year)) >= 2026
    board.mpremote("reset")
    assert int(board.mpremote("exec", year)) >= 2026


def test_wifi_command_makes_wifi_fail(board):
    join = "import network; w = network.WLAN(); w.active(True); w.connect('n', 'p')"
    ask = f"{join}; print(w.isconnected(), w.status() == network.STAT_WRONG_PASSWORD)"
    assert board.mpremote("exec", ask) == "True False\r\n"
    board.command("wifi wrong-password")
    assert board.mpremote("exec", ask) == "False True\r\n"


def test_program_has_the_requested_heap(tmp_path):
    """As much as in the interpreter without the stand-ins."""
    free = "import gc; gc.collect(); print(gc.mem_free())"
    for heap in ("64wK", "256wK"):
        expected = int(output(["-X", f"heapsize={heap}", "-c", free]))
        with virtual_board(tmp_path, "--heap", heap) as board:
            found = int(board.mpremote("exec", free))
        assert abs(found / expected - 1) < 0.04


def test_full_flash_keeps_its_files(tmp_path):
    fill = "f = open('big', 'wb')\nfor i in range(40): f.write(bytes(4096))"
    with virtual_board(tmp_path, "--flash", "128K") as board:
        board.mpremote("exec", "with open('kept', 'w') as f: f.write('x' * 9)")
        said = board.mpremote("exec", fill, check=False)
        assert "OSError: 28" in said or "ENOSPC" in said
    with virtual_board(tmp_path, "--flash", "128K") as board:
        assert board.mpremote("exec", "print(open('kept').read())") == "xxxxxxxxx\r\n"
        assert ", 32, " in board.mpremote("exec", "import os; print(os.statvfs('/'))")


@pytest.mark.parametrize(
    "arguments, expected",
    [
        (["--heap", "much"], "board: heap: much is not a size such as 128wK"),
        (["--flash", "5"], "'5' is not a size such as 512K"),
        (["--wifi", "slow"], "invalid choice: 'slow'"),
    ],
)
def test_wrong_arguments_are_one_error_line(tmp_path, arguments, expected):
    from host_tests.support.processes import run_tools

    done = run_tools("board", str(tmp_path), *arguments)
    assert done.returncode
    assert expected in done.stderr.splitlines()[-1]


def test_interpreter_that_does_not_start_is_one_error_line(tmp_path, monkeypatch):
    from host_tests.support.processes import run_tools

    monkeypatch.setenv("MICROPYTHON", "/bin/false")
    done = run_tools("board", str(tmp_path))
    assert done.returncode == 1
    assert done.stderr == "board: MicroPython ended at once, with status 1\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_signal_ends_the_board_and_leaves_nothing(tmp_path, number):
    (tmp_path / "flash").mkdir()
    (tmp_path / "flash" / "main.py").write_text("while True:\n    pass\n")
    link = tmp_path / "port"
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    command = [
        sys.executable,
        "-m",
        "tools",
        "board",
        str(tmp_path / "flash"),
        "--link",
        str(link),
    ]
    environment = {**os.environ, "TMPDIR": str(temporary)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        assert b"port" in process.stdout.readline()
        port = os.readlink(link)
        assert os.path.exists(port)
        process.send_signal(number)
        assert process.wait(PATIENCE) == 0
    assert not os.path.lexists(link)
    assert not os.path.exists(port)  # no MicroPython holds its side of it
    assert list(temporary.iterdir()) == []
