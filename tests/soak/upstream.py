"""An upstream of both dialects that remembers what it was sent, and notices a conversation whose beginning changed."""

import json
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from texts import rng_of

RECALL = "whittle_recall"
# The client puts this member behind its messages, so that what stands before it is what the next turn begins with.
TAIL = b'],"max_tokens":'
CONVERSATION = re.compile(rb"Conversation (c[0-9-]+)\.")
MARK = re.compile(rb"recall ([0-9a-f]{16})")
# The id that the description of the tool has for an example: nobody has such an original.
EXAMPLE = b"9c5ec9f0a1b2c3d4"


class Memory:
    """What arrived, by conversation."""

    def __init__(self, seed):
        self.lock = threading.Lock()
        self.seed = seed
        self.heads = {}
        self.broken = []
        self.originals = {}
        self.refused = None
        self.counts = {"requests": 0, "hidden_rounds": 0, "recalls": 0, "refused": 0, "strangers": 0}

    def note(self, body):
        """Notes a request. Gives a number for its answer, and the id of an original that the model would ask for."""
        found = CONVERSATION.search(body)
        with self.lock:
            self.counts["requests"] += 1
            number = self.counts["requests"]
            if not found:
                self.counts["strangers"] += 1
                return number, None, False
            name = found[1].decode()
            head = body.rpartition(TAIL)[0]
            hidden = b'"recall_' in head and self.is_round(body)
            self.compare(name, head, hidden)
            marks = [mark for mark in MARK.findall(head) if mark != EXAMPLE]
            for mark in marks:
                self.originals.setdefault(mark.decode(), (name, time.time()))
            if hidden:
                self.counts["hidden_rounds"] += 1
                return number, None, True
            self.heads[name] = (time.time(), head)
            wants = marks and RECALL.encode() in head and rng_of(self.seed, "recall", number).random() < 0.3
            self.counts["recalls"] += bool(wants)
            return number, marks[-1].decode() if wants else None, False

    def is_round(self, body):
        last = json.loads(body)["messages"][-1]
        if last["role"] == "tool":
            return last["tool_call_id"].startswith("recall_")
        blocks = last["content"] if isinstance(last["content"], list) else []
        return any(block.get("tool_use_id", "").startswith("recall_") for block in blocks)

    def compare(self, name, head, hidden):
        seen, before = self.heads.get(name, (0, None))
        if before is None or head == before or head.startswith(before + b","):
            return
        at = next((i for i, (a, b) in enumerate(zip(before, head)) if a != b), min(len(before), len(head)))
        self.broken.append({"conversation": name, "time": time.time(), "before_at": seen, "byte": at, "hidden": hidden,
                            "lengths": [len(before), len(head)],
                            "before": before[max(0, at - 60):at + 120].decode(errors="replace"),
                            "after": head[max(0, at - 60):at + 120].decode(errors="replace")})


def chunk(delta, reason=None):
    return "data: " + json.dumps({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-soak",
                                  "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}) + "\n\n"


def event(kind, **rest):
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **rest})}\n\n"


def chat_stream(text, call):
    yield chunk({"role": "assistant", "content": ""})
    for part in text.split(" "):
        yield chunk({"content": part + " "})
    if call:
        function = {"name": RECALL, "arguments": json.dumps({"id": call})}
        yield chunk({"tool_calls": [{"index": 0, "id": f"recall_{call}", "type": "function", "function": function}]})
    yield chunk({}, "tool_calls" if call else "stop")
    yield "data: " + json.dumps({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-soak",
                                 "choices": [], "usage": {"prompt_tokens": 50, "completion_tokens": 5,
                                                          "total_tokens": 55}}) + "\n\n"
    yield "data: [DONE]\n\n"


def messages_stream(text, call):
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-soak", "content": [],
               "stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 50, "output_tokens": 1}}
    yield event("message_start", message=message)
    yield event("content_block_start", index=0, content_block={"type": "text", "text": ""})
    for part in text.split(" "):
        yield event("content_block_delta", index=0, delta={"type": "text_delta", "text": part + " "})
    yield event("content_block_stop", index=0)
    if call:
        block = {"type": "tool_use", "id": f"recall_{call}", "name": RECALL, "input": {}}
        yield event("content_block_start", index=1, content_block=block)
        yield event("content_block_delta", index=1,
                    delta={"type": "input_json_delta", "partial_json": json.dumps({"id": call})})
        yield event("content_block_stop", index=1)
    yield event("message_delta", delta={"stop_reason": "tool_use" if call else "end_turn", "stop_sequence": None},
                usage={"output_tokens": 5})
    yield event("message_stop")


def chat_answer(text, call):
    message = {"role": "assistant", "content": text}
    if call:
        function = {"name": RECALL, "arguments": json.dumps({"id": call})}
        message["tool_calls"] = [{"id": f"recall_{call}", "type": "function", "function": function}]
    return {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-soak",
            "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls" if call else "stop"}],
            "usage": {"prompt_tokens": 50, "completion_tokens": 5, "total_tokens": 55}}


def messages_answer(text, call):
    content = [{"type": "text", "text": text}]
    if call:
        content.append({"type": "tool_use", "id": f"recall_{call}", "name": RECALL, "input": {"id": call}})
    return {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-soak", "content": content,
            "stop_reason": "tool_use" if call else "end_turn", "stop_sequence": None,
            "usage": {"input_tokens": 50, "output_tokens": 5}}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body of an answer in two packets would wait for each other.
    wbufsize = -1
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def whole(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def stream(self, pieces, pause):
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for piece in pieces:
            data = piece.encode()
            self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
            self.wfile.flush()
            time.sleep(pause)
        self.wfile.write(b"0\r\n\r\n")

    def do_GET(self):
        self.whole(200, {"object": "list", "data": [{"id": "gpt-soak", "object": "model", "created": 1, "owned_by": "soak"}]})

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        memory, anthropic = self.server.memory, self.path.startswith("/v1/messages")
        try:
            streamed = json.loads(body).get("stream")
        except (ValueError, AttributeError):
            return self.whole(400, {"type": "error", "error": {"type": "invalid_request_error", "message": "no JSON object"}})
        number, call, hidden = memory.note(body)
        rng = rng_of(memory.seed, "upstream", number)
        # Now and then it fails before it answers, as they do: the service tries again, and is not refused again.
        if not hidden and body != memory.refused and rng.random() < 0.02:
            memory.refused = body
            memory.counts["refused"] += 1
            return self.whole(503, {"type": "error", "error": {"type": "overloaded_error", "message": "try again"}})
        text = f"Answer {number} of the model: the {rng.choice(('valve', 'bridge', 'ledger'))} was checked."
        if not streamed:
            time.sleep(rng.random() * 0.3)
            return self.whole(200, (messages_answer if anthropic else chat_answer)(text, call))
        self.stream((messages_stream if anthropic else chat_stream)(text, call), rng.random() * 0.1)


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        # The service was killed, or its client left: both belong to the test.
        pass


def start(seed):
    server = Server(("127.0.0.1", 0), Handler)
    server.memory = Memory(seed)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.memory, f"http://127.0.0.1:{server.server_port}"
