"""Two replicas behind a balancer, one of which is killed again and again: nothing that was answered is lost or done twice."""

import http.client
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter

HERE = pathlib.Path(__file__).resolve()
sys.path.insert(0, str(HERE.parents[1] / "valkey"))

from replicas import PATIENCE, Replica, Server, Upstream, exchange, free_port, wait_for  # noqa: E402

BINARY, VALKEY, *FLAGS = sys.argv[1:]
SECONDS, EVERY = (60, 10) if "--short" in FLAGS else (600, 20)
CHAT = "/v1/chat/completions"
BALANCER = HERE.parents[3] / "packaging" / "replicas" / "haproxy.cfg"
# Requests a minute of the key that has a limit, and cents a day of the one that has money.
LIMIT, CENTS = 600, 25
TURNS = 6
# Seconds after a kill in which a request may begin and yet get an error: the balancer needs a check or two until it knows.
AFTER = 1.5


class Journal:
    """What clients saw, from all threads."""

    def __init__(self):
        self.lock = threading.Lock()
        self.answers, self.errors, self.kills, self.faults = [], [], [], []
        self.seen = Counter()

    def answer(self, id, status, what):
        with self.lock:
            self.answers.append((id, status))
            self.seen[what, status] += 1

    def error(self, start, what):
        with self.lock:
            self.errors.append((start, time.time(), what))

    def fault(self, what):
        with self.lock:
            self.faults.append(what)


class Client:
    """Sends requests by the balancer, each again under another id until it is answered."""

    def __init__(self, port, journal, name):
        self.port, self.journal, self.name, self.sent = port, journal, name, 0
        self.connection = None

    def ask(self, method, path, key, body=None, what="other"):
        while True:
            self.sent += 1
            id, start = f"{self.name}-{self.sent}", time.time()
            try:
                status, text = self.once(method, path, key, body, id)
            except (OSError, http.client.HTTPException) as error:
                self.connection = None
                self.journal.error(start, f"{what}: {error!r}")
            else:
                if status not in (502, 503, 504):
                    self.journal.answer(id, status, what)
                    return status, text
                self.journal.error(start, f"{what}: {status} {text[:200]}")
            time.sleep(0.05)

    def once(self, method, path, key, body, id):
        self.connection = self.connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        headers = {"authorization": f"Bearer {key}", "x-request-id": id}
        if body is not None:
            headers["content-type"] = "application/json"
        self.connection.request(method, path, body, headers)
        answer = self.connection.getresponse()
        return answer.status, answer.read().decode()


def body(messages, model="m-10-10", user="nobody"):
    return json.dumps({"model": model, "user": user, "messages": messages})


def talk(client, key, number):
    """A conversation, whose every turn goes to whichever replica the balancer chooses."""
    messages = []
    for turn in range(TURNS):
        piers = " ".join(f"Pier {n} of harbour {number} holds the boats of row {n + 3} and ropes that were bought in {1900 + n}."
                         for n in range(turn, turn + 40))
        text = f"{piers}\n\nWhen was the rope of pier {turn + 7} bought?"
        messages.append({"role": "user", "content": text})
        status, text = client.ask("POST", CHAT, key, body(messages, user=f"conversation {number}"), "talk")
        if status != 200:
            client.journal.fault(f"a turn got {status}: {text}")
        messages.append({"role": "assistant", "content": "In 1907."})


def check_prefixes(bodies):
    """Of each conversation, what the upstream got before begins what it gets later, byte for byte."""
    last, turns, shortened = {}, 0, 0
    for got in bodies:
        found = re.search(rb'"user": ?"conversation (\d+)"', got)
        if not found:
            continue
        turns += 1
        number, before = found[1], last.get(found[1], b"")
        # The same turn again, after a fault, is the same; a later one goes on where the messages before it end.
        assert got.startswith(before[:-2]), f"conversation {number}: {before[-300:]} is not the beginning of {got[:len(before)][-300:]}"
        last[number] = got
        shortened += len(json.loads(got)["messages"][0]["content"]) < 2000
    assert turns and shortened == turns, f"{shortened} of {turns} were compressed"
    return f"{turns} turns of {len(last)} conversations"


def ledger(replica, admin):
    """How often each request is in a replica's ledger."""
    found, after = Counter(), None
    while True:
        path = "/v1/usage?group_by=request&limit=1000" + (f"&after={after}" if after else "")
        status, _, text = replica.call("GET", path, admin)
        assert status == 200, text
        page = json.loads(text)
        found.update(line["request_id"] for line in page["requests"])
        assert not page["lost"], page["lost"]
        after = page.get("next")
        if not after:
            return found


class Stage:
    """Server, upstream, keys, two replicas and the balancer before them."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.server, self.upstream = Server(VALKEY), Upstream()
        maker = Replica.__new__(Replica)
        maker.folder, maker.binary, maker.environment = self.folder, BINARY, {}

        def key(name, *limits):
            return maker.whittle("keys", "create", name, *map(str, limits))
        self.admin, self.open = key("admin", "--admin"), key("open")
        self.limited = key("limited", "--requests-per-minute", LIMIT)
        self.money = key("money", "--usd-per-day", CENTS / 100)
        self.keys = self.folder / "data" / "keys.toml"
        self.replicas = [self.replica() for _ in range(2)]
        self.port = free_port()
        places = {name: f"127.0.0.1:{port}" for name, port in
                  [("FRONT", self.port), ("FIRST", self.replicas[0].port), ("SECOND", self.replicas[1].port)]}
        self.balancer = subprocess.Popen(["haproxy", "-db", "-q", "-f", str(BALANCER)], env={**os.environ, **places})
        wait_for("the balancer", self.balanced)

    def replica(self):
        return Replica(BINARY, f"""
local.enabled = false
[proxy.compress]
min_tokens = 50
rate = 0.5
method = "extractive"
deadline_ms = 60000
[shared]
kind = "valkey"
url = "redis://127.0.0.1:{self.server.port}"
[[upstreams]]
name = "u"
dialect = "openai"
base_url = "{self.upstream.url()}"
api_key_env = "UPSTREAM_KEY"
prices = [{{ model = "*", input = 10.0, output = 10.0 }}]
""", self.keys, {"UPSTREAM_KEY": "u"}, free_port())

    def balanced(self):
        assert self.balancer.poll() is None, "haproxy ended"
        try:
            return Client(self.port, Journal(), "ready").once("GET", "/readyz", self.open, None, "r")[0] == 200
        except OSError:
            return False

    def bucket(self):
        text = self.keys.read_text()
        id = next(part.split('id = "')[1][:12] for part in text.split("[[keys]]") if 'name = "limited"' in part)
        free, at = self.server.ask("HMGET", f"whittle:{{{id}}}:minute", "requests", "requests_at")
        return float(free), float(at)

    def kill(self, number, journal):
        """Ends a replica as a machine does that stops, and starts it again."""
        replica = self.replicas[number]
        start = time.time()
        replica.process.kill()
        replica.process.wait()
        replica.log.close()
        time.sleep(1)
        replica.start()
        wait_for("ready again", lambda: replica.call("GET", "/readyz")[0] == 200)
        journal.kills.append((start, time.time()))

    def close(self):
        self.balancer.terminate()
        self.balancer.wait()
        for replica in self.replicas:
            replica.remove()
        self.server.stop()
        self.upstream.shutdown()


def load(stage, journal, end):
    """Starts all clients, which send until `end`; returns their threads."""
    numbers = iter(range(1, 1_000_000))
    lock = threading.Lock()

    def goes_on():
        return time.monotonic() < end

    def conversations(client):
        while goes_on():
            with lock:
                number = next(numbers)
            talk(client, stage.open, number)

    def questions(client):
        while goes_on():
            client.ask("POST", CHAT, stage.open, body([{"role": "user", "content": "Is it?"}]), "question")

    def limits(client):
        while goes_on():
            client.ask("GET", "/v1/collections", stage.limited, what="limited")
            time.sleep(0.02)

    def spends(client):
        cent = body([{"role": "user", "content": "x" * 3_930}], "m-1000-0")
        while goes_on():
            client.ask("POST", CHAT, stage.money, cent, "cent")
            time.sleep(0.5)
    work = [(conversations, 3), (questions, 3), (limits, 3), (spends, 2)]
    threads = []
    for what, count in work:
        for number in range(count):
            client = Client(stage.port, journal, f"{what.__name__}-{number}")
            threads.append(threading.Thread(target=guarded, args=(what, client, journal)))
    for thread in threads:
        thread.start()
    return threads


def guarded(what, client, journal):
    try:
        what(client)
    except BaseException as error:
        journal.fault(f"{client.name}: {error!r}")
        raise


def check(stage, journal, before, after):
    assert not journal.faults, journal.faults
    # A machine that is too busy for Valkey to answer in time refuses requests, and says so in its log.
    busy = [error for error in journal.errors if "limits_unavailable" in error[2]]
    assert not busy or any("is away" in replica.lines() for replica in stage.replicas), busy[:5]
    stray = [error for error in journal.errors if error not in busy
             and not any(error[0] <= kill[0] + AFTER and error[1] >= kill[0] for kill in journal.kills)]
    assert not stray, f"errors away from kills: {stray[:5]}"
    entries = [ledger(replica, stage.admin) for replica in stage.replicas]
    both = sum(entries, Counter())
    twice = [id for id, times in both.items() if times > 1]
    assert not twice, f"in the ledgers more than once: {twice[:5]}"
    proxied = [id for id, status in journal.answers if status == 200 and not id.startswith("limits")]
    lost = [id for id in proxied if id not in both]
    assert not lost, f"{len(lost)} of {len(proxied)} answered requests are in no ledger: {lost[:5]}"
    admitted, bucket = journal.seen["limited", 200], LIMIT * (before[0] - after[0] + (after[1] - before[1]) / 60)
    assert admitted <= bucket + 1e-3, f"{admitted} requests admitted, {bucket} in the bucket"
    cents = journal.seen["cent", 200]
    assert cents <= CENTS, f"{cents} cents of {CENTS}"
    refused = {status for (_, status) in journal.seen} - {200, 429}
    assert not refused, journal.seen
    print(f"{len(journal.kills)} kills in {SECONDS} s; {len(journal.answers):,} answers, "
          f"{len(journal.errors) - len(busy)} errors, all around kills, and {len(busy)} refused as Valkey was late")
    print(f"ledgers: {len(proxied):,} answered requests, each once ({sum(both.values()):,} entries)")
    print(f"limits: {admitted:,} requests admitted of {bucket:,.1f} in the bucket; {cents} of {CENTS} cents")
    print(f"prefixes: {check_prefixes(stage.upstream.bodies)}, each the beginning of the next byte for byte", flush=True)


def main():
    stage, journal = Stage(), Journal()
    try:
        first = Client(stage.port, Journal(), "first")
        for _ in range(LIMIT // 5):
            first.ask("GET", "/v1/collections", stage.limited)
        before = stage.bucket()
        end = time.monotonic() + SECONDS
        threads = load(stage, journal, end)
        number = 0
        while time.monotonic() + EVERY < end:
            time.sleep(EVERY)
            stage.kill(number % 2, journal)
            number += 1
        for thread in threads:
            thread.join()
        check(stage, journal, before, stage.bucket())
    except BaseException:
        for replica in stage.replicas:
            print(replica.lines(), file=sys.stderr)
        raise
    finally:
        stage.close()


if __name__ == "__main__":
    main()
