"""The stage of a scenario: a schema of its own on a real PostgreSQL, and the replicas that use it."""

import json
import sys
import threading

import server  # noqa: F401 (it says where `replicas` is)
from replicas import Replica

BINARY, INSTALLED, VALKEY, *FLAGS = sys.argv[1:]


class Stage:
    """A database of its own in a server, and the replicas that a scenario starts."""

    def __init__(self, server, number):
        self.server, self.schema, self.replicas = server, f"s{number}", []

    def configuration(self, more="", **settings):
        settings = {"kind": "postgres", "url": self.server.url(), "password_env": "DATABASE_PASSWORD", "schema": self.schema,
                    **settings}
        lines = "\n".join(f"{key} = {json.dumps(value)}" for key, value in settings.items())
        return f"local.enabled = false\n{more}\n[store]\n{lines}\n"

    def replica(self, password=None, more="", environment=None, **settings):
        return self.started(self.configuration(more, **settings), password, environment)

    def local(self):
        return self.started("local.enabled = false\n")

    def started(self, configuration, password=None, environment=None):
        variables = {"DATABASE_PASSWORD": password or self.server.password, **(environment or {})}
        replica = Replica(BINARY, configuration, environment=variables)
        self.replicas.append(replica)
        return replica

    def close(self):
        for replica in self.replicas:
            replica.remove()


class Checked(threading.Thread):
    """A thread whose fault is raised where it is waited for."""

    fault = None

    def run(self):
        try:
            super().run()
        except BaseException as fault:
            self.fault = fault

    def join(self, timeout=None):
        super().join(timeout)
        if self.fault:
            raise self.fault


def call(replica, method, path, body=None, wanted=200):
    status, headers, text = replica.call(method, path, body=None if body is None else json.dumps(body))
    assert wanted is None or status == wanted, f"{method} {path}: {status} {text}"
    return json.loads(text) if wanted else (status, headers, text)


def same(found, expected, what):
    assert found == expected, f"{what}: {found}, expected {expected}"
