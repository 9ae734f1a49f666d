#!/usr/bin/env python3
"""Writes src/whittle/models.py from the service's description of its routes, or checks that the two are in step.

Usage: scripts/models.py ADDRESS_OR_FILE [--check]

ADDRESS_OR_FILE is the address of a running service, such as http://127.0.0.1:8787, or a saved `/openapi.json`. Needs
Python alone. General generators make a class of each number with a minimum and refuse the members that a newer service
adds to its answers, so this one makes:

- for each answer a model that keeps members it does not know;
- for each request a model that refuses them, and a `TypedDict` for the arguments of the client's methods;
- for each enumeration a `Literal`; in answers any other string is accepted too.
"""
import json
import pathlib
import sys
import urllib.request

TARGET = pathlib.Path(__file__).resolve().parents[1] / "src/whittle/models.py"
# Names that mean something else in Python or in pydantic, with `_` behind them here.
RESERVED = {"return", "from", "json"}
# Types that the description does not give: it calls this input an object.
KNOWN = {("EmbeddingsRequest", "input"): "str | Sequence[str] | Sequence[int] | Sequence[Sequence[int]]"}
HEAD = '''"""What the service receives and answers. Written by scripts/models.py; do not edit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import Required, TypedDict


class RequestModel(BaseModel):
    """A part of a request. An unknown member is an error before anything is sent."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True, protected_namespaces=())


class ResponseModel(BaseModel):
    """A part of a response. Members that a newer service adds are kept."""

    model_config = ConfigDict(extra="allow", populate_by_name=True, protected_namespaces=())
'''


def load(place):
    if place.startswith("http"):
        with urllib.request.urlopen(place.rstrip("/") + "/openapi.json", timeout=30) as answer:
            return json.load(answer)
    return json.loads(pathlib.Path(place).read_text())


def references(schema):
    """The names of the schemas that a schema mentions, in order."""
    if isinstance(schema, dict):
        if "$ref" in schema:
            yield schema["$ref"].rsplit("/", 1)[1]
        for value in schema.values():
            yield from references(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from references(value)


class Generator:
    """Makes the text of the module."""

    def __init__(self, description):
        self.schemas = description["components"]["schemas"]
        operations = [operation for path in description["paths"].values() for operation in path.values()]
        sent = [(operation.get("requestBody"), operation.get("parameters")) for operation in operations]
        self.requests = self.reachable(references([list(parts) for parts in sent]))
        self.responses = self.reachable(references([operation["responses"] for operation in operations]))

    def reachable(self, names):
        found, waiting = set(), list(names)
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting.extend(references(self.schemas[name]))
        return found

    def text(self):
        written, parts = set(), [HEAD]

        def write(name):
            if name in written:
                return
            written.add(name)
            for other in references(self.schemas[name]):
                write(other)
            parts.append(self.definition(name))
            if name in self.requests and self.is_class(name):
                parts.append(self.arguments(name))

        for name in sorted(self.schemas):
            if name in self.requests or name in self.responses:
                write(name)
        return "\n\n".join(part.rstrip() + "\n" for part in parts)

    def is_class(self, name):
        return "properties" in self.schemas[name] or "allOf" in self.schemas[name]

    def definition(self, name):
        schema = self.schemas[name]
        if "enum" in schema:
            return f"{name} = Literal[{', '.join(json.dumps(value) for value in schema['enum'])}]\n" + documented(schema, "")
        if not self.is_class(name):
            return f"{name} = {self.union(schema, '', evaluated=True)}\n" + documented(schema, "")
        base, members = ("ResponseModel" if name in self.responses else "RequestModel"), schema
        if "allOf" in schema:
            base = next(references(schema["allOf"]))
            members = next(part for part in schema["allOf"] if "properties" in part)
        lines = [f"class {name}({base}):", documented(schema, "    ").rstrip() or '    """Undocumented."""', ""]
        required = members.get("required", [])
        for key, value in sorted(members["properties"].items(), key=lambda item: item[0] not in required):
            lines.append(f"    {self.field(name, key, value, key in required)}")
            lines.append(documented(described(value), "    ").rstrip("\n"))
        return "\n".join(line for line in lines if line is not None)

    def field(self, name, key, value, required):
        kind = KNOWN.get((name, key)) or self.type(value, "", name in self.responses)
        python, alias = spelled(key)
        if required:
            return f"{python}: {kind}" + (f" = Field(alias={alias!r})" if alias else "")
        if "default" in value and not isinstance(value["default"], (dict, list)):
            default = repr(value["default"])
            kind = kind if value["default"] is not None or "None" in kind else f"{kind} | None"
        elif value.get("type") == "array":
            return f"{python}: {kind} = Field(default_factory=list)"
        elif value.get("type") == "object":
            return f"{python}: {kind} = Field(default_factory=dict)"
        else:
            default, kind = "None", kind if "None" in kind or kind == "Any" else f"{kind} | None"
        return f"{python}: {kind} = " + (f"Field(default={default}, alias={alias!r})" if alias else default)

    def arguments(self, name):
        """The `TypedDict` of a request."""
        schema = self.schemas[name]
        lines = [f"class {name}Params(TypedDict, total=False):", f'    """The members of `{name}`, as arguments."""', ""]
        for key, value in schema["properties"].items():
            kind = KNOWN.get((name, key)) or self.type(value, "Params", False)
            kind = f"Required[{kind}]" if key in schema.get("required", []) else kind
            lines.append(f"    {spelled(key)[0]}: {kind}")
            lines.append(documented(described(value), "    ").rstrip("\n"))
        return "\n".join(lines)

    def type(self, schema, suffix, answer):
        """The Python type of a schema. With the suffix `Params`, dictionaries and other sequences will do as well."""
        if "$ref" in schema:
            name = schema["$ref"].rsplit("/", 1)[1]
            if "enum" in self.schemas[name]:
                return f"{name} | str" if answer else name
            return f"{name} | {name}Params" if suffix and self.is_class(name) else name
        if "oneOf" in schema:
            return self.union(schema, suffix, answer)
        kinds = schema.get("type", [])
        kinds = [kinds] if isinstance(kinds, str) else kinds
        return " | ".join(self.simple(kind, schema, suffix, answer) for kind in kinds) or "Any"

    def simple(self, kind, schema, suffix, answer):
        if kind == "array":
            container = "Sequence" if suffix else "list"
            return f"{container}[{self.type(schema['items'], suffix, answer)}]"
        if kind == "object":
            values = schema.get("additionalProperties")
            return f"dict[str, {self.type(values, suffix, answer) if isinstance(values, dict) else 'Any'}]"
        return {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}[kind]

    def union(self, schema, suffix, answer=False, evaluated=False):
        kinds = [self.type(part, suffix, answer) for part in schema["oneOf"]]
        return " | ".join(sorted(kinds, key=lambda kind: kind == "None"))


def spelled(key):
    """The name of a member in Python, and the one in JSON where it is another."""
    return (f"{key}_", key) if key in RESERVED else (key, None)


def described(schema):
    """A schema, or the one beside `null` that says what it means."""
    if "description" in schema:
        return schema
    return next((part for part in schema.get("oneOf", []) if "description" in part), schema)


def documented(schema, indent):
    text = schema.get("description", "").replace("\\", "\\\\").replace('"""', "'''").strip()
    if not text:
        return ""
    text = text.replace("\n", "\n" + indent)
    return f'{indent}"""{text}{" " if text.endswith(chr(34)) else ""}"""\n'


def main():
    arguments = [argument for argument in sys.argv[1:] if argument != "--check"]
    if len(arguments) != 1:
        sys.exit(__doc__)
    text = Generator(load(arguments[0])).text()
    if "--check" not in sys.argv:
        TARGET.write_text(text)
    elif TARGET.read_text() != text:
        sys.exit(f"{TARGET.name} is not in step with {arguments[0]}: run scripts/models.py {arguments[0]}")


if __name__ == "__main__":
    main()
