"""An upstream that plays a session of ten turns: each answer is a stream that calls a tool, the last one says that it is
done. What comes next follows from the results in the request, as it does for a model."""

import json
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

DONE = "All ten turns are done."
RECALL = "whittle_recall"
MARK = re.compile(r"recall ([0-9a-f]{16})\]")


def named(events):
    return [f"event: {name}\ndata: {json.dumps({'type': name, **data})}\n\n" for name, data in events]


def anthropic_stream(number, text, call):
    """An answer with a text and perhaps a call, `(id, name, arguments)`."""
    usage = {"input_tokens": 100, "output_tokens": 1, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0}
    message = {"id": f"msg_{number}", "type": "message", "role": "assistant", "model": "claude-scripted", "content": [],
               "stop_reason": None, "stop_sequence": None, "usage": usage}
    yield "message_start", {"message": message}
    yield "content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}}
    yield "content_block_delta", {"index": 0, "delta": {"type": "text_delta", "text": text}}
    yield "content_block_stop", {"index": 0}
    if call:
        identifier, name, arguments = call
        block = {"type": "tool_use", "id": identifier, "name": name, "input": {}}
        yield "content_block_start", {"index": 1, "content_block": block}
        given = json.dumps(arguments)
        for part in (given[:7], given[7:]):
            yield "content_block_delta", {"index": 1, "delta": {"type": "input_json_delta", "partial_json": part}}
        yield "content_block_stop", {"index": 1}
    yield "message_delta", {"delta": {"stop_reason": "tool_use" if call else "end_turn", "stop_sequence": None},
                            "usage": {"output_tokens": 9}}
    yield "message_stop", {}


def responses_stream(number, text, call):
    response = {"id": f"resp_{number}", "object": "response", "created_at": 1, "model": "gpt-5", "status": "in_progress",
                "output": [], "parallel_tool_calls": False, "tool_choice": "auto", "tools": [], "usage": None}
    message = {"type": "message", "id": f"m_{number}", "role": "assistant", "status": "completed",
               "content": [{"type": "output_text", "text": text, "annotations": []}]}
    items = [message]
    if call:
        identifier, name, arguments = call
        namespace, _, plain = name.rpartition("/")
        item = {"type": "function_call", "id": f"fc_{number}", "call_id": identifier, "name": plain,
                "arguments": json.dumps(arguments), "status": "completed"}
        items.append({**item, "namespace": namespace} if namespace else item)
    yield "response.created", {"sequence_number": 0, "response": response}
    count = 0
    for index, item in enumerate(items):
        begun = {**item, "status": "in_progress"}
        begun.update({"content": []} if item["type"] == "message" else {"arguments": ""})
        yield "response.output_item.added", {"sequence_number": (count := count + 1), "output_index": index, "item": begun}
        place = {"item_id": item["id"], "output_index": index}
        if item["type"] == "message":
            yield "response.output_text.delta", {
                "sequence_number": (count := count + 1), **place, "content_index": 0, "delta": text, "logprobs": []}
        else:
            yield "response.function_call_arguments.delta", {
                "sequence_number": (count := count + 1), **place, "delta": item["arguments"]}
            yield "response.function_call_arguments.done", {
                "sequence_number": (count := count + 1), **place, "arguments": item["arguments"], "name": item["name"]}
        yield "response.output_item.done", {"sequence_number": (count := count + 1), "output_index": index, "item": item}
    usage = {"input_tokens": 100, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 9,
             "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 109}
    done = {**response, "status": "completed", "output": items, "usage": usage}
    yield "response.completed", {"sequence_number": count + 1, "response": done}


def text_of(content):
    if isinstance(content, str):
        return content
    return "".join(part.get("text") or "" for part in content or [])


def results_of(body):
    """The results of tools in a request, in order: the name of each call, and its text."""
    names, results = {}, []
    for message in body.get("messages", []):
        for block in message["content"] if isinstance(message["content"], list) else []:
            if block["type"] == "tool_use":
                names[block["id"]] = block["name"]
            elif block["type"] == "tool_result":
                results.append((names.get(block["tool_use_id"], ""), text_of(block.get("content"))))
    for item in body.get("input", []):
        if item["type"] == "function_call":
            names[item["call_id"]] = item["name"]
        elif item["type"] == "function_call_output":
            results.append((names.get(item["call_id"], ""), text_of(item["output"])))
    return results


class Session:
    """What the model of a session does: `steps` are functions of the session's state that give a call, name and arguments.

    Before the step `recalls_at` it recalls what the first mark hides, by the proxy's own tool."""

    def __init__(self, steps, recalls_at):
        self.steps, self.recalls_at = steps, recalls_at
        self.requests, self.problems, self.recalled, self.number = [], [], None, 0
        self.tools, self.results = [], []

    def answer(self, body):
        """The text and the call that answer a request."""
        self.number += 1
        self.requests.append(body)
        self.tools = [tool.get("name") for tool in body.get("tools") or []]
        results = results_of(body)
        own = [result for result in results if result[0] != RECALL]
        hidden = [text for name, text in results if name == RECALL]
        self.results = own
        turn = len(own)
        if turn >= len(self.steps):
            return DONE, None
        if turn == self.recalls_at and RECALL in self.tools and not hidden:
            return "I look at what was left out.", (f"call_r{self.number}", RECALL, {"id": self.mark()})
        if hidden:
            self.recalled = hidden[-1]
        name, arguments = self.steps[turn](self)
        return f"Turn {turn + 1}.", (f"call_{turn}_{self.number}", name, arguments)

    def mark(self):
        """The id in the first mark of the results so far."""
        for _, text in self.results:
            found = MARK.search(text)
            if found:
                return found[1]
        self.problems.append("no mark names an original")
        return "0" * 16


def handler(session):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def answer(self, status, value):
            body = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self):
            self.answer(200, {"object": "list", "data": [], "models": []})

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            path = self.path.split("?")[0]
            if path.endswith("/count_tokens"):
                return self.answer(200, {"input_tokens": 100})
            if not body.get("stream"):
                session.problems.append(f"{path} without a stream")
            # Beside the session, an agent may ask for a title or the like, without tools.
            text, call = session.answer(body) if body.get("tools") else ("A title", None)
            stream = anthropic_stream if path == "/v1/messages" else responses_stream
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            for piece in [*named(stream(session.number, text, call)), ""]:
                data = piece.encode()
                self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    return Handler


class Server(ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def start(session):
    server = Server(("127.0.0.1", 0), handler(session))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"
