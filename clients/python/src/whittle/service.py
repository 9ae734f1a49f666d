"""Starts the service for a program that has none running."""

from __future__ import annotations

import collections
import contextlib
import os
import shutil
import subprocess
import sysconfig
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from . import errors
from .client import Client

# Variables that are for this package, or given by a flag.
_NOT_FOR_THE_SERVICE = ("WHITTLE_BINARY", "WHITTLE_LISTEN")
_LISTENING = "listening on "
_LINES_OF_LOG = 20


def find_binary(binary: str | os.PathLike[str] | None = None) -> str:
    """Returns the path of the program: the argument, `WHITTLE_BINARY`, `whittle` on `PATH`, the one of this package,
    or one that `pip install --user` brought.

    Raises `StartError` where there is none.
    """
    wanted = os.fspath(binary) if binary is not None else os.environ.get("WHITTLE_BINARY") or "whittle"
    found = shutil.which(wanted)
    if found is None and wanted == "whittle":
        # The environment of this interpreter need not be on PATH, nor what `pip install --user` installs.
        folders = (sysconfig.get_path("scripts"), sysconfig.get_path("scripts", sysconfig.get_preferred_scheme("user")))
        found = shutil.which("whittle", path=os.pathsep.join(folders))
    if found is None:
        raise errors.StartError(f"there is no program `{wanted}`: install whittle, put it on PATH, or name it in WHITTLE_BINARY")
    return found


@contextlib.contextmanager
def serve(*, binary: str | os.PathLike[str] | None = None, config: str | os.PathLike[str] | None = None,
          data_dir: str | os.PathLike[str] | None = None, environment: Mapping[str, str] | None = None,
          start_seconds: float = 120.0, stop_seconds: float = 40.0, **client: Any) -> Iterator[Client]:
    """Starts the service on a free port of this machine, gives a client of it, and stops it at the end.

    Args:
        binary: The program; by default `WHITTLE_BINARY`, `whittle` on `PATH`, or the one that came with this package.
        config: A configuration file; by default there is none.
        data_dir: The folder of collections, banks and keys; by default a new one that is removed at the end.
        environment: Variables for the service besides those of this process.
        start_seconds: How long it may take until the service is ready. The first start fetches the models.
        stop_seconds: How long it may take to finish what is going on.
        client: The arguments of `Client`, such as `timeout`.
    """
    program = find_binary(binary)
    with contextlib.ExitStack() as stack:
        folder = data_dir if data_dir is not None else stack.enter_context(tempfile.TemporaryDirectory(prefix="whittle-"))
        own = {name: value for name, value in os.environ.items() if name not in _NOT_FOR_THE_SERVICE}
        own |= {"WHITTLE_DATA_DIR": os.fspath(folder), **(environment or {})}
        if config is None:
            # A file in the working folder or in the user's configuration is for the user's own service.
            empty = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="whittle-")), "whittle.toml")
            empty.touch()
            config = empty
        command = [program, "serve", "--listen", "127.0.0.1:0", "--config", os.fspath(config)]
        process = subprocess.Popen(command, env=own, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE, text=True, encoding="utf-8", errors="replace")
        stack.callback(_stop, process, stop_seconds)
        address = _Log(process).address(start_seconds)
        yield stack.enter_context(_ready(Client(address, **client), start_seconds))


class _Log:
    """Reads what the service writes, so that it never waits for a reader, and keeps the last lines."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._last: collections.deque[str] = collections.deque(maxlen=_LINES_OF_LOG)
        self._address: str | None = None
        self._known = threading.Event()
        assert process.stderr is not None
        threading.Thread(target=self._read, args=(process.stderr,), daemon=True).start()

    def _read(self, lines: IO[str]) -> None:
        with contextlib.suppress(ValueError), lines:
            for line in lines:
                self._last.append(line)
                if self._address is None and _LISTENING in line:
                    self._address = line.split(_LISTENING, 1)[1].strip()
                    self._known.set()
        self._known.set()

    def address(self, seconds: float) -> str:
        self._known.wait(seconds)
        if self._address is None:
            status = self._process.poll()
            what = f"ended with {status}" if status is not None else f"did not listen within {seconds:g} s"
            raise errors.StartError(f"the service {what}:\n{''.join(self._last)}")
        return self._address


def _ready(client: Client, seconds: float) -> Client:
    end = time.monotonic() + seconds
    probe = client.with_options(retries=0)
    while True:
        try:
            probe.ready()
            return client
        except (errors.APIConnectionError, errors.ServiceUnavailableError) as error:
            if time.monotonic() > end:
                client.close()
                raise errors.StartError(f"the service was not ready within {seconds:g} s: {error}") from error
        time.sleep(0.05)


def _stop(process: subprocess.Popen[str], seconds: float) -> None:
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
