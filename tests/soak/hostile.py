"""Requests that no honest client sends. Each is a function that gives the statuses it got; 0 is a closed connection."""

import gzip
import io
import json
import socket
import time
import zipfile

PATIENCE = 120
PATHS = ("/v1/compress", "/v1/chat/completions", "/v1/messages", "/v1/embeddings", "/v1/rerank", "/v1/prompt", "/v1/score",
         "/v1/collections/reports/search", "/v1/collections/reports/documents")


def raw(address, data, pieces=(), pause=0.0, finish=True):
    """Status of the answer to these bytes, or 0 where the connection ends without one."""
    host, port = address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as connection:
        try:
            connection.sendall(data)
            for piece in pieces:
                time.sleep(pause)
                connection.sendall(piece)
            if not finish:
                return 0
            with connection.makefile("rb") as answer:
                line = answer.readline(200).split()
        except OSError:
            return 0
    return int(line[1]) if len(line) > 1 else 0


def request(path, body, key, method="POST", kind="application/json", headers=()):
    lines = [f"{method} {path} HTTP/1.1", "host: soak", f"content-type: {kind}", f"content-length: {len(body)}",
             "connection: close", "x-request-id: hostile", *([f"x-whittle-key: {key}"] if key else []), *headers]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def malformed_json(address, key, rng):
    body = rng.choice((b'{"model":', b"[" * 100_000, b'{"a":' * 50_000, b"\xff\xfe{}", b'{"context": "\\ud800", "rate": 0.5}',
                       b'{"rate": 1e999999}', b"{}{}", b"null", b'"text"', b"", b"\x00" * 1000,
                       b'{"model": 7, "messages": 7}', b'{"context": "a", "rate": "' + b"9" * 100_000 + b'"}'))
    return raw(address, request(rng.choice(PATHS), body, key))


def large_headers(address, key, rng):
    many = [f"x-{i}: {'a' * 100}" for i in range(500)]
    return raw(address, request("/v1/compress", b"{}", key, headers=rng.choice((["x-a: " + "a" * 1_000_000], many))))


def wrong_key(address, key, rng):
    near = key[:-1] + ("0" if key[-1] != "0" else "1")
    other = rng.choice((near, key.upper(), key[:20], "", "x" * 8000, "whittle-", key + "0", "' or 1=1 --"))
    return raw(address, request(rng.choice(PATHS), b'{"model": "gpt-soak", "messages": []}', other or None))


def traversal(address, key, rng):
    path = rng.choice(("/v1/collections/..%2f..%2fetc", "/v1/collections/../../etc/passwd", "/v1/collections/%2e%2e/documents",
                       "/v1/collections/a%00b", "/v1/collections/" + "a" * 5000, "/upstreams/openai/..%2f..%2fadmin/../../x",
                       "/upstreams/../x", "/docs/../../etc/passwd", "/docs/..%2f..%2fCargo.toml",
                       "/v1/originals/..%2f..%2foriginals.key", "/v1/example-banks/..%2fx", "/v1/collections/CON%3a"))
    return raw(address, request(path, b"{}", key, method=rng.choice(("GET", "PUT"))))


def zipped(members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def bomb(address, key, rng):
    zeros = b"\x00" * 30_000_000
    if rng.random() < 0.5:
        path = rng.choice(("/v1/compress", "/v1/chat/completions"))
        return raw(address, request(path, gzip.compress(zeros, 1), key, headers=["content-encoding: gzip"]))
    lol = '<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "' + "a" * 50_000 + '">' + \
        "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi")) + "]><w:document>&i;</w:document>"
    content = rng.choice((lol.encode(), b"<a>" * 1_000_000, b"no xml"))
    body = zipped({"[Content_Types].xml": b"<Types/>", "word/document.xml": content, "word/big.xml": zeros})
    word = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
    return raw(address, request("/v1/collections/hostile/documents/bomb", body, key, method="PUT", kind=word))


def aborted_upload(address, key, rng):
    head = request(rng.choice(PATHS), b"", key).replace(b"content-length: 0", b"content-length: 9000000")
    return raw(address, head + b'{"context": "' + b"a" * rng.randint(1, 500_000), finish=False)


def slow_body(address, key, rng):
    head = request(rng.choice(PATHS), b"", key).replace(b"content-length: 0", b"content-length: 10000")
    return raw(address, head, [b"a"] * rng.randint(5, 20), 2.0, finish=False)


def slow_headers(address, key, rng):
    return raw(address, b"POST /v1/compress HTTP/1.1\r\n", [b"x-a: b\r\n"] * rng.randint(5, 20), 2.0, finish=False)


def two_lengths(address, key, rng):
    data = request("/v1/chat/completions", b'{"a": 1}', key, headers=["content-length: 3"])
    return raw(address, data)


def odd_requests(address, key, rng):
    data = rng.choice((request("/v1/chat/completions", b"", key, method="DELETE"), request("/v1/nothing", b"{}", key),
                       request("/v1/compress", b"", key).replace(b"length: 0", b"length: 999999999999999999"),
                       b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200), b"GET / HTTP/9.9\r\n\r\n",
                       request("/v1/compress", b'{"context": "a", "rate": 0.5}', key, kind="text/plain")))
    return raw(address, data)


def wrong_values(address, key, rng):
    path, value = rng.choice((
        ("/v1/compress", {"context": "a b c", "rate": -1}), ("/v1/compress", {"context": "a", "target_tokens": 0}),
        ("/v1/collections/reports/search", {"query": "a", "top_k": 10**12}),
        ("/v1/collections/reports/search", {"query": "a", "filter": {"field": "x" * 10_000, "gte": []}}),
        ("/v1/collections/no-such/search", {"query": "a"}), ("/v1/prompt", {"question": "a", "template": "{{" * 1000}),
        ("/v1/collections/reports/documents", {"documents": [{"id": "x" * 5000, "text": "a"}]})))
    return raw(address, request(path, json.dumps(value).encode(), key))


def bad_snapshot(address, key, rng):
    body = rng.choice((b"", b"redb" + bytes(100_000), rng.randbytes(50_000), zipped({"../../x": b"x"})))
    return raw(address, request("/v1/collections/hostile-copy/restore", body, key, kind="application/octet-stream"))


KINDS = (malformed_json, large_headers, wrong_key, traversal, bomb, aborted_upload, slow_body, slow_headers, two_lengths,
         odd_requests, wrong_values, bad_snapshot)
