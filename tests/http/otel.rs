//! Traces, as a collector on loopback gets them.

use std::collections::BTreeMap;

use crate::support::{SERVE, Whittle, run};
use crate::upstream::Upstream;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

/// A span as it was exported, ids in hexadecimal digits.
#[derive(Debug)]
struct Span {
    trace: String,
    id: String,
    parent: String,
}

/// The fields of a protobuf message that are messages, texts or bytes themselves, with their numbers.
fn fields(mut message: &[u8]) -> Vec<(u64, &[u8])> {
    fn number(message: &mut &[u8]) -> u64 {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = message[0];
            *message = &message[1..];
            value |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                return value;
            }
        }
    }
    let mut found = Vec::new();
    while !message.is_empty() {
        let key = number(&mut message);
        let length = match key & 7 {
            0 => {
                number(&mut message);
                continue;
            }
            1 => 8,
            2 => usize::try_from(number(&mut message)).unwrap(),
            5 => 4,
            other => panic!("no such type of a field: {other}"),
        };
        let (value, rest) = message.split_at(length);
        message = rest;
        if key & 7 == 2 {
            found.push((key >> 3, value));
        }
    }
    found
}

/// What field `wanted` of a message holds, each time that it is there.
fn all(message: &[u8], wanted: u64) -> impl Iterator<Item = &[u8]> {
    fields(message).into_iter().filter(move |(number, _)| *number == wanted).map(|(_, value)| value)
}

/// The spans of an export, by their names. The numbers are those of the fields in OTLP's definitions.
fn spans(export: &[u8]) -> impl Iterator<Item = (String, Span)> {
    let hex = |span: &[u8], field| {
        all(span, field)
            .next()
            .unwrap_or_default()
            .iter()
            .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"))
    };
    all(export, 1).flat_map(|resource| all(resource, 2)).flat_map(|scope| all(scope, 2)).map(move |span| {
        let name = String::from_utf8(all(span, 5).next().unwrap().to_vec()).unwrap();
        (name, Span { trace: hex(span, 1), id: hex(span, 2), parent: hex(span, 4) })
    })
}

fn trace_of(head: &str) -> &str {
    head.lines().find_map(|line| line.strip_prefix("traceparent: ")).unwrap()
}

#[test]
fn a_trace_goes_on_through_the_proxy_and_its_stages_are_exported() {
    let (upstream, collector) = (Upstream::start(), Upstream::start());
    let whittle = Whittle::new(SERVE, &upstream.config());
    let service =
        run(whittle.env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.base).env("NO_PROXY", "127.0.0.1"));
    let sent = format!("00-{TRACE}-{CALLER}-01");
    let headers = [("traceparent", &*sent), ("tracestate", "a=b")];
    let answer = service.post_with("/v1/chat/completions", r#"{"model":"m"}"#, &headers);
    assert_eq!(answer.status, 200);
    let heads = upstream.heads();
    service.terminate_and_end();

    let exports = collector.requests();
    assert!(exports.iter().all(|(head, _)| head.starts_with("post /v1/traces http/1.1")), "{exports:?}");
    let spans: BTreeMap<_, _> = exports.iter().flat_map(|(_, body)| spans(body)).collect();
    let names: Vec<_> = spans.keys().map(String::as_str).collect();
    assert_eq!(names, ["compress", "receive", "request", "stream", "upstream"]);
    for (name, span) in &spans {
        let parent = if name == "request" { CALLER } else { &spans["request"].id };
        assert_eq!((span.trace.as_str(), span.parent.as_str()), (TRACE, parent), "{name}");
    }
    assert_eq!(trace_of(&heads[0]), format!("00-{TRACE}-{}-01", spans["upstream"].id));
    assert!(heads[0].contains("tracestate: a=b\r\n"), "{heads:?}");
}

#[test]
fn without_a_collector_the_callers_own_header_passes() {
    let upstream = Upstream::start();
    let service = run(Whittle::new(SERVE, &upstream.config()).env("OTEL_EXPORTER_OTLP_ENDPOINT", ""));
    let sent = format!("00-{TRACE}-{CALLER}-01");
    service.post_with("/v1/chat/completions", r#"{"model":"m"}"#, &[("traceparent", &sent)]);
    assert_eq!(trace_of(&upstream.heads()[0]), sent);
}
