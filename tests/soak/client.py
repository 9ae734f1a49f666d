"""Honest callers: conversations through the proxy, documents, searches and compression."""

import http.client
import json
import threading
import time

import texts
from upstream import RECALL

PATIENCE = 900
COLLECTION = "/v1/collections/reports"
TOOLS = {"openai": [{"type": "function", "function": {"name": "bash", "parameters": {
    "type": "object", "properties": {"command": {"type": "string"}}}}}],
         "anthropic": [{"name": "bash", "input_schema": {"type": "object", "properties": {"command": {"type": "string"}}}}]}


class Cut(Exception):
    """The service was killed while the request ran."""


class Caller:
    """Sends requests with a key, and notes errors that no kill explains."""

    def __init__(self, service, journal, key):
        self.service, self.journal, self.key = service, journal, key

    def send(self, method, path, body=None, kind="application/json", expect=(200,), headers=None, last=True):
        """Status, headers and body. Raises `Cut` where the service was killed meanwhile."""
        epoch, address = self.service.epoch, self.service.address
        connection = http.client.HTTPConnection(*address.rsplit(":", 1), timeout=PATIENCE)
        data = json.dumps(body, separators=(",", ":")).encode() if isinstance(body, (dict, list)) else body
        try:
            connection.request(method, path, data, {"content-type": kind, "x-whittle-key": self.key,
                                                    "connection": "close", **(headers or {})})
            answer = connection.getresponse()
            if not last:
                answer.read(20)
                return answer.status, answer.headers, b""
            content = answer.read()
            if "chunked" in (answer.headers.get("transfer-encoding") or "") and not answer.isclosed():
                raise http.client.IncompleteRead(content)
        except (OSError, http.client.HTTPException) as error:
            time.sleep(0.2)
            if self.service.epoch != epoch or self.service.killing.is_set():
                self.journal.count("cut_by_a_kill")
                raise Cut from error
            self.journal.fault("an honest request failed", path=path, method=method, error=repr(error))
            raise Cut from error
        finally:
            connection.close()
        if answer.status not in expect:
            self.journal.fault("an honest request was refused", path=path, method=method, status=answer.status,
                               body=content[:300].decode(errors="replace"))
        self.journal.count("honest")
        return answer.status, answer.headers, content

    def call(self, method, path, body=None, **options):
        return json.loads(self.send(method, path, body, **options)[2] or b"null")


class Conversation:
    """An agent's conversation: each request has all turns before it, byte for byte."""

    def __init__(self, caller, name, rng):
        self.caller, self.name, self.rng = caller, name, rng
        self.dialect = rng.choice(("openai", "anthropic"))
        self.left = rng.randint(3, 14)
        first = f"Conversation {name}. Please look after the {rng.choice(texts.NOUNS)}."
        self.messages = [{"role": "user", "content": first}]
        if rng.random() < 0.15:
            self.messages[0]["content"] = f"Conversation {name}. Notes:\n\n{texts.prose(rng, rng.randint(25, 45))}"
            self.messages.append({"role": "user", "content": "Which notes are about the bridge?"})
        self.turn = 0

    def body(self, stream):
        anthropic = self.dialect == "anthropic"
        body = {"model": "claude-soak" if anthropic else "gpt-soak", "tools": TOOLS[self.dialect],
                "messages": self.messages, "max_tokens": 200}
        if stream:
            body |= {"stream": True} if anthropic else {"stream": True, "stream_options": {"include_usage": True}}
        return body

    def step(self):
        """One turn, asked for again where a kill cut it off."""
        path = "/v1/messages" if self.dialect == "anthropic" else "/v1/chat/completions"
        self.turn += 1
        self.left -= 1
        for attempt in range(5):
            stream, id = self.rng.random() < 0.5, f"{self.name}-{self.turn}-{attempt}"
            leaves = attempt == 0 and self.rng.random() < 0.01
            self.caller.journal.sent(id)
            self.caller.service.wait()
            try:
                status, headers, content = self.caller.send(
                    "POST", path, self.body(stream), headers={"x-request-id": id}, last=not leaves)
            except Cut:
                continue
            if leaves:
                self.caller.journal.count("left_early")
                continue
            self.caller.journal.answered(id, status)
            self.check(headers, content, stream)
            return self.extend(self.text(content.decode(), stream))
        self.caller.journal.fault("a turn failed five times", conversation=self.name)

    def check(self, headers, content, stream):
        self.caller.journal.count(f"status {headers.get('x-whittle-status')}")
        if RECALL.encode() in content:
            self.caller.journal.fault("the client saw the tool", conversation=self.name, stream=stream)
        end = b"message_stop" if self.dialect == "anthropic" else b"[DONE]"
        if stream and end not in content:
            self.caller.journal.fault("a stream has no end", conversation=self.name, tail=content[-300:].decode())

    def text(self, content, stream):
        """The answer's text."""
        if not stream:
            answer = json.loads(content)
            if self.dialect == "openai":
                return answer["choices"][0]["message"]["content"]
            return "".join(block.get("text", "") for block in answer["content"])
        found = []
        for line in content.splitlines():
            if line.startswith("data: {"):
                event = json.loads(line[6:])
                for choice in event.get("choices", ()):
                    found.append(choice["delta"].get("content") or "")
                found.append(event.get("delta", {}).get("text", ""))
        return "".join(found)

    def extend(self, text):
        """What the next request has more: a question, or the result of a tool."""
        if self.rng.random() < 0.3:
            return self.messages.extend([{"role": "assistant", "content": text},
                                         {"role": "user", "content": f"And the {self.rng.choice(texts.NOUNS)}?"}])
        id, result, call = f"t{self.turn}", texts.tool_result(self.rng), {"command": f"run {self.turn}"}
        if self.dialect == "openai":
            function = {"name": "bash", "arguments": json.dumps(call)}
            calls = [{"id": id, "type": "function", "function": function}]
            return self.messages.extend([{"role": "assistant", "content": text, "tool_calls": calls},
                                         {"role": "tool", "tool_call_id": id, "content": result}])
        use = {"type": "tool_use", "id": id, "name": "bash", "input": call}
        answer = [{"type": "text", "text": text or "-"}, use]
        block = {"type": "tool_result", "tool_use_id": id, "content": result}
        self.messages.extend([{"role": "assistant", "content": answer}, {"role": "user", "content": [block]}])


class Worker(threading.Thread):
    """One caller, who does one thing after another at the pace that is set."""

    def __init__(self, number, seed, shared, callers):
        super().__init__(daemon=True)
        self.number, self.seed, self.shared = number, seed, shared
        self.rng = texts.rng_of(seed, "worker", number)
        self.caller, self.other = callers
        self.conversations, self.begun, self.ids = [], 0, 0
        self.busy = False
        doings = {"converse": 620, "store": 60, "file": 15, "remove": 20, "get": 60, "search": 90, "compress": 12,
                  "prompt": 8, "embed": 15, "rerank": 6, "local": 1, "look": 40, "original": 30}
        self.doings = [getattr(self, name) for name in doings], list(doings.values())

    def run(self):
        while not self.shared.over.is_set():
            self.shared.service.wait()
            self.busy = True
            if not self.shared.service.up.is_set():
                self.busy = False
                continue
            try:
                if self.rng.random() < 0.01:
                    self.shared.attack(self.rng)
                else:
                    self.rng.choices(*self.doings)[0]()
            except Cut:
                pass
            except Exception as error:
                self.caller.journal.fault("the test itself failed", error=repr(error))
            self.busy = False
            self.shared.over.wait(self.rng.expovariate(1) * self.shared.pause)

    def converse(self):
        self.conversations = [one for one in self.conversations if one.left > 0]
        if len(self.conversations) < 4:
            self.begun += 1
            name = f"c{self.number}-{self.begun}"
            self.conversations.append(Conversation(self.caller, name, texts.rng_of(self.seed, name)))
        self.rng.choice(self.conversations).step()

    def new_id(self):
        """An id of this worker's, old or new, so that no two change one document at once."""
        self.ids += 1
        number = self.rng.randint(1, self.ids) if self.rng.random() < 0.3 or self.ids > 400 else self.ids
        return f"w{self.number}/d{number}"

    def change(self, changes, *request, **options):
        self.caller.journal.changing(changes)
        status, _, _ = self.caller.send(*request, **options)
        (self.caller.journal.changed if status == 200 else self.caller.journal.unchanged)(changes)

    def word(self):
        return f"word{self.rng.getrandbits(40):x}"

    def store(self):
        documents = {self.new_id(): texts.document(self.rng, self.word()) for _ in range(self.rng.randint(1, 4))}
        if self.rng.random() < 0.7:
            body = {"documents": [{"id": id, "text": text} for id, text in documents.items()]}
            return self.change(documents, "POST", f"{COLLECTION}/documents", body)
        lines = "".join(json.dumps({"id": id, "text": text}) + "\n" for id, text in documents.items())
        self.change(documents, "POST", f"{COLLECTION}/documents", lines.encode(), kind="application/x-ndjson")

    def file(self):
        id, word = self.new_id(), self.word()
        kind, body = self.rng.choice((
            ("text/html", f"<html><body><article><h1>{word}</h1><p>{texts.prose(self.rng, 6)}</p></article></body></html>"),
            ("text/csv", f"name,people\n{word},3\nbridge,4\n"), ("text/markdown", f"# {word}\n\n{texts.prose(self.rng, 5)}")))
        self.change({id: ("a file with", word)}, "PUT", f"{COLLECTION}/documents/{id}", body.encode(), kind=kind)

    def known(self):
        mine = f"w{self.number}/"
        with self.caller.journal.lock:
            ids = [id for id, text in self.caller.journal.documents.items() if text and id.startswith(mine)]
        return self.rng.choice(ids) if ids else None

    def remove(self):
        if id := self.known():
            self.change({id: None}, "POST", f"{COLLECTION}/delete", {"ids": [id]})

    def get(self):
        if id := self.known():
            self.caller.call("GET", f"{COLLECTION}/documents/{id}")

    def search(self):
        mode = self.rng.choice(("lexical", "dense", "hybrid"))
        self.caller.call("POST", f"{COLLECTION}/search",
                         {"query": texts.sentence(self.rng)[:80], "mode": mode, "top_k": self.rng.randint(1, 10)})

    def compress(self):
        documents = [{"text": texts.prose(self.rng, 8)} for _ in range(self.rng.randint(2, 6))]
        body = {"documents": documents, "question": f"What happened at {self.rng.choice(texts.PLACES)}?", "rate": 0.4}
        if self.rng.random() < 0.3:
            body = {"context": texts.prose(self.rng, 12), "rate": 0.5, "method": "llmlingua"}
        self.caller.call("POST", "/v1/compress", body)

    def prompt(self):
        self.caller.call("POST", "/v1/prompt", {"question": "What was replaced at pier 9?", "collections": ["reports"],
                                                "target_tokens": 400})

    def embed(self):
        self.caller.call("POST", "/v1/embeddings", {"model": "local/all-minilm-l6-v2", "input": [texts.sentence(self.rng)]})

    def rerank(self):
        documents = [texts.sentence(self.rng) for _ in range(8)]
        self.caller.call("POST", "/v1/rerank", {"query": "Who repaired the bridge?", "documents": documents})

    def local(self):
        self.caller.call("POST", "/v1/chat/completions", {
            "model": "local/smollm2-135m-instruct", "max_tokens": 4, "messages": [{"role": "user", "content": "Say yes."}]},
            headers={"x-request-id": self.local_id()})

    def local_id(self):
        id = f"local-{self.number}-{self.rng.getrandbits(40):x}"
        self.caller.journal.sent(id)
        return id

    def look(self):
        path = self.rng.choice(("/healthz", "/readyz", "/v1/models", "/v1/usage", "/v1/collections", "/docs", "/openapi.json"))
        self.caller.send("GET", path)

    def original(self):
        """What a mark of this worker's stands for: for its own key, and for no other."""
        mine = [id for id, (name, _) in list(self.shared.memory.originals.items()) if name.startswith(f"c{self.number}-")]
        if not mine:
            return
        id = self.rng.choice(mine[-200:])
        # It is on disk before an upstream sees its mark, so no kill may lose it.
        if time.time() - self.shared.memory.originals[id][1] > 2:
            self.caller.send("GET", f"/v1/originals/{id}", expect=(200,))
            self.other.send("GET", f"/v1/originals/{id}", expect=(404,))
