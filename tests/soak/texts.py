"""Texts that look like what agents and their users send, made from a seed."""

import random

NOUNS = ("gateway", "valve", "harbour", "invoice", "archive", "turbine", "bridge", "ledger", "cooler", "signal", "depot",
         "tunnel", "pump", "crane", "beacon", "furnace", "canal", "switch", "relay", "quarry")
VERBS = ("replaced", "inspected", "closed", "measured", "repaired", "moved", "rejected", "sealed", "painted", "counted")
PLACES = ("Harbour Street", "the north yard", "hall 4", "the old mill", "pier 9", "the upper lock", "Station Road")


def sentence(rng):
    return (f"On {rng.randint(1, 28)} May {rng.randint(1950, 2020)} the {rng.choice(NOUNS)} at {rng.choice(PLACES)} was "
            f"{rng.choice(VERBS)} by {rng.randint(2, 40)} people, and the {rng.choice(NOUNS)} followed "
            f"{rng.randint(2, 300)} days later.")


def prose(rng, sentences):
    parts = [sentence(rng) for _ in range(sentences)]
    return "\n\n".join(" ".join(parts[i:i + 6]) for i in range(0, len(parts), 6))


def document(rng, word):
    """A document of a collection, which alone has `word`."""
    return f"{word} is the name of this report. {prose(rng, rng.randint(3, 9))}"


def build_log(rng):
    names = [f"{rng.choice(NOUNS)}-{rng.randint(1, 999)}" for _ in range(rng.randint(30, 70))]
    lines = [f"   Compiling {name} v0.{i}.{rng.randint(0, 9)}" for i, name in enumerate(names)]
    return "\n".join([*lines, f"    Finished in {rng.randint(2, 90)} s"]) + "\n"


def test_log(rng):
    lines = [f"test {rng.choice(NOUNS)}::{rng.choice(VERBS)}_{i} ... ok" for i in range(rng.randint(30, 80))]
    lines.insert(rng.randrange(len(lines)), f"test {rng.choice(NOUNS)}::odd ... FAILED")
    return "\n".join(lines) + "\n"


def source_file(rng):
    lines = []
    for i in range(rng.randint(15, 40)):
        noun = rng.choice(NOUNS)
        lines += [f"def {rng.choice(VERBS)}_{noun}_{i}(count):", f"    total = count * {rng.randint(2, 99)}",
                  f"    return {noun!r}, total", ""]
    return "\n".join(lines)


def records(rng):
    rows = [f'{{"id": {i}, "noun": "{rng.choice(NOUNS)}", "people": {rng.randint(1, 99)}, "place": "{rng.choice(PLACES)}"}}'
            for i in range(rng.randint(20, 50))]
    return "[" + ",\n ".join(rows) + "]"


def tool_result(rng):
    return rng.choice((build_log, test_log, source_file, records))(rng)


def rng_of(*parts):
    """A generator of its own for each thing, so that threads do not disturb each other."""
    return random.Random("/".join(map(str, parts)))
