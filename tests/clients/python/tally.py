"""Compares what the package returns with what the HTTP API answers, and counts."""

import collections
import json
import sys
import time
import traceback
import urllib.error
import urllib.parse
import urllib.request

# Members that tell of one request alone.
OF_ONE_REQUEST = {"id": ("cmp-", "prompt-", "rank-"), "timing_ms": None, "seconds": None,
                  "tokens_per_second": None}


def scrubbed(value):
    """A result without the ids and times of its own."""
    if isinstance(value, dict):
        return {key: 0 if own(key, item) else scrubbed(item) for key, item in value.items()}
    return [scrubbed(item) for item in value] if isinstance(value, (list, tuple)) else value


def own(key, item):
    if key != "id":
        return key in OF_ONE_REQUEST
    return isinstance(item, str) and item.startswith(OF_ONE_REQUEST["id"])


def plain(result):
    """A result of the package as the JSON that it was made of."""
    return result.model_dump(mode="json", by_alias=True, exclude_unset=True) if hasattr(result, "model_dump") else result


class Tally:
    """How many calls were made and how many results were as they should be, by the area of the test."""

    def __init__(self, base):
        self.base, self.area = base, ""
        self.calls, self.equal, self.checks = collections.Counter(), collections.Counter(), collections.Counter()
        self.wrong = 0

    def fail(self, what):
        print(f"{self.area}: {what}", file=sys.stderr)
        self.wrong += 1

    def api(self, method, path, body=None, headers=None, params=None):
        """What the HTTP API answers, without the package."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        address = self.base + path + ("?" + urllib.parse.urlencode(params) if params else "")
        request = urllib.request.Request(address, data, {"content-type": "application/json", **(headers or {})}, method=method)
        with urllib.request.urlopen(request, timeout=120) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def same(self, name, result, method, path, body=None, **more):
        """Counts a result that must equal the answer of the HTTP API to the same request."""
        self.equals(name, scrubbed(plain(result)), scrubbed(self.api(method, path, body, **more)))
        return result

    def equals(self, name, seen, expected):
        """Counts a result of a call that must equal what the HTTP API says."""
        self.calls[self.area] += 1
        if seen == expected:
            self.equal[self.area] += 1
        else:
            self.fail(f"{name}:\n  the package  {seen}\n  the HTTP API {expected}")

    def holds(self, name, truth):
        """Counts a condition that is no comparison with the HTTP API."""
        self.checks[self.area] += 1
        if not truth:
            self.fail(name)

    def raises(self, name, kind, call, **facts):
        """Counts an error that must be of a type and have these attributes."""
        self.checks[self.area] += 1
        try:
            result = call()
        except kind as error:
            wrong = {key: getattr(error, key) for key, value in facts.items() if getattr(error, key) != value}
            if wrong or type(error) is not kind:
                self.fail(f"{name}: {type(error).__name__} with {wrong}: {error}")
            return error
        except Exception:
            self.fail(f"{name}: another error\n{traceback.format_exc()}")
        else:
            self.fail(f"{name}: no error but {result}")
        return None

    def run(self, area, test, *arguments):
        """Runs the test of an area."""
        self.area, began = area, time.monotonic()
        try:
            test(self, *arguments)
        except Exception:
            self.fail(traceback.format_exc())
        print(f"{area}: {self.calls[area]} calls compared, {self.equal[area]} equal, {self.checks[area]} other checks, "
              f"{time.monotonic() - began:.1f} s",
              file=sys.stderr, flush=True)

    def __str__(self):
        row = "{:<28} {:>15} {:>7} {:>13}".format
        areas = [area for area in dict.fromkeys([*self.calls, *self.checks])]
        lines = [row("", "calls compared", "equal", "other checks")]
        lines += [row(area, self.calls[area], self.equal[area], self.checks[area]) for area in areas]
        lines.append(row("sum", self.calls.total(), self.equal.total(), self.checks.total()))
        return "\n".join(lines)
