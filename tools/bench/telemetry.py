"""QoS 1 telemetry from MicroPython to mosquitto, over TLS: this firmware's client by its public
send_message, other clients, and raw, a program without a client that writes prebuilt packets, one
TLS record each. (A client that puts several packets into one record may be faster.)
"""

from . import brokers, programs
from .programs import TOPIC
from .rows import OURS, Goal, Row

# name: (program, {messages in flight: messages sent}); the slow ones send for a second or two
RATED = {
    OURS: ("ours", {1: 60_000, 8: 60_000, 32: 60_000}),
    "raw": ("raw", {1: 60_000, 8: 60_000, 32: 60_000}),
    "chumicro-mqtt": ("chumicro", {1: 30_000, 8: 30_000, 32: 30_000}),
    "umqtt.simple": ("umqtt_simple", {1: 20}),
    "aiomqttc": ("aiomqttc_client", {1: 10, 8: 80, 32: 320}),
}
FLIGHTS = (1, 8, 32)
MANY = max(FLIGHTS)
QUICK = (OURS, "raw", "chumicro-mqtt", "umqtt.simple")
# With properties: what ours encodes for each message is in the topic of the others beforehand.
PROPERTIES = {"level": "warm", "unit": "C", "alarm": "no"}
BAG = "&".join(f"{name}={value}" for name, value in PROPERTIES.items())
WITH_PROPERTIES = (OURS, "chumicro-mqtt", "umqtt.simple")

RATE_GOALS = (
    Goal(0.4, at_least=True, against="raw", slack=2),
    Goal(2, at_least=True, against="chumicro-mqtt", slack=2),
    Goal(200, at_least=True, against="umqtt.simple", slack=2),
)
# How many messages leave together, and share what a record allocates, is a matter of time.
HEAP_GOALS = (Goal(200, slack=1.25), Goal(400, slack=1.25))
ALLOCATED = f"heap allocated a message, {MANY} in flight"
FEW = 2000  # ours are so many that the tasks which send them hardly count
HEAP_NOTE = f"of a 64-bit build, over {FEW:,} messages; each task that sends takes 320, once"
BAG_NOTE = "ours encodes them each time; in the topics of the others they are ready"
NOTE = (
    "umqtt.simple sends one message at a time, so its rate is the most it does; client and broker "
    "share the machine's cores, so ratios move with what else these do, and what raw reaches is "
    "about what the broker takes"
)


async def measure(rounds, quick=False):
    """Rows of messages a second, by messages in flight, and of bytes of heap a message."""
    found = {"rate": {flying: {} for flying in FLIGHTS}, "plain": {}, "bag": {}}
    async with brokers.mosquitto() as broker:
        if broker is None:
            return []
        for _ in range(rounds):
            for name in programs.available(QUICK if quick else RATED):
                with programs.forgiven(name):
                    await _client(broker, name, quick, found)
    rates = found["rate"]
    return [
        *(_rate_row(flying, rates[flying]) for flying in FLIGHTS if OURS in rates[flying]),
        Row(ALLOCATED, "bytes", found["plain"], HEAP_GOALS[:1], HEAP_NOTE),
        Row(f"{ALLOCATED}, three properties", "bytes", found["bag"], HEAP_GOALS[1:], BAG_NOTE),
    ]


async def _client(broker, name, quick, found):
    """One round of one client."""
    counts = RATED[name][1]
    most = max(counts)
    for flying, count in counts.items():
        if flying == most or not quick:
            one = await _one(broker, name, flying, count)
            rate = one["count"] / one["seconds"]
            found["rate"][flying].setdefault(name, []).append(rate)
    if most == 1:
        found["rate"][MANY].setdefault(name, []).append(rate)
    found["plain"].setdefault(name, []).append(one["allocated"])
    if name in WITH_PROPERTIES:
        one = await _one(broker, name, most, count, PROPERTIES)
        found["bag"].setdefault(name, []).append(one["allocated"])


def what(flying):
    return f"QoS 1 telemetry, {flying} in flight"


def _rate_row(flying, values):
    many = flying == MANY
    goals, note = (RATE_GOALS, NOTE) if many else ((), "")
    return Row(what(flying), "messages a second", values, goals, note)


async def _one(broker, name, flying, count, properties=None):
    others = {"count": count}
    if name == OURS:
        others["few"] = FEW
    if properties:
        others["properties"] = properties
        if name != OURS:
            others["topic"] = TOPIC + BAG
    settings = programs.telemetry_settings(broker, flying, **others)
    folders = programs.folders_of(name)
    return await programs.result(RATED[name][0], settings, folders=folders)
