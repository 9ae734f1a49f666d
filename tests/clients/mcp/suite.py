"""Compares what the tools, resources and prompts return by the official clients of the protocol with what the HTTP API
answers. Ends with a table of calls, and with 1 where something was wrong.

Usage: suite.py PATH_OF_WHITTLE PATH_OF_CLIENT_MJS [--short]
"""

import asyncio
import io
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request

import httpx2
from mcp import Client, StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
import upstream  # noqa: E402

BINARY, NODE, SHORT = os.path.abspath(sys.argv[1]), sys.argv[2], "--short" in sys.argv
TOOLS = ["compress", "read_file_compressed", "search", "ingest", "prompt", "examples_select", "count_tokens", "recall"]
REPORT = (pathlib.Path(__file__).parents[3] / "eval/texts/incident.md").read_text()
POLLS = "GET /healthz 200\n" * 200
QUESTION = "Which setting caused the outage, and who noticed it?"
DOCUMENTS = [{"id": "a/1", "title": "Harbour Street", "text": "The bridge at Harbour Street was opened on 3 May 1987.",
              "metadata": {"year": 1987}},
             {"id": "b", "text": "The town has two libraries, both of which close at 6 p.m. on weekdays."}]
EXAMPLES = [{"id": str(n), "question": f"What is {n} + {n}?", "answer": str(2 * n)} for n in range(1, 6)]


class Service:
    """A running `whittle serve`, and the folder that it keeps its data in."""

    def __init__(self, folder, config):
        self.folder = folder
        pathlib.Path(folder, "whittle.toml").write_text(config)
        pathlib.Path(folder, "files").mkdir()
        pathlib.Path(folder, "files", "report.md").write_text(REPORT)
        self.environment = {**os.environ, "WHITTLE_DATA_DIR": str(pathlib.Path(folder, "data"))}
        self.process = subprocess.Popen([BINARY, "serve", "--listen", "127.0.0.1:0"], cwd=folder, env=self.environment,
                                        stderr=subprocess.PIPE, text=True)
        for line in self.process.stderr:
            if "listening on " in line:
                self.base = line.split("listening on ")[1].strip()
                break
        else:
            raise SystemExit("whittle did not start")
        threading.Thread(target=self.process.stderr.read, daemon=True).start()

    def api(self, method, path, body=None, headers=None):
        """What the HTTP API answers: JSON, or text where it is no JSON; of an error, its message."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"content-type": "application/json", **(headers or {})}
        request = urllib.request.Request(self.base + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                text = answer.read().decode()
        except urllib.error.HTTPError as error:
            text = error.read().decode()
        try:
            return json.loads(text)
        except ValueError:
            return text

    def keys(self, *arguments):
        command = [BINARY, "keys", *arguments]
        return subprocess.run(command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=True).stdout.strip()

    def stop(self):
        self.process.terminate()
        assert self.process.wait(30) == 0


def plain(value):
    """A result without what belongs to one answer alone."""
    if isinstance(value, dict):
        # The file of a collection grows when it is tidied up, whoever asks.
        own = {"timing_ms"} | ({"bytes"} if "epoch" in value else set()) | ({"id"} if str(value.get("id", "")).startswith(("cmp-", "prompt-")) else set())
        return {key: plain(item) for key, item in value.items() if key not in own}
    return [plain(item) for item in value] if isinstance(value, list) else value


def tool(name, arguments, expected):
    return {"kind": "tool", "name": name, "arguments": arguments, "expected": plain(expected)}


def folded(service, posts):
    """Sends the output of tests through the proxy and returns the id that the mark names."""
    output = "".join(f"test mödule::case_{n} ... ok\n" for n in range(60))
    call = {"name": "bash", "arguments": json.dumps({"command": "cargo test"})}
    messages = [{"role": "user", "content": "Run the tests."},
                {"role": "assistant", "content": None, "tool_calls": [{"id": "t", "type": "function", "function": call}]},
                {"role": "tool", "tool_call_id": "t", "content": output}]
    service.api("POST", "/v1/chat/completions", {"model": "m", "messages": messages})
    text = posts[-1]["messages"][-1]["content"]
    return text.split("recall ")[1].split("]")[0]


def cases(service, posts):
    """Calls, each with what the HTTP API says."""
    api = service.api
    api("PUT", "/v1/collections/town", {})
    api("POST", "/v1/collections/town/documents", {"documents": DOCUMENTS})
    api("POST", "/v1/example-banks/sums/examples", {"examples": EXAMPLES})
    identifier = folded(service, posts)
    compressed = lambda body: api("POST", "/v1/compress", {**body, "return": []})
    documents = [{"id": document["id"], "text": document["text"]} for document in DOCUMENTS]
    search = {"query": "When was the bridge opened?", "top_k": 1}
    filtered = {"query": "bridge", "mode": "lexical", "filter": {"field": "year", "gte": 1980}}
    prompt = {"question": "When was the bridge opened?", "collections": ["town"], "banks": ["sums"], "target_tokens": 300}
    file = compressed({"documents": [{"text": REPORT}], "question": QUESTION, "target_tokens": 600})
    usage = file["usage"]
    summary = f"report.md: {usage['original_tokens']} -> {usage['compressed_tokens']} tokens ({usage['tokenizer']})"
    original = api("GET", f"/v1/originals/{identifier}")
    count = compressed({"context": REPORT, "rate": 1.0})["usage"]
    counted = {"tokens": count["original_tokens"], "tokenizer": count["tokenizer"], "approximate": count["approximate"]}
    missing = api("POST", "/v1/collections/none/search", search)["error"]
    invalid = api("POST", "/v1/compress", {"context": "a", "rate": 2})["error"]
    unknown = api("GET", "/v1/originals/0123456789abcdef")["error"]
    found = tool("search", {**search, "collection": "town"}, api("POST", "/v1/collections/town/search", search))
    yield from [
        tool("compress", {"text": REPORT, "question": QUESTION, "rate": 0.4},
             compressed({"context": REPORT, "question": QUESTION, "rate": 0.4})),
        tool("compress", {"documents": documents, "question": "When was the bridge opened?", "target_tokens": 30},
             compressed({"documents": documents, "question": "When was the bridge opened?", "target_tokens": 30})),
        tool("compress", {"text": POLLS, "method": "lossless", "model": "gpt-4"},
             compressed({"context": POLLS, "method": "lossless", "model": "gpt-4", "rate": 0.5})),
        tool("compress", {"text": "a", "rate": 2}, {"error": f"{invalid['message']} ({invalid['code']})"}),
        tool("read_file_compressed", {"path": "report.md", "question": QUESTION, "target_tokens": 600},
             {"text": [file["documents"][0]["text"], summary]}),
        tool("read_file_compressed", {"path": "../whittle.toml"}, {"error": None}),
        found,
        tool("search", {**filtered, "collection": "town"}, api("POST", "/v1/collections/town/search", filtered)),
        tool("search", {**search, "collection": "none"}, {"error": f"{missing['message']} ({missing['code']})"}),
        tool("ingest", {"collection": "town", "documents": DOCUMENTS},
             api("POST", "/v1/collections/town/documents", {"documents": DOCUMENTS})),
        tool("prompt", prompt, api("POST", "/v1/prompt", prompt)),
        tool("examples_select", {"bank": "sums", "question": "What is 9 + 9?", "count": 2},
             api("POST", "/v1/example-banks/sums/select", {"question": "What is 9 + 9?", "count": 2})),
        tool("count_tokens", {"text": REPORT}, counted),
        tool("recall", {"id": identifier}, {"text": [original]}),
        tool("recall", {"id": identifier, "first_byte": 5, "last_byte": 11},
             {"text": [api("GET", f"/v1/originals/{identifier}", headers={"range": "bytes=5-11"})]}),
        tool("recall", {"id": "0123456789abcdef"}, {"error": unknown["message"]}),
        {"kind": "resource", "uri": "whittle://collections/town", "expected": plain(api("GET", "/v1/collections/town"))},
        {"kind": "resource", "uri": "whittle://collections/town/documents/a%2F1",
         "expected": {"text": [api("GET", "/v1/collections/town/documents/a%2F1")["text"]]}},
        {"kind": "prompt", "name": "answer", "arguments": {
            "question": prompt["question"], "collections": "town", "banks": "sums", "target_tokens": "300"},
         "expected": {"text": [api("POST", "/v1/prompt", prompt)["prompt"]]}},
    ]


def seen(case, result):
    """What a client made of a result, in the form of what is expected. Results are JSON, as messages have them."""
    if "raised" in result:
        return {"raised": result["raised"]}
    if case["kind"] == "resource":
        texts = [content["text"] for content in result["contents"]]
    elif case["kind"] == "prompt":
        texts = [message["content"]["text"] for message in result["messages"]]
    else:
        texts = [content["text"] for content in result["content"]]
    if result.get("isError"):
        return {"error": texts[0] if case["expected"].get("error") else None}
    if case["kind"] == "tool" and result.get("structuredContent") is not None:
        assert json.loads(texts[0]) == result["structuredContent"]
        return plain(result["structuredContent"])
    return {"text": texts} if "text" in case["expected"] else plain(json.loads(texts[0]))


class Table:
    """How many calls were made and how many were equal, by client."""

    def __init__(self):
        self.rows, self.wrong = {}, 0

    def fail(self, what):
        print(what, file=sys.stderr)
        self.wrong += 1

    def compare(self, client, listed, results):
        if sorted(listed) != sorted(TOOLS):
            self.fail(f"{client}: lists {listed}")
        equal = 0
        for case, result in results:
            got = seen(case, result)
            if got == case["expected"]:
                equal += 1
            else:
                self.fail(f"{client}, {case.get('name') or case['uri']}:\n  MCP      {got}\n  HTTP API {case['expected']}")
        self.rows[client] = (len(results), equal)
        print(f"{client}: {len(results)} calls, {equal} equal", file=sys.stderr, flush=True)

    def __str__(self):
        row = "{:<44} {:>6} {:>6}".format
        lines = [row("", "calls", "equal"), *[row(client, *cells) for client, cells in self.rows.items()]]
        return "\n".join([*lines, row("sum", *map(sum, zip(*self.rows.values())))])


def as_message(result):
    return result.model_dump(mode="json", by_alias=True, exclude_none=True)


async def python(table, name, target, mode, calls):
    """Makes all calls by the Python client."""
    async with Client(target, mode=mode) as client:
        listed = [tool.name for tool in (await client.list_tools()).tools]
        results = []
        for case in calls:
            try:
                if case["kind"] == "tool":
                    result = await client.call_tool(case["name"], case["arguments"])
                elif case["kind"] == "resource":
                    result = await client.read_resource(case["uri"])
                else:
                    result = await client.get_prompt(case["name"], case["arguments"])
                results.append((case, as_message(result)))
            except Exception as error:
                results.append((case, {"raised": repr(error)}))
        table.compare(f"python {name}, {client.protocol_version}", listed, results)


def node(table, name, calls, command, service):
    """Makes all calls by the TypeScript client."""
    given = json.dumps([{"kind": "tools"}, *calls])
    done = subprocess.run(["node", NODE, *command], input=given, capture_output=True, text=True, timeout=300,
                          cwd=service.folder, env=service.environment)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    if len(lines) != len(calls) + 1:
        return table.fail(f"node {name}: {done.stderr}")
    table.compare(f"node {name}, 2025-11-25", [tool["name"] for tool in lines[0]["tools"]], list(zip(calls, lines[1:])))


def inspector(table, name, calls, command, service):
    """Makes all calls by the command line of the Inspector."""
    def run(*arguments):
        program = [pathlib.Path(NODE).parent / "node_modules/.bin/mcp-inspector", "--cli", *command]
        done = subprocess.run([*program, *arguments], capture_output=True, text=True, timeout=120, cwd=service.folder,
                              env=service.environment)
        try:
            return json.loads(done.stdout)
        except ValueError:
            return {"raised": done.stderr}

    def given(option, arguments):
        for key, value in arguments.items():
            yield from (option, f"{key}={value if isinstance(value, str) else json.dumps(value)}")

    def call(case):
        if case["kind"] == "tool":
            return run("--method", "tools/call", "--tool-name", case["name"], *given("--tool-arg", case["arguments"]))
        if case["kind"] == "resource":
            return run("--method", "resources/read", "--uri", case["uri"])
        return run("--method", "prompts/get", "--prompt-name", case["name"], *given("--prompt-args", case["arguments"]))

    listed = [tool["name"] for tool in run("--method", "tools/list").get("tools", [])]
    table.compare(f"inspector {name}", listed, [(case, call(case)) for case in calls])


def stdio(service):
    arguments = ["mcp", "--root", "files"]
    return stdio_client(StdioServerParameters(command=BINARY, args=arguments, env=service.environment, cwd=service.folder))


async def keyed(table, service):
    """A key is needed where one exists, and is taken from the usual header."""
    secret = service.keys("create", "suite")
    for headers, admitted in [({}, False), ({"authorization": f"Bearer {secret}"}, True)]:
        try:
            async with httpx2.AsyncClient(headers=headers) as http:
                async with Client(streamable_http_client(service.base + "/mcp", http_client=http), mode="legacy") as client:
                    counted = await client.call_tool("count_tokens", {"text": "one two three"})
                    worked = counted.structured_content["tokens"] == 3
        except BaseException:
            worked = False
        if worked != admitted:
            table.fail(f"with {len(headers)} keys: admitted is {worked}")


async def progress(table, service):
    """Long work says how long it has taken, and a client that gives up leaves the server free."""
    heard = []

    async def hear(progress, total, message):
        heard.append((progress, message))

    long = {"text": REPORT * 30, "rate": 0.3, "method": "llmlingua"}
    async with Client(service.base + "/mcp", mode="auto") as client:
        await client.call_tool("compress", long, progress_callback=hear)
        if not heard or heard != sorted(heard):
            table.fail(f"progress: {heard}")
        try:
            await client.call_tool("compress", {**long, "text": REPORT * 200}, read_timeout_seconds=1)
            table.fail("no time limit")
        except Exception:
            pass
        await client.call_tool("count_tokens", {"text": "free"}, read_timeout_seconds=20)


def main():
    table, posts = Table(), []
    server = upstream.start()
    remembered = upstream.Handler.do_POST

    def remember(handler):
        length = int(handler.headers["content-length"])
        body = handler.rfile.read(length)
        posts.append(json.loads(body))
        handler.rfile = io.BytesIO(body)
        remembered(handler)

    upstream.Handler.do_POST = remember
    config = ('[mcp]\nroots = ["files"]\n[proxy.recall]\nenabled = true\n'
              f'[[upstreams]]\nname = "u"\ndialect = "openai"\nbase_url = "{server}/v1"\nretries = 0\n')
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([BINARY, "models", "pull"], check=True, capture_output=True)
        service = Service(folder, config)
        try:
            calls = list(cases(service, posts))
            url = service.base + "/mcp"
            for mode in ("auto", "legacy"):
                asyncio.run(python(table, "over HTTP", url, mode, calls))
            if not SHORT:
                node(table, "over HTTP", calls, ["http", url], service)
                inspector(table, "over HTTP", calls, [url, "--transport", "http"], service)
                asyncio.run(progress(table, service))
            asyncio.run(keyed(table, service))
        finally:
            service.stop()
        # Keys are for those who come over the network.
        pathlib.Path(folder, "data", "keys.toml").unlink(missing_ok=True)
        # One process at a time has the data folder.
        for mode in ("auto",) if SHORT else ("auto", "legacy"):
            asyncio.run(python(table, "over stdio", stdio(service), mode, calls))
        if not SHORT:
            node(table, "over stdio", calls, ["stdio", BINARY, "mcp", "--root", "files"], service)
            # It hands on only those variables that it is told.
            own = [f"{name}={value}" for name, value in service.environment.items() if name.startswith("WHITTLE_")]
            given = [part for variable in own for part in ("-e", variable)]
            # Each call starts a process, which loads what it needs.
            inspector(table, "over stdio", calls[-8:], [*given, BINARY, "mcp", "--root", "files"], service)
    print(table)
    sys.exit(1 if table.wrong else 0)


main()
