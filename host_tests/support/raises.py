"""raises(), for tests that run on MicroPython as well as under pytest."""


def raises(error_type, function, *arguments):
    """Call `function`: the exception that it raises, which must be an `error_type`."""
    try:
        function(*arguments)
    except error_type as error:
        return error
    raise AssertionError("no " + error_type.__name__)
