"""For type checkers, mypy and editors: the names that __init__.py loads when first used."""

from . import errors
from .client import IoTHubDeviceClient as IoTHubDeviceClient
from .messages import Message as Message
from .messages import MethodRequest as MethodRequest
from .messages import MethodResponse as MethodResponse
from .module import IoTHubModuleClient as IoTHubModuleClient
from .net.proxy import ProxyOptions as ProxyOptions
from .outbox import Outbox as Outbox
from .provisioning import ProvisioningDeviceClient as ProvisioningDeviceClient
from .x509 import X509 as X509

__version__: str
exceptions = errors
