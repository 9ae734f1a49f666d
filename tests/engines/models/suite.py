#!/usr/bin/env python3
"""The service against llama.cpp's server: suite.py WHITTLE FOLDER. Prints figures, and fails where one is too low."""
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import tempfile
import time

from calls import call, free_port, wait_for

ROOT = pathlib.Path(__file__).resolve().parents[3]
REPORT = (ROOT / "eval/texts/incident.md").read_text()
QUESTIONS = [
    "Which setting caused the outage, and who noticed it?",
    "What was done so that it does not happen again?",
    "When was the gateway restarted?",
]
RATES = [0.2, 0.4, 0.6]
# Smallest cosine of a vector here and there, and smallest share of kept bytes that are the same.
LEAST_COSINE, LEAST_COMMON = 0.999, 0.95


class Service:
    """A running whittle with a configuration of its own."""

    def __init__(self, binary, config):
        self.folder = tempfile.TemporaryDirectory()
        pathlib.Path(self.folder.name, "whittle.toml").write_text(config)
        cache = os.environ["WHITTLE_CACHE"]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("WHITTLE_")}
        environment |= {"WHITTLE_CACHE": cache, "WHITTLE_DATA_DIR": self.folder.name + "/data"}
        port = free_port()
        self.base = f"http://127.0.0.1:{port}"
        self.process = subprocess.Popen([binary, "serve", "--listen", f"127.0.0.1:{port}"], cwd=self.folder.name,
                                        env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(self.base + "/healthz", self.process)

    def vectors(self, texts):
        status, body = call(self.base + "/v1/embeddings", {"input": texts})
        if status != 200:
            raise SystemExit(f"{self.base} answered {status}: {body}")
        return [row["embedding"] for row in body["data"]]

    def kept(self, question, rate):
        """The bytes of the report that are kept."""
        request = {"context": REPORT, "question": question, "rate": rate, "method": "extractive"}
        status, body = call(self.base + "/v1/compress", request)
        if status != 200:
            raise SystemExit(f"{self.base} answered {status}: {body}")
        return {byte for begin, end in body["documents"][0]["kept"] for byte in range(begin, end)}

    def milliseconds(self, texts, runs=5):
        """The median time of texts whose vectors no service remembers."""
        times = []
        for run in range(runs + 1):
            fresh = [f"{text} {self.base[-5:]} {run}" for text in texts]
            begin = time.perf_counter()
            self.vectors(fresh)
            times.append((time.perf_counter() - begin) * 1000)
        # The first loads the model.
        return statistics.median(times[1:])

    def stop(self):
        self.process.terminate()
        self.process.wait(60)
        self.folder.cleanup()


def cosines(here, there):
    return [sum(a * b for a, b in zip(*pair)) for pair in zip(here, there)]


def sentences():
    return [line for line in REPORT.splitlines() if line.strip()]


def compare_vectors(local, int8, remote):
    texts = sentences()
    there = remote.vectors(texts)
    found = cosines(local.vectors(texts), there)
    least_int8 = min(cosines(int8.vectors(texts), there))
    print(f"vectors of {len(texts)} lines: smallest cosine with f32 {min(found):.6f}, with int8 {least_int8:.4f}")
    assert min(found) >= LEAST_COSINE, texts[found.index(min(found))]
    lengths = [sum(value * value for value in vector) ** 0.5 for vector in there]
    assert all(abs(length - 1) < 1e-4 for length in lengths)
    # Longer than what either reads at once: cut in different places, so that they are only alike.
    long = cosines(local.vectors([REPORT]), remote.vectors([REPORT]))[0]
    print(f"the whole report of {len(REPORT)} bytes, in parts: cosine {long:.4f}")
    assert long > 0.97, long


def compare_results(local, remote):
    common = []
    for question in QUESTIONS:
        for rate in RATES:
            here, there = local.kept(question, rate), remote.kept(question, rate)
            common.append(len(here & there) / len(here | there))
    equal = sum(share == 1 for share in common)
    print(f"kept ranges: equal in {equal} of {len(common)}; common bytes {min(common):.4f} at least, "
          f"{statistics.mean(common):.4f} in the mean")
    assert statistics.mean(common) >= LEAST_COMMON, common


def compare_times(services):
    one, many = sentences()[:1], (sentences() * 32)[:32]
    for name, service in services.items():
        print(f"{name}: {service.milliseconds(one):.1f} ms for a text, {service.milliseconds(many):.1f} ms for 32")


def check_faults(binary, remote, engine, url):
    plain = Service(binary, f"[embedder]\nkind = 'openai'\nurl = '{url}/v1'\n")
    try:
        status, body = call(plain.base + "/v1/embeddings", {"input": [REPORT]})
        assert status == 503 and "400" in body["error"]["message"], body
        assert "embedder.max_tokens" in body["error"]["message"], body
    finally:
        plain.stop()
    engine.send_signal(signal.SIGTERM)
    engine.wait(60)
    status, body = call(remote.base + "/v1/embeddings", {"input": ["a text that nobody embedded yet"]})
    assert status == 503 and body["error"]["code"] == "remote_model_failed", body
    assert url in body["error"]["message"] and "cannot be reached" in body["error"]["message"], body
    assert call(remote.base + "/readyz")[0] == 503
    print("a text that is too long and a server that is gone are told with their remedies")


def main():
    binary, folder = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    environment = {**os.environ, "PYTHONPATH": str(folder / "packages")}
    with open(folder / "engine.log", "w") as log:
        engine = subprocess.Popen(
            [sys.executable, ROOT / "tests/engines/models/server.py", folder / "all-minilm-l6-v2.gguf", str(port)],
            env=environment, stdout=log, stderr=log)
    services = {}
    try:
        wait_for(url + "/health", engine)
        config = f"[embedder]\nkind = 'openai'\nurl = '{url}/v1'\nmax_tokens = 250\nretries = 0\n"
        services["llama.cpp"] = Service(binary, config)
        services["in the process, f32"] = Service(binary, "[embedder]\nprecision = 'f32'\n")
        services["in the process, int8"] = Service(binary, "")
        remote, local, int8 = services.values()
        services["another whittle, int8"] = Service(binary, f"[embedder]\nkind = 'whittle'\nurl = '{int8.base}'\n")
        compare_vectors(local, int8, remote)
        compare_results(local, remote)
        compare_times(services)
        check_faults(binary, remote, engine, url)
    finally:
        for service in services.values():
            service.stop()
        engine.kill()
        engine.wait()


main()
