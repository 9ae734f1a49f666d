// The settings of the playground as commands, programs and configuration that do the same elsewhere.

const quoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

/** A command of `curl`. The key is not in it. */
export function curl(request, origin, needsKey) {
    const header = needsKey ? ` \\\n  -H "x-whittle-key: $WHITTLE_KEY"` : "";
    return `curl -s ${origin}/v1/compress -H 'content-type: application/json'${header} \\\n  -d ${quoted(JSON.stringify(request))}\n`;
}

/** A program in Python with the package `whittle`. */
export function python(request, origin, needsKey) {
    const { context, return: _, ...rest } = request;
    const value = (it) => (typeof it === "string" ? JSON.stringify(it) : String(it));
    const lines = Object.entries(rest).map(([name, it]) => `        ${name}=${name === "messages" ? messages(it) : value(it)},`);
    const text = context === undefined ? "" : `        context=${JSON.stringify(context)},\n`;
    const secret = needsKey ? `, api_key=os.environ["WHITTLE_KEY"]` : "";
    return `${needsKey ? "import os\n" : ""}import whittle\n\nwith whittle.Client(${JSON.stringify(origin)}${secret}) as client:\n` +
        `    answer = client.compress(\n${text}${lines.join("\n")}\n    )\n    print(answer.prompt)\n`;
}

/** JSON as Python reads it. */
function messages(value) {
    return `json.loads(${JSON.stringify(JSON.stringify(value))})`;
}

/** The part of `whittle.toml` by which the proxy does the same with what passes it. */
export function toml({ method, rate }, usedRate) {
    const lines = ["[proxy.compress]", "enabled = true"];
    if (method && method !== "auto") lines.push(`method = "${method}"`);
    const share = rate ?? usedRate;
    if (rate === undefined) lines.push("# The proxy keeps a share of each text: this one is what the budget came to here.");
    lines.push(`rate = ${Number(Math.min(1, Math.max(0.01, share)).toFixed(2))}`);
    return `${lines.join("\n")}\n`;
}
