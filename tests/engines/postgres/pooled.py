"""Replicas that reach PostgreSQL through PgBouncer, which pools transactions and speaks TLS. A part of the suite, which
imports it."""

import os
import pathlib
import shutil
import socket
import subprocess
import tempfile

from __main__ import COLLECTION, Checked, call, documents, ids, same, search, store
from server import NOBODY
from replicas import free_port, wait_for

PROGRAM = shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"
# Connections to the database: fewer than the replicas would open by themselves.
CONNECTIONS = 3
CLIENTS = 12


class Pooler:
    def __init__(self, server):
        self.folder, self.port = pathlib.Path(tempfile.mkdtemp()), free_port()
        self.certificate = self.folder / "certificate.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                        "-keyout", "key.pem", "-out", self.certificate.name, "-subj", "/CN=localhost",
                        "-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE"],
                       cwd=self.folder, check=True, capture_output=True)
        (self.folder / "users").write_text(f'"app" "{server.password}"\n')
        (self.folder / "pgbouncer.ini").write_text(f"""
[databases]
whittle = host=127.0.0.1 port={server.port} dbname=whittle
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {self.port}
unix_socket_dir =
logfile = {self.folder}/log
auth_type = scram-sha-256
auth_file = {self.folder}/users
pool_mode = transaction
default_pool_size = {CONNECTIONS}
client_tls_sslmode = require
client_tls_key_file = {self.folder}/key.pem
client_tls_cert_file = {self.certificate}
""")
        if os.getuid() == 0:
            for path in (self.folder, *self.folder.iterdir()):
                os.chown(path, NOBODY, NOBODY)
        self.start()

    def start(self):
        user = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.getuid() == 0 else {}
        self.process = subprocess.Popen([PROGRAM, str(self.folder / "pgbouncer.ini")], stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL, **user)
        wait_for("PgBouncer", self.listens)

    def listens(self):
        assert self.process.poll() is None, (self.folder / "log").read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def url(self):
        return f"postgres://app@localhost:{self.port}/whittle?sslmode=verify-full"

    def stop(self):
        self.process.kill()
        self.process.wait()

    def remove(self):
        self.stop()
        shutil.rmtree(self.folder)


def pooled(stage):
    """Two replicas share what they store through few connections; a certificate that nobody knows is refused."""
    pooler = Pooler(stage.server)
    try:
        status, _, text = call(stage.replica(url=pooler.url()), "GET", "/readyz", wanted=None)
        assert status == 503 and "certificate" in text, text
        trusted = {"SSL_CERT_FILE": str(pooler.certificate)}
        first, second = (stage.replica(url=pooler.url(), environment=trusted) for _ in range(2))
        call(first, "PUT", COLLECTION, {}, 201)
        some = documents(240)
        parts = [some[start : start + 20] for start in range(0, len(some), 20)]
        same(len(parts), CLIENTS, "clients")
        clients = [Checked(target=store, args=((first, second)[number % 2], part)) for number, part in enumerate(parts)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        for mode in ("lexical", "dense", "hybrid"):
            here, there = (ids(search(replica, some[7]["text"], mode=mode)) for replica in (first, second))
            same(here[0], "d7", mode)
            same(here, there, mode)
        used = int(stage.server.ask("SELECT count(*) FROM pg_stat_activity WHERE client_port IS NOT NULL AND pid <> pg_backend_pid()"))
        assert used <= CONNECTIONS, used
        pooler.stop()
        status, *_ = call(first, "GET", "/v1/collections", wanted=None)
        same(status, 503, "without PgBouncer")
        pooler.start()
        wait_for("the replica", lambda: call(first, "GET", "/readyz", wanted=None)[0] == 200)
        same(ids(search(first, some[7]["text"]))[0], "d7", "after a restart of PgBouncer")
        return f"{len(some)} documents by {CLIENTS} clients over {used} connections, with TLS and without a trusted certificate"
    finally:
        pooler.remove()
