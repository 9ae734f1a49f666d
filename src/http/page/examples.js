// Examples on board, one for each kind of text. All of it is invented.

const report = `# Incident report: orders delayed on 14 May

On Tuesday, 14 May 2024, between 09:42 and 13:17 UTC, customers of the Harbour Street store could place orders but did not receive a confirmation. 18,436 orders were accepted and stored; 11,902 of them were confirmed late, by up to 3 h 35 min. No order was lost and no card was charged twice.

## What happened

On the evening before, at 18:05 UTC, the payment gateway was restarted with settings from a new template. The template limited its connection pool to 8 connections; the old value was 64. At night this was enough. The office had its summer party that evening, and most of the team had gone home early.

The first complaint came at 09:51 from a shop assistant, Mira Okafor, who had waited nine minutes for a receipt. The dashboard of the gateway was green all morning, since it counts answers and not those who wait for one. The weather was fine, and the store was busier than on an ordinary Tuesday.

At 10:20 the on-call engineer, Jan Petersen, restarted the order service, which did not help. At 11:40 he saw that 2,300 requests were waiting for a connection. He did not change the limit at once, because the runbook forbids changes to the gateway during business hours without a second person.

At 12:58 the team lead agreed. The limit was set to 64 again at 13:05, and the last late confirmation was sent at 13:17.

## What we change

- The template no longer has a default for the pool: a service that does not name its own limit does not start.
- An alert fires when a request waits longer than two seconds for a connection.
- The runbook allows the on-call engineer to undo a change of the last 24 hours alone.
`;

const article = `The lighthouse on Skerry Point was built between 1868 and 1871 by the engineer Agnes Holt, whose drawings are kept in the county museum. It stands 41 metres above the sea at high water. Visitors reach it by a causeway that is dry for about three hours around low tide, and a sign at the car park shows the times.

The first lamp burnt colza oil and was lit on 1 November 1871. Paraffin replaced it in 1889, and electricity came late, in 1958, after a storm had broken the old lantern. Keepers lived on the rock with their families until 1983, when the light became automatic. The last keeper, Tom Ardern, moved to the village and opened a small shop for fishing tackle.

Local people tell many stories about the place. One says that a keeper's daughter swam ashore in a gale to call the lifeboat; no record of it has been found. Another, which is true, is that the tower was painted pink for one summer in 1974, because the supplier had sent the wrong tins.

The lens, made in Paris in 1869, is two metres across and weighs 1.8 tonnes. It floated on a bath of mercury until 2006, when the mercury was removed for reasons of health. Today an LED with a range of 18 nautical miles does the work, and the lens is on show on the ground floor. Entry costs 6 pounds for adults and nothing for children under twelve. The café sells soup and cake on weekends from Easter until the end of September.
`;

const code = `//! A cache of answers, bounded by bytes.

use std::collections::HashMap;

/// An answer and when it was last used.
struct Slot {
    bytes: Vec<u8>,
    used: u64,
}

/// The cache. \`limit\` is in bytes.
pub struct Cache {
    slots: HashMap<String, Slot>,
    clock: u64,
    size: usize,
    limit: usize,
}

impl Cache {
    pub fn new(limit: usize) -> Self {
        Self { slots: HashMap::new(), clock: 0, size: 0, limit }
    }

    /// Returns an answer, and notes that it was used.
    pub fn get(&mut self, name: &str) -> Option<&[u8]> {
        self.clock += 1;
        let slot = self.slots.get_mut(name)?;
        slot.used = self.clock;
        Some(&slot.bytes)
    }

    /// Stores an answer. What was unused for longest goes until there is room.
    pub fn put(&mut self, name: &str, bytes: Vec<u8>) {
        if bytes.len() > self.limit {
            return;
        }
        self.remove(name);
        while self.size + bytes.len() > self.limit {
            let Some(oldest) = self.oldest() else { break };
            self.remove(&oldest);
        }
        self.clock += 1;
        self.size += bytes.len();
        self.slots.insert(name.to_owned(), Slot { bytes, used: self.clock });
    }

    fn oldest(&self) -> Option<String> {
        self.slots.iter().min_by_key(|(_, slot)| slot.used).map(|(name, _)| name.clone())
    }

    fn remove(&mut self, name: &str) {
        if let Some(slot) = self.slots.remove(name) {
            self.size -= slot.bytes.len();
        }
    }
}
`;

function log() {
    const lines = [];
    for (let n = 0; n < 60; n++) {
        const time = `2026-03-04T02:${String(Math.floor(n / 2)).padStart(2, "0")}:${n % 2 ? "31" : "02"}Z`;
        if (n === 37) lines.push(`${time} ERROR [db] cannot write to /var/lib/orders/wal: No space left on device (os error 28)`);
        else if (n === 38) lines.push(`${time} WARN  [orders] order 88121 is kept in memory until the disk has room`);
        else if (n === 52) lines.push(`${time} INFO  [db] removed 14 old segments, 3.2 GB free again`);
        else if (n % 3 === 0) lines.push(`${time} INFO  [http] GET /healthz 200 in 1 ms`);
        else if (n % 3 === 1) lines.push(`${time} INFO  [http] POST /orders 201 in ${12 + (n * 7) % 30} ms`);
        else lines.push(`${time} DEBUG [cache] hit rate 0.${80 + (n % 9)}`);
    }
    return `${lines.join("\n")}\n`;
}

function json() {
    const names = ["Ada", "Bo", "Cleo", "Dov", "Eve", "Finn", "Gus", "Hana", "Ivo", "Juno", "Kit", "Lea"];
    const people = names.map((name, n) => ({
        id: 100 + n, name, team: ["storage", "search", "billing"][n % 3], since: `20${15 + n}-0${1 + n % 9}-12`,
        on_call: n === 7, note: n === 7 ? "Takes over from Gus on Friday at noon." : "Nothing to report this week.",
        contact: { mail: `${name.toLowerCase()}@example.org`, room: `B${200 + 3 * n}` },
    }));
    return JSON.stringify({ generated: "2026-03-04T06:00:00Z", people }, null, 2);
}

function chat() {
    return JSON.stringify([
        { role: "system", content: "You help the staff of a town library." },
        { role: "user", content: "Here are the notes of our meeting on 3 March. The heating in the reading room failed twice in February, and the contractor, Brandt and Sons, came on the 19th and replaced the pump. It cost 1,240 euros, which is not in the budget. Mrs Weber asked whether the opening hours could be extended on Thursdays. Most of us were in favour, although nobody wants to work until ten. We agreed to try 8 p.m. from 1 April until the end of June. The coffee machine is broken again. Paul will ask the town for money for the heating by 20 March, and Mrs Weber will print new signs with the hours." },
        { role: "assistant", content: "Thank you, I have read the notes. The meeting dealt with the heating in the reading room, which failed twice and was repaired, with the opening hours on Thursdays, and with the coffee machine. There are two tasks, one for Paul and one for Mrs Weber. Do you want a summary, a list of tasks, or a letter to the town about the cost of the repair?" },
        { role: "user", content: "Who has to do what until when?" },
    ], null, 2);
}

function csv() {
    const rows = ["date,station,line,passengers,delay_min,cause"];
    for (let n = 0; n < 40; n++) {
        const odd = n === 23;
        rows.push(`2026-02-${String(1 + n % 28).padStart(2, "0")},${["Hafen", "Markt", "Nord", "Zoo"][n % 4]},${"ABC"[n % 3]},${410 + (n * 37) % 300},${odd ? 47 : n % 4},${odd ? "signal box flooded" : ""}`);
    }
    return `${rows.join("\n")}\n`;
}

const page = `<!doctype html>
<html><head><title>Opening hours</title><script>var tracking = 1;</script></head>
<body><nav><a href="/">Home</a> <a href="/shop">Shop</a> <a href="/press">Press</a></nav>
<main><h1>Opening hours of the baths</h1>
<p>The indoor pool is open from <b>6.30 a.m. to 9 p.m.</b> on weekdays and from 8 a.m. to 6 p.m. on weekends. It is closed on 24, 25 and 31 December.</p>
<p>The outdoor pool opens on 9 May if the water has at least 19 degrees. Last year it had to close for two weeks in July because of a broken filter.</p>
<table><tr><th>Ticket</th><th>Price</th></tr><tr><td>Adults</td><td>5.80</td></tr><tr><td>Under 16</td><td>3.20</td></tr><tr><td>Ten visits</td><td>49.00</td></tr></table>
<p>Dogs are not allowed, but for assistance dogs, which may wait in the hall.</p></main>
<footer>We use cookies. Imprint, privacy, newsletter.</footer></body></html>
`;

/** Examples by their names in the address: what they are called, the question, and the text. */
export const EXAMPLES = {
    report: ["Report (Markdown)", "What limited the connection pool, and who complained first?", () => report],
    prose: ["Article (prose)", "Who built the lighthouse, and when was it lit first?", () => article],
    code: ["Program (Rust)", "How does the cache decide what to remove?", () => code],
    log: ["Log", "Why could orders not be written?", log],
    json: ["JSON", "Who is on call?", json],
    chat: ["Chat history", "", chat],
    table: ["Table (CSV)", "Which day had the longest delay, and why?", csv],
    html: ["HTML page", "What does a ticket for children cost?", () => page],
};
