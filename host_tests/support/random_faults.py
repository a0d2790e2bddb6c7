"""Random faults for fault_proxy."""

from host_tests.support.network_faults import (
    CONNACK,
    CONNECT,
    HANDSHAKE,
    PUBACK,
    PUBLISH,
    SUBACK,
    SUBSCRIBE,
    Alert,
    Cut,
    Drop,
    Duplicate,
    Reset,
    Silence,
    Trickle,
)

ENDS = (Cut, Reset, Silence, Alert)  # of a connection, wherever they strike
PACKETS = (HANDSHAKE, CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK, None)


def random_fault(rng):
    """A random fault of a TCP connection, or of a hub that sends too many or too few PUBACKs."""
    kind = rng.choice((*ENDS, *ENDS, Trickle, Drop, Duplicate))
    packet = PUBACK if kind in (Drop, Duplicate) else rng.choice(PACKETS)
    to_hub = rng.choice((True, False, None))
    return kind(packet, to_hub, nth=rng.randint(1, 4), byte=rng.choice((0, 1, 3, 40, -1)))
