"""Servers, replicas and an upstream for the suite, each a process or thread of its own on a free port."""

import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# Time after which something that should have come will not.
PATIENCE = 30


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(what, condition, patience=PATIENCE):
    """Waits until `condition` returns something; returns that, and the seconds that it took."""
    start = time.monotonic()
    while time.monotonic() - start < patience:
        found = condition()
        if found:
            return found, time.monotonic() - start
        time.sleep(0.01)
    raise AssertionError(f"{what}: not within {patience} s")


class Server:
    """Redis or Valkey, which keeps nothing on disk."""

    def __init__(self, program, *flags, tls=False):
        self.program, self.flags, self.tls, self.port = program, flags, tls, free_port()
        self.folder, self.process = tempfile.mkdtemp(), None
        self.start()

    def start(self):
        port = ["--port", "0", "--tls-port", str(self.port)] if self.tls else ["--port", str(self.port)]
        flags = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", self.folder, *port, *self.flags]
        self.process = subprocess.Popen([self.program, *flags], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(f"{self.program} on port {self.port}", self.listens)

    def listens(self):
        assert self.process.poll() is None, f"{self.program} ended with {self.process.returncode}"
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False

    def signal(self, number):
        self.process.send_signal(number)
        if number == signal.SIGKILL:
            self.process.wait()

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder)

    def ask(self, *words):
        """The answer to one command, of text and lists."""
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE) as stream:
            parts = "".join(f"${len(word.encode())}\r\n{word}\r\n" for word in map(str, words))
            stream.sendall(f"*{len(words)}\r\n{parts}".encode())
            return read_answer(stream.makefile("rb"))

    def now(self):
        seconds, micros = self.ask("TIME")
        return int(seconds) + int(micros) / 1e6


def read_answer(lines):
    line = lines.readline().decode().strip()
    kind, rest = line[0], line[1:]
    assert kind != "-", rest
    if kind == "*":
        return [read_answer(lines) for _ in range(int(rest))]
    if kind == "$":
        return lines.read(int(rest) + 2)[:-2].decode() if int(rest) >= 0 else None
    return rest


class Upstream(ThreadingHTTPServer):
    """An API that says that each request took as many tokens as its model's name says: `m-INPUT-OUTPUT`."""

    daemon_threads = True
    request_queue_size = 512

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.bodies, self.lock = [], threading.Lock()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        """A replica that is killed leaves its connections: nothing that needs to be told."""

    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # One packet an answer.
    wbufsize = 1 << 16
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        model = json.loads(body)["model"]
        _, given, made = model.split("-")
        with self.server.lock:
            self.server.bodies.append(body)
        usage = {"prompt_tokens": int(given), "completion_tokens": int(made), "total_tokens": int(given) + int(made)}
        message = {"role": "assistant", "content": "Yes."}
        choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
        answer = {"id": "1", "object": "chat.completion", "created": 1, "model": model, "choices": choices, "usage": usage}
        text = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


class Replica:
    """A running `whittle serve` with a data folder of its own."""

    def __init__(self, binary, configuration, keys=None, environment=None, port=0):
        self.folder, self.place = pathlib.Path(tempfile.mkdtemp()), port
        self.binary, self.environment = binary, environment or {}
        (self.folder / "whittle.toml").write_text(configuration)
        (self.folder / "data").mkdir()
        if keys:
            shutil.copy(keys, self.folder / "data" / "keys.toml")
        self.start()

    def start(self):
        """Starts it, and returns once it listens."""
        self.log = open(self.folder / "log", "a+")
        command = [self.binary, "serve", "--config", str(self.folder / "whittle.toml"), "--listen", f"127.0.0.1:{self.place}"]
        start = len(self.lines())
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=self.log, env=self.variables(),
                                        cwd=self.folder)
        marker = "whittle listening on http://127.0.0.1:"

        def port():
            assert self.process.poll() is None, self.lines()
            text = self.lines()[start:]
            return text.split(marker)[1].split("\n")[0] if marker in text and text.endswith("\n") else None
        self.port = int(wait_for("a replica", port)[0])

    def variables(self):
        return {**os.environ, "WHITTLE_DATA_DIR": str(self.folder / "data"), "NO_COLOR": "1", "WHITTLE_LOG": "whittle=info,whittle::http::middleware=warn",
                **self.environment}

    def lines(self):
        return (self.folder / "log").read_text()

    def call(self, method, path, key=None, body=None):
        """Status, headers and text of the answer to one request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            return exchange(connection, method, path, key, body)
        finally:
            connection.close()

    def whittle(self, *arguments):
        command = [self.binary, *arguments]
        return subprocess.run(command, env=self.variables(), cwd=self.folder, check=True, capture_output=True,
                              text=True).stdout.strip()

    def stop(self):
        """Ends it in order."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            assert self.process.wait(PATIENCE) == 0, self.lines()
        self.log.close()

    def remove(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.log.close()
        shutil.rmtree(self.folder)


def exchange(connection, method, path, key=None, body=None):
    headers = {"authorization": f"Bearer {key}"} if key else {}
    if body is not None:
        headers["content-type"] = "application/json"
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read().decode()


def perform(scenario, stage, name):
    """Runs a scenario, and says what it reports; where it fails, what its replicas said."""
    start = time.monotonic()
    try:
        report = scenario(stage)
    except BaseException:
        for replica in stage.replicas:
            print(replica.lines(), file=sys.stderr)
        raise
    finally:
        stage.close()
    print(f"{name}: {report} ({time.monotonic() - start:.1f} s)", flush=True)


def crowd(replicas, request, clients, goes_on):
    """Has clients send `request` (method, path, key, body) to the replicas, each to the next one in turn, as long as
    `goes_on`, by the number that it has sent and the last status. Returns the answers."""
    answers, lock, begin = [], threading.Lock(), threading.Barrier(clients)

    def client(number):
        connections = [http.client.HTTPConnection("127.0.0.1", replica.port, timeout=PATIENCE) for replica in replicas]
        begin.wait()
        sent, status = 0, None
        while goes_on(sent, status):
            answer = exchange(connections[(number + sent) % len(connections)], *request)
            sent, status = sent + 1, answer[0]
            with lock:
                answers.append(answer)
        for connection in connections:
            connection.close()
    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) >= clients, "a client failed"
    return answers


def statuses(answers):
    """How many answers have each status."""
    counts = {}
    for status, _, _ in answers:
        counts[status] = counts.get(status, 0) + 1
    return counts
