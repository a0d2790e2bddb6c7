"""IoT Hub's REST interface: HTTPS requests with a service policy's SAS token."""

import ssl
import time

import aiohttp

from iothub.errors import ServiceError
from iothub.sas import sas_token

_API_VERSION = "2021-04-12"
_TIMEOUT = 30  # seconds
_TOKEN_LIFE = 3600  # seconds


class Rest:
    """Requests to one hub, as one service policy. hostname may carry a port."""

    def __init__(self, hostname, policy_name, key, server_verification_cert=None):
        self._hostname = hostname
        self._policy_name = policy_name
        self._key = key
        self._tls = ssl.create_default_context(cafile=server_verification_cert)
        self._session = None

    def token(self):
        """A SAS token for the header Authorization."""
        expiry = int(time.time()) + _TOKEN_LIFE
        return sas_token(self._hostname, self._key, expiry, self._policy_name)

    async def request(self, method, path, query=None, **options):
        """The answer's JSON, or None. ServiceError, with the HTTP status as its code; OSError or
        aiohttp.ClientError: no answer.

        query: a dict. options: headers (a dict), timeout (seconds), and the body: json or data.
        """
        return (await self.exchange(method, path, query, **options))[0]

    async def exchange(self, method, path, query=None, headers=None, timeout=_TIMEOUT, **body):
        """As request(), but (JSON, headers of the answer)."""
        if self._session is None:
            self._session = aiohttp.ClientSession()
        async with self._session.request(
            method,
            f"https://{self._hostname}{path}",
            params={"api-version": _API_VERSION, **(query or {})},
            headers={"Authorization": self.token(), **(headers or {})},
            ssl=self._tls,
            timeout=aiohttp.ClientTimeout(total=timeout),
            **body,
        ) as response:
            if response.status >= 400:
                raise ServiceError(await _message(response), "rest", response.status)
            answer = await response.json() if response.status != 204 else None
            return answer, response.headers

    async def close(self):
        """Close the connections. A later request opens new ones."""
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()


async def _message(response):
    """The hub's words in an answer that refuses."""
    try:
        return (await response.json(content_type=None))["Message"]
    except (ValueError, KeyError, TypeError):
        return await response.text()
