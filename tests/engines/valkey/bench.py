"""What shared limits add to a request: the same requests to a replica with a server and to one without, in turns."""

import http.client
import statistics
import time

from replicas import PATIENCE, Server, Upstream, exchange

ROUNDS, REQUESTS = 20, 500
BODY = '{"model": "m-10-10", "messages": [{"role": "user", "content": "Is it?"}]}'


def run(program, stage_of):
    server, upstream = Server(program), Upstream()
    stage = stage_of(server, upstream)
    try:
        key = stage.key("a", "--requests-per-minute", 4_000_000, "--tokens-per-minute", 4_000_000_000,
                        "--usd-per-day", 1_000_000)
        shared, alone = stage.replica(), stage.replica(kind="none")
        for name, request in [("GET /v1/collections (1 call of the server)", ("GET", "/v1/collections", key)),
                              ("POST /v1/chat/completions (2 calls)", ("POST", "/v1/chat/completions", key, BODY))]:
            times = {"shared": [], "alone": []}
            for _ in range(ROUNDS):
                for kind, replica in [("shared", shared), ("alone", alone)]:
                    times[kind] += measured(replica, request)
            for kind, values in times.items():
                cuts = statistics.quantiles(values, n=100)
                print(f"{name}, {kind}: p50 {cuts[49] * 1000:.2f} ms, p99 {cuts[98] * 1000:.2f} ms "
                      f"of {len(values)} requests", flush=True)
    finally:
        stage.close()
        server.stop()
        upstream.shutdown()


def measured(replica, request):
    """The times of requests one after the other, on one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", replica.port, timeout=PATIENCE)
    exchange(connection, *request)
    times = []
    for _ in range(REQUESTS):
        start = time.perf_counter()
        status, _, text = exchange(connection, *request)
        times.append(time.perf_counter() - start)
        assert status == 200, text
    connection.close()
    return times
