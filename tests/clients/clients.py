"""Runs the official clients against an upstream directly and through the proxy: both must see the same. The upstream is
a scripted one, and then another whittle that answers by the model in its process.

Usage: clients.py PATH_OF_WHITTLE
"""

import asyncio
import contextlib
import json
import os
import pathlib
import re
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


LOCAL = "local/smollm2-135m-instruct"
ASK = [{"role": "system", "content": "Answer in one sentence."}, {"role": "user", "content": "What is the capital of France?"}]


def local_openai_results(base, key):
    client = openai.OpenAI(base_url=f"{base}/v1", api_key=key, max_retries=0)
    create = client.chat.completions.create
    chat = lambda **more: create(**{"model": LOCAL, "messages": ASK, "max_completion_tokens": 24, **more})
    answer = chat()
    assert "Paris" in answer.choices[0].message.content and answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 2
    yield "chat", answer.model_dump()
    chunks = list(chat(stream=True, stream_options={"include_usage": True}))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert (text, chunks[-1].usage) == (answer.choices[0].message.content, answer.usage)
    yield "stream", [chunk.model_dump() for chunk in chunks]
    unblocked = openai.AsyncOpenAI(base_url=f"{base}/v1", api_key=key, max_retries=0)
    call = unblocked.chat.completions.create(model=LOCAL, messages=ASK, stream=True, max_tokens=4)
    yield "asynchronous stream", asyncio.run(events(call))
    yield "sampled", chat(temperature=1.2, top_p=0.9, seed=7).model_dump()
    stopped = chat(stop=["Paris"])
    assert "Paris" not in stopped.choices[0].message.content and stopped.choices[0].finish_reason == "stop"
    yield "stop", stopped.model_dump()
    no_tools = chat(tools=[{"type": "function", "function": TOOL}], tool_choice="none")
    yield "tools that none may call", no_tools.model_dump()
    yield "completion", client.completions.create(model=LOCAL, prompt="Once upon", max_tokens=8).model_dump()
    yield "completion stream", [
        c.model_dump() for c in client.completions.create(model=LOCAL, prompt="Once upon", max_tokens=8, stream=True)]
    respond = lambda **more: client.responses.create(**{"model": LOCAL, "input": ASK, "max_output_tokens": 24, **more})
    response = respond()
    assert (response.status, response.output_text) == ("completed", answer.choices[0].message.content)
    yield "response", response.model_dump()
    yield "response to a text", respond(input="Hi", instructions="Be brief.", max_output_tokens=3).model_dump()
    with client.responses.stream(model=LOCAL, input=ASK, max_output_tokens=24) as stream:
        seen = [event.model_dump(warnings=False) for event in stream]
        assert stream.get_final_response().output_text == response.output_text
    yield "response stream", seen
    yield "models", [model.model_dump() for model in client.models.list()]
    yield "unknown model", failure(lambda: chat(model="local/other"))
    yield "tools", failure(lambda: chat(tools=[{"type": "function", "function": TOOL}]))
    yield "structured", failure(lambda: chat(response_format={"type": "json_object"}))
    yield "several", failure(lambda: chat(n=2))
    yield "too long", failure(lambda: chat(max_completion_tokens=100_000, stream=True))


def local_anthropic_results(base, key):
    client = anthropic.Anthropic(base_url=base, api_key=key, max_retries=0)
    say = {"model": LOCAL, "system": ASK[0]["content"], "messages": ASK[1:]}
    create = lambda **more: client.messages.create(**{**say, "max_tokens": 24, **more})
    message = create()
    assert "Paris" in message.content[0].text and message.stop_reason == "end_turn"
    yield "message", message.model_dump()
    yield "stream", [event.model_dump() for event in create(stream=True)]
    with client.messages.stream(max_tokens=24, **say) as stream:
        assert stream.get_final_message().content[0].text == message.content[0].text
    unblocked = anthropic.AsyncAnthropic(base_url=base, api_key=key, max_retries=0)
    yield "asynchronous stream", asyncio.run(events(unblocked.messages.create(max_tokens=3, stream=True, **say)))
    stopped = create(stop_sequences=["Paris"])
    assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", "Paris")
    yield "stop", stopped.model_dump()
    count = client.messages.count_tokens(**say)
    assert count.input_tokens == message.usage.input_tokens
    yield "count", count.model_dump()
    yield "models", [model.model_dump() for model in client.models.list()]
    tools = [{"name": "find", "description": "Finds.", "input_schema": TOOL["parameters"]}]
    yield "tools", failure(lambda: create(tools=tools))
    yield "unknown model", failure(lambda: create(model="local/other"))
    yield "too long", failure(lambda: create(max_tokens=8_190))


IDS = re.compile(r"[0-9a-f]{8}(-?[0-9a-f]{4}){3}-?[0-9a-f]{12}")


def scrubbed(value):
    """A result without ids and times, which no two answers share."""
    if isinstance(value, dict):
        return {key: 0 if key in ("created", "created_at", "completed_at") else scrubbed(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [scrubbed(item) for item in value]
    return IDS.sub("ID", value) if isinstance(value, str) else value


SCRIPTED = (openai_results, anthropic_results)
IN_PROCESS = (local_openai_results, local_anthropic_results)


def compare(cases, direct, proxied, key):
    """Compares what the clients see at both places; `key` is the proxy's. How many results there were."""
    count = 0
    for results in cases:
        for (name, expected), (_, seen) in zip(results(direct, "sk-test"), results(proxied, key), strict=True):
            if cases is IN_PROCESS:
                expected, seen = scrubbed(expected), scrubbed(seen)
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


def upstreams(base):
    """A configuration with both dialects of an upstream, and no model in the process."""
    return (f'[local]\nenabled = false\n'
            f'[[upstreams]]\nname = "open"\ndialect = "openai"\nbase_url = "{base}/v1"\nretries = 0\n'
            f'[[upstreams]]\nname = "anth"\ndialect = "anthropic"\nbase_url = "{base}"\nretries = 0\n')


@contextlib.contextmanager
def serving(binary, text):
    """Address and folder of a whittle with the configuration `text`, which ends in order."""
    with tempfile.TemporaryDirectory() as folder:
        config = pathlib.Path(folder, "whittle.toml")
        config.write_text(text)
        environment = {**os.environ, "WHITTLE_DATA_DIR": folder, "WHITTLE_LISTEN": "127.0.0.1:0"}
        process = subprocess.Popen([binary, "serve", "--config", str(config)], stderr=subprocess.PIPE, text=True,
                                   env=environment)
        try:
            for line in process.stderr:
                if "listening on " in line:
                    threading.Thread(target=process.stderr.read, daemon=True).start()
                    yield line.split("listening on ")[1].strip(), folder
                    break
            else:
                raise SystemExit("whittle did not start")
        finally:
            process.terminate()
            assert process.wait(30) == 0


def main():
    binary = sys.argv[1]
    direct = upstream.start()
    with serving(binary, upstreams(direct)) as (proxied, folder):
        count = compare(SCRIPTED, direct, proxied, "sk-test")
        secret = keys(binary, folder, "create", "clients", "--admin")
        assert compare(SCRIPTED, direct, proxied, secret) == count
        assert list(denied(proxied)) == [("AuthenticationError", 401)] * 2
        # Half of what reached the upstream came through the proxy.
        assert booked(proxied, secret) * 2 == len(upstream.posts), len(upstream.posts)
        keys(binary, folder, "revoke", "clients")
        client = openai.OpenAI(base_url=f"{proxied}/v1", api_key=secret, max_retries=0)
        assert failure(lambda: client.models.list())[:2] == ("AuthenticationError", 401)
    print(f"{count} results are the same directly and through the proxy, with and without a key of its own "
          f"(openai {openai.__version__}, anthropic {anthropic.__version__})")
    with serving(binary, "") as (direct, _), serving(binary, upstreams(direct)) as (proxied, _):
        count = compare(IN_PROCESS, direct, proxied, "sk-test")
    print(f"{count} results of {LOCAL} are the same directly and through another whittle")


main()
