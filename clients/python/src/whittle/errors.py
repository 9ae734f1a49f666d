"""What can go wrong in a call."""

from __future__ import annotations

import json
import math
import time
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

# Characters of a body that is no JSON which go into the message.
_BODY_CHARACTERS = 200


class WhittleError(Exception):
    """The base of all errors of this package."""


class StartError(WhittleError):
    """The service could not be started."""


class InvalidRequestError(WhittleError, ValueError):
    """The request has members or types that the service does not know; nothing was sent."""


class APIConnectionError(WhittleError):
    """The service could not be reached, or the connection broke."""


class APITimeoutError(APIConnectionError):
    """The service did not answer in time."""


class APIResponseError(WhittleError):
    """The service answered with success, but with something else than its API promises."""


class APIStatusError(WhittleError):
    """The service refused the call or failed at it.

    Attributes:
        status_code: The status of the response.
        message: What was wrong, in words.
        type: The kind of error, such as `invalid_request_error`; `None` where the body is not the service's JSON.
        code: The exact error, such as `empty_input`.
        param: The member of the request that is at fault.
        request_id: The id of the request in the service's log.
        retry_after: The seconds after which another attempt makes sense, where the service gives them.
        body: The body, parsed where it is JSON.
    """

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.status_code = response.status_code
        self.request_id = response.headers.get("x-request-id") or response.headers.get("x-whittle-request-id")
        self.retry_after = retry_after(response)
        self.body = _body(response)
        error = self.body.get("error", self.body) if isinstance(self.body, dict) else {}
        error = error if isinstance(error, dict) else {"message": str(error)}
        self.type: str | None = error.get("type")
        self.code: str | None = error.get("code")
        self.param: str | None = error.get("param")
        self.message: str = error.get("message") or _text(self.body) or response.reason_phrase
        super().__init__(f"{self.status_code} {self.code or self.type or response.reason_phrase}: {self.message}")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.response,)


class BadRequestError(APIStatusError):
    """400: the request is not valid."""


class AuthenticationError(APIStatusError):
    """401: there is no key, or it is not known."""


class PermissionDeniedError(APIStatusError):
    """403: the key may not do this."""


class NotFoundError(APIStatusError):
    """404: the collection, bank, document or path does not exist."""


class ConflictError(APIStatusError):
    """409: what is stored does not allow it."""


class RequestTooLargeError(APIStatusError):
    """413: the request is larger than the service's limits."""


class UnprocessableEntityError(APIStatusError):
    """422: the request is well formed but cannot be carried out."""


class RateLimitError(APIStatusError):
    """429: the key has used up what it may use for now."""


class InternalServerError(APIStatusError):
    """500 and above: the service failed."""


class ServiceUnavailableError(InternalServerError):
    """503: the service is busy, or a model is missing."""


class DeadlineExceededError(InternalServerError):
    """504: the deadline passed inside the service."""


_BY_STATUS: dict[int, type[APIStatusError]] = {
    400: BadRequestError, 401: AuthenticationError, 403: PermissionDeniedError, 404: NotFoundError, 409: ConflictError,
    413: RequestTooLargeError, 422: UnprocessableEntityError, 429: RateLimitError, 503: ServiceUnavailableError,
    504: DeadlineExceededError,
}


def status_error(response: httpx.Response) -> APIStatusError:
    """Returns the error for a response whose body was read."""
    other = InternalServerError if response.status_code >= 500 else APIStatusError
    return _BY_STATUS.get(response.status_code, other)(response)


def connection_error(error: httpx.TransportError) -> APIConnectionError:
    """Returns the error for a failure below HTTP."""
    kind = APITimeoutError if isinstance(error, httpx.TimeoutException) else APIConnectionError
    request = error.request
    return kind(f"{request.method} {request.url}: {error or type(error).__name__}")


def retry_after(response: httpx.Response) -> float | None:
    """Returns the seconds that `Retry-After` asks for, which gives seconds or a date."""
    value = response.headers.get("retry-after", "").strip()
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        except ValueError:
            return None
    return max(seconds, 0.0) if math.isfinite(seconds) else None


def _body(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        return response.text


def _text(body: Any) -> str:
    text = body if isinstance(body, str) else json.dumps(body)
    return text.strip()[:_BODY_CHARACTERS]
