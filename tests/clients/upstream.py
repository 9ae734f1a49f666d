"""An upstream that answers each dialect as its official clients expect, with errors on demand."""

import base64
import hashlib
import json
import re
import struct
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def call_of(body):
    """Name and arguments of the call that a model with the tools of `body` makes, if it has any."""
    if not body.get("tools"):
        return None
    first = body["tools"][0]
    tool = first.get("function") or first.get("functionDeclarations", [first])[0]
    schema = tool.get("parameters") or tool.get("input_schema") or {}
    return tool["name"], FOUND if "count" in schema.get("properties", {}) else {"q": 1.0}


def openai_chunks(text, call):
    base = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o"}
    delta = lambda delta, reason=None: {**base, "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}
    yield delta({"role": "assistant", "content": None if call else ""})
    if call:
        function = {"name": call[0], "arguments": ""}
        yield delta({"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": function}]})
        for part in halves(json.dumps(call[1])):
            yield delta({"tool_calls": [{"index": 0, "function": {"arguments": part}}]})
    else:
        for part in halves(text):
            yield delta({"content": part})
    yield delta({}, "tool_calls" if call else "stop")
    yield {**base, "choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}}


def halves(text):
    return text[:len(text) // 2], text[len(text) // 2:]


def anthropic_events(text, call):
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "content": [],
               "stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 5, "output_tokens": 1}}
    yield "message_start", {"type": "message_start", "message": message}
    block, kind, key = {"type": "text", "text": ""}, "text_delta", "text"
    if call:
        block, kind, key = {"type": "tool_use", "id": "toolu_1", "name": call[0], "input": {}}, "input_json_delta", "partial_json"
        text = json.dumps(call[1])
    yield "content_block_start", {"type": "content_block_start", "index": 0, "content_block": block}
    yield "ping", {"type": "ping"}
    for part in halves(text):
        yield "content_block_delta", {"type": "content_block_delta", "index": 0, "delta": {"type": kind, key: part}}
    yield "content_block_stop", {"type": "content_block_stop", "index": 0}
    reason = "tool_use" if call else "end_turn"
    yield "message_delta", {"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None},
                            "usage": {"output_tokens": 3}}
    yield "message_stop", {"type": "message_stop"}


def response(text, status):
    """An answer of the Responses API, begun or complete."""
    done = status == "completed"
    part = {"type": "output_text", "text": text, "annotations": []}
    message = {"type": "message", "id": "m", "role": "assistant", "status": status, "content": [part] if done else []}
    usage = {"input_tokens": 5, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 3,
             "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 8}
    return {"id": "resp_1", "object": "response", "created_at": 1, "model": "gpt-4o", "status": status,
            "output": [message] if done else [], "parallel_tool_calls": True, "tool_choice": "auto", "tools": [],
            "usage": usage if done else None}


def response_events(text):
    place = {"item_id": "m", "output_index": 0, "content_index": 0}
    item = response(text, "completed")["output"][0]
    empty = {"type": "output_text", "text": "", "annotations": []}
    events = [
        ("response.created", {"response": response(text, "in_progress")}),
        ("response.output_item.added", {"output_index": 0, "item": {**item, "status": "in_progress", "content": []}}),
        ("response.content_part.added", {**place, "part": empty}),
        *[("response.output_text.delta", {**place, "delta": part, "logprobs": []}) for part in halves(text)],
        ("response.output_text.done", {**place, "text": text, "logprobs": []}),
        ("response.content_part.done", {**place, "part": {**empty, "text": text}}),
        ("response.output_item.done", {"output_index": 0, "item": item}),
        ("response.completed", {"response": response(text, "completed")}),
    ]
    for number, (name, data) in enumerate(events):
        yield name, {"type": name, "sequence_number": number, **data}


def gemini_answers(text, call):
    """The parts of an answer of Gemini's, of which each counts up to there."""
    pieces = [{"functionCall": {"name": call[0], "args": call[1]}}] if call else [{"text": part} for part in halves(text)]
    for number, piece in enumerate(pieces, 1):
        last = number == len(pieces)
        usage = {"promptTokenCount": 5, "candidatesTokenCount": number, "totalTokenCount": 5 + number}
        yield {"candidates": [{"content": {"role": "model", "parts": [piece]}, "index": 0,
                               **({"finishReason": "STOP"} if last else {})}],
               "usageMetadata": usage, "modelVersion": "gemini-2.5-pro", "responseId": "r"}


def ollama_answers(text, call, generates):
    """The lines of an answer of Ollama's."""
    base = {"model": "llama3", "created_at": "2026-01-01T00:00:00Z"}
    said = lambda text, **more: {"response": text} if generates else {"message": {"role": "assistant", "content": text, **more}}
    pieces = [said("", tool_calls=[{"function": {"name": call[0], "arguments": call[1]}}])] if call else map(said, halves(text))
    yield from ({**base, **piece, "done": False} for piece in pieces)
    yield {**base, **said(""), "done": True, "done_reason": "stop", "prompt_eval_count": 5, "eval_count": 3}


def cohere_events(text, call):
    yield "message-start", {"id": "c", "type": "message-start", "delta": {"message": {"role": "assistant"}}}
    if call:
        function = {"name": call[0], "arguments": json.dumps(call[1])}
        message = {"tool_calls": {"id": "call_1", "type": "function", "function": function}}
        yield "tool-call-start", {"type": "tool-call-start", "index": 0, "delta": {"message": message}}
        yield "tool-call-end", {"type": "tool-call-end", "index": 0}
    else:
        content = {"type": "text", "text": ""}
        yield "content-start", {"type": "content-start", "index": 0, "delta": {"message": {"content": content}}}
        for part in halves(text):
            yield "content-delta", {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": part}}}}
        yield "content-end", {"type": "content-end", "index": 0}
    yield "message-end", {"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": COHERE_USAGE}}


COHERE_USAGE = {"billed_units": {"input_tokens": 5, "output_tokens": 3}, "tokens": {"input_tokens": 70, "output_tokens": 4}}


def named(events):
    return [f"event: {name}\ndata: {json.dumps(data)}\n\n" for name, data in events]


# What a structured answer holds.
FOUND = {"name": "a", "count": 2}
# One for each request with a body that arrived.
posts = []


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.send_header("x-request-id", "req_1")
        self.send_header("request-id", "req_1")
        self.end_headers()
        self.wfile.write(body)

    def stream(self, pieces, kind="text/event-stream"):
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for piece in [*pieces, None]:
            data = piece.encode() if piece is not None else b""
            self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def do_GET(self):
        if self.path.startswith("/v1beta/models") or "x-goog-api-client" in self.headers:
            return self.answer(200, {"models": [{"name": "models/gemini-2.5-pro", "displayName": "Gemini"}]})
        if self.path.startswith("/v1/models") and self.headers.get("x-fern-sdk-name") == "cohere":
            return self.answer(200, {"models": [{"name": "command-a"}]})
        if self.path == "/api/tags":
            return self.answer(200, {"models": [{"name": "llama3", "model": "llama3", "size": 1}]})
        self.answer(200, {"object": "list", "data": [
            {"id": "gpt-4o", "object": "model", "created": 1, "owned_by": "upstream"}]})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        anthropic, gemini = self.path.startswith("/v1/messages"), self.path.startswith(("/v1beta/", "/v1/models/"))
        place, _, method = self.path.partition("?")[0].rpartition(":")
        model = place.rpartition("/")[2] if gemini else body["model"]
        # A client of Azure names a deployment in the path, and sends what others send.
        path = re.sub(r"^/openai/(deployments/[^/]+/|v1/)?", "/v1/", self.path.partition("?")[0])
        posts.append(model)
        if model == "slow":
            time.sleep(2)
        # The answer tells what arrived: the same bytes there give the same answer here, whole or as a stream.
        heard = {key: value for key, value in body.items() if not key.startswith("stream")}
        digest = hashlib.sha256(json.dumps(heard, sort_keys=True).encode()).hexdigest()[:12]
        text = f"heard {digest}"
        if model.startswith("error-"):
            status, message = int(model[6:]), {"type": "invalid_request_error", "message": "as asked for"}
            if gemini:
                return self.answer(status, {"error": {"code": status, "message": "as asked for", "status": "ASKED"}})
            if self.path.startswith("/api/"):
                return self.answer(status, {"error": "as asked for"})
            if self.path.startswith("/v2/"):
                return self.answer(status, {"id": "e", "message": "as asked for"})
            return self.answer(status, {"type": "error", "error": message} if anthropic else
                               {"error": {**message, "param": None, "code": "asked"}})
        if path == "/v1/embeddings":
            self.embed(body)
        elif gemini:
            self.say_gemini(method, body, text)
        elif self.path.startswith("/api/"):
            self.say_ollama(body, text)
        elif self.path.startswith("/v2/"):
            self.say_cohere(body, text)
        elif anthropic:
            self.say_anthropic(body, text)
        elif path == "/v1/responses":
            self.stream(named(response_events(text))) if body.get("stream") else self.answer(200, response(text, "completed"))
        else:
            self.say_openai(body, text)

    def say_openai(self, body, text):
        call = call_of(body)
        if body.get("response_format"):
            text = json.dumps(FOUND)
        if body.get("stream"):
            events = [f"data: {json.dumps(chunk)}\n\n" for chunk in openai_chunks(text, call)]
            return self.stream([*events, "data: [DONE]\n\n"])
        message, reason = {"role": "assistant", "content": text}, "stop"
        if call:
            function = {"name": call[0], "arguments": json.dumps(call[1])}
            message = {"role": "assistant", "content": None,
                       "tool_calls": [{"id": "call_1", "type": "function", "function": function}]}
            reason = "tool_calls"
        self.answer(200, {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": body["model"],
                          "choices": [{"index": 0, "message": message, "finish_reason": reason}],
                          "usage": {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}})

    def say_gemini(self, method, body, text):
        answers = list(gemini_answers(text, call_of(body)))
        if method == "countTokens":
            return self.answer(200, {"totalTokens": len(text)})
        if method in ("embedContent", "batchEmbedContents"):
            vector = {"values": [0.5, -1.25]}
            return self.answer(200, {"embedding": vector} if method == "embedContent" else {"embeddings": [vector]})
        if method == "streamGenerateContent":
            return self.stream([f"data: {json.dumps(answer)}\r\n\r\n" for answer in answers])
        parts = [part for answer in answers for part in answer["candidates"][0]["content"]["parts"]]
        answers[-1]["candidates"][0]["content"]["parts"] = parts
        self.answer(200, answers[-1])

    def say_ollama(self, body, text):
        if self.path == "/api/show":
            return self.answer(200, {"details": {"family": "llama"}, "model_info": {}, "capabilities": ["completion"]})
        if self.path == "/api/embed":
            return self.answer(200, {"model": body["model"], "embeddings": [[0.5, -1.25]], "prompt_eval_count": 2})
        generates = self.path == "/api/generate"
        lines = list(ollama_answers(text, call_of(body), generates))
        # A stream is what comes where nothing is said.
        if body.get("stream", True):
            return self.stream([json.dumps(line) + "\n" for line in lines], "application/x-ndjson")
        whole = {**lines[0], **lines[-1]}
        if generates:
            whole["response"] = "".join(line["response"] for line in lines)
        else:
            content = "".join(line["message"]["content"] for line in lines)
            whole["message"] = {**lines[0]["message"], "content": content}
        self.answer(200, whole)

    def say_cohere(self, body, text):
        call = call_of(body)
        if self.path == "/v2/embed":
            return self.answer(200, {"id": "v", "embeddings": {"float": [[0.5, -1.25]]}, "texts": body["texts"],
                                     "meta": {"billed_units": {"input_tokens": 2}}})
        if self.path == "/v2/rerank":
            return self.answer(200, {"id": "r", "results": [{"index": 1, "relevance_score": 0.5}], "meta": {}})
        if body.get("stream"):
            return self.stream([*named(cohere_events(text, call)), "data: [DONE]\n\n"])
        message, reason = {"role": "assistant", "content": [{"type": "text", "text": text}]}, "COMPLETE"
        if call:
            function = {"name": call[0], "arguments": json.dumps(call[1])}
            message, reason = {"role": "assistant", "tool_plan": "I look.", "tool_calls": [
                {"id": "call_1", "type": "function", "function": function}]}, "TOOL_CALL"
        self.answer(200, {"id": "c", "finish_reason": reason, "message": message, "usage": COHERE_USAGE})

    def embed(self, body):
        texts = body["input"] if isinstance(body["input"], list) else [body["input"]]
        def vector(text):
            numbers = [0.5, -1.25, float(len(text))]
            packed = base64.b64encode(struct.pack("<3f", *numbers)).decode()
            return packed if body.get("encoding_format") == "base64" else numbers
        vectors = [{"object": "embedding", "index": i, "embedding": vector(text)} for i, text in enumerate(texts)]
        self.answer(200, {"object": "list", "data": vectors, "model": "embed",
                          "usage": {"prompt_tokens": 2, "total_tokens": 2}})

    def say_anthropic(self, body, text):
        call = call_of(body)
        if self.path.endswith("count_tokens"):
            return self.answer(200, {"input_tokens": len(text)})
        if body.get("stream"):
            return self.stream(named(anthropic_events(text, call)))
        content, reason = [{"type": "text", "text": text}], "end_turn"
        if call:
            content, reason = [{"type": "tool_use", "id": "toolu_1", "name": call[0], "input": call[1]}], "tool_use"
        self.answer(200, {"id": "msg_1", "type": "message", "role": "assistant", "model": body["model"],
                          "content": content, "stop_reason": reason, "stop_sequence": None,
                          "usage": {"input_tokens": 5, "output_tokens": 3}})


class Server(ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        # A client that ran out of patience is part of the test.
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def start():
    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"
