#!/usr/bin/env python3
"""Runs llama.cpp's server on loopback: server.py MODEL PORT THREADS. Ends with SIGTERM."""
import signal
import sys
import threading

import xllamacpp


def main():
    model, port, threads = sys.argv[1:]
    parameters = xllamacpp.CommonParams()
    parameters.model.path = model
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = int(port)
    parameters.n_parallel, parameters.n_ctx = 1, 2048
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = int(threads)
    parameters.warmup = False
    end = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: end.set())
    server = xllamacpp.Server(parameters)
    print(server.listening_address, xllamacpp.BUILD_INFO, flush=True)
    end.wait()


main()
