"""iothub.errors: stages, codes, and CONNACK return codes as exceptions."""

from iothub import errors


def test_network_errors_are_oserrors_with_a_stage():
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


def test_refusals_are_no_oserrors_and_have_a_code():
    for name in ("CredentialError", "ServiceError"):
        error = getattr(errors, name)("why", "connack", 5)
        assert not isinstance(error, OSError)
        assert (error.stage, error.code) == ("connack", 5)
        assert "why" in str(error)
