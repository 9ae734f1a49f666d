"""Runs the official clients against an upstream directly and through the proxy: both must see the same.

Usage: clients.py PATH_OF_WHITTLE
"""

import os
import pathlib
import subprocess
import sys
import tempfile
import urllib.request

import anthropic
import openai

import upstream

TOOL = {"name": "find", "description": "Finds.", "parameters": {"type": "object", "properties": {}}}


def failure(call):
    """What a client makes of an error."""
    try:
        call()
    except (openai.APIStatusError, anthropic.APIStatusError) as error:
        return type(error).__name__, error.status_code, error.message, error.body, error.request_id
    raise AssertionError("the call should have failed")


def openai_results(base):
    client = openai.OpenAI(base_url=f"{base}/v1", api_key="sk-test", max_retries=0)
    say = [{"role": "user", "content": "h\u00e9llo"}]
    chat = client.chat.completions.create
    yield "chat", chat(model="gpt-4o", messages=say, temperature=1.0).model_dump()
    yield "stream", [c.model_dump() for c in chat(model="gpt-4o", messages=say, stream=True)]
    tools = [{"type": "function", "function": TOOL}]
    yield "tools", chat(model="gpt-4o", messages=say, tools=tools).model_dump()
    yield "responses", client.responses.create(model="gpt-4o", input="hi").model_dump()
    yield "models", [model.model_dump() for model in client.models.list()]
    for status in (400, 401, 403, 404, 422, 429):
        yield f"error {status}", failure(lambda: chat(model=f"error-{status}", messages=say))
    yield "error 500", failure(lambda: chat(model="error-500", messages=say))


def anthropic_results(base):
    client = anthropic.Anthropic(base_url=base, api_key="sk-test", max_retries=0)
    say = {"max_tokens": 9, "messages": [{"role": "user", "content": "h\u00e9llo"}]}
    create = client.messages.create
    yield "message", create(model="claude", **say).model_dump()
    yield "stream", [event.model_dump() for event in create(model="claude", stream=True, **say)]
    tools = [{"name": "find", "description": "Finds.", "input_schema": TOOL["parameters"]}]
    yield "tools", create(model="claude", tools=tools, **say).model_dump()
    yield "count", client.messages.count_tokens(model="claude", messages=say["messages"]).model_dump()
    for status in (400, 401, 404, 429, 529):
        yield f"error {status}", failure(lambda: create(model=f"error-{status}", **say))


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
            import threading
            threading.Thread(target=process.stderr.read, daemon=True).start()
            return process, line.split("listening on ")[1].strip()
    raise SystemExit("whittle did not start")


def main():
    direct = upstream.start()
    with tempfile.TemporaryDirectory() as folder:
        process, proxied = serve(sys.argv[1], direct, folder)
        try:
            count = 0
            for results in (openai_results, anthropic_results):
                for (name, expected), (_, seen) in zip(results(direct), results(proxied), strict=True):
                    assert seen == expected, f"{results.__name__} {name}:\n{expected}\n{seen}"
                    count += 1
            status = urllib.request.urlopen(f"{proxied}/metrics").read().decode()
            assert "whittle_upstream_answers_total" in status
            print(f"{count} results are the same directly and through the proxy "
                  f"(openai {openai.__version__}, anthropic {anthropic.__version__})")
        finally:
            process.terminate()
            assert process.wait(30) == 0


main()
