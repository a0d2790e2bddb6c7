"""Access control: checks tokens and certificates, and says what their holder may do.

Source: docs/protocol/mqtt.md, "SAS token"; docs/protocol/amqp.md, "Authentication".
"""

import re
from urllib.parse import unquote

from . import auth, x509
from .errors import Unauthorized

# The shared access policies of a new hub, and what each allows.
POLICIES = {
    "iothubowner": {"registry", "service", "device"},
    "service": {"service"},
    "device": {"device"},
    "registryRead": {"registry"},
    "registryReadWrite": {"registry"},
}
_DEVICE = re.compile(r"/devices/([^/]+)(?:/modules/([^/]+))?(?:/.*)?")


class Claim:
    """What a token proves: a policy or an identity, for one resource, until `expiry`."""

    def __init__(self, expiry, path, policy=None, identity=None):
        self.expiry = expiry
        self.path = path  # of the resource, in lower case, without the host
        self.policy = policy
        self.identity = identity

    def may(self, permission):
        """Whether a service may do this. permission: "registry" or "service"."""
        return self.policy is not None and permission in POLICIES[self.policy]

    def covers(self, identity):
        """Whether the holder may act as this device or module."""
        if self.identity is not None:
            return self.identity is identity
        own = _path_of(identity)
        within = self.path in ("", "/") or own == self.path or own.startswith(self.path + "/")
        return within and "device" in POLICIES[self.policy]


def _path_of(identity):
    """The path of an identity's tokens, in lower case."""
    path = f"/devices/{identity.device_id}"
    if identity.module_id:
        path += f"/modules/{identity.module_id}"
    return path.lower()


def split_resource(resource):
    """(host, path) of a resource such as sb://host:port/path: the host in lower case, no port."""
    rest = resource.rpartition("://")[2]
    host, slash, path = rest.partition("/")
    return re.sub(r":\d+$", "", host).lower(), slash + path


class Access:
    """Checks tokens and certificates against the registry, the policies and the authorities."""

    def __init__(self, identities, policy_keys, authorities, clock):
        self._identities = identities
        self._policy_keys = policy_keys
        self._authorities = authorities  # {name: PEM of a CA that signs devices' certificates}
        self._clock = clock

    def claim_of_token(self, token, hosts):
        """The Claim of a token for one of `hosts`. Unauthorized."""
        fields = auth.parse(token)
        resource = auth.resource_of(fields)
        host, path = split_resource(resource)
        if host not in hosts:
            raise Unauthorized(
                f"the SAS token is for another host: its sr is {resource[:100]}, and must "
                f"begin with {' or '.join(sorted(hosts))[:200]}"
            )
        path = path.rstrip("/")
        if "skn" in fields:
            policy = unquote(fields["skn"])
            key = self._policy_keys.get(policy)
            if key is None:
                raise Unauthorized(
                    f"this hub has no policy {policy[:50]}, which the SAS token names in skn: use "
                    f"one of {', '.join(POLICIES)}"
                )
            expiry = auth.verify(fields, [key], self._clock(), as_text=True)
            return Claim(expiry, path.lower(), policy=policy)
        match = _DEVICE.fullmatch(path)
        identity = match and self._identities.find(match[1], match[2])
        if identity is None:
            raise Unauthorized(
                f"the SAS token's sr, {resource[:100]}, is not a device or module of this hub, "
                "and the token has no skn: create the device, or name a policy"
            )
        expiry = auth.verify(fields, identity.keys, self._clock())
        return Claim(expiry, path.lower(), identity=identity)

    def check_token(self, token, hosts, identity):
        """The Claim of a token for one of `hosts` that covers the identity. Unauthorized."""
        claim = self.claim_of_token(token, hosts)
        if claim.covers(identity):
            return claim
        if claim.policy is not None and "device" not in POLICIES[claim.policy]:
            raise Unauthorized(
                f"the SAS token's policy {claim.policy} does not let devices connect: use the key "
                "of the device, or the policy device"
            )
        raise Unauthorized(f"the SAS token is for {claim.path[:100]}, not for {identity.name}")

    def check_certificates(self, chain, identity):
        """Unauthorized unless a client's certificates (DER, its own first) are this identity's."""
        kind = identity.record["authentication"]["type"]
        if kind == "selfSigned":
            thumbprints = identity.record["authentication"]["x509Thumbprint"]
            x509.check_thumbprint(chain[0], thumbprints.values())
        elif kind == "certificateAuthority":
            x509.check_signed(chain, identity.device_id, self._authorities.values())
        else:
            raise Unauthorized(
                f"{identity.name} is registered with a key, but the device shows a certificate: "
                "give the device its key, or register the certificate"
            )
