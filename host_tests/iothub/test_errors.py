"""iothub.errors: stages, codes, and CONNACK return codes as exceptions."""

from iothub import errors
from iothub.blame import refusal


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


def test_connack_codes():
    assert isinstance(refusal(3), errors.ConnectionFailedError)
    for code in (2, 4, 5):
        assert isinstance(refusal(code), errors.CredentialError)
        assert refusal(code).code == code
    for code in (1, 6, 255):
        assert isinstance(refusal(code), errors.ServiceError)
