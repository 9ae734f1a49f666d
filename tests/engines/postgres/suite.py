"""Two replicas on one real PostgreSQL: what one stores the other finds, filters agree with the local store, and faults."""

import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import threading
import time
from http.client import HTTPException

import bench
import proxied
import shared
from server import Server
from stage import BINARY, FLAGS, INSTALLED, VALKEY, Checked, Stage, call, same
from replicas import PATIENCE, crowd, perform, statuses, wait_for
from replicas import Server as Valkey

SHORT = "--short" in FLAGS
# The steps that make tables, and the tables that there are with one bank of examples.
STEPS, TABLES = "4", "10"
COLLECTION = "/v1/collections/c"
WORDS = ("harbour bridge ferry pilot anchor rope crane quay lock canal tide mast cargo chart compass buoy beacon dock pier "
         "hull keel sail winch barge tug customs warehouse gull storm fog signal lamp captain crew ledger toll").split()


def sentences(chance, number):
    return " ".join(" ".join(chance.choice(WORDS) for _ in range(8)).capitalize() + "." for _ in range(number))


def documents(number, seed=1, start=0):
    chance = random.Random(seed)
    return [{"id": f"d{start + i}", "title": f"Report {start + i}", "text": f"Entry {start + i}. {sentences(chance, 4)}",
             "metadata": {"number": start + i, "even": (start + i) % 2 == 0}} for i in range(number)]


def store(replica, some, collection=COLLECTION):
    return call(replica, "POST", f"{collection}/documents", {"documents": some})


def search(replica, query, collection=COLLECTION, **options):
    return call(replica, "POST", f"{collection}/search", {"query": query, **options})["results"]


def ids(results):
    return [result["document_id"] for result in results]


def migrations(stage):
    """Replicas that start at once on an empty database make the tables once, and one that is too old says so."""
    replicas, threads = [], []
    for _ in range(2):
        threads.append(Checked(target=lambda: replicas.append(stage.replica())))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for replica in replicas:
        same(call(replica, "GET", "/readyz")["postgres"], "up", "the database")
    same(len(replicas), 2, "replicas")
    same(stage.server.ask(f"SELECT max(number) FROM {stage.schema}.migrations"), STEPS, "steps")
    made = sum(replica.lines().count("made tables in PostgreSQL") for replica in replicas)
    same(made, int(STEPS), "steps that replicas made")
    # One that ends half way leaves nothing behind.
    stage.server.ask(f"DROP SCHEMA {stage.schema} CASCADE; CREATE SCHEMA {stage.schema}; "
                     f"CREATE TABLE {stage.schema}.collections (taken integer)")
    status, _, text = call(stage.replica(), "GET", "/readyz", wanted=None)
    assert status == 503 and "already exists" in text, text
    same(stage.server.ask(f"SELECT count(*) FROM pg_tables WHERE schemaname = '{stage.schema}'"), "1", "tables")
    stage.server.ask(f"DROP TABLE {stage.schema}.collections")
    wait_for("recovery", lambda: stage.replicas[-1].call("GET", "/readyz")[0] == 200)
    # Also one that runs already.
    running = stage.replicas[-1]
    stage.server.ask(f"INSERT INTO {stage.schema}.migrations VALUES (99)")
    status, _, text = call(stage.replica(), "GET", "/readyz", wanted=None)
    assert status == 503 and "have the version 99" in text, text

    def refuses():
        status, _, text = running.call("GET", "/readyz")
        return status == 503 and "have the version 99" in text
    wait_for("a running replica that is too old", refuses)
    return "two replicas made the tables once; an unfinished step left nothing; a newer version is refused, also by a replica that runs"


def sharing(stage):
    """All routes, each step on the other replica than the one before."""
    first, second = stage.replica(), stage.replica()
    same(call(first, "GET", "/v1/collections")["collections"], [], "collections")
    call(first, "PUT", COLLECTION, {}, 201)
    call(second, "PUT", COLLECTION, {}, 200)
    call(second, "PUT", COLLECTION, {"chunking": {"tokens": 64, "overlap": 8}}, 409)
    some = documents(40)
    same(store(first, some)["added"], 40, "documents")
    answer = store(second, some[:5] + [{**some[5], "text": "The lighthouse keeper paints the lantern room."}])
    same((answer["unchanged"], answer["updated"]), (5, 1), "documents again")
    for mode in ("lexical", "dense", "hybrid"):
        results = search(first, "lighthouse keeper", mode=mode, top_k=3)
        same(results[0]["document_id"], "d5", mode)
        same(results[0]["text"], "The lighthouse keeper paints the lantern room.", mode)
        assert results[0]["scores"] and results[0]["title"] == "Report 5", results[0]
    diverse = search(second, "lighthouse keeper", top_k=3, diversity=0.5)
    same((ids(diverse)[0], len(diverse)), ("d5", 3), "a diverse search")
    page = call(second, "GET", f"{COLLECTION}/documents?limit=25")
    rest = call(first, "GET", f"{COLLECTION}/documents?limit=25&from={page['next']}")
    both = [document["id"] for document in page["documents"] + rest["documents"]]
    same((both, rest["next"]), ([f"d{i}" for i in range(40) if i != 5] + ["d5"], None), "pages")
    same(call(first, "GET", f"{COLLECTION}/documents/d7")["text"], some[7]["text"], "a document")
    call(second, "GET", f"{COLLECTION}/documents/none", wanted=404)
    prompt = call(second, "POST", "/v1/prompt", {"question": "Who paints the lantern room?", "target_tokens": 400,
                                               "search": [{"collection": "c"}]}, wanted=None)
    assert prompt[0] in (200, 400), prompt
    same(call(first, "DELETE", f"{COLLECTION}/documents/d7")["deleted"], 1, "deletions")
    call(second, "DELETE", f"{COLLECTION}/documents/d7", wanted=404)
    same(call(second, "POST", f"{COLLECTION}/delete", {"ids": ["d8", "d9", "d8", "none"]})["deleted"], 2, "deletions")
    less = {"filter": {"field": "number", "gte": 30}}
    same(call(first, "POST", f"{COLLECTION}/delete", less)["deleted"], 10, "deletions by a filter")
    call(first, "POST", f"{COLLECTION}/delete", {"filter": {"not": {"field": "nubmer", "eq": 1}}}, 400)
    info = call(second, "GET", COLLECTION)
    same((info["documents"], info["chunks"], info["index"]["lexical"], info["epoch"]), (27, 27, 27, 6), "counts")
    assert info["bytes"] > 0
    counted = stage.server.ask(f"SET search_path = {stage.schema}; SELECT sum(chunks), (SELECT sum(length(words)) FROM words_1), "
                               "(SELECT words FROM collections), (SELECT sum(length) FROM words_1) FROM counts_1")
    counts = counted.split("|")
    same((counts[0], counts[2]), (counts[1], counts[3]), "counts of words")
    exported = first.call("GET", f"{COLLECTION}/export")[2].splitlines()
    same([json.loads(line)["id"] for line in exported], [f"d{i}" for i in range(30) if i not in (5, 7, 8, 9)] + ["d5"], "an export")
    status, _, text = call(first, "POST", f"{COLLECTION}/documents", {"documents": [{"text": "a\0b"}]}, wanted=None)
    assert status == 400 and "U+0000" in text, text
    call(second, "POST", "/v1/example-banks/b/examples", {"examples": [
        {"question": "What closes in May?", "answer": "The harbour."}, {"question": "Who paints?", "answer": "The keeper."}]})
    chosen = call(first, "POST", "/v1/example-banks/b/select", {"question": "What closes in June?", "count": 1})
    same(chosen["examples"][0]["example"]["answer"], "The harbour.", "an example")
    same([bank["name"] for bank in call(second, "GET", "/v1/example-banks")["banks"]], ["b"], "banks")
    same(second.call("DELETE", COLLECTION)[0], 204, "the deletion of a collection")
    for replica in (first, second):
        call(replica, "GET", COLLECTION, wanted=404)
        call(replica, "POST", f"{COLLECTION}/search", {"query": "x"}, wanted=404)
    same(stage.server.ask(f"SELECT count(*) FROM pg_tables WHERE schemaname = '{stage.schema}'"), TABLES, "tables left")
    return "every route, each step on the other replica"


def value(chance, depth=0):
    """A random value of metadata or of a filter: such that both often meet."""
    kind = chance.randrange(10 if depth < 2 else 7)
    if kind < 3:
        return chance.choice([0, 1, 2, -1, 1.0, 1.5, -0.0, 2.5e-3, 9007199254740993, 9007199254740992.0, 1e16,
                              18446744073709551615, 9.223372036854776e18, 9223372036854775807, 1e300])
    if kind < 6:
        return chance.choice(["a", "b", "ab", "A", "\u00e9", "\U0001f600", "2024-05-01", "", "1", "a.b", "'\\\"$1"])
    if kind == 6:
        return chance.choice([None, True, False])
    if kind == 7:
        return {chance.choice(["a", "b", "a.b"]): value(chance, depth + 1) for _ in range(chance.randrange(3))}
    return [value(chance, depth + 1) for _ in range(chance.randrange(4))]


FIELDS = ["a", "b", "a.b", "a.a", "b.a.b", "a.b.a", "c", "'; DROP TABLE x; --", "\u00e9", "$1"]


def condition(chance, depth=0):
    kind = chance.randrange(7)
    if depth < 3 and kind < 2:
        return {chance.choice(["and", "or"]): [condition(chance, depth + 1) for _ in range(chance.randrange(4))]}
    if depth < 3 and kind == 2:
        return {"not": condition(chance, depth + 1)}
    tests = {}
    for _ in range(chance.randrange(1, 3)):
        test = chance.choice(["eq", "eq", "in", "exists", "gt", "gte", "lt", "lte"])
        if test == "eq":
            tests[test] = value(chance)
        elif test == "in":
            tests[test] = [value(chance) for _ in range(chance.randrange(4))]
        elif test == "exists":
            tests[test] = chance.random() < 0.5
        else:
            tests[test] = next(v for v in iter(lambda: value(chance), ()) if isinstance(v, (int, float, str)) and not isinstance(v, bool))
    return {"field": chance.choice(FIELDS), **tests}


def filters(stage):
    """Random filters on random metadata: each leaves the same documents as in the local store."""
    chance = random.Random(7)
    local, remote = stage.local(), stage.replica()
    some = [{"id": f"d{i}", "text": f"Word number {i}.", "metadata": {chance.choice(FIELDS): value(chance) for _ in range(chance.randrange(5))}}
            for i in range(120)]
    for replica in (local, remote):
        call(replica, "PUT", COLLECTION, {}, 201)
        store(replica, some)
    pairs, matched, number = 0, 0, 150 if SHORT else 1_000
    for _ in range(number):
        wanted = condition(chance)
        found = [sorted(ids(search(replica, "word", mode="lexical", top_k=1000, filter=wanted))) for replica in (local, remote)]
        same(found[1], found[0], json.dumps(wanted))
        pairs, matched = pairs + len(some), matched + len(found[0])
    for document in some:
        stored = call(remote, "GET", f"{COLLECTION}/documents/{document['id']}")
        same(stored.get("metadata", {}), call(local, "GET", f"{COLLECTION}/documents/{document['id']}").get("metadata", {}), "metadata")
    wanted = {"not": {"field": "a", "exists": True}}
    gone = [call(replica, "POST", f"{COLLECTION}/delete", {"filter": wanted})["deleted"] for replica in (local, remote)]
    assert gone[0] == gone[1] > 0, gone
    return f"{number} filters on {len(some)} documents, {pairs} pairs of which {matched} matched, all as the local store has them"


def like_local(stage):
    """The same documents in both stores: dense results are the same, and snapshots go from one to the other and back."""
    local, remote = stage.local(), stage.replica()
    some = documents(100 if SHORT else 1_000)
    for replica in (local, remote):
        call(replica, "PUT", COLLECTION, {}, 201)
        for start in range(0, len(some), 100):
            store(replica, some[start : start + 100])
    chance = random.Random(3)
    queries = [sentences(chance, 1) for _ in range(20 if SHORT else 100)]
    # So few are compared one by one in the local store.
    shares = {}
    for mode in ("dense", "lexical", "hybrid"):
        found = 0
        for query in queries:
            here, there = (search(replica, query, mode=mode) for replica in (local, remote))
            found += len(set(ids(here)) & set(ids(there)))
            if mode == "dense":
                scores = {result["document_id"]: result["score"] for result in here}
                assert all(abs(scores.get(result["document_id"], result["score"]) - result["score"]) < 1e-5 for result in there)
        shares[mode] = found / len(queries) / 10
    assert shares["dense"] >= 0.99, shares
    assert shares["lexical"] >= 0.8, shares
    for replica in (local, remote):
        replica.stop()
    file, again = str(local.folder / "one"), str(local.folder / "two")
    local.whittle("index", "snapshot", "c", file)
    remote.whittle("index", "restore", "copy", file)
    remote.whittle("index", "snapshot", "copy", again)
    remote_export = remote.whittle("index", "export", "copy")
    same(remote_export, local.whittle("index", "export", "c"), "documents in PostgreSQL")
    local.whittle("index", "restore", "back", again)
    same(local.whittle("index", "export", "back"), remote_export, "documents that came back")
    for collection, replica in (("copy", remote), ("back", local)):
        lines = replica.whittle("index", "search", collection, queries[0], "--mode", "dense")
        assert "Report" in lines, lines
    copies(remote, remote_export)
    damaged = local.folder / "damaged"
    damaged.write_bytes(pathlib.Path(file).read_bytes()[:-100])
    ended = subprocess.run([BINARY, "index", "restore", "none", str(damaged)], env=remote.variables(), cwd=remote.folder,
                           capture_output=True, text=True)
    assert ended.returncode != 0 and "damaged" in ended.stderr, ended.stderr
    names = remote.whittle("index", "list")
    assert "copy" in names and "none" not in names, names
    shares = ", ".join(f"{mode} {share:.3f}" for mode, share in shares.items())
    return f"of the ten best of {len(queries)} queries among {len(some)} documents the same in both stores: {shares}; snapshots are the same documents"


def copies(replica, exported):
    """A collection goes to the data folder and back, cut off in between, and stays what it is."""
    replica.whittle("index", "copy", "copy", "--from", "postgres", "--to", "local")
    replica.environment["WHITTLE_STORE_KIND"] = "local"
    same(replica.whittle("index", "export", "copy"), exported, "documents in the data folder")
    del replica.environment["WHITTLE_STORE_KIND"]
    replica.whittle("index", "delete", "copy")
    back = ["index", "copy", "copy", "--from", "local", "--to", "postgres"]
    for patience in (0.1, 0.2, 0.3):
        cut = subprocess.Popen([BINARY, *back], env=replica.variables(), cwd=replica.folder, stderr=subprocess.DEVNULL)
        time.sleep(patience)
        cut.kill()
        cut.wait()
    replica.whittle(*back)
    same(replica.whittle("index", "export", "copy"), exported, "documents that were copied back")
    again = subprocess.run([BINARY, *back], env=replica.variables(), cwd=replica.folder, capture_output=True, text=True)
    assert again.returncode == 0 and again.stderr.startswith("0 documents copied"), again.stderr


def batches(replica, number, each, outcomes, start=0):
    """Stores batches one after the other; notes the status of each."""
    for i in range(start, start + number):
        some = documents(each, seed=i, start=i * each)
        try:
            status, headers, text = replica.call("POST", f"{COLLECTION}/documents", body=json.dumps({"documents": some}))
        except (OSError, HTTPException):
            status, headers, text = 0, {}, ""
        outcomes.append((i, status))
        if status == 503:
            assert headers.get("retry-after") and "store_unavailable" in text, text
            time.sleep(0.2)
        assert status in (0, 200, 503), (status, text)


def whole(stage, replica, outcomes, each):
    """What was acknowledged is there, and each batch whole or not at all. Returns how many of them were not acknowledged."""
    there = {json.loads(line)["id"] for line in replica.call("GET", f"{COLLECTION}/export")[2].splitlines()}
    for i, status in outcomes:
        found = sum(f"d{number}" in there for number in range(i * each, (i + 1) * each))
        assert found == each or (found == 0 and status != 200), (i, status, found)
    counted = stage.server.ask(f"SET search_path = {stage.schema}; SELECT (SELECT count(*) FROM documents_1), (SELECT count(*) FROM chunks_1), "
                               "(SELECT count(*) FROM words_1), documents, chunks FROM collections").split("|")
    same((counted[0], counted[1], counted[1]), (counted[3], counted[4], counted[2]), "counts after faults")
    return sum(status != 200 for _, status in outcomes)


def restarts(stage):
    """PostgreSQL is restarted and killed in the middle of ingestion and of searches."""
    first, second = stage.replica(), stage.replica()
    call(first, "PUT", COLLECTION, {}, 201)
    outcomes, found, end = [], [], threading.Event()
    number, each = (20, 10) if SHORT else (60, 20)

    def searches():
        while not end.is_set():
            status, headers, text = second.call("POST", f"{COLLECTION}/search", body=json.dumps({"query": "harbour"}))
            assert status == 200 or (status == 503 and headers.get("retry-after")), (status, text)
            found.append(status)
    threads = [Checked(target=batches, args=(first, number, each, outcomes)), Checked(target=searches)]
    for thread in threads:
        thread.start()
    named = None
    for mode in ("fast", "immediate"):
        before = len(outcomes)
        wait_for("some batches", lambda: len(outcomes) > before + 2 or not threads[0].is_alive())
        stage.server.stop(mode)
        readiness = lambda: second.call("GET", "/readyz")
        named = wait_for("readiness", lambda: (answer := readiness())[0] == 503 and answer)[0][2]
        assert "store_unavailable" in named and "PostgreSQL" in named, named
        stage.server.start()
        wait_for("recovery", lambda: second.call("GET", "/readyz")[0] == 200 and second.call("GET", COLLECTION)[0] == 200)
    threads[0].join()
    end.set()
    threads[1].join()
    # What was not acknowledged is sent again, and then all of it is there.
    missed = [i for i, status in outcomes if status != 200]
    lost = whole(stage, second, outcomes, each)
    for i in missed:
        store(first, documents(each, seed=i, start=i * each))
    same(call(second, "GET", COLLECTION)["documents"], number * each, "documents at the end")
    refused = sum(status == 503 for status in found)
    assert refused, f"none of {len(found)} searches got 503"
    return f"{lost} of {number} batches and {refused} of {len(found)} searches got 503; each batch was stored whole or not at all"


def killed(stage):
    """A replica is killed in the middle of ingestion, also when the half of a batch is written."""
    first, second = stage.replica(), stage.replica()
    call(second, "PUT", COLLECTION, {}, 201)
    outcomes, each, rounds = [], 20, 3 if SHORT else 10
    for round_ in range(rounds):
        # The model is there then, so that the kill comes between batches or within one.
        search(first, "harbour")
        thread = Checked(target=batches, args=(first, 6, each, outcomes, round_ * 6))
        before = sum(status == 200 for _, status in outcomes)
        thread.start()
        wait_for("a batch", lambda: sum(status == 200 for _, status in outcomes) > before)
        time.sleep(0.05 * round_)
        first.process.send_signal(signal.SIGKILL)
        first.process.wait()
        thread.join()
        first.start()
    lost = whole(stage, second, outcomes, each)
    assert lost < len(outcomes), "no batch was stored"
    # Documents and chunks are written, and what comes after them waits.
    search(first, "harbour")
    session = stage.server.hold(f"LOCK TABLE {stage.schema}.words_1 IN SHARE MODE")
    thread = Checked(target=batches, args=(first, 1, each, outcomes, rounds * 6))
    thread.start()
    wait_for("a batch that waits", lambda: stage.server.ask("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'") == "1")
    first.process.send_signal(signal.SIGKILL)
    first.process.wait()
    thread.join()
    session.kill()
    session.wait()
    wait_for("the end of its connection", lambda: stage.server.ask(
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'INSERT INTO words_1%' AND state <> 'idle'") == "0")
    first.start()
    whole(stage, second, outcomes, each)
    same(second.call("GET", f"{COLLECTION}/documents/d{rounds * 6 * each}")[0], 404, "a document of a batch that was half written")
    return f"{lost} of {rounds * 6} batches were cut off; each is there whole or not at all, and nothing of one that was half written"


def busy(stage):
    """All connections in use, and a transaction elsewhere that goes on: 503 with `retry-after`, in time, and then recovery."""
    replica = stage.replica(pool=2, wait_ms=300, timeout_ms=3_000)
    call(replica, "PUT", COLLECTION, {}, 201)
    store(replica, documents(20))
    # It holds what a batch must hold; searches wait for nobody.
    session = stage.server.hold(f"SELECT FROM {stage.schema}.collections FOR UPDATE")
    start = time.monotonic()
    status, headers, text = call(replica, "POST", f"{COLLECTION}/delete", {"ids": ["d1"]}, wanted=None)
    assert status == 503 and headers["retry-after"] == "1" and "3000 ms" in text, text
    assert 2.5 < time.monotonic() - start < 10
    same(len(search(replica, "harbour", top_k=5)), 5, "results while a transaction goes on")

    end = threading.Event()

    def refused():
        while not end.is_set():
            status, headers, text = call(replica, "POST", f"{COLLECTION}/delete", {"ids": ["d1"]}, wanted=None)
            assert status == 503 and headers["retry-after"] == "1" and "store_unavailable" in text, (status, text)
    waiting = [Checked(target=refused) for _ in range(4)]
    for thread in waiting:
        thread.start()
    # More batches than connections wait, and one connection is left to searches.
    locked = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    wait_for("a batch that waits", lambda: stage.server.ask(locked) == "1")
    harbour = json.dumps({"query": "harbour", "top_k": 5})
    wait_for("results while batches wait", lambda: replica.call("POST", f"{COLLECTION}/search", body=harbour)[0] == 200)
    end.set()
    for thread in waiting:
        thread.join()
    session.kill()
    session.wait()
    # What readers must have.
    session = stage.server.hold(f"LOCK TABLE {stage.schema}.collections IN ACCESS EXCLUSIVE MODE")
    start = time.monotonic()
    answers = crowd([replica], ("GET", COLLECTION, None), 30, lambda sent, _: sent < 1)
    took = time.monotonic() - start
    counts = statuses(answers)
    for status, headers, text in answers:
        assert status == 503 and headers["retry-after"] == "1" and "store_unavailable" in text, (status, text)
    session.kill()
    session.wait()
    wait_for("recovery", lambda: replica.call("GET", COLLECTION)[0] == 200)
    same(call(replica, "GET", "/readyz")["postgres"], "up", "readiness")
    storm = crowd([replica], ("GET", COLLECTION, None), 40, lambda sent, _: sent < 10)
    return f"searches went on while batches waited; {counts[503]} of 30 requests got 503 within {took:.1f} s while both connections waited; a storm of 40 clients: {statuses(storm)}"


def starts(stage):
    """Faults of the configuration are named at the start, or by /readyz where they can be mended without another start."""
    status, _, text = call(stage.replica(password="wrong"), "GET", "/readyz", wanted=None)
    assert status == 503 and "`store.password_env`" in text, text
    status, _, text = call(stage.replica(url=stage.server.url().replace("/whittle", "/none")), "GET", "/readyz", wanted=None)
    assert status == 503 and '\\"none\\" does not exist' in text, text
    # The wheel's PostgreSQL has no TLS.
    status, _, text = call(stage.replica(url=stage.server.url() + "?sslmode=require"), "GET", "/readyz", wanted=None)
    assert status == 503 and "sslmode=disable` if, and only if" in text, text
    away = stage.replica(url="postgres://app@127.0.0.1:1/whittle", wait_ms=500)
    start = time.monotonic()
    status, headers, text = call(away, "GET", "/v1/collections", wanted=None)
    assert status == 503 and headers["retry-after"] == "1" and time.monotonic() - start < 5, text
    # What needs no collection is served.
    call(away, "POST", "/v1/count-tokens", {"text": "a b"}, wanted=None)
    for text, reason in [
        (stage.configuration(password_env="NONE"), "NONE, which is not set"),
        (stage.configuration(url="postgres://me:secret@127.0.0.1/x"), "`store.password_env`"),
        (stage.configuration(url="postgres://me@127.0.0.1/x?password=secret"), "an address that is not shown"),
        (stage.configuration(schema="A"), "`store.schema` is A"),
    ]:
        file = stage.replicas[0].folder / "wrong.toml"
        file.write_text(text)
        ended = subprocess.run([BINARY, "serve", "--config", str(file), "--listen", "127.0.0.1:0"], capture_output=True,
                               text=True, timeout=PATIENCE, env=stage.replicas[0].variables())
        assert ended.returncode != 0 and reason in ended.stderr and "secret" not in ended.stderr, ended.stderr
    return "wrong passwords, databases, addresses and TLS where there is none are named"


def linked(stage):
    """More documents than are compared one by one: the index finds what comparing with all of them does, with filters too."""
    replica, local = stage.replica(), stage.local()
    some = [{**document, "metadata": {**document["metadata"], "third": document["metadata"]["number"] % 3}} for document in documents(4_500)]
    for each in (replica, local):
        call(each, "PUT", COLLECTION, {}, 201)
        for start in range(0, len(some), 500):
            store(each, some[start : start + 500])
    stage.server.ask(f"ANALYZE {stage.schema}.chunks_1")
    chance = random.Random(5)
    queries = [sentences(chance, 1) for _ in range(50)]
    shares = {}
    for name, wanted in [("no filter", None), ("half", {"field": "even", "eq": True}), ("a third", {"field": "third", "eq": 1}),
                         ("a hundredth", {"field": "number", "lt": 45})]:
        found = 0
        for query in queries:
            # The local store compares one by one up to 4,096 chunks, and has links for more.
            here, there = (search(each, query, mode="dense", filter=wanted) for each in (local, replica))
            same(len(there), 10, name)
            found += len(set(ids(here)) & set(ids(there)))
        shares[name] = found / len(queries) / 10
    assert min(shares.values()) >= 0.97, shares
    plan = stage.server.ask(f"SET search_path = {stage.schema}, public; EXPLAIN SELECT number FROM chunks_1 ORDER BY embedding::halfvec(384) <#> "
                            "(SELECT embedding::halfvec(384) FROM chunks_1 LIMIT 1) LIMIT 10")
    assert "using chunks_1_embedding_idx" in plan.lower(), plan
    return ", ".join(f"{name} {share:.3f}" for name, share in shares.items()) + " of the ten best as in the local store"


# Tests of the HTTP service that mean the local stores, and why. All others run against both.
LOCAL_ALONE = {
    "collections::a_second_process_is_refused_the_data": "several processes share a database",
    "command::what_is_shown_is_what_holds": "each folder has a schema of its own, so that two of them show different settings",
    "search::links_are_made_anew_in_the_background_once_a_fifth_is_gone": "it makes the files of a local collection by hand",
    "transfer::vectors_of_another_model_are_not_searched": "it makes the files of a local collection by hand",
    "transfer::a_full_disk_is_told_and_what_was_stored_stays": "it fills the disk of the service; `full` fills that of PostgreSQL",
}


def http(server):
    """The tests of the HTTP service, with their collections in PostgreSQL and what replicas share in Valkey."""
    valkey = Valkey(VALKEY)
    variables = {**os.environ, "TEST_POSTGRES_URL": server.url(), "TEST_POSTGRES_PASSWORD": server.password,
                 "TEST_VALKEY_URL": f"redis://127.0.0.1:{valkey.port}"}
    command = ["cargo", "test", "--locked", "--test", "http", "--"]
    try:
        listed = subprocess.run([*command, "--list"], env=variables, check=True, stdout=subprocess.PIPE, text=True).stdout
        for name, reason in LOCAL_ALONE.items():
            assert f"{name}: test\n" in listed, f"there is no test {name}"
            command += ["--skip", name]
            print(f"{name} is left out: {reason}", flush=True)
        subprocess.run([*command, "--exact"] if LOCAL_ALONE else command, env=variables, check=True)
    finally:
        valkey.stop()


def main():
    if "--bench" in FLAGS:
        server = Server(INSTALLED, "shared_buffers=1GB", "max_wal_size=4GB")
        try:
            bench.run(BINARY, server, int(FLAGS[1]), FLAGS[2:])
        finally:
            server.remove()
        return
    server = Server(INSTALLED, "fsync=off", "shared_buffers=64MB")
    try:
        if "--http" in FLAGS:
            http(server)
            return
        if "--proxy" in FLAGS:
            valkey = Valkey(VALKEY)
            try:
                bench.proxy(BINARY, server, valkey)
            finally:
                valkey.stop()
            return
        # They import what is above.
        from faults import FAULTS
        from pooled import pooled
        scenarios = [migrations, shared.keys, proxied.ledger, proxied.decisions, sharing, filters, like_local, restarts, killed,
                     busy, starts, pooled, *FAULTS]
        for number, scenario in enumerate(scenarios if SHORT else [*scenarios, linked]):
            perform(scenario, Stage(server, number), scenario.__name__)
    finally:
        server.remove()


if __name__ == "__main__":
    main()
