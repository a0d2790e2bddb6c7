from iothub import errors


def test_failures_of_the_network_are_oserrors_and_carry_their_stage():
    for name in (
        "ConnectionFailedError",
        "ConnectionDroppedError",
        "ProtocolError",
        "OperationTimeout",
        "NoConnectionError",
    ):
        error = getattr(errors, name)("why", "tls")
        assert isinstance(error, OSError)
        assert error.stage == "tls"
        assert str(error) == "tls: why"


def test_refusals_are_not_oserrors_and_carry_their_code():
    for name in ("CredentialError", "ServiceError"):
        error = getattr(errors, name)("why", "connack", 5)
        assert not isinstance(error, OSError)
        assert (error.stage, error.code) == ("connack", 5)
        assert "why" in str(error)
