"""Client of Whittle, a service that makes prompts smaller without losing what the answer needs.

    import whittle

    with whittle.Client() as client:
        answer = client.compress(text, question="Who signed?", rate=0.3)
        print(answer.prompt)

Importing this module imports no framework. The adapters are modules of their own: `whittle.llmlingua`,
`whittle.langchain`, `whittle.llama_index`, `whittle.haystack`, `whittle.dspy`, `whittle.litellm`.
"""

from . import models
from .client import AsyncClient, Client, Retries
from .errors import (
    APIConnectionError,
    APIResponseError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    DeadlineExceededError,
    InternalServerError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    RequestTooLargeError,
    ServiceUnavailableError,
    StartError,
    UnprocessableEntityError,
    WhittleError,
)
from .service import serve

__version__ = "0.1.0"
__all__ = [
    "APIConnectionError", "APIResponseError", "APIStatusError", "APITimeoutError", "AsyncClient", "AuthenticationError",
    "BadRequestError", "Client", "ConflictError", "DeadlineExceededError", "InternalServerError", "InvalidRequestError",
    "NotFoundError", "PermissionDeniedError", "RateLimitError", "RequestTooLargeError", "Retries", "ServiceUnavailableError", "StartError",
    "UnprocessableEntityError", "WhittleError", "models", "serve",
]
