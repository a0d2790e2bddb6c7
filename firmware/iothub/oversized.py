"""What came, and was too large to keep. Loaded with the first such."""


class OversizedError(ValueError):
    """Something of `size` bytes came, at `stage`: over max_inbound, so it was not kept."""

    def __init__(self, stage, size, limit):
        super().__init__("%s: %d bytes came; max_inbound is %d" % (stage, size, limit))
        self.stage = stage
        self.size = size
