"""Claims of one connection: what its tokens (SASL PLAIN, put-token) and its certificate allow.

Source: docs/protocol/amqp.md, "Authentication".
"""

import re

from ..core import auth
from ..core.access import split_resource
from ..core.errors import Unauthorized

_SERVICE = re.compile(r"(.+)@sas\.root\.(.+)")
_DEVICE = re.compile(r"(.+)@sas\.(.+)")


class Claims:
    """The claims of a connection. Each ends when its token expires."""

    def __init__(self, core, chain=()):
        self._core = core
        self._chain = chain
        self._claims = {}  # (policy, identity, path): Claim

    def add(self, token, hosts):
        """Take in a token for one of `hosts`. Unauthorized."""
        claim = self._core.access.claim_of_token(token, hosts)
        self._claims[claim.policy, claim.identity, claim.path] = claim
        return claim

    def add_plain(self, user, token):
        """Take in SASL PLAIN's user name and password. Unauthorized."""
        service = _SERVICE.fullmatch(user)
        match = service or _DEVICE.fullmatch(user)
        if match is None:
            raise Unauthorized(
                "the user name must be {policy}@sas.root.{hub name} or {device id}@sas.{hub name}"
            )
        name, hub = match[1], match[2].lower()
        host = split_resource(auth.resource_of(auth.parse(token)))[0]
        if hub not in (host, host.partition(".")[0]):
            raise Unauthorized(
                f"the SAS token is for the hub {host[:100]}, and the user name for {hub[:100]}"
            )
        claim = self.add(token, {host})
        named = self._core.identities.find(*name.partition("/")[::2])
        if claim.policy != name if service else named is None or not claim.covers(named):
            self._claims.clear()
            raise Unauthorized(f"the SAS token is not for {name[:100]}, which the user name says")

    def may(self, permission):
        """Whether a service may do this. permission: "registry" or "service"."""
        return any(claim.may(permission) for claim in self._claims.values())

    def covers(self, identity):
        """Whether the connection may act as this device or module."""
        if any(claim.covers(identity) for claim in self._claims.values()):
            return True
        try:
            if self._chain:
                self._core.access.check_certificates(self._chain, identity)
                return True
        except Unauthorized:
            pass
        return False

    def method_of(self, identity):
        """How the identity is authenticated: "sas", or the type of its certificate."""
        by_token = any(claim.covers(identity) for claim in self._claims.values())
        return "sas" if by_token else identity.record["authentication"]["type"]

    def next_expiry(self):
        """When the first claim ends, in seconds since 1970; None: no claim ends."""
        return min((claim.expiry for claim in self._claims.values()), default=None)

    def remove_expired(self, now):
        """Forget the claims that have ended by `now`."""
        self._claims = {key: one for key, one in self._claims.items() if one.expiry > now}
