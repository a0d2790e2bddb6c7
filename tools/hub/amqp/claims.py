"""What one connection may do: by tokens in SASL PLAIN or put-token, or by its certificate.

Source: spec iothub-amqp, "Authentication".
"""

import re
from urllib.parse import unquote

from ..core.access import host_of
from ..core.auth import TokenError, parse

_SERVICE = re.compile(r"(.+)@sas\.root\.(.+)")
_DEVICE = re.compile(r"(.+)@sas\.(.+)")


class Claims:
    """The claims of a connection; each ends when its token does."""

    def __init__(self, core, chain=()):
        self._core = core
        self._chain = chain
        self._claims = {}  # (policy, identity, path): Claim

    def add(self, token, hosts):
        """Take in a token for one of `hosts`. TokenError."""
        claim = self._core.access.of_token(token, hosts)
        self._claims[claim.policy, claim.identity, claim.path] = claim
        return claim

    def add_plain(self, user, token):
        """Take in SASL PLAIN's user name and password. TokenError."""
        service = _SERVICE.fullmatch(user)
        match = service or _DEVICE.fullmatch(user)
        if match is None:
            raise TokenError("the user name is not {policy}@sas.root.{hub} or {device}@sas.{hub}")
        name, hub = match[1], match[2].lower()
        host = host_of(unquote(parse(token)["sr"]))[0]
        if hub not in (host, host.partition(".")[0]):
            raise TokenError("the token is for another hub than the user name")
        claim = self.add(token, {host})
        named = self._core.identities.find(*name.partition("/")[::2])
        if claim.policy != name if service else named is None or not claim.covers(named):
            self._claims.clear()
            raise TokenError("the token is for someone else than the user name")

    def may(self, permission):
        """Whether a service may do this."""
        return any(claim.may(permission) for claim in self._claims.values())

    def covers(self, identity):
        """Whether the connection may act as this device or module."""
        if any(claim.covers(identity) for claim in self._claims.values()):
            return True
        try:
            if self._chain:
                self._core.access.of_certificates(self._chain, identity)
                return True
        except TokenError:
            pass
        return False

    def method_of(self, identity):
        """How the identity is authenticated, for its events."""
        by_token = any(claim.covers(identity) for claim in self._claims.values())
        return "sas" if by_token else identity.record["authentication"]["type"]

    def next_expiry(self):
        """When the first claim ends, in seconds since 1970; None: none does."""
        return min((claim.expiry for claim in self._claims.values()), default=None)

    def expire(self, now):
        """Forget the claims that ended by `now`."""
        self._claims = {key: one for key, one in self._claims.items() if one.expiry > now}
