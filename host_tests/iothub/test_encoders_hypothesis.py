"""Encoders and decoders against independent implementations."""

import base64
import hmac
from urllib.parse import quote, unquote

from azure.iot.device import Message as AzureMessage
from azure.iot.device.common.auth import connection_string as azure_cs
from azure.iot.device.common.auth import sastoken as azure_sas
from azure.iot.device.common.auth.signing_mechanism import SymmetricKeySigningMechanism
from azure.iot.device.iothub.pipeline import mqtt_topic_iothub as azure_topics
from hypothesis import assume, given
from hypothesis import strategies as st

from iothub import compat, sas
from iothub.messages import Message
from iothub.mqtt import properties as bags
from iothub.mqtt import topics
from iothub.options import parse_connection_string
from iothub.ready_token import token_fields

TEXT = st.text(st.characters(codec="utf-8"))
NAME = st.text(st.characters(codec="utf-8"), min_size=1)
KEY = st.binary(min_size=1, max_size=80)
RID = st.text("0123456789abcdefABCDEF-._~%", min_size=1).filter(lambda rid: "%" not in rid)


@given(TEXT)
def test_quote_equals_urllibs(value):
    assert compat.quote(value) == quote(value, safe="")


@given(st.binary())
def test_quote_of_bytes_equals_urllibs(value):
    assert compat.quote(value) == quote(value, safe="")


@given(st.text("%0123456789abcdefABCDEFg+é漢 "))
def test_unquote_equals_strict_urllibs(value):
    try:
        expected = unquote(value, errors="strict")
    except UnicodeDecodeError:
        expected = None
    try:
        assert compat.unquote(value) == expected
    except ValueError:
        assert expected is None


@given(st.binary(max_size=200), st.binary())
def test_hmac_equals_the_standard_librarys(key, message):
    assert sas.hmac_sha256(key, message) == hmac.digest(key, message, "sha256")


@given(NAME, KEY, st.integers(0, 2**40), st.none() | NAME)
def test_token_follows_the_documented_formula(resource, key, expiry, policy):
    key = base64.b64encode(key).decode()
    encoded = quote(resource, safe="")
    digest = hmac.digest(base64.b64decode(key), f"{encoded}\n{expiry}".encode(), "sha256")
    expected = f"SharedAccessSignature sr={encoded}&sig={quote(base64.b64encode(digest), safe='')}"
    expected += f"&se={expiry}" + (f"&skn={quote(policy, safe='')}" if policy else "")
    assert sas.sas_token(resource, key, expiry, policy) == expected


@given(NAME, KEY)
def test_token_equals_azure_iot_devices(resource, key):
    key = base64.b64encode(key).decode()
    theirs = azure_sas.RenewableSasToken(resource, SymmetricKeySigningMechanism(key))
    assert sas.sas_token(resource, key, theirs.expiry_time) == str(theirs)
    info = azure_sas.get_sastoken_info_from_string(str(theirs))
    assert token_fields(str(theirs)) == info


@given(st.text(max_size=60))
def test_only_base64_is_accepted_as_a_key(key):
    try:
        decoded = sas.decode_key(key)
    except ValueError:
        return
    assert base64.b64encode(decoded).decode().rstrip("=")[:-1] == key.rstrip("=")[:-1]


@given(st.dictionaries(TEXT.filter(bool), st.none() | TEXT))
def test_properties_are_decoded_as_they_were_encoded(properties):
    assert bags.decode_properties(bags.encode_properties(properties)) == properties


@given(st.dictionaries(NAME, TEXT), st.tuples(*[st.none() | NAME] * 5))
def test_property_bag_is_read_by_azure_iot_device(properties, system):
    mine = Message("", *system[:2], content_type=system[2])
    mine.correlation_id, mine.user_id = system[3:]
    mine.custom_properties = dict(properties)
    theirs = AzureMessage("")
    reserved = {"$.mid", "$.cid", "$.uid", "$.ct", "$.ce", "$.exp", "$.to", "iothub-ack"}
    if reserved & set(properties):
        return
    topic = bytes(bags.telemetry_topic(b"devices/d/messages/devicebound/", mine)).decode()
    azure_topics.extract_message_properties_from_topic(topic, theirs)
    assert theirs.custom_properties == properties
    for name in ("message_id", "correlation_id", "user_id", "content_type", "content_encoding"):
        assert getattr(theirs, name) == getattr(mine, name)


@given(st.dictionaries(NAME, TEXT), st.tuples(*[st.none() | NAME] * 4))
def test_property_bag_of_azure_iot_device_is_read(properties, system):
    theirs = AzureMessage("", *system[:2], content_type=system[2])
    theirs.correlation_id = system[3]
    theirs.custom_properties = dict(properties)
    if any(name.startswith("$.") or name == "iothub-ack" for name in properties):
        return
    bag = azure_topics.encode_message_properties_in_topic(theirs, "")
    mine = Message("")
    bags.decode_message(bag, mine)
    assert mine.custom_properties == properties
    for name in ("message_id", "correlation_id", "content_type", "content_encoding"):
        assert getattr(mine, name) == getattr(theirs, name)


@given(NAME.filter(lambda name: "/" not in name), RID)
def test_method_topics_agree_with_azure_iot_device(name, rid):
    topic = f"$iothub/methods/POST/{quote(name, safe='')}/?$rid={rid}"
    assert topics.parse(topic, "devices/d/") == ("method", name, rid)
    assert azure_topics.get_method_name_from_topic(topic) == name
    assert topics.method_answer(rid, 200) == azure_topics.get_method_topic_for_publish(rid, 200)


@given(st.integers(100, 599), RID, st.none() | st.integers(0, 2**31))
def test_twin_topics_agree_with_azure_iot_device(status, rid, version):
    topic = f"$iothub/twin/res/{status}/?$rid={rid}" + (f"&$version={version}" if version else "")
    assert topics.parse(topic, "devices/d/") == ("twin", status, rid, version or None)
    assert int(azure_topics.get_twin_status_code_from_topic(topic)) == status
    where = "/properties/reported/"
    assert topics.twin_request(rid, b"{}") == azure_topics.get_twin_topic_for_publish(
        "PATCH", where, rid
    )
    assert topics.twin_request(rid) == azure_topics.get_twin_topic_for_publish("GET", "/", rid)


@given(st.text(st.characters(codec="utf-8")))
def test_other_topics_are_not_the_devices(topic):
    starts = ("devices/d/", "$iothub/twin/", "$iothub/methods/")
    assume(not topic.startswith(starts))
    assert topics.parse(topic, "devices/d/") is None


HOST = st.from_regex(r"[a-z][a-z0-9-]{1,20}(\.[a-z]{2,8}){0,3}", fullmatch=True)
ID = st.from_regex(r"[A-Za-z0-9._:@!$'*-]{1,40}", fullmatch=True)


@given(HOST, ID, KEY, st.none() | ID, st.none() | HOST, st.randoms())
def test_connection_string_is_read_as_azure_iot_device_does(
    host, device, key, module, gateway, random
):
    parts = [
        f"HostName={host}",
        f"DeviceId={device}",
        f"SharedAccessKey={base64.b64encode(key).decode()}",
    ]
    parts += [f"ModuleId={module}"] if module else []
    parts += [f"GatewayHostName={gateway}"] if gateway else []
    random.shuffle(parts)
    text_ = ";".join(parts)
    theirs = azure_cs.ConnectionString(text_)
    for name, value in parse_connection_string(text_).items():
        assert theirs[name] == value


@given(st.text(max_size=80))
def test_invalid_connection_string_is_a_value_error(value):
    try:
        parse_connection_string(value)
    except ValueError:
        pass
