"""iothub.errors: stages, codes, and CONNACK return codes as exceptions."""

from iothub import errors
from iothub.blame import refusal


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


def test_connack_return_codes_become_exceptions():
    assert isinstance(refusal(3), errors.ConnectionFailedError)
    for code in (2, 4, 5):
        assert isinstance(refusal(code), errors.CredentialError)
        assert refusal(code).code == code
    for code in (1, 6, 255):
        assert isinstance(refusal(code), errors.ServiceError)
