#!/usr/bin/env python3
"""Says what a deployment takes at 1, 10, 100 and 10,000 times the load of a team: machines, sizes, times, what is full first.

Costs of work are those that were measured (the guides `figures` and `operations` say how), on two cores. Machines follow
from them, with two fifths of each left free. Times come from a simulation of the queues, which is the same in each run; at
more than a hundred times the load it runs one of the parts that tenants are divided into, for all are alike.
Usage: capacity.py [TIMES...]
"""

import heapq
import math
import random
import sys

# A team's load: what comes in a second, and what its collections hold.
PROXIED, NEW_TEXTS, COMPRESSED, SEARCHED, INGESTED = 2.0, 0.1, 0.1, 1.0, 0.5
CHUNKS = 100_000

# Seconds of one core, unless stated. A request through the proxy whose texts are known.
PROXY = 0.00015
# Two cores for a text of 1,500 words that the proxy sees for the first time, and for 20 documents of 2,842 tokens.
NEW_TEXT, COMPRESSION = 2 * 0.213, 2 * 0.445
# A question's vector, and a chunk's: 136 a second on two cores.
QUESTION, CHUNK = 0.005, 2 / 136
# In the database, upper bounds, for the two cores were busy with other work: four hybrid searches among 100,000 chunks in
# 263 ms, and 320 chunks stored in a second with their indexes.
DATABASE_SEARCH, DATABASE_CHUNK = 2 * 0.263 / 4, 2 / 320
# One call of Valkey, with the way there and back: an upper bound of what its single thread does.
VALKEY_CALL, VALKEY_CALLS = 0.00016, 2
# Bytes of a chunk of about 470 characters in the database, of 100,000, and those of the vectors' index, which must be in memory.
CHUNK_BYTES, INDEX_BYTES = 5_160, 1_130

# Machines: cores of a replica and of a database, and the memory of a database that is free for the index.
REPLICA_CORES, DATABASE_CORES, DATABASE_MEMORY = 8, 16, 48e9
# The share of a machine that is used at most, so that queues stay short.
USED = 0.6
# Requests that are simulated.
REQUESTS = 50_000


def search(chunks):
    """Seconds of one core for a search among so many chunks: the way through the index's links grows with its logarithm."""
    return DATABASE_SEARCH * math.log(chunks) / math.log(CHUNKS)


def demands(times, databases=1):
    """Core seconds in a second: of replicas, of what databases read, of what they write; and seconds of Valkey."""
    replicas = PROXIED * PROXY + NEW_TEXTS * NEW_TEXT + COMPRESSED * COMPRESSION + SEARCHED * QUESTION + INGESTED * CHUNK
    valkey = PROXIED * VALKEY_CALLS * VALKEY_CALL
    reads = SEARCHED * search(times * CHUNKS / databases)
    return [times * each for each in (replicas, reads, INGESTED * DATABASE_CHUNK, valkey)]


def machines(demand, capacity):
    return max(1, math.ceil(demand / (capacity * USED)))


def ceilings():
    """How many times a team's load one machine of each kind carries, the least first."""
    replicas, reads, writes, valkey = demands(1)
    found = [("one replica", REPLICA_CORES * USED / replicas), ("one database, its cores", DATABASE_CORES * USED / (reads + writes)),
             ("one database, its writes alone", DATABASE_CORES * USED / writes),
             ("one database, its memory", DATABASE_MEMORY / (CHUNKS * INDEX_BYTES)), ("one Valkey", USED / valkey)]
    return sorted(found, key=lambda each: each[1])


def simulate(servers, rate, service, seed):
    """Half and 99% of the requests are done within these seconds: `servers` take them in turn, one each at a time."""
    chance = random.Random(seed)
    free, now, times = [0.0] * servers, 0.0, []
    for _ in range(REQUESTS):
        now += chance.expovariate(rate)
        start = max(now, heapq.heappop(free))
        # Some texts are long, and most are short.
        end = start + chance.gammavariate(2, service / 2)
        heapq.heappush(free, end)
        times.append(end - now)
    times.sort()
    return times[REQUESTS // 2], times[REQUESTS * 99 // 100]


def plan(times):
    """A line of the table."""
    replicas, reads, writes, valkey = demands(times)
    chunks = times * CHUNKS
    # Tenants are divided among databases that know nothing of each other, by what writes and memory ask for. What reads
    # ask for beyond that is for copies that follow the first and are only read.
    databases = max(machines(writes, DATABASE_CORES), math.ceil(chunks * INDEX_BYTES / DATABASE_MEMORY))
    reads = demands(times, databases)[1]
    copies = machines((reads + writes) / databases, DATABASE_CORES) - 1
    parts = {"replicas": max(2, machines(replicas, REPLICA_CORES)), "databases": databases, "copies": databases * copies,
             "Valkeys": machines(valkey, 1)}
    # One model runs at a time in a replica, on all its cores. Of many replicas eight are simulated.
    share = min(1.0, 8 / parts["replicas"])
    model = (NEW_TEXTS * NEW_TEXT + COMPRESSED * COMPRESSION) / (NEW_TEXTS + COMPRESSED) / REPLICA_CORES
    compressed = simulate(max(2, round(parts["replicas"] * share)), (NEW_TEXTS + COMPRESSED) * times * share, model, 1)
    cores = DATABASE_CORES * (1 + copies)
    searched = simulate(cores, SEARCHED * times / databases, search(chunks / databases), 2)
    seconds = [f"{1000 * value:.1f}" for value in (*compressed, *searched)]
    sizes = [f"{chunks:,.0f}", f"{chunks * CHUNK_BYTES / 1e9:,.1f}", f"{chunks * INDEX_BYTES / 1e9:,.1f}"]
    return [f"{times:,}", *map(str, parts.values()), *sizes, " ".join(seconds[:2]), " ".join(seconds[2:])]


def unmoved(times):
    """How much of two replicas, one database and one Valkey a load asks for, in percent."""
    replicas, reads, writes, valkey = demands(times)
    shares = [replicas / (2 * REPLICA_CORES), (reads + writes) / DATABASE_CORES, times * CHUNKS * INDEX_BYTES / DATABASE_MEMORY, valkey]
    return [f"{times:,}", *(f"{100 * share:,.1f}" for share in shares)]


def table(rows):
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(row, widths)) for row in rows)


def main():
    loads = [int(times) for times in sys.argv[1:]] or [1, 10, 100, 10_000]
    for name, times in ceilings():
        print(f"{name}: {times:,.0f} times a team")
    print("\nused of two replicas, one database and one Valkey, in percent:")
    print(table([["load", "replicas", "database", "its memory", "Valkey"], *map(unmoved, loads)]))
    print("\nmachines and sizes, and milliseconds of a compression and of a search in the database:")
    print(table([["load", "replicas", "databases", "copies", "Valkeys", "chunks", "GB", "index GB", "p50 p99", "p50 p99"],
                 *map(plan, loads)]))


if __name__ == "__main__":
    main()
