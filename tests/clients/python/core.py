"""The calls of `Client` and `AsyncClient`, each compared with the HTTP API's answer."""

import asyncio
import datetime
import email.utils
import inspect
import subprocess
import sys

import httpx

import whittle
from whittle import models

BRIDGE = ("The bridge at Harbour Street was opened on 3 May 1987 after four years of work. It is not open to lorries over "
          "7.5 t. The town has two libraries, both of which close at 6 p.m. on weekdays.")
UNICODE = "Die Brücke 橋 wurde 1987 eröffnet. Ärger mit Ölfässern gab es nie 🌉. Два слова о погоде: было тепло."
ASK = "When was the bridge opened?"
TAGS = ("<llmlingua, compress=False>Reply in one sentence.</llmlingua><llmlingua, rate=0.4>The bridge was opened on 3 May "
        "1987 after four years of work by two hundred men.</llmlingua>")
CHAT = [{"role": "assistant", "content": None, "tool_calls": [
    {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
    {"role": "tool", "tool_call_id": "c", "content": BRIDGE}, {"role": "user", "content": ASK}]
COMPRESS = [
    {"context": BRIDGE, "rate": 0.5}, {"context": BRIDGE, "question": ASK, "target_tokens": 30},
    {"context": UNICODE, "rate": 0.6}, {"context": TAGS, "tags": True, "rate": 0.8},
    {"documents": [{"id": "a", "text": BRIDGE, "metadata": {"n": None}}, {"text": UNICODE, "compress": False}],
     "question": ASK, "rate": 0.7, "method": "extractive"},
    {"sections": [{"text": BRIDGE, "rate": 0.3}, {"text": UNICODE, "compress": False}], "rate": 0.8},
    {"messages": CHAT, "rate": 0.7}, {"context": BRIDGE, "rate": 0.5, "method": "llmlingua", "mode": "reference"},
    {"context": BRIDGE, "rate": 0.5, "instruction": "Answer.", "tokenizer": "cl100k_base",
     "options": {"force_words": ["libraries"], "protect": ["numbers"], "reorder": "sort"}},
]
# In Python `json` and `return` have other names.
RENAMED = [
    ({"json_": {"text": '{"a": "%s", "b": 1}' % BRIDGE, "keys": {"a": {"rate": 0.5}}}, "rate": 0.7},
     {"json": {"text": '{"a": "%s", "b": 1}' % BRIDGE, "keys": {"a": {"rate": 0.5}}}, "rate": 0.7}),
    ({"context": BRIDGE, "rate": 0.5, "return_": ["ranges", "scores", "words"]},
     {"context": BRIDGE, "rate": 0.5, "return": ["ranges", "scores", "words"]}),
]
EXAMPLES = [{"id": "q1", "question": "Which nerve is pressed in carpal tunnel syndrome?", "answer": "A",
             "choices": [{"label": "A", "text": "median"}, {"label": "B", "text": "radial"}]},
            {"id": "q/2", "question": "Wie heißt der größte Nerv?", "answer": "Ischiasnerv", "thought": "Er ist dick."}]
DOCUMENTS = [{"id": "bridge", "text": BRIDGE, "metadata": {"year": 1987}},
             {"id": "brücke/1 ?#%", "title": "Brücke", "text": UNICODE}]


def texts(tally, client):
    """Routes that take texts and store nothing."""
    for body in COMPRESS:
        tally.same("compress", client.compress(**body), "POST", "/v1/compress", body)
    for arguments, body in RENAMED:
        tally.same("compress", client.compress(**arguments), "POST", "/v1/compress", body)
    body = {"context": BRIDGE, "rate": 0.5}
    result = tally.same("compress a text", client.compress(BRIDGE, rate=0.5), "POST", "/v1/compress", body)
    typed = client.compress(documents=[models.DocumentInput(text=BRIDGE)], rate=0.5, options=models.CompressOptions(marks=False))
    tally.same("compress models", typed, "POST", "/v1/compress",
               {"documents": [{"text": BRIDGE}], "rate": 0.5, "options": {"marks": False}})
    recover = {"response": "The bridge opened 3 May 1987", "documents": [{"text": BRIDGE, "kept": result.documents[0].kept}]}
    tally.same("recover", client.recover(**recover), "POST", "/v1/recover", recover)
    tally.same("score", client.score(UNICODE), "POST", "/v1/score", {"text": UNICODE})
    tally.same("score", client.score("b", prefix="a"), "POST", "/v1/score", {"text": "b", "prefix": "a"})
    for value in ("a", ["a", "b c"], [9906, 1917], [[9906], [1917]]):
        tally.same("embeddings", client.embeddings(input=value), "POST", "/v1/embeddings", {"input": value})
    packed = {"input": "a", "encoding_format": "base64"}
    tally.same("embeddings", client.embeddings(**packed), "POST", "/v1/embeddings", packed)
    rerank = {"query": ASK, "documents": [BRIDGE, {"text": UNICODE}], "top_n": 1, "return_documents": True}
    tally.same("rerank", client.rerank(**rerank), "POST", "/v1/rerank", rerank)
    tally.same("models", client.models(), "GET", "/v1/models")
    tally.same("usage", client.usage(since="2026-01-01", until="2026-01-02"), "GET", "/v1/usage",
               params={"since": "2026-01-01", "until": "2026-01-02"})
    tally.same("ready", client.ready(), "GET", "/readyz")
    chat = {"model": "local/smollm2-135m-instruct", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4,
            "temperature": 0}
    answer = client.request("POST", "/v1/chat/completions", json_body=chat)
    tally.equals("any path", answer["choices"], tally.api("POST", "/v1/chat/completions", chat)["choices"])


def collections(tally, client):
    """Collections, from the first document to the last."""
    own, path = client.collections, "/v1/collections/town"
    tally.same("create", own.create("town", chunking={"tokens": 64, "overlap": 8}), "PUT", path,
               {"chunking": {"tokens": 64, "overlap": 8}})
    stored = own.upsert("town", DOCUMENTS)
    again = tally.api("POST", path + "/documents", {"documents": DOCUMENTS})
    tally.holds("upsert", stored.added == 2 and stored.ids == again["ids"] and again["unchanged"] == 2)
    lines = b'{"id": "l1", "text": "A line."}\nno JSON\n'
    stored = own.upsert_lines("town", iter([lines[:9], lines[9:]]), on_bad="skip")
    again = tally.api("POST", path + "/documents", lines, {"content-type": "application/x-ndjson"}, {"on_bad": "skip"})
    tally.equals("upsert_lines", [plain_bad(stored.bad), stored.ids], [again["bad"], again["ids"]])
    stored = own.put_file("town", "notes.md", "# Notizen\n\nÖl.".encode(), title="N", metadata={"year": 1}, score=True)
    tally.holds("put_file", stored.added == 1 and stored.scored == 1)
    for name in ("bridge", "brücke/1 ?#%", "notes.md"):
        tally.same("document", own.document("town", name), "GET", f"{path}/documents/{quoted(name)}")
    page = tally.same("documents", own.documents("town", limit=3), "GET", path + "/documents", params={"from": 0, "limit": 3})
    tally.same("documents", own.documents("town", from_=page.next), "GET", path + "/documents", params={"from": page.next})
    searches = [{"top_k": 2}, {"mode": "lexical"}, {"filter": {"field": "year", "gte": 1980}, "mode": "dense"},
                {"rerank": 2, "diversity": 0.2, "weights": {"dense": 2}}]
    for search in searches:
        tally.same("search", own.search("town", ASK, **search), "POST", path + "/search", {"query": ASK, **search})
    prompt = {"question": ASK, "collections": ["town"], "target_tokens": 150, "format": "messages",
              "search": {"top_k": 2}}
    tally.same("prompt", client.prompt(**prompt), "POST", "/v1/prompt", prompt)
    exported = [document.id for document in own.export("town")]
    tally.holds("export", sorted(exported) == sorted(["bridge", "brücke/1 ?#%", "l1", "notes.md"]))
    restored = own.restore("copy", own.snapshot("town"))
    tally.same("restore", restored, "GET", "/v1/collections/copy")
    tally.same("list", own.list(), "GET", "/v1/collections")
    tally.same("describe", own.describe("town"), "GET", path)
    tally.holds("delete", own.delete_document("town", "brücke/1 ?#%").deleted == 1)
    tally.holds("delete by ids", own.delete_documents("town", ids=["l1", "none"]).deleted == 1)
    tally.holds("delete by filter", own.delete_documents("town", filter={"field": "year", "gte": 1980}).deleted == 1)
    own.delete("town")
    own.delete("copy")
    tally.same("list", own.list(), "GET", "/v1/collections")


def plain_bad(lines):
    return [line.model_dump() for line in lines]


def quoted(name):
    return whittle.client.routes.segment(name)


def banks(tally, client):
    """Banks of examples."""
    own, path = client.example_banks, "/v1/example-banks/anatomy"
    added = own.add("anatomy", [EXAMPLES[0], models.Example(**EXAMPLES[1])])
    again = tally.api("POST", path + "/examples", {"examples": EXAMPLES})
    tally.holds("add", added.added == 2 and added.ids == again["ids"] and again["unchanged"] == 2)
    tally.same("list", own.list(), "GET", "/v1/example-banks")
    tally.same("describe", own.describe("anatomy"), "GET", path)
    tally.same("examples", own.examples("anatomy", limit=1), "GET", path + "/examples", params={"from": 0, "limit": 1})
    tally.same("example", own.example("anatomy", "q/2"), "GET", path + "/examples/q%2F2")
    select = {"count": 1, "shuffle": 7}
    tally.same("select", own.select("anatomy", "Which nerve?", **select), "POST", path + "/select",
               {"question": "Which nerve?", **select})
    prompt = {"question": "Which nerve?", "banks": ["anatomy"], "examples": 1, "target_tokens": 200}
    tally.same("prompt", client.prompt(**prompt), "POST", "/v1/prompt", prompt)
    tally.holds("delete", own.delete_example("anatomy", "q/2").deleted == 1)
    own.delete("anatomy")
    tally.same("list", own.list(), "GET", "/v1/example-banks")


def asynchronous(tally, client):
    """The same routes by `AsyncClient`, many at once."""

    async def calls():
        async with whittle.AsyncClient(client.base_url) as own:
            results = await asyncio.gather(*[own.compress(**body) for body in COMPRESS * 2])
            for body, result in zip(COMPRESS * 2, results):
                tally.same("compress", result, "POST", "/v1/compress", body)
            await own.collections.create("later")
            await own.collections.upsert("later", DOCUMENTS)
            found = await own.collections.search("later", ASK, top_k=1)
            tally.same("search", found, "POST", "/v1/collections/later/search", {"query": ASK, "top_k": 1})
            ids = [document.id async for document in own.collections.export("later")]
            tally.holds("export", sorted(ids) == sorted(document["id"] for document in DOCUMENTS))
            restored = await own.collections.restore("copy", own.collections.snapshot("later"))
            tally.same("restore", restored, "GET", "/v1/collections/copy")
            tally.same("list", await own.collections.list(), "GET", "/v1/collections")
            await own.example_banks.add("later", EXAMPLES)
            chosen = await own.example_banks.select("later", "Which nerve?", count=1)
            tally.same("select", chosen, "POST", "/v1/example-banks/later/select", {"question": "Which nerve?", "count": 1})
            tally.same("rerank", await own.rerank(query="a", documents=["a"]), "POST", "/v1/rerank",
                       {"query": "a", "documents": ["a"]})
            tally.same("models", await own.models(), "GET", "/v1/models")
            await asyncio.gather(own.collections.delete("later"), own.collections.delete("copy"),
                                 own.example_banks.delete("later"))

    asyncio.run(calls())


def waits(tally):
    """`Retry-After`, in seconds and as a date, and the pauses between attempts."""
    later = email.utils.format_datetime(datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1), usegmt=True)
    read = lambda value: whittle.errors.retry_after(httpx.Response(429, headers={"retry-after": value}))
    tally.holds("seconds", (read("7"), read("0.5"), read("-1"), read("0")) == (7, 0.5, 0, 0))
    tally.holds("a date", 3500 < read(later) <= 3600 and read("Thu, 01 Jan 1970 00:00:00 GMT") == 0)
    tally.holds("nonsense", [read(value) for value in ("", "soon", "nan", "inf")] == [None] * 4)
    error = lambda status, **headers: whittle.errors.status_error(httpx.Response(status, headers=headers))
    own = whittle.Retries(3, first_seconds=1, longest_seconds=3)
    asked = [own.pause(0, error(429, **{"retry-after": value})) for value in ("0", "3", "4")]
    tally.holds("what the service asks for is heeded up to the longest", asked == [0, 3, None])
    pauses = [own.pause(attempt, error(503)) for attempt in range(4)]
    tally.holds(f"pauses grow and end: {pauses}", pauses[3] is None
                and all(longest / 2 <= pause <= longest for pause, longest in zip(pauses, (1, 2, 3))))
    tally.holds("other errors are not tried again", [own.pause(0, error(status)) for status in (400, 401, 404, 413, 500)] == [None] * 5)
    tally.raises("fewer than no retries", ValueError, lambda: whittle.Retries(-1))


def package(tally):
    """The package itself: what it imports, and that both clients have the same methods."""
    frameworks = ("langchain", "langchain_core", "llama_index", "haystack", "dspy", "litellm", "openai")
    script = f"import sys, whittle; print([name for name in {frameworks} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    tally.holds("import whittle imports no framework", done.stdout.strip() == "[]")
    pairs = [(whittle.Client, whittle.AsyncClient), (whittle.client.Collections, whittle.client.AsyncCollections),
             (whittle.client.ExampleBanks, whittle.client.AsyncExampleBanks)]
    for one, other in pairs:
        public = [{name: str(inspect.signature(value).replace(return_annotation="")) for name, value in vars(kind).items()
                   if inspect.isfunction(value) and not name.startswith("_")} for kind in (one, other)]
        tally.holds(f"{one.__name__} and {other.__name__} have the same methods", public[0] == public[1])
