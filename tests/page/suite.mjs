// The page in a real browser, before the real service with real models and a scripted upstream. Each check prints a line.

import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";

import { chromium } from "playwright-core";

import { Service, config, upstream } from "./service.mjs";

const [binary, folder, mode] = process.argv.slice(2);
const short = mode === "--short";
const pictures = path.join(folder, "pictures");
fs.mkdirSync(pictures, { recursive: true });
const axe = fs.readFileSync(path.join(folder, "node_modules/axe-core/axe.min.js"), "utf8");

const model = await upstream();
const service = await new Service(binary, config(model.port)).start();
const browser = await chromium.launch({
    executablePath: "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
/** How many times slower than usual the machine is now, by which the limits on times are multiplied. */
const slow = Number(process.env.PAGE_SLOW ?? 1);
/** The checks that run: all, or those whose names match `PAGE_ONLY`. */
const only = new RegExp(process.env.PAGE_ONLY ?? "");
let failures = 0;
const foreign = [];

/** A page at `hash` in a context of its own; what it asks of other origins and every error of its scripts is a fault. */
async function open(hash = "", options = {}) {
    const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
    await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: service.url });
    context.setDefaultTimeout(30000 * slow);
    const page = await context.newPage();
    page.faults = [];
    page.on("request", (request) => {
        if (!request.url().startsWith(service.url) && !request.url().startsWith("data:")) foreign.push(request.url());
    });
    page.on("pageerror", (error) => page.faults.push(error.message));
    page.on("console", (message) => { if (/Content Security Policy|Trusted/i.test(message.text())) page.faults.push(message.text()); });
    await page.goto(`${service.url}/${hash}`);
    return page;
}

/** Waits until the result is that of what is typed and set. */
const settled = (page) => page.waitForFunction(() => / to .* tokens/.test(document.querySelector("#state").textContent) && document.querySelector("#views")?.ariaBusy !== "true", null, { timeout: 120000 * slow });

async function check(name, work, long = false) {
    if ((long && short) || !only.test(name)) return;
    const began = performance.now();
    try {
        const note = await work();
        console.log(`ok   ${name}${note ? `: ${note}` : ""} (${Math.round(performance.now() - began)} ms)`);
    } catch (error) {
        failures++;
        console.log(`FAIL ${name}: ${error.stack ?? error}`);
    }
    for (const context of browser.contexts()) {
        for (const page of context.pages()) {
            if (page.faults?.length) {
                failures++;
                console.log(`FAIL ${name}: scripts failed: ${page.faults.join("; ")}`);
            }
        }
        await context.close();
    }
}

/** Compresses `text` in the page. */
async function write(page, text, question = "") {
    await page.fill("#text", text);
    await page.fill("#question", question);
    await page.waitForTimeout(300);
    await settled(page);
}

/** The text in the page, and the part that is marked as kept. */
const shown = (page) => page.evaluate(() => {
    const blocks = [...document.querySelectorAll("#shown .block")];
    const kept = blocks.flatMap((block) => [...block.querySelectorAll(".kept")].map((part) => part.textContent));
    return { all: blocks.map((block) => block.textContent).join(""), kept: kept.join("") };
});

/** Milliseconds from a move of the slider to the painted answer, in all and of them waiting for the service. */
function move(page, value) {
    return page.evaluate((to) => new Promise((resolve) => {
        const state = document.querySelector("#state");
        const slider = document.querySelector("#rate");
        performance.clearResourceTimings();
        const began = performance.now();
        let emptied = false;
        const done = () => {
            const asked = performance.getEntriesByType("resource").findLast(({ name }) => name.endsWith("/v1/compress"));
            resolve({ all: performance.now() - began, service: asked.responseStart - asked.requestStart });
        };
        const watch = new MutationObserver(() => {
            if (!/ to .* tokens/.test(state.textContent)) { emptied = true; return; }
            if (!emptied) return;
            watch.disconnect();
            requestAnimationFrame(() => setTimeout(done));
        });
        watch.observe(state, { childList: true, characterData: true, subtree: true });
        slider.value = String(to);
        slider.dispatchEvent(new Event("input", { bubbles: true }));
    }), value);
}

/** Moves the slider: the median is held to `most`, and to `own` without what the service takes. */
async function slider(page, tokens, most, own) {
    const sentences = fs.readFileSync("eval/texts/incident.md", "utf8").split(/(?<=\.)\s+/);
    let text = "";
    for (let n = 0; text.length < tokens * 4.4; n++) text += `${sentences[n % sentences.length]} (${n}) `;
    await page.fill("#question", "Which setting caused the outage?");
    await page.fill("#text", text);
    await page.waitForTimeout(300);
    await settled(page);
    await move(page, 55);
    const times = [];
    for (const value of [30, 45, 25, 60, 35, 50, 20]) times.push(await move(page, value));
    times.sort((a, b) => a.all - b.all);
    const rest = times.map(({ all, service }) => all - service).sort((a, b) => a - b)[3];
    const { all, service } = times[3];
    const note = `${Math.round(all)} ms, of which the service takes ${Math.round(service)} ms, slowest of seven ${Math.round(times[6].all)} ms; without the service ${Math.round(rest)} ms`;
    assert.ok(rest < own * slow && all < most * slow, note);
    return `${note}, at ${await page.textContent("#figures dd")} tokens`;
}

async function violations(page) {
    await page.evaluate(axe);
    const found = await page.evaluate(() => window.axe.run());
    return found.violations.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map((node) => node.html.slice(0, 120)).join(" | ")}`);
}

async function picture() {
    const page = await open("#playground?rate=40&example=report", { viewport: { width: 1280, height: 780 } });
    await settled(page);
    // Once more, for the time of a text that is known.
    for (const key of ["ArrowLeft", "ArrowRight"]) {
        await page.press("#rate", key);
        await page.waitForTimeout(1500);
        await settled(page);
    }
    await page.evaluate(() => document.activeElement.blur());
    const file = "tests/page/playground.png";
    await page.screenshot({ path: file });
    const { size } = fs.statSync(file);
    assert.ok(size <= 200_000, `the picture has ${size} bytes`);
    console.log(`${file}: ${size} bytes`);
}

/** A PDF of one page with a line of Helvetica for each of `lines`. */
function pdf(lines) {
    const escaped = (line) => line.replace(/[\\()]/g, "\\$&").replace(/[^\x20-\x7e]/g, "-");
    const text = `BT /F1 9 Tf 40 800 Td 11 TL ${lines.map((line) => `(${escaped(line)}) Tj T*`).join(" ")} ET`;
    const objects = ["<< /Type /Catalog /Pages 2 0 R >>", "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 5 0 R /Resources << /Font << /F1 4 0 R >> >> >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>", `<< /Length ${text.length} >>\nstream\n${text}\nendstream`];
    let file = "%PDF-1.4\n";
    const places = objects.map((object, n) => { const at = file.length; file += `${n + 1} 0 obj\n${object}\nendobj\n`; return at; });
    const table = places.map((at) => `${String(at).padStart(10, "0")} 00000 n \n`).join("");
    return Buffer.from(`${file}xref\n0 6\n0000000000 65535 f \n${table}trailer << /Size 6 /Root 1 0 R >>\nstartxref\n${file.length}\n%%EOF\n`);
}

const KINDS = ["report", "prose", "code", "log", "json", "chat", "table", "html"];
const VIEWS = ["playground", "dashboard", "collections", "evaluations", "keys"];

async function playground() {
    await check("each kind of text is compressed and shown in place", async () => {
        const page = await open();
        await settled(page);
        const notes = [];
        for (const kind of KINDS) {
            await page.selectOption("#example", kind);
            await settled(page);
            await page.waitForTimeout(100);
            await settled(page);
            const { all, kept } = await shown(page);
            const text = await page.inputValue("#text");
            if (kind !== "chat") assert.equal(all, text, kind);
            assert.ok(kept.length > 0 && kept.length <= all.length, kind);
            notes.push(`${kind} ${(await page.textContent("#state")).split(" tokens")[0]}`);
        }
        return notes.join("; ");
    });
    await check("a PDF is compressed to 500 tokens with a question", async () => {
        const page = await open();
        await settled(page);
        const words = fs.readFileSync("eval/texts/incident.md", "utf8").split(/\s+/);
        const lines = [];
        for (const word of words) {
            if (!lines.length || lines.at(-1).length + word.length > 110) lines.push(word);
            else lines[lines.length - 1] += ` ${word}`;
        }
        await page.setInputFiles("#file", { name: "incident.pdf", mimeType: "application/pdf", buffer: pdf(lines.slice(0, 70)) });
        await page.waitForFunction(() => document.querySelector("#text").value.includes("gateway"));
        await page.check("[name=budget][value=tokens]");
        await page.fill("#tokens", "500");
        await page.fill("#question", "Which setting caused the outage?");
        await page.waitForFunction(() => / to (4[0-9]{2}|500) tokens/.test(document.querySelector("#state").textContent));
        await page.screenshot({ path: path.join(pictures, "pdf.png"), fullPage: true });
        return page.textContent("#state");
    });
    await check("views, reasons, copies and the link", async () => {
        const page = await open("#playground?rate=30&example=prose&view=two&beside=extractive&method=llmlingua");
        await settled(page);
        await page.waitForFunction(() => document.querySelector("#other-name").textContent.startsWith("extractive"));
        assert.equal(await page.inputValue("#rate"), "30");
        await page.check("[name=view][value=original]", { force: true });
        await page.hover("#shown .kept");
        await page.waitForFunction(() => /^Kept: .*(score|scored)/.test(document.querySelector("#why").textContent));
        await write(page, `The bridge was opened on 3 May 1987. ${"Many people walk over it. ".repeat(20)}`);
        await page.hover("#shown .kept");
        await page.waitForFunction(() => /3 May 1987.*\(numbers, dates\).* protected, so never cut/.test(document.querySelector("#why").textContent));
        await page.selectOption("#example", "prose");
        await settled(page);
        await page.waitForTimeout(300);
        await settled(page);
        await page.click("#copy-result");
        const result = await page.evaluate(() => navigator.clipboard.readText());
        assert.ok(result.includes("lighthouse"), result);
        await page.click("#copy-curl");
        assert.ok((await page.evaluate(() => navigator.clipboard.readText())).startsWith(`curl -s ${service.url}/v1/compress`));
        await page.click("#copy-link");
        const link = await page.evaluate(() => navigator.clipboard.readText());
        assert.ok(link.includes("rate=30") && !link.includes("lighthouse"), link);
        return link.slice(service.url.length);
    });
    await check("a result that is no longer that of the question is dimmed and not copied", async () => {
        const page = await open();
        await settled(page);
        await page.route("**/v1/compress", async (route) => {
            await new Promise((resolve) => setTimeout(resolve, 1500));
            await route.continue().catch(() => {});
        });
        const opacity = () => page.$eval("#views", (it) => getComputedStyle(it).opacity);
        const enabled = () => page.$$eval(".actions button:not(:disabled)", (all) => all.map((it) => it.id));
        const before = await enabled();
        await page.fill("#question", "Who was at the summer party?");
        assert.deepEqual(await enabled(), ["copy-curl", "copy-python", "copy-link"]);
        await page.waitForTimeout(600);
        assert.ok(await opacity() < 1, "the old result looks like a new one");
        await settled(page);
        assert.deepEqual([await opacity(), await enabled()], ["1", before]);
    });
    await check("the result alone is what is copied, and the toast is as high as its text", async () => {
        const page = await open("#playground?rate=30&example=table");
        await settled(page);
        await page.check("[name=view][value=alone]", { force: true });
        await settled(page);
        await page.click("#copy-result");
        const result = await page.evaluate(() => navigator.clipboard.readText());
        assert.match(result, /left out\]/);
        assert.ok(result.includes(await page.inputValue("#question")), result);
        const alone = await page.evaluate(() => [...document.querySelectorAll(".column")].map((it) => it.innerText).join(""));
        assert.equal(alone.trimEnd(), result.trimEnd());
        for (const width of [1280, 390]) {
            await page.setViewportSize({ width, height: 900 });
            const height = await page.$eval("#toast", (it) => it.getBoundingClientRect().height);
            assert.ok(height > 20 && height < 60, `${height} pixels at ${width}`);
        }
    });
    await check("a file's name is shown, and the question of an example is not asked of it", async () => {
        const page = await open();
        await settled(page);
        const put = (text) => page.setInputFiles("#file", { name: "notes.txt", mimeType: "text/plain", buffer: Buffer.from(text) });
        await put("The bridge was opened on 3 May 1987. ".repeat(20));
        await page.waitForFunction(() => document.querySelector("#size").textContent.startsWith("notes.txt, "));
        assert.equal(await page.inputValue("#question"), "");
        await page.fill("#question", "When was it opened?");
        await put("The bridge was closed on 3 May 1997. ".repeat(20));
        await page.waitForFunction(() => document.querySelector("#text").value.includes("1997"));
        assert.equal(await page.inputValue("#question"), "When was it opened?");
        await page.selectOption("#example", "log");
        assert.ok(!(await page.textContent("#size")).includes("notes.txt"));
    });
    await check("how much of a long text is read, how fast, and how long it takes yet", async () => {
        const page = await open();
        await settled(page);
        const lines = Array.from({ length: 400 }, (_, n) => `Ward ${n} of the harbour counted ${n * 37 % 1009} ships, ${n * 91 % 797} of them late.`);
        await page.evaluate(() => {
            window.states = new Set();
            new MutationObserver(() => window.states.add(document.querySelector("#state").textContent)).observe(document.querySelector("#state"), { childList: true, characterData: true, subtree: true });
        });
        await page.fill("#question", "");
        await page.fill("#text", lines.join("\n"));
        await page.waitForFunction(() => [...window.states].some((it) => it.includes("s left")), null, { timeout: 60000 * slow });
        await settled(page);
        const said = await page.evaluate(() => [...window.states].filter((it) => it.includes("tokens are read")));
        assert.ok(said.some((it) => /^[\d,]+ of [\d,]+ tokens are read, [\d,]+ tokens\/s, \d+ s left…$/.test(it)), JSON.stringify(said));
        return said.at(-1);
    });
    await check("a move of the slider at 3,000 tokens", async () => slider(await open(), 3000, short ? 1500 : 150, short ? 500 : 100));
    await check("a move of the slider at 20,000 tokens", async () => slider(await open(), 20000, 500, 150), true);
    await check("the first paint", async () => {
        const times = [];
        for (let n = 0; n < 5; n++) {
            const page = await open();
            await settled(page);
            times.push(await page.evaluate(() => performance.getEntriesByName("first-contentful-paint")[0].startTime));
            await page.context().close();
        }
        times.sort((a, b) => a - b);
        assert.ok(times[0] < ((short ? 2000 : 200) * slow), `${times.map(Math.round)}`);
        return `${Math.round(times[2])} ms, quickest ${Math.round(times[0])} ms`;
    });
    await check("it is used by keyboard alone", keyboard);
}

async function keyboard() {
    const page = await open();
    await settled(page);
    const focused = () => page.evaluate(() => document.activeElement.id || document.activeElement.name || document.activeElement.textContent.trim());
    const seen = [];
    for (let n = 0; n < 60; n++) {
        await page.keyboard.press("Tab");
        const name = await focused();
        if (name === "copy-link") break;
        seen.push(name);
        const visible = await page.evaluate(() => {
            const element = document.activeElement;
            const style = getComputedStyle(element.type === "radio" && element.closest(".tabs") ? element.nextElementSibling : element);
            return style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1;
        });
        assert.ok(visible, `the focus on ${name} is not visible`);
        if (name === "rate") {
            const before = await page.inputValue("#rate");
            await page.keyboard.press("ArrowRight");
            assert.notEqual(await page.inputValue("#rate"), before);
            await settled(page);
        }
        if (name === "shown") {
            await page.keyboard.press("ArrowRight");
            await page.keyboard.press("ArrowRight");
            await page.waitForFunction(() => /^(Kept|Left out)/.test(document.querySelector("#why").textContent));
        }
    }
    for (const id of ["example", "choose", "text", "question", "rate", "method", "target", "price", "shown", "copy-result"]) {
        assert.ok(seen.includes(id), `${id} is not reached: ${seen}`);
    }
    return `${seen.length} stops`;
}

async function badInput() {
    await check("one character, other scripts, and a budget that is too small", async () => {
        const page = await open("#playground?rate=100");
        await settled(page);
        await write(page, "x");
        assert.equal((await shown(page)).all, "x");
        // A part of one token is no token.
        await page.$eval("#rate", (slider) => { slider.value = "60"; slider.dispatchEvent(new Event("input", { bubbles: true })); });
        await page.waitForFunction(() => /cannot be met/.test(document.querySelector("#state").textContent));
        for (const text of ["\u0627\u0641\u062A\u062A\u062D \u0627\u0644\u062C\u0633\u0631 \u0641\u064A \u0639\u0627\u0645 1987. \u0644\u0627 \u062A\u0645\u0631 \u0627\u0644\u0634\u0627\u062D\u0646\u0627\u062A.", "\u9019\u5EA7\u6A4B\u65BC1987\u5E74\u958B\u653E\u3002\u91CD\u578B\u5361\u8ECA\u4E0D\u5F97\u901A\u884C\u3002\u{1F309}", "a\u{1F600}b\u0301 c\u{1F468}\u200D\u{1F469}\u200D\u{1F467} d. ".repeat(20)]) {
            await write(page, text);
            assert.equal((await shown(page)).all, text);
        }
        await page.fill("#text", "The bridge was opened on 3 May 1987.");
        await page.fill("#question", "A question that is kept whole, and so needs more tokens than there are?");
        await page.check("[name=budget][value=tokens]");
        await page.fill("#tokens", "2");
        await page.waitForFunction(() => document.querySelector("#state").classList.contains("bad"));
        const said = await page.textContent("#state");
        assert.match(said, /tokens/);
        return said;
    });
    await check("markup in a text and in a file's name stays text", async () => {
        const page = await open("", { viewport: { width: 1280, height: 900 } });
        await settled(page);
        const text = "<img src=x onerror=\"window.hit=1\"><script>window.hit=1</script> </textarea> <b>The bridge</b> was opened in 1987. ".repeat(4);
        await page.setInputFiles("#file", { name: "\"><img src=x onerror=window.hit=1>.txt", mimeType: "text/plain", buffer: Buffer.from(text) });
        await page.waitForFunction((text) => document.querySelector("#text").value === text, text);
        await settled(page);
        assert.equal((await shown(page)).all, text);
        assert.equal(await page.evaluate(() => window.hit), undefined);
        assert.equal(await page.evaluate(() => document.querySelectorAll("#shown img, #shown script, #shown b").length), 0);
    });
    await check("a binary file and a paste of 20 MB are refused with the reason", async () => {
        const page = await open();
        await settled(page);
        await page.setInputFiles("#file", { name: "a.bin", mimeType: "application/octet-stream", buffer: Buffer.from([0xff, 0xfe, 0, 1, 0x80, 0x81]) });
        await page.waitForFunction(() => /UTF-8/.test(document.querySelector("#state").textContent));
        await page.setInputFiles("#file", { name: "a.png", mimeType: "image/png", buffer: Buffer.from("89504e470d0a1a0a0000000d", "hex") });
        await page.waitForFunction(() => /it is a PNG image; files that are read: text, Markdown/.test(document.querySelector("#state").textContent));
        const began = Date.now();
        await page.evaluate(() => {
            const clipboardData = new DataTransfer();
            clipboardData.setData("text", "word ".repeat(4 << 20));
            const paste = new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true });
            if (document.querySelector("#text").dispatchEvent(paste)) throw new Error("the paste was not stopped");
        });
        await page.waitForFunction(() => /at most 15/.test(document.querySelector("#state").textContent), null, { timeout: 30000 });
        return `${Date.now() - began} ms`;
    });
    await check("a stopped service is said to be away, and found again", async () => {
        const page = await open();
        await settled(page);
        await service.stop();
        await page.focus("#rate");
        await page.keyboard.press("ArrowRight");
        await page.waitForFunction(() => document.querySelector("#reach").textContent !== "");
        assert.match(await page.textContent("#state"), /cannot be reached/);
        assert.ok((await page.inputValue("#text")).length > 100, "the text stays");
        await service.start();
        await page.waitForFunction(() => document.querySelector("#reach").textContent === "", null, { timeout: 10000 * slow });
        await settled(page);
    });
    await check("two tabs, back and forward", async () => {
        const page = await open("#playground?rate=20&example=log");
        await settled(page);
        const other = await page.context().newPage();
        await other.goto(`${service.url}/#playground?rate=70&example=prose`);
        await settled(other);
        assert.equal(await page.inputValue("#rate"), "20");
        await page.goto(`${service.url}/#playground?rate=60&example=json`);
        await settled(page);
        await page.goBack();
        await page.waitForFunction(() => document.querySelector("#rate").value === "20");
        assert.equal(await page.inputValue("#example"), "log");
        await page.goForward();
        await page.waitForFunction(() => document.querySelector("#rate").value === "60");
    });
    await check("an answer to earlier settings is never shown", async () => {
        const page = await open();
        await settled(page);
        let held = 0;
        await page.route("**/v1/compress", async (route) => {
            const slow = held++ === 0;
            if (slow) await new Promise((resolve) => setTimeout(resolve, 1500));
            await route.continue().catch(() => {});
        });
        await page.selectOption("#method", "lossless");
        await page.selectOption("#method", "llmlingua");
        await page.waitForFunction(() => document.querySelector("#details p")?.textContent.includes("llmlingua"));
        await page.waitForTimeout(1700);
        assert.match(await page.textContent("#details p"), /llmlingua/);
    });
}

async function ledger() {
    await check("the dashboard has the figures of 200 proxied requests", async () => {
        const text = fs.readFileSync("eval/texts/incident.md", "utf8");
        const ask = (n) => ({ model: n % 3 ? "m1" : "m2", messages: [{ role: "user", content: n % 20 === 7 ? "fail, please" : n % 10 ? `${n} Who won?` : `${text.slice(0, 1500 + n)}\n\nWho noticed it?` }].slice(n % 20 === 9 ? 1 : 0) });
        const waiting = Array.from({ length: 200 }, (_, n) => n);
        const worker = async () => { for (let n = waiting.pop(); n !== undefined; n = waiting.pop()) await service.json("/v1/chat/completions", ask(n), n % 20 === 3 ? { "x-whittle-bypass": "1" } : {}); };
        await Promise.all([worker(), worker(), worker(), worker()]);
        const { total } = await service.json("/v1/usage");
        assert.equal(total.requests, 200);
        assert.ok(total.text_tokens_after < total.text_tokens_before, "nothing was compressed");
        const page = await open("#dashboard");
        await page.waitForFunction(() => document.querySelector("#view-dashboard dd")?.textContent.startsWith("200"));
        const figures = await page.$$eval("#view-dashboard dl.figures > div", (all) => Object.fromEntries(all.map((it) => [it.querySelector("dt").textContent, it.querySelector("dd").firstChild.textContent])));
        const number = (name) => Number(figures[name].replaceAll(",", "").replace("\u2212", "-").replace("$", ""));
        assert.equal(number("Text tokens before"), total.text_tokens_before);
        assert.equal(number("Text tokens after"), total.text_tokens_after);
        assert.ok(Math.abs(number("Cost") - total.cost_usd) < 0.01 * total.cost_usd, figures.Cost);
        const saving = await page.$eval("#view-dashboard dl.figures", (it) => it.textContent);
        assert.match(saving, new RegExp(`${total.errors} errors`));
        await page.selectOption("#axis", "model");
        await page.waitForFunction(() => /By model/.test(document.querySelector("#view-dashboard").textContent));
        const rows = await page.$$eval("#view-dashboard table", (all) => [...all.find((it) => it.caption.textContent === "By model").tBodies[0].rows].map((row) => [...row.cells].map((cell) => cell.textContent)));
        const groups = (await service.json("/v1/usage?group_by=model")).groups;
        assert.deepEqual(rows.map((row) => [row[0], Number(row[1]), Number(row[2])]), groups.map((it) => [it.model, it.requests, it.errors]));
        await page.screenshot({ path: path.join(pictures, "dashboard-200.png"), fullPage: true });
        await page.selectOption("#only", "errors");
        await page.waitForFunction((errors) => document.querySelector("#view-dashboard").textContent.includes(`${errors} requests`), total.errors);
        await uncompressed(page);
        return `${total.text_tokens_before} to ${total.text_tokens_after} tokens, ${figures["Net saving"]}`;
    });
    await check("the list of requests is turned by pages, and keeps the focus while it looks again", async () => {
        const page = await open("#dashboard");
        await page.click("text=Earlier requests");
        await page.waitForFunction(() => /^101 to 200 of 200 requests/.test([...document.querySelectorAll("#view-dashboard caption")].at(-1).textContent));
        await page.focus("text=Later requests");
        await page.waitForTimeout(6000);
        assert.equal(await page.evaluate(() => document.activeElement.textContent), "Later requests");
        await page.keyboard.press("Enter");
        await page.waitForFunction(() => /^1 to 100 of 200 requests/.test([...document.querySelectorAll("#view-dashboard caption")].at(-1).textContent));
    });
    await check("the health of the upstream and the shadow comparisons are shown as they come", async () => {
        const page = await open("#dashboard");
        const row = (name) => page.waitForFunction((name) => [...document.querySelectorAll("#health tbody tr")].find((it) => it.cells[0].textContent === name)?.cells[1].textContent, name).then((it) => it.jsonValue());
        const upstream = await row("Upstream scripted");
        assert.match(upstream, /^openai: up, [\d,]+ answers, 0 failures to serve; last answer 200/);
        const { models } = await service.json("/v1/shadow");
        assert.ok(models.length > 0, "no request was compared");
        await page.waitForFunction(() => /Same answer/.test(document.querySelector("#view-dashboard").textContent));
        const shown = await page.$$eval("#view-dashboard table", (all) => [...all.find((it) => it.caption.textContent === "Shadow requests, by model").tBodies[0].rows].map((it) => it.cells[1].textContent));
        assert.deepEqual(shown, models.map((it) => `${(100 * it.same / it.requests).toFixed(1)}% (${it.same} of ${it.requests})`));
        // One more request, and the page tells it by itself.
        await service.json("/v1/chat/completions", { model: "m1", messages: [{ role: "user", content: "Once more." }] });
        await page.waitForFunction((before) => [...document.querySelectorAll("#health td")].every((it) => it.textContent !== before), upstream, { timeout: 10000 * slow });
        return upstream;
    });
    await check("sums that round to nothing are no loss", async () => {
        const page = await open();
        const line = { time: new Date().toISOString(), request_id: "r", model: "m", upstream: "u", key: null, status: 200, errors: 0, text_tokens_before: 0, text_tokens_after: 0, input_tokens: 5, compressor_ms: 0.01, saving_usd: -1e-9, reason: "unchanged" };
        await page.route(/\/v1\/usage\?.*group_by=request/, (route) => route.fulfill({ json: { requests: [line], next: null } }));
        await page.evaluate(() => { location.hash = "#dashboard"; });
        const last = () => page.evaluate(() => [...document.querySelectorAll("#view-dashboard .panel")].at(-1).innerText);
        await page.waitForFunction(() => /1 request\b/.test([...document.querySelectorAll("#view-dashboard caption")].at(-1)?.textContent));
        assert.match(await last(), /\$0\.00/);
        assert.ok(!(await last()).includes("\u2212"), await last());
        await page.selectOption("#only", "loss");
        await page.waitForFunction(() => /No such request/.test(document.querySelector("#view-dashboard").textContent));
    });
    await check("two evaluations are shown beside each other", async () => {
        const page = await open("#evaluations");
        await page.waitForFunction(() => document.querySelector("#evaluation table"));
        const { runs } = await service.json("/v1/evaluations");
        assert.ok(runs.length >= 3, JSON.stringify(runs));
        const [nq, kinds] = ["nq", "kinds"].map((suite) => runs.find((it) => it.name.endsWith(`/${suite}`)).name);
        await page.selectOption("#run", nq);
        await page.waitForFunction((run) => document.querySelector("#evaluation").textContent.includes(`How ${run} was made`), nq);
        assert.match(await page.textContent("#evaluation"), /Answers still in the prompt/);
        const cells = await page.$$eval("#evaluation table", ([first]) => [...first.tBodies[0].rows].map((row) => [...row.cells].map((cell) => cell.textContent)));
        const { figures } = await service.json(`/v1/evaluations/${nq}`);
        const percent = (value) => `${(100 * value).toFixed(1)}%`;
        figures.forEach((it, n) => assert.ok(!it.retention || cells[n].includes(`${percent(it.retention.mean)} [${percent(it.retention.low)}, ${percent(it.retention.high)}]`), `${cells[n]}`));
        await page.selectOption("#other-run", kinds);
        await page.waitForFunction(() => /of other questions/.test(document.querySelector("#evaluations-state").textContent));
        const legends = () => page.$$eval("#evaluation .legend", (all) => all.map((it) => [...it.children].map((name) => name.textContent)));
        assert.deepEqual(await legends(), [[nq], [kinds]]);
        const again = runs.find((it) => it.name !== nq && it.name.endsWith("nq-again")).name;
        await page.selectOption("#other-run", again);
        await page.waitForFunction(() => document.querySelector("#evaluations-state").textContent === "" && document.querySelectorAll("#evaluation figure").length === 1);
        assert.deepEqual(await legends(), [[nq, again]]);
        const below = await page.$$eval("#evaluation .chart text:not([text-anchor=end])", (all) => all.map((it) => it.textContent));
        assert.equal(below.filter((it) => it.endsWith("%")).length, figures.filter((it) => it.retention && !["whole", "closed-book", "best-two"].includes(it.method)).length);
        const wide = await page.$eval("#evaluation .scroll", (it) => it.scrollWidth - it.clientWidth);
        assert.ok(wide <= 0, `the table is ${wide} pixels too wide`);
        await page.screenshot({ path: path.join(pictures, "evaluations-two.png"), fullPage: true });
        return `${runs.length} runs`;
    });
    await check("a collection counts its documents and says which one is open", async () => {
        const page = await open("#collections");
        assert.match(await page.textContent("#view-collections form"), /1 to 64 characters/);
        await page.fill("#collection-name", "counted");
        await page.press("#collection-name", "Enter");
        await page.waitForSelector("#upload");
        const opened = () => page.$$eval(".cards [aria-current=true]", (all) => all.map((it) => it.textContent));
        assert.deepEqual(await opened(), ["counted 0 documents"]);
        const buffer = fs.readFileSync("eval/texts/incident.md");
        await page.setInputFiles("#upload", { name: "incident.md", mimeType: "text/markdown", buffer });
        await page.waitForFunction(() => /stored in \d+ chunks/.test(document.querySelector("#collection").textContent), null, { timeout: 60000 * slow });
        await page.waitForFunction(() => document.querySelector(".cards [aria-current=true]").textContent === "counted 1 document");
        await page.fill("#prompt-question", "Which setting caused the outage?");
        await page.fill("#prompt-tokens", "2000");
        await page.press("#prompt-question", "Enter");
        await page.waitForFunction(() => /tokens went to/.test(document.querySelector("#collection").textContent), null, { timeout: 60000 * slow });
        const said = /(\d+) of \d+ chunks found are in it, from [^;]*/.exec(await page.textContent("#collection"));
        assert.ok(Number(said[1]) > 1 && said[0].endsWith("from 1 document"), said[0]);
        return said[0];
    });
    await check("500 collections and 10,000 requests are shown quickly", many, true);
    await check("on a slow network the page says what it waits for", slowNetwork);
    await check("a collection is made, filled, searched and deleted", async () => {
        const page = await open("#collections");
        await page.fill("#collection-name", "notes");
        await page.press("#collection-name", "Enter");
        await page.waitForSelector("#upload");
        const name = "<img src=x onerror=window.hit=1>.md";
        await page.setInputFiles("#upload", { name, mimeType: "text/markdown", buffer: Buffer.from("# <b>Bridges</b>\n\nThe bridge <script>window.hit=1</script> was opened in 1987.\n") });
        await page.waitForFunction(() => /stored in \d+ chunk/.test(document.querySelector("#collection").textContent), null, { timeout: 60000 * slow });
        for (const mode of ["lexical", "dense", "hybrid"]) {
            await page.selectOption("#mode", mode);
            await page.fill("#query", "When was the bridge opened?");
            await page.press("#query", "Enter");
            await page.waitForFunction(() => document.querySelectorAll("#collection .hit mark").length > 0, null, { timeout: 60000 * slow });
        }
        await page.fill("#prompt-question", "When was the bridge opened?");
        await page.press("#prompt-question", "Enter");
        await page.waitForFunction(() => /tokens went to/.test(document.querySelector("#collection").textContent), null, { timeout: 60000 * slow });
        await page.click("#collection td button:not(.danger)");
        await page.waitForFunction(() => /Its chunks: 1/.test(document.querySelector("#collection").textContent));
        assert.equal(await page.evaluate(() => window.hit), undefined);
        assert.equal(await page.evaluate(() => document.querySelectorAll("#collection img, #collection script").length), 0);
        await page.screenshot({ path: path.join(pictures, "collection.png"), fullPage: true });
        await page.click("#collection > .row > .danger");
        await page.click("dialog .danger");
        await page.waitForFunction(() => document.querySelector("#collection").hidden);
    });
}

/** Requests that went on uncompressed are listed with their reasons, and those that were compressed have a group of theirs. */
async function uncompressed(page) {
    const { requests } = await service.json("/v1/usage?group_by=request&limit=1000");
    const expected = requests.filter((it) => it.text_tokens_before === 0);
    await page.selectOption("#only", "whole");
    await page.waitForFunction((count) => document.querySelector("#view-dashboard").textContent.includes(`of ${count} requests`), expected.length);
    const list = await page.$$eval("#view-dashboard table", (all) => [...all.at(-1).rows].map((row) => [...row.cells].map((cell) => cell.textContent)));
    const column = (name) => list.slice(1).map((row) => row[list[0].indexOf(name)]);
    assert.ok(column("As it came, because").every((it) => it !== ""), "a request has no reason");
    assert.ok(column("Text tokens").every((it) => it === "\u2013"), `${column("Text tokens")}`);
    await page.selectOption("#axis", "reason");
    await page.waitForFunction(() => /By reason/.test(document.querySelector("#view-dashboard").textContent));
    const names = await page.$$eval("#view-dashboard table", (all) => [...all.find((it) => it.caption.textContent === "By reason").tBodies[0].rows].map((row) => row.cells[0].textContent));
    assert.deepEqual(names.map((it) => it.split(":")[0]), ["compressed", "bypassed", "unchanged"]);
}

/** Answers of a service that has much, since making as much would take long. */
async function many() {
    const page = await open();
    await settled(page);
    const collections = Array.from({ length: 500 }, (_, n) => ({ name: `c${n}`, documents: n }));
    await page.route("**/v1/collections", (route) => route.fulfill({ json: { collections, unreadable: [] } }));
    const line = (n) => ({ time: new Date(Date.now() - 1000 * (10000 - n)).toISOString(), request_id: `r${n}`, model: "m", upstream: "u", key: null, status: 200, errors: 0, text_tokens_before: 1000, text_tokens_after: 500, input_tokens: 500, compressor_ms: n / 100, saving_usd: 0.001, reason: "" });
    let asked = 0;
    await page.route(/\/v1\/usage\?.*group_by=request/, (route) => {
        const from = 1000 * asked++;
        return route.fulfill({ json: { requests: from < 10000 ? Array.from({ length: 1000 }, (_, n) => line(from + n)) : [], next: from < 9000 ? String(from) : null } });
    });
    let began = performance.now();
    await page.evaluate(() => { location.hash = "#collections"; });
    await page.waitForFunction(() => document.querySelectorAll(".cards button").length === 61);
    const cards = Math.round(performance.now() - began);
    await page.click("text=Show all 500");
    assert.equal(await page.$$eval(".cards button", (all) => all.length), 500);
    began = performance.now();
    await page.evaluate(() => { location.hash = "#dashboard"; });
    await page.waitForFunction(() => /of 10,000 requests/.test(document.querySelector("#view-dashboard").textContent));
    const requests = Math.round(performance.now() - began);
    began = performance.now();
    await page.click("text=Earlier requests");
    await page.waitForFunction(() => /^101 to 200 of 10,000/.test([...document.querySelectorAll("#view-dashboard caption")].at(-1).textContent));
    const turn = Math.round(performance.now() - began);
    assert.ok(cards < 1000 * slow && requests < 3000 * slow && turn < 500 * slow, `${cards}, ${requests}, ${turn} ms`);
    return `collections after ${cards} ms, requests after ${requests} ms, a page turned in ${turn} ms`;
}

/** 200 KB a second, and 300 ms to an answer. */
async function slowNetwork() {
    const page = await open("#playground?method=lossless&rate=100");
    await settled(page);
    const session = await page.context().newCDPSession(page);
    await session.send("Network.enable");
    await session.send("Network.emulateNetworkConditions", { offline: false, latency: 300, downloadThroughput: 200_000, uploadThroughput: 200_000 });
    await page.reload();
    await settled(page);
    const painted = await page.evaluate(() => performance.getEntriesByName("first-contentful-paint")[0].startTime);
    // A text of 200 KB takes a second to send.
    await page.$eval("#text", (area) => {
        area.value = "A line of a log that says the same again and again. ".repeat(4000);
        area.dispatchEvent(new Event("input", { bubbles: true }));
    });
    await page.waitForFunction(() => /first time/.test(document.querySelector("#state").textContent));
    await settled(page);
    for (const value of ["98", "99", "100"]) {
        await page.$eval("#rate", (slider, to) => { slider.value = to; slider.dispatchEvent(new Event("input", { bubbles: true })); }, value);
        await page.waitForTimeout(200);
    }
    await settled(page);
    assert.equal(await page.textContent("#rate-shown"), "100%");
    return `first paint after ${Math.round(painted)} ms`;
}

/** Keys come last: from the first one on, nobody calls without. */
async function keys() {
    await check("a key is made, asked for, kept in the tab alone, and refused once it is revoked", async () => {
        const page = await open("#keys");
        await page.fill("#key-name", "admin");
        await page.check("#key-admin");
        await page.click("#view-keys button.primary");
        const secret = await page.textContent(".secret");
        assert.match(secret, /^whittle-/);
        const use = async (value) => {
            await page.waitForSelector("#key-dialog[open]");
            await page.fill("#key-value", value);
            await page.press("#key-value", "Enter");
        };
        // The list asks for the key at once.
        await use(secret);
        await page.waitForFunction(() => /administrator/.test(document.querySelector("#view-keys").textContent));
        assert.ok(!page.url().includes(secret));
        assert.equal(await page.evaluate(() => localStorage.length + document.cookie.length), 0);
        await service.command("keys", "create", "other", "--admin");
        await service.command("keys", "revoke", "admin");
        await page.goto(`${service.url}/#dashboard`);
        await page.waitForSelector("#key-dialog[open]");
        assert.match(await page.textContent("#key-reason"), /refused/);
        await page.keyboard.press("Escape");
    }, true);
}

async function pages() {
    for (const scheme of ["light", "dark"]) {
        for (const width of [390, 768, 1280, 1600]) {
            await check(`${scheme} at ${width} pixels, without violations`, async () => {
                const page = await open("", { viewport: { width, height: 900 }, colorScheme: scheme, bypassCSP: true, reducedMotion: "reduce" });
                await settled(page);
                for (const view of VIEWS) {
                    await page.goto(`${service.url}/#${view}`);
                    await page.waitForTimeout(view === "playground" ? 100 : 800);
                    assert.deepEqual(await violations(page), [], view);
                    const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
                    assert.ok(wide <= 0, `${view} is ${wide} pixels too wide`);
                    await page.screenshot({ path: path.join(pictures, `${view}-${width}-${scheme}.png`) });
                }
            }, width === 768 || width === 1600);
        }
    }
}

try {
    if (mode === "--picture") await picture();
    else {
        await playground();
        await badInput();
        await ledger();
        await pages();
        await keys();
        await check("no request leaves the origin", () => assert.deepEqual(foreign, []));
    }
} finally {
    await browser.close();
    await service.end();
    model.close();
}
console.log(failures ? `${failures} checks failed` : "all checks hold");
process.exitCode = failures ? 1 : 0;
