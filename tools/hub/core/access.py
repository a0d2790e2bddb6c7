"""Who may do what: tokens and certificates, and the claims that follow from them.

Source: spec iothub-mqtt, "SAS token", and iothub-amqp, "Authentication".
"""

import re
from urllib.parse import unquote

from . import auth, x509
from .auth import TokenError

# The policies a hub is born with, and what each may do.
POLICIES = {
    "iothubowner": {"registry", "service", "device"},
    "service": {"service"},
    "device": {"device"},
    "registryRead": {"registry"},
    "registryReadWrite": {"registry"},
}
_DEVICE = re.compile(r"/devices/([^/]+)(?:/modules/([^/]+))?(?:/.*)?")


class Claim:
    """What one token shows: a policy, or an identity, for a resource, until `expiry`."""

    def __init__(self, expiry, path, policy=None, identity=None):
        self.expiry = expiry
        self.path = path  # of the resource, in lower case, without the host
        self.policy = policy
        self.identity = identity

    def may(self, permission):
        """Whether a service may do this: registry or service."""
        return self.policy is not None and permission in POLICIES[self.policy]

    def covers(self, identity):
        """Whether its holder may act as this device or module."""
        if self.identity is not None:
            return self.identity is identity
        own = path_of(identity)
        within = self.path in ("", "/") or own == self.path or own.startswith(self.path + "/")
        return within and "device" in POLICIES[self.policy]


def path_of(identity):
    """The path that a token for an identity is for, in lower case."""
    path = f"/devices/{identity.device_id}"
    if identity.module_id:
        path += f"/modules/{identity.module_id}"
    return path.lower()


def host_of(resource):
    """(host, path) of a resource such as sb://host:port/path; the host in lower case."""
    rest = resource.rpartition("://")[2]
    host, slash, path = rest.partition("/")
    return re.sub(r":\d+$", "", host).lower(), slash + path


class Access:
    """Judges tokens and certificates."""

    def __init__(self, identities, policy_keys, authorities, clock):
        self._identities = identities
        self._policy_keys = policy_keys
        self._authorities = authorities  # {name: PEM} of the CAs that devices' certificates have
        self._clock = clock

    def of_token(self, token, hosts):
        """The Claim that a token makes for one of `hosts`; TokenError says why it does not."""
        fields = auth.parse(token)
        resource = unquote(fields["sr"])
        host, path = host_of(resource)
        if host not in hosts:
            raise TokenError(f"the token is for another resource: {resource[:100]}")
        path = path.rstrip("/")
        if "skn" in fields:
            policy = unquote(fields["skn"])
            key = self._policy_keys.get(policy)
            if key is None:
                raise TokenError("the token names no policy of this hub")
            expiry = auth.verify(fields, [key], self._clock(), as_text=True)
            return Claim(expiry, path.lower(), policy=policy)
        match = _DEVICE.fullmatch(path)
        identity = match and self._identities.find(match[1], match[2])
        if identity is None:
            raise TokenError("the token is for no device of this hub, and names no policy")
        expiry = auth.verify(fields, identity.keys, self._clock())
        return Claim(expiry, path.lower(), identity=identity)

    def of_certificates(self, chain, identity):
        """Judge a client's certificates (DER, its own first). TokenError: not this identity's."""
        kind = identity.record["authentication"]["type"]
        if kind == "selfSigned":
            thumbprints = identity.record["authentication"]["x509Thumbprint"]
            x509.check_thumbprint(chain[0], thumbprints.values())
        elif kind == "certificateAuthority":
            x509.check_signed(chain, identity.device_id, self._authorities.values())
        else:
            raise TokenError("the identity authenticates by key, not by certificate")
