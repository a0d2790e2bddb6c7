"""Errors of a board on a serial port, whose transport fails as mpremote's does."""

from types import SimpleNamespace

import pytest
from mpremote.transport import TransportError

from tools import remote


@pytest.mark.parametrize(
    "failure",
    [
        "could not exec command (response: b'SharedAccessKey=c2VjcmV0\\r\\n')",
        "could not complete raw paste: b'SharedAccessKey=c2VjcmV0\\r\\n'",
        "unexpected read during raw paste: b'SharedAccessKey=c2VjcmV0\\r\\n'",
    ],
)
def test_error_quotes_nothing_that_the_board_sent(monkeypatch, failure):
    class Transport:
        def __init__(self, *_arguments, **_settings):
            self.serial = SimpleNamespace()

        def exec_raw(self, code, timeout):
            raise TransportError(failure)

    monkeypatch.setattr(remote, "SerialTransport", Transport)
    board = remote.Remote("/dev/pts/0")
    with pytest.raises(remote.RemoteError) as raised:
        board.run("1")
    said = str(raised.value)
    assert "c2VjcmV0" not in said
    assert said.startswith("/dev/pts/0: the board stopped answering (" + failure[:20])
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__
