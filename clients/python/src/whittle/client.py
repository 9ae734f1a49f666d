"""The clients: `Client` waits for each answer, `AsyncClient` is for `async` programs."""

from __future__ import annotations

import copy
import functools
import inspect
import random
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

import anyio
import httpx
import pydantic

from . import _routes as routes
from . import errors, models

P = ParamSpec("P")
T = TypeVar("T")

DEFAULT_URL = "http://127.0.0.1:8787"
DEFAULT_TIMEOUT = httpx.Timeout(120.0, connect=5.0)
# Statuses that may be gone at the next attempt.
RETRIED = frozenset({429, 502, 503, 504})
# Errors that stay until somebody does something about the service.
LASTING = frozenset({"model_unavailable"})


class Retries:
    """When a failed call is tried again.

    Args:
        most: The number of attempts after the first one.
        first_seconds: The pause before the first of them; each further one is twice as long, with some chance in it.
        longest_seconds: The longest pause. Where the service asks for a longer one, the error is raised at once.
    """

    def __init__(self, most: int = 2, *, first_seconds: float = 0.25, longest_seconds: float = 30.0) -> None:
        if most < 0:
            raise ValueError("the number of retries is at least 0")
        self.most, self.first_seconds, self.longest_seconds = most, first_seconds, longest_seconds

    def pause(self, attempt: int, error: errors.WhittleError) -> float | None:
        """Returns the seconds to wait after a failed attempt, counted from 0; `None` where there is to be no other."""
        if attempt >= self.most:
            return None
        asked = None
        if isinstance(error, errors.APIStatusError):
            if error.status_code not in RETRIED or error.code in LASTING:
                return None
            asked = error.retry_after
        if asked is not None:
            return asked if asked <= self.longest_seconds else None
        longest = min(self.first_seconds * 2.0**attempt, self.longest_seconds)
        return longest * random.uniform(0.5, 1.0)


def _named(method: Callable[P, T], route: Callable[..., Any]) -> Callable[P, T]:
    """Gives a method the signature of a route, with `self` before it and its result behind it, for `help` and editors."""
    signature = inspect.signature(route)
    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    result = str(signature.return_annotation).removeprefix("Call[").removesuffix("]")
    parameters = [own, *signature.parameters.values()]
    cast(Any, method).__signature__ = signature.replace(parameters=parameters, return_annotation=result)
    return method


def _sync(route: Callable[P, routes.Call[T]]) -> Callable[Concatenate[Any, P], T]:
    @functools.wraps(route)
    def method(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return cast(T, self._run(route(*args, **kwargs)))

    return _named(method, route)


def _async(route: Callable[P, routes.Call[T]]) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]:
    @functools.wraps(route)
    async def method(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return cast(T, await self._run(route(*args, **kwargs)))

    return _named(method, route)


class _Base:
    """What both clients have: where the service is and how it is called."""

    def __init__(self, base_url: str, api_key: str | None, retries: Retries | int, headers: Mapping[str, str] | None) -> None:
        self.base_url = base_url.rstrip("/")
        self.retries = retries if isinstance(retries, Retries) else Retries(retries)
        self.headers = {"accept": "application/json", **(headers or {})}
        if api_key is not None:
            self.headers["x-whittle-key"] = api_key
        self.timeout: httpx.Timeout | float | None = DEFAULT_TIMEOUT

    @property
    def openai_base_url(self) -> str:
        """The base URL for clients of OpenAI's API, which the service forwards smaller."""
        return f"{self.base_url}/v1"

    @property
    def anthropic_base_url(self) -> str:
        """The base URL for clients of Anthropic's API, which the service forwards smaller."""
        return self.base_url

    def _arguments(self, call: routes.Call[Any]) -> dict[str, Any]:
        return {"method": call.method, "url": self.base_url + call.path, "params": dict(call.params),
                "headers": {**self.headers, **call.headers}, "content": call.content, "timeout": self.timeout}

    def _pause(self, call: routes.Call[Any], attempt: int, error: errors.WhittleError) -> float:
        """Returns the seconds before another attempt, or raises the error. A response that began is not asked for again."""
        unsent = isinstance(error, errors.APIStatusError) or isinstance(error.__cause__, (httpx.ConnectError, httpx.ConnectTimeout))
        pause = self.retries.pause(attempt, error) if unsent and call.repeatable else None
        if pause is None:
            raise error
        return pause


def _result(call: routes.Call[T], response: httpx.Response) -> T:
    if call.result is type(None):
        return None
    try:
        if call.result is None:
            return cast(T, response.json())
        kind = cast("type[pydantic.BaseModel]", call.result)
        return kind.model_validate_json(response.content)  # type: ignore[return-value]
    except ValueError as error:
        raise errors.APIResponseError(f"{call.method} {call.path}: {error}") from error


class Client(_Base):
    """A client of the service, safe to use from several threads.

    Args:
        base_url: The address of the service.
        api_key: A key of whittle, where the service asks for one.
        timeout: The seconds to wait for the service at each step, or an `httpx.Timeout`.
        retries: How often a call is tried again after 429, 502, 503, 504 or a failed connection, or `Retries`.
        headers: Headers of all requests.
        http: A client of httpx to send them with; it is not closed by `close`.
    """

    def __init__(self, base_url: str = DEFAULT_URL, *, api_key: str | None = None,
                 timeout: float | httpx.Timeout | None = DEFAULT_TIMEOUT, retries: Retries | int = 2,
                 headers: Mapping[str, str] | None = None, http: httpx.Client | None = None) -> None:
        super().__init__(base_url, api_key, retries, headers)
        self.timeout = timeout
        self._owns, self._http = http is None, http or httpx.Client()
        self.collections = Collections(self)
        self.example_banks = ExampleBanks(self)

    def with_options(self, *, timeout: float | httpx.Timeout | None = None, retries: Retries | int | None = None,
                     headers: Mapping[str, str] | None = None) -> Client:
        """Returns a client with other settings that shares the connections of this one, which alone closes them."""
        other = copy.copy(self)
        other._owns = False
        _change(other, timeout, retries, headers)
        other.collections, other.example_banks = Collections(other), ExampleBanks(other)
        return other

    def close(self) -> None:
        """Closes the connections. Calls that are going on fail."""
        if self._owns:
            self._http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _run(self, call: routes.Call[T]) -> T:
        attempt = 0
        while True:
            try:
                response = self._send(call)
                if response.is_success:
                    return _result(call, response)
                raise errors.status_error(response)
            except (errors.APIConnectionError, errors.APIStatusError) as error:
                time.sleep(self._pause(call, attempt, error))
            attempt += 1

    def _send(self, call: routes.Call[Any]) -> httpx.Response:
        if self._http.is_closed:
            raise errors.APIConnectionError("the client is closed")
        try:
            return self._http.request(**self._arguments(call))
        except httpx.TransportError as error:
            raise errors.connection_error(error) from error

    def _stream(self, call: routes.Call[Any]) -> Iterator[bytes]:
        if self._http.is_closed:
            raise errors.APIConnectionError("the client is closed")
        try:
            with self._http.stream(**self._arguments(call)) as response:
                if not response.is_success:
                    response.read()
                    raise errors.status_error(response)
                yield from response.iter_bytes()
        except httpx.TransportError as error:
            raise errors.connection_error(error) from error

    compress = _sync(routes.compress)
    recover = _sync(routes.recover)
    score = _sync(routes.score)
    embeddings = _sync(routes.embeddings)
    rerank = _sync(routes.rerank)
    prompt = _sync(routes.prompt)
    models = _sync(routes.list_models)
    usage = _sync(routes.usage)
    ready = _sync(routes.ready)
    request = _sync(routes.request)


class AsyncClient(_Base):
    """A client of the service for `async` programs, with the arguments and methods of `Client`."""

    def __init__(self, base_url: str = DEFAULT_URL, *, api_key: str | None = None,
                 timeout: float | httpx.Timeout | None = DEFAULT_TIMEOUT, retries: Retries | int = 2,
                 headers: Mapping[str, str] | None = None, http: httpx.AsyncClient | None = None) -> None:
        super().__init__(base_url, api_key, retries, headers)
        self.timeout = timeout
        self._owns, self._http = http is None, http or httpx.AsyncClient()
        self.collections = AsyncCollections(self)
        self.example_banks = AsyncExampleBanks(self)

    def with_options(self, *, timeout: float | httpx.Timeout | None = None, retries: Retries | int | None = None,
                     headers: Mapping[str, str] | None = None) -> AsyncClient:
        """Returns a client with other settings that shares the connections of this one, which alone closes them."""
        other = copy.copy(self)
        other._owns = False
        _change(other, timeout, retries, headers)
        other.collections, other.example_banks = AsyncCollections(other), AsyncExampleBanks(other)
        return other

    async def close(self) -> None:
        """Closes the connections. Calls that are going on fail."""
        if self._owns:
            await self._http.aclose()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None,
                        trace: TracebackType | None) -> None:
        await self.close()

    async def _run(self, call: routes.Call[T]) -> T:
        attempt = 0
        while True:
            try:
                response = await self._send(call)
                if response.is_success:
                    return _result(call, response)
                raise errors.status_error(response)
            except (errors.APIConnectionError, errors.APIStatusError) as error:
                await anyio.sleep(self._pause(call, attempt, error))
            attempt += 1

    async def _send(self, call: routes.Call[Any]) -> httpx.Response:
        if self._http.is_closed:
            raise errors.APIConnectionError("the client is closed")
        try:
            return await self._http.request(**self._arguments(call))
        except httpx.TransportError as error:
            raise errors.connection_error(error) from error

    async def _stream(self, call: routes.Call[Any]) -> AsyncIterator[bytes]:
        if self._http.is_closed:
            raise errors.APIConnectionError("the client is closed")
        try:
            async with self._http.stream(**self._arguments(call)) as response:
                if not response.is_success:
                    await response.aread()
                    raise errors.status_error(response)
                async for piece in response.aiter_bytes():
                    yield piece
        except httpx.TransportError as error:
            raise errors.connection_error(error) from error

    compress = _async(routes.compress)
    recover = _async(routes.recover)
    score = _async(routes.score)
    embeddings = _async(routes.embeddings)
    rerank = _async(routes.rerank)
    prompt = _async(routes.prompt)
    models = _async(routes.list_models)
    usage = _async(routes.usage)
    ready = _async(routes.ready)
    request = _async(routes.request)


def _change(client: Client | AsyncClient, timeout: float | httpx.Timeout | None, retries: Retries | int | None,
            headers: Mapping[str, str] | None) -> None:
    if timeout is not None:
        client.timeout = timeout
    if retries is not None:
        client.retries = retries if isinstance(retries, Retries) else Retries(retries)
    client.headers = {**client.headers, **(headers or {})}


def _documents(lines: list[bytes]) -> Iterator[models.SourceDocument]:
    for line in lines:
        if line.strip():
            yield models.SourceDocument.model_validate_json(line)


class Collections:
    """Collections of documents, as `client.collections`."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def _run(self, call: routes.Call[T]) -> T:
        return self._client._run(call)

    create = _sync(routes.create_collection)
    describe = _sync(routes.describe_collection)
    delete = _sync(routes.delete_collection)
    search = _sync(routes.search)
    upsert = _sync(routes.upsert)
    upsert_lines = _sync(routes.upsert_lines)
    put_file = _sync(routes.put_file)
    documents = _sync(routes.documents)
    document = _sync(routes.document)
    delete_document = _sync(routes.delete_document)
    delete_documents = _sync(routes.delete_documents)
    restore = _sync(routes.restore)

    def export(self, name: str) -> Iterator[models.SourceDocument]:
        """Returns all documents, one after the other as they arrive."""
        rest = b""
        for piece in self._client._stream(routes.export(name)):
            *lines, rest = (rest + piece).split(b"\n")
            yield from _documents(lines)
        yield from _documents([rest])

    def snapshot(self, name: str) -> Iterator[bytes]:
        """Returns the bytes of a snapshot as they arrive, for `restore`."""
        return self._client._stream(routes.snapshot(name))

    list = _sync(routes.list_collections)


class AsyncCollections:
    """Collections of documents, as `client.collections`."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def _run(self, call: routes.Call[T]) -> T:
        return await self._client._run(call)

    create = _async(routes.create_collection)
    describe = _async(routes.describe_collection)
    delete = _async(routes.delete_collection)
    search = _async(routes.search)
    upsert = _async(routes.upsert)
    upsert_lines = _async(routes.upsert_lines)
    put_file = _async(routes.put_file)
    documents = _async(routes.documents)
    document = _async(routes.document)
    delete_document = _async(routes.delete_document)
    delete_documents = _async(routes.delete_documents)
    restore = _async(routes.restore)

    async def export(self, name: str) -> AsyncIterator[models.SourceDocument]:
        """Returns all documents, one after the other as they arrive."""
        rest = b""
        async for piece in self._client._stream(routes.export(name)):
            *lines, rest = (rest + piece).split(b"\n")
            for document in _documents(lines):
                yield document
        for document in _documents([rest]):
            yield document

    def snapshot(self, name: str) -> AsyncIterator[bytes]:
        """Returns the bytes of a snapshot as they arrive, for `restore`."""
        return self._client._stream(routes.snapshot(name))

    list = _async(routes.list_collections)


class ExampleBanks:
    """Banks of solved examples, as `client.example_banks`."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def _run(self, call: routes.Call[T]) -> T:
        return self._client._run(call)

    describe = _sync(routes.describe_bank)
    delete = _sync(routes.delete_bank)
    add = _sync(routes.add_examples)
    examples = _sync(routes.examples)
    example = _sync(routes.example)
    delete_example = _sync(routes.delete_example)
    select = _sync(routes.select_examples)
    list = _sync(routes.list_banks)


class AsyncExampleBanks:
    """Banks of solved examples, as `client.example_banks`."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def _run(self, call: routes.Call[T]) -> T:
        return await self._client._run(call)

    describe = _async(routes.describe_bank)
    delete = _async(routes.delete_bank)
    add = _async(routes.add_examples)
    examples = _async(routes.examples)
    example = _async(routes.example)
    delete_example = _async(routes.delete_example)
    select = _async(routes.select_examples)
    list = _async(routes.list_banks)
