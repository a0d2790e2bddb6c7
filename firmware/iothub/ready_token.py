"""Ready SAS tokens, which the program brings: whose they are, and what to do once one has ended.

Contract: docs/protocol/mqtt.md, SAS token.
"""

from .compat import unix_time, unquote
from .credentials import Credentials, split_host
from .errors import CredentialError

_CLOCK_IS_SET = 1704067200  # 2024: a board that was never told the time is in 2000 or 1970


def token_fields(token):
    """The fields of a ready SAS token, still encoded: {"sr", "sig", "se"[, "skn"]}.

    ValueError names what is missing, and never shows the token.
    """
    start = "SharedAccessSignature "
    if not token.startswith(start):
        raise ValueError('a SAS token starts with "SharedAccessSignature "')
    fields = {}
    for part in token[len(start) :].split("&"):
        name, _, value = part.strip().partition("=")
        fields[name] = value
    for name in ("sr", "sig", "se"):
        if not fields.get(name):
            raise ValueError("the SAS token has no " + name)
    if not fields["se"].isdigit():
        raise ValueError("the SAS token's se is not a number of seconds")
    return fields


def from_sastoken(token, device_id=None, module_id=None):
    """Credentials of a ready token. Its resource is {hub}/devices/{device}[/modules/{module}],
    whatever follows. A policy's token may name less: then the ids have to be given.

    ValueError: nobody says whose it is, or it is somebody else's.
    """
    parts = _resource(token_fields(token))
    if device_id is None:
        if parts[1:2] != ["devices"] or len(parts) < 3:
            raise ValueError("the SAS token names no device: give device_id, too")
        device_id = parts[2]
        if parts[3:4] == ["modules"] and len(parts) > 4:
            module_id = module_id or parts[4]
    credentials = Credentials(parts[0], device_id, module_id, sastoken=token)
    check(token, credentials)
    return credentials


def check(token, credentials):
    """ValueError unless a ready token is for the device or module of these Credentials.

    The hub takes a resource in other case, and one that goes on behind the device or the module.
    A policy's token (skn) may be for the whole hub.
    """
    fields = token_fields(token)
    parts = _resource(fields)
    parts[0] = split_host(parts[0], None)[0]
    own = [credentials.hostname, "devices"] + credentials.client_id.split("/")
    if credentials.module_id:
        own.insert(3, "modules")
    elif parts[3:4] == ["modules"]:
        own.append("")  # a module's token is not its device's
    shared = min(len(own), len(parts))
    same = "/".join(own[:shared]).lower() == "/".join(parts[:shared]).lower()
    if not same or len(parts) < len(own) and "skn" not in fields:
        raise ValueError("the SAS token is for another device or module")


def _resource(fields):
    return unquote(fields["sr"]).rstrip("/").split("/")


def may_have_ended(token):
    """Whether a ready token has ended, or the clock does not tell."""
    now = unix_time()
    return now < _CLOCK_IS_SET or int(token_fields(token)["se"]) <= now


def succeeds(token, before):
    """Whether a ready token is valid, in place of one that may have ended."""
    return may_have_ended(before) and not may_have_ended(token)


def on_refused(credentials, events, error):
    """An attempt with a ready token has failed: the error to raise. events: the Dispatcher.

    If the hub refuses a token that may have ended, the program is asked for another: once for each
    token, and again if its handler fails.
    """
    token = credentials.sastoken
    if not isinstance(error, CredentialError) or not may_have_ended(token):
        return error
    handler = events.handlers.get("on_new_sastoken_required")
    if handler is not None and credentials.asked_for != token:
        events.run(_ask, credentials, events, handler)
        credentials.asked_for = token  # now: without heap for a task it is asked the next time
    reason = "the ready SAS token has ended, or the clock is wrong: call update_sastoken() with a"
    reason += " new one, when on_new_sastoken_required is called"
    return CredentialError(reason, error.stage, error.code)


async def _ask(credentials, events, handler):
    try:
        await events.call(handler)
    except Exception:
        credentials.asked_for = None
        raise
