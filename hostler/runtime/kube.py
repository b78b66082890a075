"""The one way to the API server: raw JSON in and out.

`kubernetes.aio` brings configuration, TLS, proxies and tokens that renew; its models are not used: they cost 2 ms a Pod
where JSON and a narrow model of ours cost 0.1.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import orjson
from kubernetes.aio import config
from kubernetes.aio.client import Configuration
from kubernetes.aio.client.rest import RESTClientObject
from yarl import URL

from hostler.runtime import metrics
from hostler.runtime.errors import ApiError, NoAnswer, Terminal, TooManyRequests, Unavailable, api_error
from hostler.runtime.protocol import Kind, Kube, Listing, Ops, Raw

__all__ = ["Api", "Kind", "Kube", "Listing", "Ops", "Raw", "connect"]

PAGE = 250  # objects in one answer: bounds the memory that a listing takes
CONNECTIONS = 32
REQUEST = aiohttp.ClientTimeout(total=60)
QUIET = 90  # seconds without an event or bookmark, after which a watch is opened anew: nothing else shows a dead peer
BUSY_RETRIES = 5
LONGEST_WAIT = 60.0  # seconds: the most that a busy server's wish is heeded
LARGEST = 16 * 2**20  # bytes of one message of a web socket
MERGE, JSON = "application/merge-patch+json", "application/json-patch+json"
METHODS = {"LIST": "GET", "WATCH": "GET"}


@dataclass(frozen=True)
class Call:
    """One request to the API server."""

    verb: str
    kind: Kind
    namespace: str | None
    name: str = ""
    subresource: str | None = None
    query: dict[str, str] = field(default_factory=dict)
    body: Any = None

    @property
    def method(self) -> str:
        return METHODS.get(self.verb, self.verb)

    @property
    def path(self) -> str:
        """The place of a collection, an object or its subresource on any API server."""
        group = self.kind.group_version
        parts = ["/api/v1" if group == "v1" else f"/apis/{group}"]
        if self.namespace:  # objects without one have ""
            parts += ["namespaces", quote(self.namespace, safe="")]
        parts.append(self.kind.plural)
        if self.name:
            parts.append(quote(self.name, safe=""))
        if self.subresource:
            parts.append(self.subresource)
        query = {key: value for key, value in self.query.items() if value}
        return "/".join(parts) + ("?" + urlencode(query) if query else "")

    def __str__(self) -> str:
        return f"{self.verb} {self.kind.plural} {self.namespace or ''}/{self.name}"


class Session(RESTClientObject):  # type: ignore[misc]
    """The client's connections, with its TLS and proxy settings, but without its bodies and models."""

    pool_manager: aiohttp.ClientSession | None

    def __init__(self, configuration: Configuration) -> None:
        configuration.connection_pool_maxsize = (
            0  # watches must never wait for a connection; Api's gate bounds the rest
        )
        # else every request asks a thread for ~/.netrc and another for the environment's proxies
        configuration.client_session_kwargs = {"trust_env": False}
        if configuration.proxy is None:
            configuration.proxy = environment_proxy(configuration.host)
        super().__init__(configuration)
        options = {"proxy": self.proxy, "proxy_headers": self.proxy_headers}
        options["server_hostname"] = configuration.tls_server_name
        self._options = {key: value for key, value in options.items() if value}

    async def send(self, method: str, url: URL, **options: Any) -> aiohttp.ClientResponse:
        if self.pool_manager is None:
            self.pool_manager = self._create_pool_manager()
        response: aiohttp.ClientResponse = await self.pool_manager.request(method, url, **options, **self._options)
        return response

    async def connect(self, url: URL, **options: Any) -> aiohttp.ClientWebSocketResponse:
        """A web socket."""
        if self.pool_manager is None:
            self.pool_manager = self._create_pool_manager()
        limits: dict[str, Any] = {"timeout": aiohttp.ClientWSTimeout(ws_close=5), "heartbeat": 30}
        limits |= {"max_msg_size": LARGEST}
        socket: aiohttp.ClientWebSocketResponse = await self.pool_manager.ws_connect(
            url, **limits, **options, **self._options
        )
        return socket


class Api:
    """Kube, over HTTP."""

    def __init__(self, configuration: Configuration, manager: str = "hostler") -> None:
        self._configuration = configuration
        self._session = Session(configuration)
        self._manager = manager
        self._gate = asyncio.Semaphore(CONNECTIONS)

    async def close(self) -> None:
        await self._session.close()
        await asyncio.sleep(0.05)  # TLS connections need a few turns of the loop to be gone

    async def pages(
        self, kind: Kind, namespace: str | None = None, labels: str = "", fields: str = ""
    ) -> AsyncIterator[Listing]:
        token = ""
        while True:
            query = {"labelSelector": labels, "fieldSelector": fields, "limit": str(PAGE), "continue": token}
            answer = await self._ask(Call("LIST", kind, namespace, query=query))
            token = answer["metadata"].get("continue", "")
            yield answer["items"] or [], answer["metadata"]["resourceVersion"]
            if not token:
                return

    async def watch(
        self, kind: Kind, namespace: str | None = None, labels: str = "", fields: str = "", resource_version: str = ""
    ) -> AsyncIterator[tuple[str, Raw]]:
        query = {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "labelSelector": labels,
            "fieldSelector": fields,
            # spread, so that the watches of many nodes do not all come back in the same second
            "timeoutSeconds": str(random.randint(240, 480)),  # noqa: S311
        }
        call = Call("WATCH", kind, namespace, query=query)
        response = await self._send(call, aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=QUIET))
        try:
            async for line in response.content:
                event = orjson.loads(line)
                body = event["object"]
                if event["type"] == "ERROR":
                    raise api_error(body.get("code") or 0, body)
                metrics.WATCH_EVENTS.labels(kind.plural, event["type"]).inc()
                yield event["type"], body
        except TimeoutError:
            return  # quiet: dead, or nothing happens; watching again tells
        except (aiohttp.ClientError, ValueError) as error:
            raise Unavailable(0, "WatchEnded", f"{call}: {error!r}") from error
        finally:
            response.close()

    async def list(self, kind: Kind, namespace: str | None = None, labels: str = "", fields: str = "") -> Listing:
        items: Ops = []
        version = ""
        async for page, version in self.pages(kind, namespace, labels, fields):  # noqa: B007
            items += page
        return items, version

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Raw:
        return await self._ask(Call("GET", kind, namespace, name))

    async def create(self, kind: Kind, namespace: str | None, body: Raw) -> Raw:
        whole = {"apiVersion": kind.group_version, "kind": kind.kind()} | body
        return await self._ask(Call("POST", kind, namespace, query={"fieldManager": self._manager}, body=whole))

    async def patch(
        self, kind: Kind, namespace: str | None, name: str, patch: Raw | Ops, subresource: str | None = None
    ) -> Raw:
        query = {"fieldManager": self._manager}
        return await self._ask(Call("PATCH", kind, namespace, name, subresource, query, patch))

    async def put(self, kind: Kind, namespace: str | None, name: str, subresource: str, body: Raw) -> Raw:
        """Ask something of a subresource, such as virtualmachines/start; {} if it answers nothing."""
        return await self._ask(Call("PUT", kind, namespace, name, subresource, body=body))

    async def read(self, kind: Kind, namespace: str | None, name: str, subresource: str) -> Raw:
        return await self._ask(Call("GET", kind, namespace, name, subresource))

    @asynccontextmanager
    async def stream(  # noqa: PLR0913
        self,
        kind: Kind,
        namespace: str | None,
        name: str,
        subresource: str,
        *,
        protocol: str,
        query: dict[str, str] | None = None,
    ) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """A web socket to a subresource, such as virtualmachineinstances/console."""
        call = Call("GET", kind, namespace, name, subresource, query or {})
        url = URL(self._configuration.host + call.path, encoded=True)
        try:
            socket = await self._session.connect(url, headers=await self._headers(call), protocols=(protocol,))
        except aiohttp.WSServerHandshakeError as error:
            said = dict(error.headers or {})
            if "X-Message" not in said:
                await self._ask(call)  # says why in its Status; a web socket's library drops that
            raise api_error(error.status, {"message": said.get("X-Message")}) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise NoAnswer(self._configuration.host, f"{call}: {error!r}") from error
        async with socket:
            yield socket

    async def delete(  # noqa: PLR0913
        self,
        kind: Kind,
        namespace: str | None,
        name: str,
        *,
        uid: str | None = None,
        grace: int | None = None,
        propagation: str | None = None,
    ) -> Raw:
        options: Raw = {"apiVersion": "v1", "kind": "DeleteOptions"}
        if uid is not None:
            options["preconditions"] = {"uid": uid}
        if grace is not None:
            options["gracePeriodSeconds"] = grace
        if propagation is not None:
            options["propagationPolicy"] = propagation
        return await self._ask(Call("DELETE", kind, namespace, name, body=options))

    async def _ask(self, call: Call) -> Raw:
        """One request and its whole answer; waits and asks again while the server is busy."""
        for _ in range(BUSY_RETRIES):
            try:
                return await self._ask_once(call)
            except TooManyRequests as error:
                # 429 means that nothing was done, so any verb may be repeated
                if error.retry_after is None:
                    raise
                await asyncio.sleep(error.retry_after * random.uniform(1, 1.5))  # noqa: S311
        return await self._ask_once(call)

    async def _ask_once(self, call: Call) -> Raw:
        async with self._gate:
            response = await self._send(call, REQUEST)
            try:
                text = await response.read()
                return orjson.loads(text) if text else {}
            except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                raise NoAnswer(self._configuration.host, f"{call}: {error!r}") from error

    async def _send(self, call: Call, limit: aiohttp.ClientTimeout) -> aiohttp.ClientResponse:
        """One request; the answer's body is still to be read."""
        headers = await self._headers(call)
        url = URL(self._configuration.host + call.path, encoded=True)
        data = None if call.body is None else written(call.body)
        try:
            response = await self._session.send(call.method, url, headers=headers, data=data, timeout=limit)
            metrics.API_REQUESTS.labels(call.verb, call.kind.plural, response.status).inc()
            if response.status >= 400:
                raise await _refusal(response)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            metrics.API_REQUESTS.labels(call.verb, call.kind.plural, "error").inc()
            raise NoAnswer(self._configuration.host, f"{call}: {error!r}") from error
        return response

    async def _headers(self, call: Call) -> dict[str, str]:
        headers = {"Accept": "application/json", "User-Agent": self._manager, "Content-Type": "application/json"}
        if call.method == "PATCH":
            headers["Content-Type"] = JSON if isinstance(call.body, list) else MERGE
        if token := (await self._configuration.auth_settings()).get("BearerToken"):
            headers["Authorization"] = token["value"]
        return headers


# What Go escapes in strings; there is nothing of it elsewhere in JSON.
GO_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def written(body: Raw | Ops) -> bytes:
    """JSON byte for byte as Go writes it.

    The API server keeps a ControllerRevision's data as it came, writes it anew at each patch of anything in the object,
    the garbage collector's of its owners too, and refuses the patch when the bytes are others: the data is immutable.
    """
    text = orjson.dumps(body, option=orjson.OPT_SORT_KEYS)
    for character, escaped in GO_ESCAPES.items():
        text = text.replace(character.encode(), escaped.encode())
    return text


async def _refusal(response: aiohttp.ClientResponse) -> ApiError:
    try:
        body = orjson.loads(await response.read())
    except ValueError:
        body = {}  # a proxy's page instead of a Status
    after = response.headers.get("Retry-After", "")
    # a number of seconds; a date, or nonsense of some proxy, is no answer to how long
    retry_after = min(float(after), LONGEST_WAIT) if after.isdecimal() and after.isascii() else None
    return api_error(response.status, body if isinstance(body, dict) else {}, retry_after)


def environment_proxy(host: str) -> str | None:
    """What HTTPS_PROXY and NO_PROXY say of the API server."""
    parts = urlsplit(host)
    return None if proxy_bypass(parts.netloc) else getproxies().get(parts.scheme)


async def connect(kubeconfig: str | None = None, manager: str = "hostler", context: str | None = None) -> Api:
    """Log in with the given kubeconfig, the pod's service account, or what kubectl would use; in this order.

    Several files, with colons between them, are one; the context is that of the last of them, if nobody says which.
    """
    configuration = Configuration()
    if kubeconfig is None:
        try:
            config.load_incluster_config(client_configuration=configuration)
            return Api(configuration, manager)
        except config.ConfigException:
            pass  # not in a pod
    try:
        await config.load_kube_config(config_file=kubeconfig, context=context, client_configuration=configuration)
        return Api(configuration, manager)
    except (config.ConfigException, OSError, ValueError) as error:
        why = f"cannot be used ({error}): look at the certificates and keys that it names"
        raise Terminal("InvalidKubeconfig", f"{kubeconfig or 'the kubeconfig'} {why}") from error
