"""What the service acknowledged, what it may have done besides, and what it has after all."""

import json
import threading
import time
from collections import Counter


class Journal:
    """The notes of all threads. Times are seconds since the epoch."""

    def __init__(self, file):
        self.lock = threading.Lock()
        self.file = open(file, "a", encoding="utf-8")
        self.counts = Counter()
        self.faults = []
        # Acknowledged documents by id: the text, or None where it was deleted.
        self.documents = {}
        # Documents of which a change was cut off: each thing that may be there.
        self.pending = {}
        # Requests to the upstream by id: the time of the last byte, and the status; None where that never came.
        self.requests = {}
        self.kills = []

    def note(self, kind, **what):
        with self.lock:
            self.file.write(json.dumps({"time": round(time.time(), 3), "kind": kind, **what}) + "\n")
            self.file.flush()

    def count(self, name):
        with self.lock:
            self.counts[name] += 1

    def fault(self, kind, **what):
        """Something that must not be."""
        self.note("FAULT", fault=kind, **what)
        with self.lock:
            self.faults.append({"time": round(time.time(), 3), "fault": kind, **what})

    def changing(self, changes):
        """A change of documents is about to be asked for: text by id, None for a deletion."""
        with self.lock:
            for id, text in changes.items():
                self.pending.setdefault(id, [self.documents.get(id)]).append(text)

    def changed(self, changes):
        with self.lock:
            for id, text in changes.items():
                self.documents[id] = text
                self.pending.pop(id, None)

    def unchanged(self, changes):
        """The change was refused as a whole."""
        with self.lock:
            for id in changes:
                self.pending.pop(id, None)

    def sent(self, id):
        with self.lock:
            self.requests[id] = None

    def answered(self, id, status):
        with self.lock:
            self.requests[id] = (time.time(), status)


def holds(expected, found):
    """Whether a stored document is the one that was sent; of files only a word is known."""
    if expected is None or found is None:
        return expected is found
    return expected[1] in found if isinstance(expected, tuple) else expected == found


def check_documents(journal, call):
    """Compares all documents with what was acknowledged. Gives how many there are."""
    found, start = {}, 0
    while start is not None:
        page = call("GET", f"/v1/collections/reports/documents?limit=500&from={start}")
        found.update((document["id"], document["text"]) for document in page["documents"])
        start = page.get("next")
    for id, choices in journal.pending.items():
        there = [choice for choice in choices if holds(choice, found.get(id))]
        if not there:
            journal.fault("a document that was cut off is neither the old nor the new one", id=id)
        journal.counts["cut_changes_done" if there and there[-1] != choices[0] else "cut_changes_not_done"] += 1
        journal.documents[id] = there[-1] if there else None
    journal.pending.clear()
    for id, text in journal.documents.items():
        if not holds(text, found.get(id)):
            journal.fault("an acknowledged document is lost" if text else "a deleted document is there", id=id)
    for id in found.keys() - journal.documents.keys():
        journal.fault("a document is there that nobody stored", id=id)
    info = call("GET", "/v1/collections/reports")
    if info["mended"] or info["index"]["lexical"] != info["chunks"] or info["documents"] != len(found):
        journal.fault("the indexes do not have what the store has", info=info)
    return len(found)


def check_search(journal, call, rng, count):
    """Searches for some documents by the word that each alone has, and for some of them by meaning."""
    there = sorted(id for id, text in journal.documents.items() if text)
    for id in rng.sample(there, min(count, len(there))):
        text = journal.documents[id]
        word = text[1] if isinstance(text, tuple) else text.split(" ", 1)[0]
        query = {"query": word, "mode": "lexical", "top_k": 3}
        results = call("POST", "/v1/collections/reports/search", query)["results"]
        if id not in [result["document_id"] for result in results]:
            journal.fault("a document is not found by its word", id=id, word=word)
    return min(count, len(there))


# The guide promises that a crash loses at most the entries of so many seconds.
PROMISE = 0.1


def check_ledger(journal, call, since):
    """Reads the ledger from `since` on: each request that was answered must be there once. Gives what it has."""
    seen, after = Counter(), None
    status = {}
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(since - 600))
    while True:
        page = call("GET", f"/v1/usage?group_by=request&limit=1000&since={stamp}" + (f"&after={after}" if after else ""))
        for line in page["requests"]:
            seen[line["request_id"]] += 1
            status[line["request_id"]] = line["status"]
        after = page.get("next")
        if not after:
            break
    if page["lost"]:
        journal.fault("the service says that entries were lost", lost=page["lost"])
    late = {}
    for id, answer in journal.requests.items():
        if seen[id] > 1:
            journal.fault("a request is in the ledger more than once", id=id, times=seen[id])
        if answer is None or answer[0] < since:
            continue
        at, answered = answer
        if seen[id] == 1 and status[id] != answered:
            journal.fault("the ledger has another status", id=id, ledger=status[id], client=answered)
        if seen[id] == 0:
            kill = next((kill for kill in journal.kills if kill >= at), None)
            gap = None if kill is None else kill - at
            if gap is not None and gap <= PROMISE:
                late[id] = round(gap, 4)
            else:
                journal.fault("an answered request is not in the ledger", id=id, seconds_before_the_kill=gap)
    # Hostile requests have one id together.
    for id in seen.keys() - journal.requests.keys() - {"hostile"}:
        journal.fault("the ledger has a request that nobody sent", id=id)
    return {"entries": sum(seen.values()), "lost_within_the_promise": late}
