"""Search, ingestion and what the proxy adds, with PostgreSQL beside the local store, by the same texts."""

import json
import os
import pathlib
import subprocess
import tempfile


def run(binary, server, chunks, files):
    with tempfile.TemporaryDirectory() as folder:
        for store in ("local", "postgres"):
            # The local store needs no server, and the machine is quieter without.
            settings = {"WHITTLE_STORE_KIND": store, "WHITTLE_STORE_URL": server.url(), "WHITTLE_STORE_TIMEOUT_MS": "600000",
                        "WHITTLE_STORE_PASSWORD_ENV": "DATABASE_PASSWORD", "DATABASE_PASSWORD": server.password}
            variables = {**os.environ, **settings, "WHITTLE_DATA_DIR": str(pathlib.Path(folder) / store)}
            command = [binary, "bench", "retrieval", "--format", "json", "--passages", files[0], "--questions", files[1]]
            if chunks:
                command += ["--chunks", str(chunks)]
            ended = subprocess.run(command, env=variables, cwd=folder, check=True, stdout=subprocess.PIPE, text=True)
            print(store, json.dumps(json.loads(ended.stdout)), flush=True)


def proxy(binary, server, valkey):
    """What the proxy adds with the local stores, and with PostgreSQL and Valkey, in turns."""
    shared = f"""
[store]
kind = "postgres"
url = "{server.url()}"
password_env = "DATABASE_PASSWORD"
[shared]
kind = "valkey"
url = "redis://127.0.0.1:{valkey.port}"
"""
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(6):
            name, more = [("local", ""), ("postgres and valkey", shared)][turn % 2]
            configuration = pathlib.Path(folder) / "whittle.toml"
            configuration.write_text("local.enabled = false\n" + more)
            variables = {**os.environ, "DATABASE_PASSWORD": server.password,
                         "WHITTLE_DATA_DIR": str(pathlib.Path(folder) / name.split()[0])}
            cases = [word for case in ("off", "stream", "warm") for word in ("--case", case)]
            print(name, flush=True)
            subprocess.run([binary, "bench", "proxy", "--config", str(configuration), "--rate", "300", *cases], env=variables,
                           cwd=folder, check=True)
