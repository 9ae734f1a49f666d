"""Runs the package against the real service. Ends with a table of calls, and with 1 where something was wrong.

Usage: suite.py PATH_OF_WHITTLE
"""

import os
import pathlib
import subprocess
import sys

import whittle

import core
import dropin
import edges
import readme
from tally import Tally

PACKAGE = pathlib.Path(__file__).resolve().parents[3] / "clients/python"


def in_step(tally, base):
    """The generated models are those of the running service."""
    done = subprocess.run([sys.executable, str(PACKAGE / "scripts/models.py"), base, "--check"], capture_output=True, text=True)
    tally.holds(f"models.py is in step with /openapi.json: {done.stderr}", done.returncode == 0)


def main():
    binary = os.path.abspath(sys.argv[1])
    with whittle.serve(binary=binary) as client:
        tally = Tally(client.base_url)
        tally.run("models", in_step, client.base_url)
        tally.run("package", core.package)
        tally.run("waits", core.waits)
        tally.run("texts", core.texts, client)
        tally.run("collections", core.collections, client)
        tally.run("banks", core.banks, client)
        tally.run("asynchronous", core.asynchronous, client)
        tally.run("llmlingua's README", dropin.readme, client)
        tally.run("llmlingua's arguments", dropin.arguments, client)
        tally.run("llmlingua's signatures", dropin.signatures)
        tally.run("README", readme.examples, client, binary, False)
        tally.run("errors", edges.errors, client)
        tally.run("connections", edges.connections, client)
    tally.run("busy", edges.busy, binary)
    tally.run("upstreams", edges.upstreams, binary)
    tally.run("serve", edges.starting, binary)
    print(tally)
    sys.exit(1 if tally.wrong else 0)


main()
