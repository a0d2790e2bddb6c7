"""Attributes of a Message that a client cannot send. Loaded with the first one."""


class UnsentAttributeError(ValueError):
    """A Message is sent without its attribute `name`. It is reported once, and never raised."""

    def __init__(self, name):
        text = "message: %s is not sent: neither MQTT nor an outbox has room for it" % name
        super().__init__(text)
        self.stage = "message"
        self.name = name


def report_unsent(names, message, report):
    """Report those attributes among `names` that `message` has: the names that it has not."""
    left = []
    for name in names:
        if getattr(message, name) is None:
            left.append(name)
        else:
            report(UnsentAttributeError(name))
    return left
