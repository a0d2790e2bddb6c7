"""Print a SAS token for the connection string of a device, a module or a service policy.

    IOTHUB_CONNECTION_STRING='HostName=…' {prog} sas --ttl 3600
    {prog} sas < connection-string.txt
    {prog} sas                                asks for the connection string

There is no option for it, because a key on the command line stays in the shell's history.
"""

import getpass
import os
import sys
import time

VARIABLE = "IOTHUB_CONNECTION_STRING"


def arguments(parser):
    parser.add_argument(
        "--ttl", type=int, default=3600, help="its life in seconds (default: %(default)s)"
    )


def token(connection_string, expiry):
    """A SAS token that is valid until `expiry` (seconds since 1970). ValueError: the connection
    string is wrong.
    """
    from iothub.options import from_connection_string, parse_connection_string
    from iothub.sas import sas_token

    values = parse_connection_string(connection_string)
    policy = values.get("SharedAccessKeyName")
    if policy is None:
        signed = from_connection_string(connection_string).sign(expiry)
        if signed is None:
            raise ValueError("connection string: x509=true needs a certificate, not a token")
        return signed[0]
    for name in ("HostName", "SharedAccessKey"):
        if name not in values:
            raise ValueError(f"connection string: {name} is missing")
    return sas_token(values["HostName"], values["SharedAccessKey"], expiry, policy)


def run(args):
    text = os.environ.get(VARIABLE)
    if not text and sys.stdin.isatty():
        text = getpass.getpass("Connection string: ")
    try:
        if args.ttl < 1:
            raise ValueError("--ttl is not a positive number of seconds")
        print(token((text or sys.stdin.readline()).strip(), int(time.time()) + args.ttl))
    except ValueError as error:
        print(f"sas: {error}", file=sys.stderr)
        return 1
    return 0
