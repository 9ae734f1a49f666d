// Makes the calls that standard input lists with the official TypeScript client, and prints the results, one a line.
// Usage: node client.mjs http URL | stdio COMMAND [ARGUMENTS]
import { readFileSync } from "node:fs";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

const [kind, ...target] = process.argv.slice(2);
const transport =
    kind === "http"
        ? new StreamableHTTPClientTransport(new URL(target[0]))
        : new StdioClientTransport({ command: target[0], args: target.slice(1), env: process.env, stderr: "ignore" });
const client = new Client({ name: "suite", version: "1" });
await client.connect(transport);
const calls = {
    tools: () => client.listTools(),
    tool: ({ name, arguments: given }) => client.callTool({ name, arguments: given }),
    resource: ({ uri }) => client.readResource({ uri }),
    prompt: ({ name, arguments: given }) => client.getPrompt({ name, arguments: given }),
};
for (const call of JSON.parse(readFileSync(0, "utf8"))) {
    const result = await calls[call.kind](call).catch((error) => ({ raised: String(error) }));
    console.log(JSON.stringify(result));
}
await client.close();
