"""Hypothesis strategies for values of AMQP's types, as iothub.amqp.codec represents them."""

from hypothesis import strategies as st

from iothub.amqp.codec import Typed


def integers(bits, signed):
    low = -(2 ** (bits - 1)) if signed else 0
    return st.integers(low, 2**bits + low - 1)


NUMBERS = {
    "ubyte": integers(8, False),
    "ushort": integers(16, False),
    "uint": integers(32, False),
    "ulong": integers(64, False),
    "byte": integers(8, True),
    "short": integers(16, True),
    "int": integers(32, True),
    "timestamp": integers(64, True),
    "float": st.floats(width=32, allow_nan=False),
}
CHARACTERS = st.characters(exclude_categories=("Cs",))
UUIDS = st.binary(min_size=16, max_size=16)


def typed(kinds):
    """A Typed of one of `kinds`, {type name: strategy of its values}."""
    return st.one_of([st.builds(Typed, st.just(kind), values) for kind, values in kinds.items()])


def arrays(kinds, **size):
    """A Typed array of one of `kinds`."""
    return st.one_of(
        [
            st.builds(Typed, st.just("array"), st.tuples(st.just(kind), st.lists(values, **size)))
            for kind, values in kinds.items()
        ]
    )
