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
    # Keys and values as they are computed: halves of them would be a rounding that the model does not ask for.
    parameters.cache_type_k = parameters.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    end = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: end.set())
    server = xllamacpp.Server(parameters)
    print(server.listening_address, xllamacpp.BUILD_INFO, flush=True)
    end.wait()


main()
