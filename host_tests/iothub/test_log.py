"""iothub.log: levels, and no secret in any line."""

from host_tests.support.raises import raises
from iothub import errors, log


def lines(level, tells):
    """The lines that `tells` logs at a level."""
    shown = []
    log.on(level, shown.append)
    try:
        for tell in tells:
            errors.logger(*tell)
    finally:
        log.off()
    return shown


def test_log_is_off_by_default():
    assert errors.logger is None
    log.on("info", print)
    assert errors.logger is not None
    log.off()
    assert errors.logger is None


def test_level_includes_higher_levels():
    tells = [
        (10, "read", 5),
        (20, "tcp", "h:1"),
        (40, "ping", errors.OperationTimeout("no", "ping")),
    ]
    assert len(lines("debug", tells)) == 3
    info = lines("info", tells)
    assert [line.split()[1:3] for line in info] == [["info", "tcp:"], ["error", "ping:"]]
    assert info[0].endswith("info    tcp: h:1")
    assert info[1].endswith("OperationTimeout: ping: no")
    assert len(lines("error", tells)) == 1


def test_unknown_level_is_an_error():
    raises(ValueError, log.on, "loud")
    assert errors.logger is None


def test_debug_level_prints_tracebacks():
    def fail():
        raise ValueError("no")

    try:
        fail()
    except ValueError as error:
        (line,) = lines("debug", [(40, "x", error)])
        (short,) = lines("info", [(40, "x", error)])
    assert "fail" in line
    assert "Traceback" in line
    assert "Traceback" not in short


def test_secrets_are_removed():
    secret = "c2VjcmV0"
    for text in (
        "HostName=h;DeviceId=d;SharedAccessKey=" + secret,
        "SharedAccessKey=" + secret + ";HostName=h",
        "SharedAccessSignature sr=h&sig=" + secret + "&se=5",
        "'Password=" + secret + "'",
        "sig=" + secret + " sig=" + secret,
    ):
        (line,) = lines("info", [(20, "x", text)])
        assert secret not in line, line
        assert "***" in line
    (line,) = lines("info", [(40, "x", ValueError("SharedAccessKey=" + secret))])
    assert secret not in line


def test_text_around_a_secret_stays():
    assert log.redact("sr=h&sig=abc&se=5") == "sr=h&sig=***&se=5"
    assert log.redact("nothing to hide") == "nothing to hide"
