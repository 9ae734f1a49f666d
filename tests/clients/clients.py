"""Runs the official clients against an upstream directly and through the proxy: both must see the same.

Usage: clients.py PATH_OF_WHITTLE
"""

import asyncio
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import urllib.request

import anthropic
import openai
import pydantic

import upstream

TOOL = {"name": "find", "description": "Finds.", "parameters": {"type": "object", "properties": {}}}


class Found(pydantic.BaseModel):
    """What a structured answer holds."""

    name: str
    count: int


def failure(call):
    """What a client makes of an error."""
    try:
        call()
    except (openai.APIStatusError, anthropic.APIStatusError) as error:
        return type(error).__name__, error.status_code, error.message, error.body, error.request_id
    except (openai.APITimeoutError, anthropic.APITimeoutError) as error:
        return type(error).__name__, error.message
    raise AssertionError("the call should have failed")


async def events(create):
    """All events of an asynchronous stream."""
    return [event.model_dump() async for event in await create]


def openai_results(base, key):
    client = openai.OpenAI(base_url=f"{base}/v1", api_key=key, max_retries=0)
    say = [{"role": "user", "content": "h\u00e9llo"}]
    chat = client.chat.completions.create
    yield "chat", chat(model="gpt-4o", messages=say, temperature=1.0).model_dump()
    yield "stream", [c.model_dump() for c in chat(model="gpt-4o", messages=say, stream=True)]
    unblocked = openai.AsyncOpenAI(base_url=f"{base}/v1", api_key=key, max_retries=0)
    create = unblocked.chat.completions.create(model="gpt-4o", messages=say, stream=True)
    yield "asynchronous stream", asyncio.run(events(create))
    tools = [{"type": "function", "function": TOOL}]
    yield "tools", chat(model="gpt-4o", messages=say, tools=tools).model_dump()
    structured = client.chat.completions.parse(model="gpt-4o", messages=say, response_format=Found)
    assert structured.choices[0].message.parsed == Found(name="a", count=2)
    yield "structured", structured.model_dump()
    yield "responses", client.responses.create(model="gpt-4o", input="hi").model_dump()
    yield "embeddings", client.embeddings.create(model="embed", input=["a", "bc"]).model_dump()
    yield "models", [model.model_dump() for model in client.models.list()]
    for status in (400, 401, 403, 404, 422, 429):
        yield f"error {status}", failure(lambda: chat(model=f"error-{status}", messages=say))
    yield "error 500", failure(lambda: chat(model="error-500", messages=say))
    yield "timeout", failure(lambda: chat(model="slow", messages=say, timeout=0.3))


def anthropic_results(base, key):
    client = anthropic.Anthropic(base_url=base, api_key=key, max_retries=0)
    say = {"max_tokens": 9, "messages": [{"role": "user", "content": "h\u00e9llo"}]}
    create = client.messages.create
    yield "message", create(model="claude", **say).model_dump()
    yield "stream", [event.model_dump() for event in create(model="claude", stream=True, **say)]
    unblocked = anthropic.AsyncAnthropic(base_url=base, api_key=key, max_retries=0)
    yield "asynchronous stream", asyncio.run(events(unblocked.messages.create(model="claude", stream=True, **say)))
    tools = [{"name": "find", "description": "Finds.", "input_schema": TOOL["parameters"]}]
    yield "tools", create(model="claude", tools=tools, **say).model_dump()
    yield "count", client.messages.count_tokens(model="claude", messages=say["messages"]).model_dump()
    for status in (400, 401, 404, 429, 529):
        yield f"error {status}", failure(lambda: create(model=f"error-{status}", **say))
    yield "timeout", failure(lambda: create(model="slow", timeout=0.3, **say))


def compare(direct, proxied, key):
    """Compares what the clients see at both places; `key` is the proxy's. How many results there were."""
    count = 0
    for results in (openai_results, anthropic_results):
        for (name, expected), (_, seen) in zip(results(direct, "sk-test"), results(proxied, key), strict=True):
            assert seen == expected, f"{results.__name__} {name}:\n{expected}\n{seen}"
            count += 1
    return count


def keys(binary, folder, *arguments):
    environment = {**os.environ, "WHITTLE_DATA_DIR": folder}
    done = subprocess.run([binary, "keys", *arguments], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def denied(proxied):
    """What the clients make of being turned away for their keys."""
    client = openai.OpenAI(base_url=f"{proxied}/v1", api_key="sk-other", max_retries=0)
    yield failure(lambda: client.chat.completions.create(model="gpt-4o", messages=[]))[:2]
    client = anthropic.Anthropic(base_url=proxied, api_key="sk-other", max_retries=0)
    yield failure(lambda: client.messages.create(model="claude", max_tokens=1, messages=[]))[:2]


def booked(proxied, secret):
    """Requests in the ledger."""
    request = urllib.request.Request(f"{proxied}/v1/usage", headers={"x-whittle-key": secret})
    return json.load(urllib.request.urlopen(request))["total"]["requests"]


def serve(binary, base, folder):
    config = pathlib.Path(folder, "whittle.toml")
    config.write_text(
        f'[[upstreams]]\nname = "open"\ndialect = "openai"\nbase_url = "{base}/v1"\nretries = 0\n'
        f'[[upstreams]]\nname = "anth"\ndialect = "anthropic"\nbase_url = "{base}"\nretries = 0\n')
    environment = {**os.environ, "WHITTLE_DATA_DIR": folder, "WHITTLE_LISTEN": "127.0.0.1:0"}
    process = subprocess.Popen([binary, "serve", "--config", str(config)], stderr=subprocess.PIPE, text=True,
                               env=environment)
    for line in process.stderr:
        if "listening on " in line:
            threading.Thread(target=process.stderr.read, daemon=True).start()
            return process, line.split("listening on ")[1].strip()
    raise SystemExit("whittle did not start")


def main():
    binary = sys.argv[1]
    direct = upstream.start()
    with tempfile.TemporaryDirectory() as folder:
        process, proxied = serve(binary, direct, folder)
        try:
            count = compare(direct, proxied, "sk-test")
            secret = keys(binary, folder, "create", "clients", "--admin")
            assert compare(direct, proxied, secret) == count
            assert list(denied(proxied)) == [("AuthenticationError", 401)] * 2
            # Half of what reached the upstream came through the proxy.
            assert booked(proxied, secret) * 2 == len(upstream.posts), len(upstream.posts)
            keys(binary, folder, "revoke", "clients")
            client = openai.OpenAI(base_url=f"{proxied}/v1", api_key=secret, max_retries=0)
            assert failure(lambda: client.models.list())[:2] == ("AuthenticationError", 401)
            print(f"{count} results are the same directly and through the proxy, with and without a key of its own "
                  f"(openai {openai.__version__}, anthropic {anthropic.__version__})")
        finally:
            process.terminate()
            assert process.wait(30) == 0


main()
