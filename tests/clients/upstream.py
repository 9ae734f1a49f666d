"""An upstream that answers both dialects as the official clients expect, with errors on demand."""

import hashlib
import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def openai_chunks(text):
    base = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o"}
    for word in text.split():
        yield {**base, "choices": [{"index": 0, "delta": {"content": word + " "}, "finish_reason": None}]}
    yield {**base, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    yield {**base, "choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}}


def anthropic_events(text):
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "content": [],
               "stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 5, "output_tokens": 1}}
    yield "message_start", {"type": "message_start", "message": message}
    yield "content_block_start", {"type": "content_block_start", "index": 0,
                                  "content_block": {"type": "text", "text": ""}}
    yield "ping", {"type": "ping"}
    for word in text.split():
        yield "content_block_delta", {"type": "content_block_delta", "index": 0,
                                      "delta": {"type": "text_delta", "text": word + " "}}
    yield "content_block_stop", {"type": "content_block_stop", "index": 0}
    yield "message_delta", {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None},
                            "usage": {"output_tokens": 3}}
    yield "message_stop", {"type": "message_stop"}


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

    def stream(self, pieces):
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for piece in [*pieces, None]:
            data = piece.encode() if piece is not None else b""
            self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def do_GET(self):
        self.answer(200, {"object": "list", "data": [
            {"id": "gpt-4o", "object": "model", "created": 1, "owned_by": "upstream"}]})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        anthropic = self.path.startswith("/v1/messages")
        model = body["model"]
        posts.append(model)
        if model == "slow":
            time.sleep(2)
        # The answer tells what arrived: the same bytes there give the same answer here.
        digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:12]
        text = f"heard {digest}"
        if model.startswith("error-"):
            status, message = int(model[6:]), {"type": "invalid_request_error", "message": "as asked for"}
            return self.answer(status, {"type": "error", "error": message} if anthropic else
                               {"error": {**message, "param": None, "code": "asked"}})
        if self.path == "/v1/embeddings":
            self.embed(body["input"])
        elif anthropic:
            self.say_anthropic(body, text)
        elif self.path == "/v1/responses":
            self.say_responses(text)
        else:
            self.say_openai(body, text)

    def say_openai(self, body, text):
        if body.get("stream"):
            events = [f"data: {json.dumps(chunk)}\n\n" for chunk in openai_chunks(text)]
            return self.stream([*events, "data: [DONE]\n\n"])
        message = {"role": "assistant", "content": text}
        if body.get("response_format"):
            message = {"role": "assistant", "content": '{"name": "a", "count": 2}'}
        if body.get("tools"):
            message = {"role": "assistant", "content": None, "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "find", "arguments": '{"q": 1.0}'}}]}
        self.answer(200, {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": body["model"],
                          "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                          "usage": {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}})

    def embed(self, texts):
        vectors = [{"object": "embedding", "index": i, "embedding": [0.5, -1.25, len(text)]}
                   for i, text in enumerate(texts)]
        self.answer(200, {"object": "list", "data": vectors, "model": "embed",
                          "usage": {"prompt_tokens": 2, "total_tokens": 2}})

    def say_responses(self, text):
        part = {"type": "output_text", "text": text, "annotations": []}
        self.answer(200, {"id": "resp_1", "object": "response", "created_at": 1, "model": "gpt-4o", "status": "completed",
                          "output": [{"type": "message", "id": "m", "role": "assistant", "status": "completed",
                                      "content": [part]}],
                          "parallel_tool_calls": True, "tool_choice": "auto", "tools": []})

    def say_anthropic(self, body, text):
        if self.path.endswith("count_tokens"):
            return self.answer(200, {"input_tokens": len(text)})
        if body.get("stream"):
            return self.stream([f"event: {name}\ndata: {json.dumps(data)}\n\n" for name, data in anthropic_events(text)])
        content, reason = [{"type": "text", "text": text}], "end_turn"
        if body.get("tools"):
            content, reason = [{"type": "tool_use", "id": "toolu_1", "name": "find", "input": {"q": 1}}], "tool_use"
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
