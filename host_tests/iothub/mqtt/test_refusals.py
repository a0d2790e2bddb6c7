from iothub import errors
from iothub.mqtt.refusals import refusal


def test_connack_codes():
    assert isinstance(refusal(3), errors.ConnectionFailedError)
    for code in (2, 4, 5):
        assert isinstance(refusal(code), errors.CredentialError)
        assert refusal(code).code == code
    for code in (1, 6, 255):
        assert isinstance(refusal(code), errors.ServiceError)
