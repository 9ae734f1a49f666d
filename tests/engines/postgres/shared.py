"""Keys that two replicas share by PostgreSQL alone, without Valkey."""

import json
import threading
import time

from stage import Checked, same
from replicas import wait_for

# A key that is let in gets 200 if it is an administrator's, else 403; one that is not gets 401.
ANY = ("GET", "/v1/evaluations")


def with_key(replica, method, path, key, body=None):
    status, headers, text = replica.call(method, path, key, None if body is None else json.dumps(body))
    return status, headers, text


def made(replica, admin, name, **policy):
    """The secret of a new key."""
    status, _, text = with_key(replica, "POST", "/v1/keys", admin, {"name": name, **policy})
    assert status == 201, text
    return json.loads(text)["secret"]


def admits(replica, key):
    """Whether a key is let in; anything but that and a refusal is a fault."""
    status, _, text = replica.call(*ANY, key)
    assert status in (200, 401, 403), (status, text)
    return status != 401


def keys(stage):
    """A key that is made on one replica holds on the other at once, one that is revoked is refused within a second."""
    first, second = stage.replica(), stage.replica()
    assert admits(first, None) and admits(second, None), "nobody needs a key yet"
    admin = first.whittle("keys", "create", "admin", "--admin")
    for replica in (first, second):
        wait_for("a key to be needed", lambda: not admits(replica, None), 1)
    longest = 0
    for number in range(10):
        # At once, whichever of both made it.
        one, other = (first, second) if number % 2 else (second, first)
        key = made(one, admin, f"key {number}", requests_per_minute=100_000)
        assert admits(other, key) and admits(one, key), number
        if number < 5:
            same(with_key(one, "DELETE", f"/v1/keys/key%20{number}", admin)[0], 200, "a revocation")
            assert not admits(one, key), "a key that this replica has revoked"
        else:
            first.whittle("keys", "revoke", f"key {number}")
        longest = max([longest, *(wait_for("a refusal", lambda: not admits(replica, key), 1)[1] for replica in (one, other))])
    guess = time.monotonic()
    assert not admits(first, "whittle-" + "0" * 64)
    guess = time.monotonic() - guess
    one_of_many(stage, first, second, admin)
    moved(stage, first, admin)
    return (f"keys held on the other replica at once and were refused within {longest:.2f} s; an unknown one within {guess:.2f} s; "
            f"{away(stage, second, admin)}; the step from 1 made the tables beside a collection, which stayed")


def one_of_many(stage, first, second, admin):
    """Of two keys of one name that are made at the same time there is one."""
    statuses, begin = [], threading.Barrier(2)

    def create(replica):
        begin.wait()
        statuses.append(with_key(replica, "POST", "/v1/keys", admin, {"name": "twin"})[0])
    for _ in range(5):
        statuses.clear()
        threads = [Checked(target=create, args=(replica,)) for replica in (first, second)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        same(sorted(statuses), [201, 400], "answers to two of one name")
        first.whittle("keys", "revoke", "twin")
    text = stage.server.ask(f"SELECT * FROM {stage.schema}.keys")
    assert admin.removeprefix("whittle-") not in text, "a secret is in the database"


def moved(stage, replica, admin):
    """All keys go to the data folder and back, and a database that had only collections gets the tables of keys."""
    listed = replica.whittle("keys", "list", "--format", "json")
    replica.whittle("keys", "copy", "--from", "postgres", "--to", "local")
    replica.environment["WHITTLE_STORE_KIND"] = "local"
    same(replica.whittle("keys", "list", "--format", "json"), listed, "keys in the data folder")
    del replica.environment["WHITTLE_STORE_KIND"]
    older = stage.schema + "_older"
    replica.environment["WHITTLE_STORE_SCHEMA"] = older
    replica.whittle("index", "create", "kept")
    # As the first version left it.
    tables = stage.server.ask(f"SELECT string_agg(format('%I.%I', schemaname, tablename), ', ') FROM pg_tables WHERE schemaname = '{older}' "
                              "AND tablename !~ '^(collections|migrations|(documents|chunks|words|counts)_.*)$'")
    stage.server.ask(f"DROP TABLE {tables}; DELETE FROM {older}.migrations WHERE number > 1")
    replica.whittle("keys", "copy", "--from", "local", "--to", "postgres")
    same(replica.whittle("keys", "list", "--format", "json"), listed, "keys that were copied back")
    assert "kept" in replica.whittle("index", "list")
    del replica.environment["WHITTLE_STORE_SCHEMA"]
    assert admits(replica, admin)


def away(stage, replica, admin):
    """While the database is away, keys that are known hold for a while, and then nothing is let in."""
    brief = stage.replica(more="[keys]\nstale_ms = 2000")
    key = made(replica, admin, "lasting")
    assert admits(brief, key)
    stage.server.stop()
    start = time.monotonic()
    try:
        assert admits(brief, key) and admits(replica, key), "a known key"

        def unchecked(replica, key, path=ANY[1]):
            status, headers, text = replica.call("GET", path, key)
            assert status in (200, 401, 403, 503), (status, text)
            return status == 503 and "keys_unavailable" in text and headers["retry-after"] == "1"
        for replica_ in (brief, replica):
            wait_for("an unknown key that cannot be checked", lambda: unchecked(replica_, "whittle-" + "1" * 64))
        _, held = wait_for("an end", lambda: unchecked(brief, key))
        held = time.monotonic() - start
        assert held > 1.5, held
        assert admits(replica, key), "30 seconds are not over"
        status, _, text = brief.call("GET", "/metrics", admin)
        assert status == 200 and "whittle_keys_up 0" in text and "whittle_keys_errors_total" in text, text
        # One that starts now knows of no key, and lets nobody in, whoever it is.
        new = stage.replica()
        for key_ in (None, key, admin):
            assert unchecked(new, key_), "a replica that knows no key"
        assert "PostgreSQL" in new.call("GET", "/readyz")[2]
    finally:
        stage.server.start()
    for replica_ in (brief, replica, new):
        wait_for("recovery", lambda: replica_.call(*ANY, key)[0] == 403)
        assert not admits(replica_, None)
    lines = [line for line in brief.lines().splitlines() if "keys that are known stay valid" in line]
    same(len(lines), 1, "lines of the log")
    return f"while the database was away a known key held for {held:.1f} s of 2"
