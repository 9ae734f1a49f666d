"""The ledger and the proxy's decisions, which two replicas share by PostgreSQL alone, without Valkey."""

import http.client
import json
import threading
import time
from collections import Counter

from stage import FLAGS, Checked, call, same
from replicas import PATIENCE, Upstream, wait_for

SHORT = "--short" in FLAGS
CHAT = "/v1/chat/completions"
# Ends of a process under load, and right behind the last byte of an answer.
KILLS, LAST_BYTES = (4, 5) if SHORT else (12, 25)


def settings(upstream, deadline=60_000):
    return f"""
[proxy.compress]
min_tokens = 50
rate = 0.5
method = "extractive"
deadline_ms = {deadline}
[[upstreams]]
name = "u"
dialect = "openai"
base_url = "{upstream.url()}"
api_key_env = "DATABASE_PASSWORD"
prices = [{{ model = "*", input = 10.0, output = 10.0 }}]
"""


def body(*messages):
    return json.dumps({"model": "m-10-10", "messages": messages})


def ask(replica, id):
    """The status of one small request under an id, once all of its answer has come; 0 where it broke off."""
    connection = http.client.HTTPConnection("127.0.0.1", replica.port, timeout=PATIENCE)
    try:
        connection.request("POST", CHAT, body({"role": "user", "content": "Is it?"}),
                           {"x-request-id": id, "content-type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        return answer.status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def booked(replica):
    """How often each request is in the ledger, by its id."""
    found, after = Counter(), ""
    while True:
        page = call(replica, "GET", f"/v1/usage?group_by=request&limit=1000{after}")
        found.update(line["request_id"] for line in page["requests"])
        same(page["lost"], 0, "entries that were lost")
        if not page.get("next"):
            return found
        after = f"&after={page['next']}"


def end(replica):
    """Ends a replica as a machine does that stops."""
    replica.process.kill()
    replica.process.wait()
    replica.log.close()


def ledger(stage):
    """Each request that was answered is in the one ledger once, whatever is killed or restarted."""
    upstream = Upstream()
    replicas = [stage.replica(more=settings(upstream)) for _ in range(2)]
    answered, lock, over = [], threading.Lock(), threading.Event()

    def client(number):
        sent = 0
        while not over.is_set():
            sent += 1
            id = f"load-{number}-{sent}"
            status = ask(replicas[(number + sent) % 2], id)
            assert status in (0, 200), (id, status)
            if status == 200:
                with lock:
                    answered.append(id)
            else:
                time.sleep(0.05)
    threads = [Checked(target=client, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    try:
        for number in range(KILLS):
            before = len(answered)
            wait_for("answers", lambda: len(answered) > before + 20)
            end(replicas[number % 2])
            if number == KILLS // 2:
                # The database goes as well, and answers go on without it.
                stage.server.stop("immediate")
                before = len(answered)
                wait_for("answers without the database", lambda: len(answered) > before + 20)
                status, headers, text = replicas[1 - number % 2].call("GET", "/v1/usage")
                assert status == 503 and headers["retry-after"] == "1" and "store_unavailable" in text, text
                stage.server.start()
            replicas[number % 2].start()
    finally:
        over.set()
    for thread in threads:
        thread.join()
    for number in range(LAST_BYTES):
        id = f"last-{number}"
        same(ask(replicas[0], id), 200, "an answer")
        end(replicas[0])
        answered.append(id)
        replicas[0].start()
    once(answered, replicas)
    found = json.loads(replicas[1].whittle("usage", "--format", "json"))
    total = stage.server.ask(f"SELECT count(*), sum(cost) FROM {stage.schema}.ledger").split("|")
    same((found["total"]["requests"], round(found["total"]["cost_usd"] * 1e9)), (int(total[0]), int(total[1])), "the whole ledger")
    metrics = wait_for("an empty outbox", lambda: 'whittle_queue_depth{queue="ledger"} 0' in replicas[0].call("GET", "/metrics")[2])
    assert metrics
    upstream.shutdown()
    return (f"{len(answered)} answered requests each once in one ledger of {total[0]} entries, with {KILLS} kills under load, one together "
            f"with PostgreSQL, and {LAST_BYTES} right behind the last byte; {budget(stage)}")


def once(answered, replicas):
    """Both replicas have each request once."""
    missing = lambda found: [id for id in answered if id not in found]
    # What the other one has answered a moment ago comes within its next round.
    wait_for("entries of the other replica", lambda: not any(missing(booked(replica)) for replica in replicas), 5)
    entries = [booked(replica) for replica in replicas]
    same(entries[0], entries[1], "the ledger by the other replica")
    twice = [id for id, times in entries[0].items() if times > 1]
    assert not twice, f"in the ledger more than once: {twice[:5]}"


def budget(stage):
    """What a key has spent by one replica counts where another one starts."""
    upstream = Upstream()
    first = stage.replica(more=settings(upstream))
    key = first.whittle("keys", "create", "spender", "--usd-per-day", "0.0003")
    wait_for("a key to be needed", lambda: first.call("GET", "/v1/evaluations")[0] == 401)
    # 20 tokens at 10 millionths of a dollar.
    statuses = [first.call("POST", CHAT, key, body({"role": "user", "content": "Is it?"}))[0] for _ in range(4)]
    same(statuses, [200, 200, 429, 429], "requests of 200 millionths of a dollar")
    spent = f"SELECT count(*) FROM {stage.schema}.ledger WHERE key IS NOT NULL"
    wait_for("the entries", lambda: stage.server.ask(spent) == "2")
    second = stage.replica(more=settings(upstream))
    same(second.call("POST", CHAT, key, body({"role": "user", "content": "Is it?"}))[0], 429, "a request on a new replica")
    upstream.shutdown()
    return "a key's money that one replica spent was spent where another started"


def decisions(stage):
    """A conversation that changes replica keeps its prefix byte for byte."""
    upstream = Upstream()
    quick, late = settings(upstream), settings(upstream, 1)
    text = " ".join(f"Pier {n} holds the boats of row {n + 3} and the ropes that were bought in {1900 + n}." for n in range(60))

    def turn(number):
        return {"role": "user", "content": f"Report {number}. {text}\n\nWhen was the rope of pier 7 bought?"}

    def sent(replica, first, *later):
        """The first message as the upstream gets it."""
        del upstream.bodies[:]
        status, _, answer = replica.call("POST", CHAT, body=body(first, *later))
        same(status, 200, answer)
        return json.loads(upstream.bodies[-1])["messages"][0]["content"]
    later = {"role": "assistant", "content": "In 1907."}, {"role": "user", "content": "And that of pier 8?"}
    # One that has no time compresses nothing that it does not know.
    first, second = stage.replica(more=quick), stage.replica(more=late)
    compressed = sent(first, turn(1))
    assert len(compressed) < 0.8 * len(turn(1)["content"]), compressed
    same(sent(second, turn(1), *later), compressed, "the first message by another replica")
    same(sent(second, turn(2)), turn(2)["content"], "a message that the other replica has no time for")
    same(sent(first, turn(2), *later), turn(2)["content"], "that message by the replica that has the time")
    # Right behind the answer, and with the database restarted, it is there still.
    compressed = sent(first, turn(3))
    end(first)
    stage.server.stop("immediate")
    same(sent(second, turn(4)), turn(4)["content"], "a turn while the database is away")
    failed = "whittle_decisions_errors_total 0"
    wait_for("a count", lambda: failed not in second.call("GET", "/metrics")[2])
    stage.server.start()
    wait_for("recovery", lambda: second.call("GET", "/readyz")[0] == 200)
    same(sent(second, turn(3), *later), compressed, "the first message by another replica after a kill")
    rows = stage.server.ask(f"SELECT count(*), max(length(value)) FROM {stage.schema}.decisions").split("|")
    assert int(rows[0]) >= 3, rows
    upstream.shutdown()
    return f"{len(turn(3)['content'])} characters became {len(compressed)} on one replica, and were the same on another, also after a kill"
