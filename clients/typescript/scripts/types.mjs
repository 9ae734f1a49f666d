// Writes src/types.ts from the service's description of its routes, or checks that the two are in step.
//
// Usage: node scripts/types.mjs ADDRESS_OR_FILE [--check]
//
// ADDRESS_OR_FILE is the address of a running service, such as http://127.0.0.1:8787, or a saved /openapi.json.

import { readFile, writeFile } from "node:fs/promises";

const TARGET = new URL("../src/types.ts", import.meta.url);
// Types that the description does not give: it calls this input an object.
const KNOWN = { "EmbeddingsRequest.input": "string | string[] | number[] | number[][]" };

async function load(place) {
    if (!place.startsWith("http")) return JSON.parse(await readFile(place, "utf8"));
    return (await fetch(`${place.replace(/\/$/, "")}/openapi.json`)).json();
}

/** The names of the schemas that a value mentions. */
function* references(value) {
    if (value === null || typeof value !== "object") return;
    if (typeof value.$ref === "string") yield value.$ref.split("/").at(-1);
    for (const part of Object.values(value)) yield* references(part);
}

/** The names that can be reached from a value through the schemas. */
function reachable(schemas, value) {
    const found = new Set();
    const waiting = [...references(value)];
    for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
        if (found.has(name)) continue;
        found.add(name);
        waiting.push(...references(schemas[name]));
    }
    return found;
}

class Generator {
    constructor(description) {
        this.schemas = description.components.schemas;
        const operations = Object.values(description.paths).flatMap((path) => Object.values(path));
        const sent = operations.map((operation) => [operation.requestBody, operation.parameters]);
        this.responses = reachable(this.schemas, operations.map((operation) => operation.responses));
        this.names = new Set([...reachable(this.schemas, sent), ...this.responses]);
    }

    text() {
        const head = "/** What the service receives and answers. Written by scripts/types.mjs; do not edit. */\n";
        return head + [...this.names].sort().map((name) => `\n${this.definition(name)}`).join("");
    }

    definition(name) {
        const schema = this.schemas[name];
        const open = this.responses.has(name);
        if (schema.enum) return `${comment(schema, "")}export type ${name} = ${schema.enum.map((value) => JSON.stringify(value)).join(" | ")};\n`;
        const parts = schema.allOf ?? [schema];
        const members = parts.find((part) => part.properties);
        if (!members) return `${comment(schema, "")}export type ${name} = ${this.type(schema, open)};\n`;
        const bases = parts.filter((part) => part.$ref).map((part) => this.type(part, open));
        const lines = Object.entries(members.properties).sort().map(([key, value]) => {
            const described = value.description ? value : value.oneOf?.find((part) => part.description) ?? {};
            const kind = KNOWN[`${name}.${key}`] ?? this.type(value, open);
            return `${comment(described, "    ")}    ${key}${members.required?.includes(key) ? "" : "?"}: ${kind};\n`;
        });
        return `${comment(schema, "")}export interface ${name}${bases.length ? ` extends ${bases.join(", ")}` : ""} {\n${lines.join("")}}\n`;
    }

    /** The type of a schema. In answers, a newer service may have values that this one does not name. */
    type(schema, open) {
        if (schema.$ref) {
            const name = schema.$ref.split("/").at(-1);
            return open && this.schemas[name].enum ? `${name} | (string & {})` : name;
        }
        if (schema.oneOf) return [...new Set(schema.oneOf.map((part) => this.type(part, open)))].join(" | ");
        const kinds = [schema.type ?? []].flat();
        return kinds.map((kind) => this.simple(kind, schema, open)).join(" | ") || "unknown";
    }

    simple(kind, schema, open) {
        if (kind === "array") {
            const items = this.type(schema.items, open);
            return / |&/.test(items) ? `(${items})[]` : `${items}[]`;
        }
        if (kind === "object") {
            const values = typeof schema.additionalProperties === "object" ? this.type(schema.additionalProperties, open) : "unknown";
            return `Record<string, ${values}>`;
        }
        return { integer: "number", string: "string", number: "number", boolean: "boolean", null: "null" }[kind];
    }
}

function comment(schema, indent) {
    const text = (schema.description ?? "").replaceAll("*/", "* /").trim();
    return text ? `${indent}/** ${text.replaceAll("\n", `\n${indent} * `)} */\n` : "";
}

const [place] = process.argv.slice(2).filter((argument) => argument !== "--check");
const text = new Generator(await load(place)).text();
if (!process.argv.includes("--check")) await writeFile(TARGET, text);
else if ((await readFile(TARGET, "utf8")) !== text) {
    console.error(`types.ts is not in step with ${place}: run scripts/types.mjs ${place}`);
    process.exit(1);
}
