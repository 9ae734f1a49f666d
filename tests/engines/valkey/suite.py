"""Two replicas share the limits and revocations of keys by a real server: exact counts, faults, and clocks that differ."""

import json
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import bench
from replicas import PATIENCE, Replica, Server, Upstream, crowd, perform, statuses, wait_for

BINARY, VALKEY, *FLAGS = sys.argv[1:]
SHORT = "--short" in FLAGS
CHAT = "/v1/chat/completions"
# Dollars per million tokens of input: a request of 1,000 tokens costs a cent.
PRICE = 10
FAKETIME = next(iter(sorted(pathlib.Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))), None)
# The body of a request that is thought to take as much as it takes: a token for each four bytes.
CENT = 4_000


def chat(model, length=None):
    body = {"model": model, "messages": [{"role": "user", "content": "Is it?"}]}
    if length:
        body["messages"][0]["content"] += "x" * (length - len(json.dumps(body)))
        assert len(json.dumps(body)) == length
    return json.dumps(body)


class Stage:
    """A server, an upstream, the file of keys, and the replicas that a scenario starts."""

    def __init__(self, server, upstream):
        self.server, self.upstream, self.replicas = server, upstream, []
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.keys = self.folder / "data" / "keys.toml"

    def key(self, name, *limits):
        """The secret of a new key, which replicas that are started later know."""
        maker = Replica.__new__(Replica)
        maker.folder, maker.binary, maker.environment = self.folder, BINARY, {}
        return maker.whittle("keys", "create", name, *map(str, limits))

    def configuration(self, when_away="refuse", url=None, timeout=2_000, more="", kind="valkey", compress="enabled = false"):
        url = url or f"redis://127.0.0.1:{self.server.port}"
        return f"""
local.enabled = false
[proxy.compress]
{compress}
[shared]
kind = "{kind}"
url = "{url}"
timeout_ms = {timeout}
when_away = "{when_away}"
{more}
[[upstreams]]
name = "u"
dialect = "openai"
base_url = "{self.upstream.url()}"
api_key_env = "UPSTREAM_KEY"
prices = [{{ model = "*", input = {PRICE}.0, output = {PRICE}.0 }}]
"""

    def replica(self, environment=None, skew=None, **options):
        environment = {"UPSTREAM_KEY": "u", **(environment or {})}
        if skew:
            environment |= {"LD_PRELOAD": str(FAKETIME), "FAKETIME": skew, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        replica = Replica(BINARY, self.configuration(**options), self.keys, environment)
        self.replicas.append(replica)
        return replica

    def two(self, **options):
        return self.replica(**options), self.replica(**options)

    def bucket(self, name, key):
        """The share of a minute's worth that is free, and when it was."""
        free, at = self.server.ask("HMGET", f"whittle:{{{self.id(key)}}}:minute", name, f"{name}_at")
        return float(free), float(at)

    def spent(self, key):
        """Billionths of a dollar that all processes say the key has spent today."""
        fields = self.server.ask("HGETALL", f"whittle:{{{self.id(key)}}}:day")
        pairs = dict(zip(fields[::2], fields[1::2]))
        return sum(int(value.split()[1]) for name, value in pairs.items() if name != "day")

    def id(self, name):
        text = self.keys.read_text()
        return next(part.split('id = "')[1][:12] for part in text.split("[[keys]]") if f'name = "{name}"' in part)

    def close(self):
        for replica in self.replicas:
            replica.remove()
        shutil.rmtree(self.folder)


def times(number):
    """Says of each client of a crowd that it sends so many requests."""
    return lambda sent, _: sent < number


def same(found, expected, what):
    assert found == expected, f"{what}: {found}, expected {expected}"


def near(found, expected, what):
    assert abs(found - expected) < 1e-3, f"{what}: {found}, expected {expected}"


def counted_requests(stage, replicas, key, limit, seconds):
    """What comes in while 50 clients ask for more than there is: all that the bucket has by the server's clock, and no more."""
    request = ("GET", "/v1/collections", key)
    # So many that the bucket is not full again before the crowd comes.
    first = statuses(crowd(replicas, request, 10, times(limit // 50)))
    same(first, {200: limit // 50 * 10}, "requests while there is room")
    name = stage.names[key]
    free, at = stage.bucket("requests", name)
    end = time.monotonic() + seconds
    answers = crowd(replicas, request, 50, lambda _, status: time.monotonic() < end or status != 429)
    counts = statuses(answers)
    left, last = stage.bucket("requests", name)
    assert set(counts) == {200, 429}, counts
    expected = limit * (free - left + (last - at) / 60)
    near(counts[200], expected, f"admitted of {len(answers)} in {last - at:.1f} s")
    for status, headers, text in answers:
        assert status == 200 or (int(headers["retry-after"]) >= 1 and "requests per minute" in text), text
    return f"{counts[200]} of {len(answers)} requests admitted in {last - at:.2f} s by the server's clock, as many as the bucket has"


def requests(stage):
    """Requests a minute hold across replicas, exactly."""
    key = stage.key("requests", "--requests-per-minute", 600)
    few = stage.key("few", "--requests-per-minute", 2)
    stage.names = {key: "requests"}
    replicas = stage.two()
    report = counted_requests(stage, replicas, key, 600, 3 if SHORT else 6)
    # The 2 of a minute come back one in 30 seconds, which a crowd of 150 requests does not take.
    counts = statuses(crowd(replicas, ("GET", "/v1/collections", few), 50, times(3)))
    same(counts, {200: 2, 429: 148}, "requests with 2 a minute")
    return report


def tokens(stage):
    """Tokens are set aside and settled across replicas, exactly."""
    key = stage.key("tokens", "--tokens-per-minute", 60_000)
    replicas = stage.two()

    def settled(used):
        # What a request took is told within moments of its end.
        return lambda: abs(used - 60_000 * (full - stage.bucket("tokens", "tokens")[0]
                                            + (stage.bucket("tokens", "tokens")[1] - began) / 60)) < 1e-2
    # Half of a minute's worth, so that the bucket is not full again before the crowd comes.
    same(replicas[0].call("POST", CHAT, key, chat("m-20000-10000"))[0], 200, "a long request")
    wait_for("a long request is settled", lambda: stage.bucket("tokens", "tokens")[0] < 0.6)
    full, began = stage.bucket("tokens", "tokens")
    answers = crowd(replicas, ("POST", CHAT, key, chat("m-700-300")), 20, times(10))
    counts = statuses(answers)
    assert set(counts) == {200, 429}, counts
    wait_for(f"{counts} requests are settled", settled(counts[200] * 1_000))
    return f"{counts[200]:,} requests of 1,000 tokens admitted of {len(answers)}, and each token counted once"


def money(stage, skew=None):
    """Dollars a day are not exceeded across replicas, exactly."""
    name = f"money {skew}"
    key = stage.key(name, "--usd-per-day", 0.25)
    replicas = stage.replica(), stage.replica(skew=skew)
    request = ("POST", CHAT, key, chat("m-1000-0", CENT))
    answers = crowd(replicas, request, 50, times(3))
    same(statuses(answers), {200: 25, 429: 125}, "requests of a cent with 25 cents a day")
    assert all("dollars per day" in text for status, _, text in answers if status == 429)
    wait_for("25 cents are spent", lambda: stage.spent(name) == 250_000_000)
    return "25 requests of a cent, of 150, with 25 cents a day"


def clocks(stage):
    """A replica whose clock is off by a minute or a day lets in no more."""
    key = stage.key("clocks", "--requests-per-minute", 600)
    stage.names = {key: "clocks"}
    skewed = stage.replica(skew="+60s"), stage.replica(skew="-60s")
    admitted = counted_requests(stage, skewed, key, 600, 2)
    days = [money(stage, skew) for skew in ["+60s", "-60s", "+1d"]]
    # The clocks were off indeed.
    lines = [replica.lines().split("Z")[0] for replica in skewed]
    assert lines[0][:16] > lines[1][:16], lines
    return f"{admitted}; {len(days)} times {days[0]}"


def revocations(stage):
    """A key that one replica revokes is refused by the other within a second, also after the server lost its data."""
    admin = stage.key("admin", "--admin")
    secrets = [stage.key(f"staff {number}") for number in range(4)]
    first, second = stage.two()
    for secret in secrets:
        same([replica.call("GET", "/v1/collections", secret)[0] for replica in (first, second)], [200, 200], "valid keys")

    def refused(replica, secret):
        return lambda: replica.call("GET", "/v1/collections", secret)[0] == 401
    same(first.call("DELETE", "/v1/keys/staff%200", admin)[0], 200, "revoked over HTTP")
    _, by_http = wait_for("a key revoked over HTTP is refused", refused(second, secrets[0]), 1)
    second.whittle("keys", "revoke", "staff 1")
    _, by_command = wait_for("a key revoked by the command line is refused", refused(first, secrets[1]), 1)
    # What is revoked while the server is away is known soon after it is back, although it has lost all.
    stage.server.signal(signal.SIGKILL)
    first.whittle("keys", "revoke", "staff 2")
    stage.server.start()
    for replica in (first, second):
        wait_for("a replica is ready again", lambda: replica.call("GET", "/readyz")[0] == 200)
    wait_for("a key revoked meanwhile is refused", refused(second, secrets[2]), 2)
    # A replica that starts again knows all, also where nobody else does any more.
    first.stop()
    second.stop()
    stage.server.ask("FLUSHALL")
    second.start()
    for secret in secrets[:3]:
        assert refused(second, secret)(), "a revoked key is valid after a restart"
    same(second.call("GET", "/v1/collections", secrets[3])[0], 200, "a key that was not revoked")
    first.start()
    same(first.call("GET", "/v1/collections", secrets[3])[0], 200, "a key that was not revoked")
    return f"refused by the other replica after {by_http * 1000:.0f} ms (HTTP) and {by_command * 1000:.0f} ms (command line)"


def metric(replica, admin, name):
    text = replica.call("GET", "/metrics", admin)[2]
    return next(float(line.split()[1]) for line in text.splitlines() if line.startswith(name + " "))


def refusing(stage):
    """Where the server is away nobody is let in, and nothing that was spent is forgotten when it is back."""
    admin = stage.key("watcher", "--admin")
    spender = stage.key("spender", "--usd-per-day", 0.25)
    replicas = stage.two(timeout=300)
    request = ("POST", CHAT, spender, chat("m-1000-0", CENT))
    same(statuses(crowd(replicas, request, 50, times(1))), {200: 25, 429: 25}, "25 cents")
    wait_for("25 cents are spent", lambda: stage.spent("spender") == 250_000_000)
    same([metric(replica, admin, "whittle_shared_up") for replica in replicas], [1, 1], "whittle_shared_up")
    stage.server.signal(signal.SIGKILL)
    for replica in replicas:
        status, headers, text = replica.call(*request)
        assert status == 503 and headers["retry-after"] == "1" and "limits_unavailable" in text, (status, headers, text)
        wait_for("not ready", lambda: replica.call("GET", "/readyz")[0] == 503)
        text = replica.call("GET", "/readyz")[2]
        assert "shared_unavailable" in text and f"127.0.0.1:{stage.server.port} cannot be reached" in text, text
        same(replica.call("GET", "/healthz")[0], 200, "/healthz")
        same(metric(replica, admin, "whittle_shared_up"), 0, "whittle_shared_up")
        assert metric(replica, admin, "whittle_shared_errors_total") >= 1
        status = json.loads(replica.call("GET", "/v1/status", admin)[2])["shared"]
        assert not status["up"] and status["errors"] >= 1 and "cannot be reached" in status["reason"], status
    same(statuses(crowd(replicas, request, 20, times(2))), {503: 40}, "requests while the server is away")
    stage.server.start()
    for replica in replicas:
        wait_for("ready again", lambda: replica.call("GET", "/readyz")[0] == 200)
    wait_for("what was spent is told again", lambda: stage.spent("spender") == 250_000_000)
    same(statuses(crowd(replicas, request, 20, times(1))), {429: 20}, "requests when the money is spent")
    for replica in replicas:
        lines = replica.lines()
        same([lines.count("is away"), lines.count("connected to the state")], [1, 2], "lines of the log")
    # One that hangs keeps a request no longer than the time that it has.
    stage.server.signal(signal.SIGSTOP)
    start = time.monotonic()
    same(replicas[0].call(*request)[0], 503, "a server that hangs")
    took = time.monotonic() - start
    wait_for("not ready", lambda: replicas[0].call("GET", "/readyz")[0] == 503)
    stage.server.signal(signal.SIGCONT)
    wait_for("ready again", lambda: replicas[0].call("GET", "/readyz")[0] == 200)
    same(replicas[0].call(*request)[0], 429, "the money is spent still")
    assert took < 10, took
    return f"503 while it is away, {took * 1000:.0f} ms while it hangs, and 25 cents are spent still when it is back"


def counting_alone(stage):
    """Where replicas may count alone, each does so while the server is away, and what they took counts when it is back."""
    few = stage.key("alone", "--requests-per-minute", 2)
    spender = stage.key("alone spender", "--usd-per-day", 0.25)
    replicas = stage.two(when_away="local", timeout=300)
    request = ("POST", CHAT, spender, chat("m-1000-0", CENT))
    same(statuses(crowd(replicas, request, 10, times(1))), {200: 10}, "10 cents")
    stage.server.signal(signal.SIGKILL)
    for replica in replicas:
        wait_for("away", lambda: '"shared":"away"' in replica.call("GET", "/readyz")[2])
        same(replica.call("GET", "/readyz")[0], 200, "ready without the server")
        same(statuses(crowd([replica], ("GET", "/v1/collections", few), 10, times(1))), {200: 2, 429: 8},
             "requests with 2 a minute")
    # Each knows its own half of the 10 cents.
    halves = [statuses(crowd([replica], request, 50, times(1))) for replica in replicas]
    same(sum(counts[200] for counts in halves), 40, f"2 x 25 cents less the 10 that were spent: {halves}")
    stage.server.start()
    for replica in replicas:
        wait_for("up", lambda: '"shared":"up"' in replica.call("GET", "/readyz")[2])
    wait_for("50 cents are told", lambda: stage.spent("alone spender") == 500_000_000)
    same(statuses(crowd(replicas, request, 10, times(1))), {429: 10}, "requests when the money is spent")
    return "2 requests a minute and 25 cents on each replica while it is away; the 50 cents count when it is back"


def conversation(stage):
    """A conversation that changes replica keeps its prefix byte for byte, as far as texts are compressed."""
    settings = 'min_tokens = 50\nrate = 0.5\nmethod = "extractive"\n'
    quick, late = f"{settings}deadline_ms = 60000", f"{settings}deadline_ms = 1"
    key = stage.key("talk")
    text = " ".join(f"Pier {n} holds the boats of row {n + 3} and the ropes that were bought in {1900 + n}." for n in range(60))
    turn = {"role": "user", "content": f"{text}\n\nWhen was the rope of pier 7 bought?"}

    def sent(replica, *later):
        """The first message as the upstream gets it."""
        body = json.dumps({"model": "m-10-10", "messages": [turn, *later]})
        del stage.upstream.bodies[:]
        same(replica.call("POST", CHAT, key, body)[0], 200, "a turn")
        return json.loads(stage.upstream.bodies[-1])["messages"][0]["content"]
    first, second = stage.replica(compress=quick), stage.replica(compress=late)
    compressed = sent(first)
    assert len(compressed) < 0.8 * len(turn["content"]), compressed
    later = {"role": "assistant", "content": "In 1907."}, {"role": "user", "content": "And that of pier 8?"}
    same(sent(second, *later), compressed, "the first message by another replica")
    # Where it knows of no decision, one that has no time compresses nothing; and what it then decides holds for the other.
    stage.server.ask("FLUSHALL")
    third = stage.replica(compress=late)
    same(sent(third, *later), turn["content"], "the first message by a replica that cannot know")
    fourth = stage.replica(compress=quick)
    same(sent(fourth, *later), turn["content"], "the first message by a replica that has the time")
    return f"{len(turn['content'])} characters became {len(compressed)} on one replica, and were the same on another"


def starts(stage):
    """Faults of the configuration are named at the start, or by /readyz where they can be mended without another start."""
    stage.key("a")
    locked = Server(stage.server.program, "--requirepass", "right")
    address = f"redis://127.0.0.1:{locked.port}"
    wanted = 'password_env = "VALKEY_PASSWORD"'

    def readiness(**options):
        replica = stage.replica(**options)
        return replica.call("GET", "/readyz")
    try:
        for more, password in [("", None), (wanted, "wrong")]:
            status, _, text = readiness(url=address, more=more, environment={"VALKEY_PASSWORD": password or ""})
            assert status == 503 and "refuses the password" in text and "`shared.password_env`" in text, text
        status, _, text = readiness(url=address, more=wanted, environment={"VALKEY_PASSWORD": "right"})
        same((status, '"shared":"up"' in text), (200, True), "the right password")
        status, _, text = readiness(url=f"rediss://127.0.0.1:{locked.port}")
        assert status == 503 and "`rediss://` if, and only if, it speaks TLS" in text, text
    finally:
        locked.stop()
    stage.replicas[0].stop()
    for text, reason in [
        (stage.configuration(more=wanted), "VALKEY_PASSWORD, which is not set"),
        (stage.configuration(url="http://127.0.0.1:1"), "begins with `redis://`"),
        (stage.configuration(url="redis://me:secret@127.0.0.1"), "`shared.password_env`"),
    ]:
        file = stage.folder / "wrong.toml"
        file.write_text(text)
        ended = subprocess.run([BINARY, "serve", "--config", str(file), "--listen", "127.0.0.1:0"], capture_output=True,
                               text=True, timeout=PATIENCE, env={**stage.replicas[0].variables(), "VALKEY_PASSWORD": ""})
        assert ended.returncode != 0 and reason in ended.stderr and "secret@" not in ended.stderr, ended.stderr
    return "wrong passwords, addresses and TLS where there is none are named"


def encrypted(stage):
    """TLS works, and is asked for in the message where only it would."""
    stage.key("tls")
    folder = stage.folder
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-keyout", "key.pem", "-out", "cert.pem", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE"],
                   cwd=folder, check=True, capture_output=True)
    files = {name: str(folder / name) for name in ("cert.pem", "key.pem")}
    server = Server(stage.server.program, "--tls-cert-file", files["cert.pem"], "--tls-key-file", files["key.pem"],
                    "--tls-ca-cert-file", files["cert.pem"], "--tls-auth-clients", "no", tls=True)
    try:
        url = f"rediss://127.0.0.1:{server.port}"
        trusted = stage.replica(url=url, environment={"SSL_CERT_FILE": files["cert.pem"]})
        same(trusted.call("GET", "/readyz")[0], 200, "a server with TLS")
        status, _, text = stage.replica(url=url).call("GET", "/readyz")
        assert status == 503 and "cannot be reached" in text, text
        status, _, text = stage.replica(url=url.replace("rediss", "redis")).call("GET", "/readyz")
        assert status == 503 and "`rediss://` if, and only if, it speaks TLS" in text, text
    finally:
        server.stop()
    return "with a certificate that is trusted; without, and without TLS, the reason is named"


def run(name, program, scenarios):
    server, upstream = Server(program), Upstream()
    try:
        for scenario in scenarios:
            server.ask("FLUSHALL")
            perform(scenario, Stage(server, upstream), f"{name}, {scenario.__name__}")
    finally:
        server.stop()
        upstream.shutdown()


def main():
    if "--bench" in FLAGS:
        bench.run(VALKEY, Stage)
        return
    scenarios = [requests, tokens, money, conversation, revocations, refusing, counting_alone]
    if SHORT:
        run("Valkey", VALKEY, scenarios)
        return
    scenarios += [clocks, starts]
    run("Valkey", VALKEY, scenarios)
    # The wheel's Valkey has no TLS.
    run("Redis", shutil.which("redis-server"), [*scenarios, encrypted])


if __name__ == "__main__":
    main()
