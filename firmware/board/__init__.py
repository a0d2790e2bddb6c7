"""What only a board has: its settings, Wi-Fi and clock. Nothing in iothub imports this."""


def forget(name):
    """Give back the memory of a module that nobody needs any more, such as wifi."""
    import sys

    sys.modules.pop("board." + name, None)
    globals().pop(name, None)
