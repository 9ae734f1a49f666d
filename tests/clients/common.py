"""What the calls of all clients have in common."""

import asyncio

import pydantic

# One loop for all: LangChain keeps its connections, which belong to the loop that they were opened on.
wait = asyncio.new_event_loop().run_until_complete
TOOL = {"name": "find", "description": "Finds.", "parameters": {"type": "object", "properties": {}}}
LOCAL = "local/smollm2-135m-instruct"
# The same file behind llama.cpp's server, and what makes vectors in whittle's process.
LLAMA, EMBEDDER = "smollm2-135m-instruct", "all-minilm-l6-v2"
ASK = [{"role": "system", "content": "Answer in one sentence."}, {"role": "user", "content": "What is the capital of France?"}]
# More than the model's context, if it goes on as it is.
LONG = [{"role": "user", "content": "word " * 9_000}]
BYPASS = {"x-whittle-bypass": "1"}


class Found(pydantic.BaseModel):
    """What a structured answer holds."""

    # The bounds keep a small model from writing without an end.
    name: str = pydantic.Field(max_length=20)
    count: int = pydantic.Field(ge=0, le=9)


def failure(call):
    """What a client makes of an error."""
    try:
        call()
    except Exception as error:
        facts = ("status_code", "message", "body", "request_id")
        return {"type": type(error).__name__, **{fact: getattr(error, fact, None) for fact in facts}}
    raise AssertionError("the call should have failed")
