// A service with a scripted upstream behind it, each on a port of its own.

import { spawn } from "node:child_process";
import fs from "node:fs";
import http from "node:http";
import os from "node:os";
import path from "node:path";

/** An upstream of OpenAI's dialect, which answers every chat with the usage that its length makes. */
export async function upstream() {
    const server = http.createServer((request, response) => {
        const pieces = [];
        request.on("data", (piece) => pieces.push(piece));
        request.on("end", () => {
            const body = Buffer.concat(pieces).toString();
            const failing = body.includes("fail, please");
            const prompt = Math.ceil(body.length / 4);
            const usage = { prompt_tokens: prompt, completion_tokens: 10, total_tokens: prompt + 10, prompt_tokens_details: { cached_tokens: Math.floor(prompt / 8) } };
            const answer = failing ? { error: { message: "no", type: "invalid_request_error" } }
                : { id: "c", object: "chat.completion", model: "m", choices: [{ index: 0, message: { role: "assistant", content: "Yes." }, finish_reason: "stop" }], usage };
            response.writeHead(failing ? 400 : 200, { "content-type": "application/json" });
            response.end(JSON.stringify(answer));
        });
    });
    await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
    return { port: server.address().port, close: () => server.close() };
}

export const config = (port) => `
[page]
evaluations = ["${path.resolve("eval/baselines")}", "evaluations"]
[proxy]
compute_price = 0.5
[proxy.shadow]
share = 1.0
usd_per_day = 10.0
[proxy.compress]
min_tokens = 50
deadline_ms = 600000
[[upstreams]]
name = "scripted"
dialect = "openai"
base_url = "http://127.0.0.1:${port}/v1"
api_key_env = "PAGE_UPSTREAM_KEY"
prices = [{ model = "*", input = 2.5, output = 10.0, cache_read = 0.25 }]
`;

export class Service {
    constructor(binary, text) {
        this.binary = path.resolve(binary);
        this.folder = fs.mkdtempSync(path.join(os.tmpdir(), "whittle-page-"));
        fs.writeFileSync(path.join(this.folder, "whittle.toml"), text);
        // A second run of the same questions.
        fs.cpSync("eval/baselines/nq", path.join(this.folder, "evaluations/nq-again"), { recursive: true });
        this.env = { ...process.env, WHITTLE_DATA_DIR: path.join(this.folder, "data"), PAGE_UPSTREAM_KEY: "of-the-upstream" };
    }

    /** Starts it; a second time at the same address, so that an open page finds it again. */
    async start() {
        const listen = this.address ?? "127.0.0.1:0";
        this.child = spawn(this.binary, ["serve", "--listen", listen], { cwd: this.folder, env: this.env, stdio: ["ignore", "ignore", "pipe"] });
        this.log = "";
        this.address = await new Promise((resolve, reject) => {
            this.child.stderr.on("data", (piece) => {
                this.log += piece;
                // A line comes in pieces: it is read once it has ended.
                const found = /whittle listening on http:\/\/(\S+)\n/.exec(this.log);
                if (found) resolve(found[1]);
            });
            this.child.on("exit", (code) => reject(new Error(`the service ended with ${code}: ${this.log}`)));
        });
        this.url = `http://${this.address}`;
        return this;
    }

    async stop() {
        const ended = new Promise((resolve) => this.child.on("exit", resolve));
        this.child.kill("SIGTERM");
        await ended;
    }

    /** Runs a command of the same program with the same data. */
    command(...values) {
        return new Promise((resolve, reject) => {
            const child = spawn(this.binary, values, { cwd: this.folder, env: this.env, stdio: ["ignore", "pipe", "pipe"] });
            let [out, err] = ["", ""];
            child.stdout.on("data", (piece) => { out += piece; });
            child.stderr.on("data", (piece) => { err += piece; });
            child.on("exit", (code) => (code === 0 ? resolve(out.trim()) : reject(new Error(err))));
        });
    }

    async json(route, body, headers = {}) {
        const options = body === undefined ? { headers } : { method: "POST", body: JSON.stringify(body), headers: { "content-type": "application/json", ...headers } };
        const response = await fetch(this.url + route, options);
        return response.json();
    }

    async end() {
        await this.stop();
        fs.rmSync(this.folder, { recursive: true, force: true });
    }
}
