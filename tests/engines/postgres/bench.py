"""Search and ingestion in PostgreSQL beside the local store, by the same passages and questions."""

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
