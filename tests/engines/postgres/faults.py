"""Faults of PostgreSQL that take more than a restart: a migration that ends half way, a full disk, transactions that go on
elsewhere, and connections that others took. A part of the suite, which imports it."""

import os
import pathlib
import socket
import struct
import subprocess
import time

from __main__ import BINARY, COLLECTION, Checked, call, documents, same, search, store, whole
from server import NOBODY
from replicas import wait_for

# A key of advisory locks that nobody else uses.
LOCK = 4217
CONNECTED = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'whittle'"
WAITS_FOR_LOCK = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name = 'whittle'"


def metric(replica, name, labels=""):
    """The value of a metric, as /metrics tells it."""
    lines = replica.call("GET", "/metrics")[2].splitlines()
    found = [line.rsplit(" ", 1)[1] for line in lines if line.startswith(f"{name}{labels} ")]
    assert len(found) == 1, (name, labels, lines)
    return float(found[0])


def begin(stage):
    """Starts a replica, and does not wait until it listens."""
    folder = pathlib.Path(stage.server.folder) / "cut"
    (folder / "data").mkdir(parents=True)
    (folder / "whittle.toml").write_text(stage.configuration())
    variables = {**os.environ, "WHITTLE_DATA_DIR": str(folder / "data"), "DATABASE_PASSWORD": stage.server.password}
    command = [BINARY, "serve", "--config", str(folder / "whittle.toml"), "--listen", "127.0.0.1:0"]
    return subprocess.Popen(command, cwd=folder, env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def half_migrated(stage):
    """A replica is killed, and PostgreSQL too, when half of the tables are made: nothing of it stays, and the next makes all."""
    server, outcome = stage.server, []
    server.ask(f"""CREATE FUNCTION public.waits() RETURNS event_trigger LANGUAGE plpgsql AS $$
        BEGIN IF to_regclass('{stage.schema}.collections') IS NOT NULL THEN PERFORM pg_advisory_xact_lock({LOCK}); END IF; END $$;
        CREATE EVENT TRIGGER waits ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION public.waits()""")
    tables = f"SELECT count(*) FROM pg_tables WHERE schemaname = '{stage.schema}'"
    try:
        session = server.hold(f"SELECT pg_advisory_xact_lock({LOCK})")
        killed = begin(stage)
        wait_for("a migration that is half way", lambda: server.ask(WAITS_FOR_LOCK) == "1")
        killed.kill()
        killed.wait()
        session.kill()
        session.wait()
        wait_for("the end of its connection", lambda: server.ask(CONNECTED) == "0")
        same(server.ask(tables), "0", "tables after a migration that was cut off")

        session = server.hold(f"SELECT pg_advisory_xact_lock({LOCK})")
        starting = Checked(target=lambda: outcome.append(stage.replica()))
        starting.start()
        wait_for("a migration that is half way", lambda: server.ask(WAITS_FOR_LOCK) == "1")
        server.stop("immediate")
        session.kill()
        session.wait()
        server.start()
        starting.join()
        wait_for("recovery", lambda: outcome[0].call("GET", "/readyz")[0] == 200)
    finally:
        server.ask("DROP EVENT TRIGGER waits; DROP FUNCTION public.waits()")
    running = outcome[0]
    steps = server.ask(f"SELECT count(*), max(number) FROM {stage.schema}.migrations").split("|")
    same(steps[0], steps[1], "steps")
    call(running, "PUT", COLLECTION, {}, 201)
    store(running, documents(5))
    same(len(search(running, "harbour", top_k=5)), 5, "results")
    return "a replica and PostgreSQL were killed when half of the tables were made; nothing stayed of it, and all were made then"


def elsewhere(stage):
    """A transaction that reads goes on elsewhere: searches and batches do not wait, a deletion waits its time and no longer."""
    replica = stage.replica(timeout_ms=2_000)
    call(replica, "PUT", COLLECTION, {}, 201)
    store(replica, documents(40))
    session = stage.server.hold(f"SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM {stage.schema}.documents_1")
    for number in range(5):
        store(replica, documents(20, seed=number, start=number * 20))
        same(len(search(replica, "harbour", top_k=5)), 5, "results while a transaction goes on")
    call(replica, "POST", f"{COLLECTION}/delete", {"ids": ["d3"]})
    before = metric(replica, "whittle_store_errors_total", '{reason="late"}')
    start = time.monotonic()
    status, headers, text = call(replica, "DELETE", COLLECTION, wanted=None)
    took = time.monotonic() - start
    assert status == 503 and headers["retry-after"] == "1" and "2000 ms" in text, (status, text)
    assert 1.5 < took < 10, took
    same(metric(replica, "whittle_store_errors_total", '{reason="late"}'), before + 1, "late transactions")
    same(call(replica, "GET", COLLECTION)["documents"], 99, "documents after a deletion that came to nothing")
    same(len(search(replica, "harbour", top_k=5)), 5, "results")
    session.kill()
    session.wait()
    wait_for("the deletion", lambda: replica.call("DELETE", COLLECTION)[0] == 204)
    same(stage.server.ask(f"SELECT count(*) FROM pg_tables WHERE schemaname = '{stage.schema}' AND tablename LIKE '%\\_1'"), "0", "tables left")
    return f"batches and searches went on; a deletion got 503 after {took:.1f} s, took nothing with it, and went through afterwards"


class SmallDisk:
    """A file system of its own for new tables, of so many megabytes. It takes the right to mount."""

    def __init__(self, server, megabytes):
        self.server, self.folder = server, pathlib.Path(server.folder) / "small"
        self.folder.mkdir()
        self.mount(f"size={megabytes}m,mode=700,uid={NOBODY},gid={NOBODY}")
        server.ask(f"CREATE TABLESPACE small LOCATION '{self.folder}'")
        server.ask("ALTER ROLE app SET default_tablespace = small")

    def mount(self, options):
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(self.folder)], check=True)

    def grow(self, megabytes):
        self.mount(f"remount,size={megabytes}m")

    def free(self):
        found = os.statvfs(self.folder)
        return found.f_bavail * found.f_frsize

    def remove(self, schema):
        try:
            self.server.ask("ALTER ROLE app RESET default_tablespace")
            self.server.ask(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
            # What was dropped is gone with the next checkpoint.
            self.server.ask("CHECKPOINT")
            self.server.ask("DROP TABLESPACE small")
        finally:
            subprocess.run(["umount", "-l", str(self.folder)], check=True)


def full(stage):
    """The disk of PostgreSQL runs full: batches are refused by name, whole, searches go on, and room is all that it takes."""
    disk = SmallDisk(stage.server, 6)
    try:
        replica = stage.replica()
        call(replica, "PUT", COLLECTION, {}, 201)
        outcomes, each, refused = [], 50, None
        for number in range(200):
            some = documents(each, seed=number, start=number * each)
            status, _, text = call(replica, "POST", f"{COLLECTION}/documents", {"documents": some}, wanted=None)
            outcomes.append((number, status))
            if status != 200:
                refused = text
                break
        assert refused and status == 503 and "disk_failed" in refused and "full" in refused, (status, refused)
        stored = len(outcomes) - 1
        assert stored > 2, outcomes
        same(call(replica, "GET", "/readyz")["postgres"], "up", "readiness")
        same(len(search(replica, "harbour", top_k=5)), 5, "results on a full disk")
        assert metric(replica, "whittle_store_errors_total", '{reason="full"}') >= 1
        whole(stage, replica, outcomes, each)
        disk.grow(64)
        store(replica, documents(each, seed=stored, start=stored * each))
        whole(stage, replica, [(number, 200) for number in range(stored + 1)], each)
        replica.stop()
    finally:
        disk.remove(stage.schema)
    return f"{stored} batches were stored in 6 MB, the next got 503 and left nothing, searches went on, and with room it was stored"


def crowded(stage):
    """Others take all connections that PostgreSQL has: 503 with `retry-after` for who has none, and recovery without a restart."""
    running = stage.replica(pool=2, wait_ms=2_000)
    call(running, "PUT", COLLECTION, {}, 201)
    store(running, documents(10))
    startup = b"user\0app\0database\0whittle\0\0"
    startup = struct.pack("!ii", len(startup) + 8, 196_608) + startup
    others, refused = [], False
    while not refused:
        assert len(others) < 500, "the server takes any number of connections"
        other = socket.create_connection(("127.0.0.1", stage.server.port), 10)
        other.sendall(startup)
        # It asks for the password, or says that there are too many.
        refused = other.recv(1) != b"R"
        others.append(other)
    # The replica that runs has its connections; one that starts gets none.
    same(call(running, "GET", COLLECTION)["documents"], 10, "documents")
    late = stage.replica(pool=2, wait_ms=500)
    start = time.monotonic()
    status, headers, text = call(late, "GET", "/v1/collections", wanted=None)
    # It has not seen the keys yet, so that it lets nobody in.
    assert status == 503 and headers["retry-after"] == "1" and "keys_unavailable" in text, text
    took = time.monotonic() - start
    assert took < 10, took
    status, _, text = late.call("GET", "/readyz")
    assert status == 503 and "too many clients" in text, text
    for other in others:
        other.close()
    wait_for("recovery", lambda: late.call("GET", "/readyz")[0] == 200)
    same(call(late, "GET", COLLECTION)["documents"], 10, "documents")
    same(metric(late, "whittle_store_up"), 1.0, "whittle_store_up")
    return f"with {len(others) - 1} connections taken, a replica that started got 503 within {took:.1f} s, and was ready once they were free"


def measured(stage):
    """/metrics and /v1/status tell of connections, waiting requests, times and errors."""
    replica = stage.replica(pool=2, wait_ms=20_000, timeout_ms=60_000)
    call(replica, "PUT", COLLECTION, {}, 201)
    store(replica, documents(10))
    search(replica, "harbour")
    same(metric(replica, "whittle_store_up"), 1.0, "whittle_store_up")
    count = lambda access: metric(replica, "whittle_store_transaction_seconds_count", f'{{access="{access}"}}')
    reads, writes = count("read"), count("write")
    assert reads >= 1 and writes >= 2, (reads, writes)
    search(replica, "harbour")
    assert count("read") > reads, "a search that is counted"
    same(metric(replica, "whittle_store_transaction_seconds_bucket", '{le="+Inf",access="write"}'), count("write"), "the last bucket")
    assert metric(replica, "whittle_store_transaction_seconds_sum", '{access="read"}') > 0
    session = stage.server.hold(f"SELECT FROM {stage.schema}.collections FOR UPDATE")
    threads = [Checked(target=lambda: call(replica, "POST", f"{COLLECTION}/delete", {"ids": ["d1"]}, wanted=None)) for _ in range(2)]
    for thread in threads:
        thread.start()
    # One has the connection for batches, and the other waits for it.
    waiting = lambda: (metric(replica, "whittle_store_connections", '{state="in_use"}') >= 1
                       and metric(replica, "whittle_store_waiting") == 1)
    wait_for("a request that waits", waiting)
    told = call(replica, "GET", "/v1/status")["database"]
    same((told["up"], told["waiting"], told["errors"]), (True, 1, 0), "the status")
    session.kill()
    session.wait()
    for thread in threads:
        thread.join()
    wait_for("nobody who waits", lambda: metric(replica, "whittle_store_waiting") == 0)
    stage.server.stop()
    wait_for("away", lambda: metric(replica, "whittle_store_up") == 0)
    call(replica, "GET", COLLECTION, wanted=503)
    assert metric(replica, "whittle_store_errors_total", '{reason="unreachable"}') >= 1
    stage.server.start()
    wait_for("recovery", lambda: metric(replica, "whittle_store_up") == 1)
    return "connections, waiting requests, times and errors are told as they are"


FAULTS = [half_migrated, elsewhere, full, crowded, measured]
