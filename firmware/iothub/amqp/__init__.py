"""AMQP 1.0: the wire format (codec, composites, frames, sections), which is all without I/O."""
