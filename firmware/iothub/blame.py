"""Whose fault a failure is, where there is more than one answer. Loaded when something fails."""

from .errors import ConnectionDroppedError, CredentialError

_BRIEF = 3


async def clock_was_wrong(check, call, error):
    """(what to ask the next time, whether it is worth to connect again at once).

    check: the option check_clock; call: how a handler is called. A token that is refused and a
    certificate that is not valid may be the clock's fault.
    """
    refused = isinstance(error, CredentialError) and error.code != 2
    if not refused and error.stage != "tls":
        return check, False
    wrong = await call(check)
    return (None if wrong is False else check), wrong


def rival(count, error, problem):
    """How many connections in a row the hub has closed early, with this one that ended by `error`.

    A hub closes a connection when the same identity connects anew: two clients that both come
    back go on like that for ever. It is said once.
    """
    if getattr(error, "stage", None) not in ("read", "link", "close"):
        return count
    count += 1
    if count == _BRIEF:
        reason = "the hub closed %d connections early: another client with this identity?" % count
        problem(ConnectionDroppedError(reason, "identity"))
    return count
