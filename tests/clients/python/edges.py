"""What happens where something is wrong: limits, keys, time, broken connections, and the start of the service."""

import asyncio
import contextlib
import http.server
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import threading
import time

import whittle
from core import BRIDGE, DOCUMENTS

PAGE = b"<html><body>Bad gateway</body></html>"


class Upstream(http.server.BaseHTTPRequestHandler):
    """An upstream of the service that answers by the path: some JSON, an HTML page as an error, or late."""

    protocol_version = "HTTP/1.1"
    attempts: list[str] = []

    def do_GET(self):
        name = self.path.rsplit("/", 1)[1]
        self.attempts.append(name)
        status, kind, body = 200, "application/json", b'{"ok": true}'
        if name == "page" or name == "recovers" and self.attempts.count(name) < 3:
            status, kind, body = 502, "text/html", PAGE
        elif name == "text":
            kind, body = "text/plain", b"no JSON"
        elif name == "slow":
            time.sleep(2)
        with contextlib.suppress(ConnectionError):
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def upstream():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def errors(tally, client):
    """Errors of the service, typed."""
    for empty in ("", " \n"):
        error = tally.raises("empty text", whittle.BadRequestError, lambda: client.compress(empty, rate=0.5), status_code=400,
                             type="invalid_request_error", code="empty_input", param="documents")
        tally.holds("the error has a request id and a message", bool(error.request_id) and "empty" in error.message)
    tally.raises("no budget", whittle.BadRequestError, lambda: client.compress(BRIDGE, rate=7), status_code=400)
    tally.raises("unknown collection", whittle.NotFoundError, lambda: client.collections.describe("none"),
                 status_code=404, code="collection_not_found")
    tally.raises("huge text", whittle.RequestTooLargeError, lambda: client.compress("x " * 9_000_000, rate=0.5),
                 status_code=413, code="body_too_large")
    tally.raises("deadline", whittle.DeadlineExceededError,
                 lambda: client.with_options(retries=0).compress("word and " * 9_000, rate=0.5, deadline_ms=20), status_code=504)
    tally.raises("unknown member", whittle.InvalidRequestError, lambda: client.compress(BRIDGE, bogus=1))
    tally.raises("lone surrogate", whittle.InvalidRequestError, lambda: client.compress("a \ud800", rate=0.5))
    for name in ("", ".", "..", "\ud800"):
        tally.raises("a name that is no part of a path", whittle.InvalidRequestError, lambda: client.collections.describe(name))
    tally.raises("an id that would leave its path", whittle.NotFoundError,
                 lambda: client.collections.document("none", "../../v1/models"), code="collection_not_found")


def connections(tally, client):
    """No service, a service that is late, a client that is closed."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{probe.getsockname()[1]}"
    with whittle.Client(nobody, retries=whittle.Retries(2, first_seconds=0.01)) as alone:
        tally.raises("service down", whittle.APIConnectionError, lambda: alone.compress(BRIDGE, rate=0.5))
        tally.raises("service down", whittle.APIConnectionError, lambda: list(alone.collections.export("a")))
    impatient = client.with_options(timeout=0.02)
    tally.raises("slow service", whittle.APITimeoutError, lambda: impatient.compress("some words, " * 4_000, rate=0.5))
    closed = whittle.Client(client.base_url)
    closed.close()
    tally.raises("closed", whittle.APIConnectionError, lambda: closed.models())
    late_start(tally, client)
    in_the_middle(tally, client)


def late_start(tally, client):
    """A service that is not there at first: the call arrives with a retry, through a socket that listens late."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    started = threading.Event()
    target = client.base_url.rsplit(":", 1)[1]

    def pipe(one, other):
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)

    def listen():
        started.wait()
        time.sleep(0.3)
        with socket.create_server(("127.0.0.1", port)) as server:
            one, _ = server.accept()
            with one, socket.create_connection(("127.0.0.1", int(target))) as other:
                back = threading.Thread(target=pipe, args=(other, one))
                back.start()
                pipe(one, other)
                back.join()

    thread = threading.Thread(target=listen)
    thread.start()
    with whittle.Client(f"http://127.0.0.1:{port}", retries=whittle.Retries(40, first_seconds=0.1, longest_seconds=0.2)) as own:
        started.set()
        tally.holds("a call arrives once the service is there", own.ready().version != "")
    thread.join()


def in_the_middle(tally, client):
    """What is going on when a client is closed, a stream is left, or a task is cancelled."""
    client.collections.create("middle")
    client.collections.upsert("middle", [{"id": f"{n}", "text": f"{n} {BRIDGE * 3}"} for n in range(200)])
    own = whittle.Client(client.base_url)
    stream = own.collections.export("middle")
    tally.holds("the first document", next(stream).id is not None)
    stream.close()
    tally.holds("the connection is free again", own.ready() is not None)
    stream = own.collections.snapshot("middle")
    next(stream)
    own.close()
    try:
        size = sum(map(len, stream))
        tally.holds(f"closing ends the stream ({size} bytes came)", False)
    except whittle.APIConnectionError:
        tally.holds("closing ends the stream with an error", True)

    async def cancelled():
        async with whittle.AsyncClient(client.base_url) as own:
            task = asyncio.ensure_future(own.compress("some words, " * 4_000, rate=0.5))
            await asyncio.sleep(0.05)
            task.cancel()
            done = await asyncio.gather(task, return_exceptions=True)
            tally.holds("a cancelled call is cancelled", isinstance(done[0], asyncio.CancelledError))
            async for document in own.collections.export("middle"):
                break
            tally.holds("the client goes on", (await own.ready()) is not None)
            task = asyncio.ensure_future(own.compress("some words, " * 4_000, rate=0.5))
            await asyncio.sleep(0.05)
        done = await asyncio.gather(task, return_exceptions=True)
        tally.holds(f"closing ends a call with an error: {done[0]!r}", isinstance(done[0], whittle.APIConnectionError))

    asyncio.run(cancelled())
    client.collections.delete("middle")


def busy(tally, binary):
    """A service that can do one thing at a time refuses with `Retry-After`, and the retries get through."""
    with whittle.serve(binary=binary, environment={"WHITTLE_LIMITS_CONCURRENCY": "1", "WHITTLE_LIMITS_QUEUE": "0"}) as client:
        text = "".join(f"Sentence {n} is about {n * 7} things. " for n in range(250))
        outcomes = []

        def work(own):
            try:
                outcomes.append(own.compress(text, rate=0.5))
            except whittle.WhittleError as error:
                outcomes.append(error)

        threads = [threading.Thread(target=work, args=(client.with_options(retries=0),)) for _ in range(4)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        refused = [outcome for outcome in outcomes if isinstance(outcome, whittle.ServiceUnavailableError)]
        tally.holds(f"a busy service refuses and says when to come again: {outcomes!r:.300}",
                    refused and all(error.retry_after and error.retry_after > 0 for error in refused))
        outcomes.clear()
        patient = client.with_options(retries=whittle.Retries(40, longest_seconds=2))
        threads = [threading.Thread(target=work, args=(patient,)) for _ in range(4)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        prompts = {getattr(outcome, "prompt", outcome) for outcome in outcomes}
        tally.holds(f"retries get through: {prompts!r:.200}", len(outcomes) == 4 and len(prompts) == 1)
        began = time.monotonic()
        never = client.with_options(retries=whittle.Retries(9, first_seconds=30))
        tally.raises("a model that is missing is not waited for", whittle.ServiceUnavailableError,
                     lambda: never.compress(BRIDGE, rate=0.5, method="llmlingua2"), status_code=503, code="model_unavailable")
        tally.holds("there was one attempt", time.monotonic() - began < 15)


def upstreams(tally, binary):
    """Errors that pass through the service from an upstream, keys, and their limits."""
    with upstream() as address, tempfile.TemporaryDirectory() as folder:
        config = pathlib.Path(folder, "whittle.toml")
        config.write_text(f'[[upstreams]]\nname = "up"\ndialect = "openai"\nbase_url = "{address}"\nretries = 0\n'
                          'models = ["m"]\n')
        with whittle.serve(binary=binary, config=config, data_dir=folder, retries=0) as client:
            proxied(tally, client)
            limited(tally, client, binary, folder)


def proxied(tally, client):
    get = lambda own, name: lambda: own.request("GET", f"/upstreams/up/{name}")
    tally.holds("JSON", get(client, "json")() == {"ok": True})
    error = tally.raises("an error that is no JSON", whittle.InternalServerError, get(client, "page"), status_code=502,
                         type=None, code=None, body=PAGE.decode())
    tally.holds("the page is in the message", "Bad gateway" in str(error))
    tally.raises("an answer that is no JSON", whittle.APIResponseError, get(client, "text"))
    tally.raises("slow", whittle.APITimeoutError, get(client.with_options(timeout=0.2), "slow"))
    Upstream.attempts.clear()
    again = client.with_options(retries=whittle.Retries(2, first_seconds=0.01))
    tally.holds("the third attempt gets through", get(again, "recovers")() == {"ok": True})
    tally.holds("there were three attempts", Upstream.attempts == ["recovers"] * 3)
    Upstream.attempts.clear()
    tally.raises("retries are bounded", whittle.InternalServerError, get(again, "page"))
    tally.holds("there were three attempts", Upstream.attempts == ["page"] * 3)


def limited(tally, client, binary, folder):
    """Keys: none, a wrong one, one that is used up."""
    secret = key(binary, folder, "create", "one", "--requests-per-minute", "1")
    tally.raises("no key", whittle.AuthenticationError, client.models, status_code=401)
    wrong = whittle.Client(client.base_url, api_key="wrong", retries=0)
    tally.raises("wrong key", whittle.AuthenticationError, wrong.models, status_code=401)
    chat = {"model": "local/smollm2-135m-instruct", "max_tokens": 1, "messages": [{"role": "user", "content": "Hi"}]}
    owner = whittle.Client(client.base_url, api_key=secret, retries=whittle.Retries(3, longest_seconds=0.5))
    ask = lambda: owner.request("POST", "/v1/chat/completions", json_body=chat)
    tally.holds("the key is known", ask()["choices"] is not None)
    began = time.monotonic()
    error = tally.raises("used up", whittle.RateLimitError, ask, status_code=429)
    tally.holds(f"Retry-After is read: {error.retry_after}", error.retry_after is not None and error.retry_after > 0.5)
    tally.holds("a longer wait than allowed is not begun", time.monotonic() - began < error.retry_after)
    refused = key(binary, folder, "create", "other", "--model", "nothing")
    other = whittle.Client(client.base_url, api_key=refused, retries=0)
    tally.raises("not allowed", whittle.PermissionDeniedError,
                 lambda: other.request("POST", "/v1/chat/completions", json_body=chat), status_code=403)
    for own in (wrong, owner, other):
        own.close()


def key(binary, folder, *arguments):
    environment = {**os.environ, "WHITTLE_DATA_DIR": folder}
    environment.pop("WHITTLE_BINARY", None)
    done = subprocess.run([binary, "keys", *arguments], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def starting(tally, binary):
    """`whittle.serve`: found by a variable, kept folder, faults of the configuration, nothing left behind."""
    with tempfile.TemporaryDirectory() as folder:
        for round in range(2):
            os.environ["WHITTLE_BINARY"] = binary
            with whittle.serve(data_dir=pathlib.Path(folder, "data")) as client:
                if round == 0:
                    client.collections.create("kept")
                    client.collections.upsert("kept", DOCUMENTS)
                tally.holds("the folder is kept", client.collections.describe("kept").documents == 2)
                address = client.base_url
            del os.environ["WHITTLE_BINARY"]
            with whittle.Client(address, retries=0) as gone:
                tally.raises("the service is gone", whittle.APIConnectionError, gone.ready)
        config = pathlib.Path(folder, "whittle.toml")
        config.write_text("nonsense = 1\n")
        error = tally.raises("a wrong configuration", whittle.StartError, lambda: whittle.serve(binary=binary, config=config).__enter__())
        tally.holds("the reason is in the message", "nonsense" in str(error))
    tally.raises("no program", whittle.StartError, lambda: whittle.serve(binary="/none/whittle").__enter__())
    with contextlib.suppress(ZeroDivisionError), whittle.serve(binary=binary) as client:
        raise ZeroDivisionError
    with whittle.Client(client.base_url, retries=0) as gone:
        tally.raises("an exception stops the service", whittle.APIConnectionError, gone.ready)
    tally.holds("no child is left", not pathlib.Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text()
                if sys.platform == "linux" else True)
