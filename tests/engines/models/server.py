#!/usr/bin/env python3
"""Runs llama.cpp's server as an embedder on loopback: server.py MODEL PORT. Ends with SIGTERM."""
import signal
import sys
import threading

import xllamacpp

# What the model was made for, and what a batch may hold of several texts.
TOKENS, BATCH = 512, 2048
SLOTS = 2


def main():
    model, port = sys.argv[1:]
    parameters = xllamacpp.CommonParams()
    parameters.model.path = model
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = int(port)
    # The slots share the context.
    parameters.n_parallel, parameters.n_ctx = SLOTS, SLOTS * TOKENS
    parameters.n_batch = parameters.n_ubatch = BATCH
    # Its threads wait for each other in loops, which takes many times as long on a machine that is busy otherwise.
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = 1
    parameters.embedding, parameters.warmup = True, False
    parameters.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    end = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: end.set())
    server = xllamacpp.Server(parameters)
    print(server.listening_address, xllamacpp.BUILD_INFO, flush=True)
    end.wait()


main()
