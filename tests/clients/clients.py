"""Runs real clients against an upstream directly and through the proxy: both must see the same. There are three
upstreams: a scripted one, another whittle that answers by the model in its process, and llama.cpp's server with the same
model. Ends with a table of how many results were the same, and with 1 where one was not.

Usage: clients.py PATH_OF_WHITTLE FOLDER_OF_NODES_PACKAGES [CLIENT...]

With names of clients, those alone are run, and against the scripted upstream alone.
"""

import contextlib
import functools
import importlib.metadata
import itertools
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
import traceback
import urllib.request

import anthropic
import openai
import xllamacpp

import dialects
import frameworks
import official
import upstream
from common import LLAMA, failure


def node_results(client, place, base, key):
    """What a client of node's sees, by `node.mjs`."""
    script = pathlib.Path(sys.argv[2], "node.mjs")
    command = ["node", str(script), client, base, key, place]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if done.returncode != 0:
        raise AssertionError(done.stderr)
    for line in done.stdout.splitlines():
        yield tuple(json.loads(line))


def node(client):
    return [functools.partial(node_results, client, place) for place in ("scripted", "local", "llama")]


# For each client, its calls for the scripted upstream, for the model in whittle's process, and for llama.cpp's server.
CLIENTS = {
    "openai": (official.openai_results, official.local_openai_results, official.llama_openai_results),
    "anthropic": (official.anthropic_results, official.local_anthropic_results, official.llama_anthropic_results),
    "google-genai": (dialects.gemini_results, None, None),
    "ollama": (dialects.ollama_results, None, None),
    "cohere": (dialects.cohere_results, None, None),
    "openai (Azure)": (dialects.azure_results, None, None),
    "langchain-openai": (frameworks.langchain_results, frameworks.langchain_local_results, frameworks.langchain_llama_results),
    "langchain-anthropic": (frameworks.langchain_anthropic_results, None, None),
    "llama-index-llms-openai": (
        frameworks.llamaindex_results, frameworks.llamaindex_local_results, frameworks.llamaindex_llama_results),
    "node openai": node("openai"),
    "node @ai-sdk/openai": node("ai"),
    "node @ai-sdk/anthropic": node("ai-anthropic"),
}
COLUMNS = ("scripted", "with a key", "local/", "llama.cpp")
IDS = re.compile(r"[0-9a-f]{8}(-?[0-9a-f]{4}){3}-?[0-9a-f]{12}|\b(chatcmpl-|cmpl-|resp_|msg_|call_|fc_)?[A-Za-z0-9]{32}\b")
# Members that tell of one request alone: times, and the id that the proxy gives where the upstream gives none.
OF_ONE_REQUEST = {"created", "created_at", "completed_at", "timestamp", "request_id", "timings"}


def scrubbed(value):
    """A result without ids and times, which no two answers share."""
    if isinstance(value, dict):
        return {key: 0 if key in OF_ONE_REQUEST else scrubbed(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [scrubbed(item) for item in value]
    return IDS.sub("ID", value) if isinstance(value, str) else value


class Table:
    """How many results were the same, by client and upstream, and how many things were wrong."""

    def __init__(self):
        self.cells = {}
        self.wrong = 0

    def fail(self, what):
        print(what, file=sys.stderr)
        self.wrong += 1

    def compare(self, place, column, direct, proxied, key):
        """Compares what each client sees at both places; `key` is the proxy's. `place` chooses the calls."""
        for client, calls in CLIENTS.items():
            if calls[place] is None:
                continue
            same = 0
            try:
                pairs = itertools.zip_longest(calls[place](direct, "sk-test"), calls[place](proxied, key), fillvalue=(None, None))
                for (name, expected), (_, seen) in pairs:
                    # What the scripted upstream says of ids and times is the same each time, and must arrive so; but
                    # LangChain gives its own ids.
                    if place != 0 or client.startswith(("langchain", "node @ai-sdk")):
                        expected, seen = scrubbed(expected), scrubbed(seen)
                    if seen == expected:
                        same += 1
                    else:
                        self.fail(f"{client}, {column}, {name}:\n  directly  {expected}\n  proxied   {seen}")
            except Exception:
                self.fail(f"{client}, {column}, after {same} results:\n{traceback.format_exc()}")
            self.cells[client, column] = same
            print(f"{client}, {column}: {same} results are the same", file=sys.stderr)

    def __str__(self):
        row = "{:<32} {:>10} {:>12} {:>8} {:>11}".format
        lines = [row("results that are the same", *COLUMNS)]
        for client in CLIENTS:
            cells = [self.cells.get((client, column), "-") for column in COLUMNS]
            lines.append(row(f"{client} {version(client)}", *cells))
        return "\n".join(lines)


def version(client):
    if not client.startswith("node "):
        return importlib.metadata.version(client.partition(" ")[0])
    package = pathlib.Path(sys.argv[2], "node_modules", client.removeprefix("node "), "package.json")
    return json.loads(package.read_text())["version"]


def keys(binary, folder, *arguments):
    environment = {**os.environ, "WHITTLE_DATA_DIR": folder}
    done = subprocess.run([binary, "keys", *arguments], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def denied(proxied):
    """What the clients make of being turned away for their keys."""
    client = openai.OpenAI(base_url=f"{proxied}/v1", api_key="sk-other", max_retries=0)
    yield failure(lambda: client.chat.completions.create(model="gpt-4o", messages=[]))
    client = anthropic.Anthropic(base_url=proxied, api_key="sk-other", max_retries=0)
    yield failure(lambda: client.messages.create(model="claude", max_tokens=1, messages=[]))


def booked(proxied, secret):
    """Requests in the ledger."""
    request = urllib.request.Request(f"{proxied}/v1/usage", headers={"x-whittle-key": secret})
    return json.load(urllib.request.urlopen(request))["total"]["requests"]


def upstreams(base):
    """A configuration with each dialect of an upstream, and no model in the process."""
    others = "".join(f'[[upstreams]]\nname = "{dialect}"\ndialect = "{dialect}"\nbase_url = "{base}"\nretries = 0\n'
                     for dialect in dialects.ALL)
    return (f'[local]\nenabled = false\n{others}'
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


def llama():
    """llama.cpp's server with the file of the model that whittle has. It ends when it is let go."""
    params = xllamacpp.CommonParams()
    params.model.path = str(next(pathlib.Path(os.environ["WHITTLE_CACHE"], "models", LLAMA).glob("*.gguf")))
    # A request must not see what was left of the one before it.
    params.cache_prompt, params.n_parallel = False, 1
    params.embedding, params.pooling_type = True, xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    # Vectors of texts need all of a text at once, and tools the chat template.
    params.n_ubatch, params.use_jinja, params.verbosity = params.n_batch, True, 1
    return xllamacpp.Server(params)


def scripted(binary, table):
    direct = upstream.start()
    with serving(binary, upstreams(direct)) as (proxied, folder):
        table.compare(0, "scripted", direct, proxied, "sk-test")
        secret = keys(binary, folder, "create", "clients", "--admin")
        table.compare(0, "with a key", direct, proxied, secret)
        assert [(error["type"], error["status_code"]) for error in denied(proxied)] == [("AuthenticationError", 401)] * 2
        # Half of what reached the upstream came through the proxy.
        if booked(proxied, secret) * 2 != len(upstream.posts):
            table.fail(f"{booked(proxied, secret)} of {len(upstream.posts)} requests are in the ledger: not half")
        keys(binary, folder, "revoke", "clients")
        client = openai.OpenAI(base_url=f"{proxied}/v1", api_key=secret, max_retries=0)
        assert failure(lambda: client.models.list())["status_code"] == 401


def main():
    binary, table, some = sys.argv[1], Table(), sys.argv[3:]
    for client in set(CLIENTS).difference(some) if some else ():
        del CLIENTS[client]
    scripted(binary, table)
    if some:
        print(table)
        sys.exit(1 if table.wrong else 0)
    with serving(binary, "") as (direct, _), serving(binary, upstreams(direct)) as (proxied, _):
        table.compare(1, "local/", direct, proxied, "sk-test")
    server = llama()
    with serving(binary, upstreams(server.listening_address)) as (proxied, _):
        table.compare(2, "llama.cpp", server.listening_address, proxied, "sk-test")
    print(table)
    print(f"llama.cpp's server is that of xllamacpp {importlib.metadata.version('xllamacpp')}")
    sys.exit(1 if table.wrong else 0)


main()
