//! EML: who wrote what to whom and when, and the text. Attachments are named and not read.

use mail_parser::{Addr, Address, DateTime, Message, MessageParser, MessagePart, MimeHeaders, PartType};

use super::{Parsed, html, plain};

pub(super) fn parsed(bytes: &[u8]) -> Result<Parsed, String> {
    let message = MessageParser::default().parse(bytes);
    let message = message.filter(|message| message.from().or(message.to()).is_some()).ok_or(
        "it is no e-mail: it has neither sender nor receiver; give it the name or type that it should have",
    )?;
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        if !value.is_empty() {
            // Two spaces end a line of Markdown.
            text += &[name, ": ", &plain(&one_line(&value)), "  \n"].concat();
        }
    };
    line("From", message.from().map_or_else(String::new, people));
    line("To", message.to().map_or_else(String::new, people));
    line("Cc", message.cc().map_or_else(String::new, people));
    line("Date", message.date().map_or_else(String::new, DateTime::to_rfc3339));
    line("Subject", message.subject().unwrap_or_default().to_owned());
    line("Attachments", attachments(&message));
    text.push('\n');
    let mut bodies: Vec<&MessagePart> = message.text_bodies().collect();
    if bodies.is_empty() {
        // Of a mail that is cut off the parser takes all parts for attachments.
        bodies = message.attachments().filter(|part| part.attachment_name().is_none()).collect();
    }
    for part in bodies {
        match &part.body {
            PartType::Text(body) => {
                let lines: Vec<String> = body.lines().map(plain).collect();
                text += &(lines.join("\n") + "\n\n");
            }
            PartType::Html(body) => {
                text += &html::parsed(body.as_bytes(), true)?.text;
                text += "\n\n";
            }
            _ => {}
        }
    }
    let title = message.subject().map(one_line).filter(|title| !title.is_empty());
    Ok(Parsed { title, text })
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn people(address: &Address<'_>) -> String {
    let one = |person: &Addr<'_>| match (person.name(), person.address()) {
        (Some(name), Some(address)) => format!("{name} ({address})"),
        (name, address) => name.or(address).unwrap_or_default().to_owned(),
    };
    address.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn attachments(message: &Message<'_>) -> String {
    let name = |part: &MessagePart<'_>| match &part.body {
        PartType::Message(inner) => inner.subject().map(str::to_owned),
        _ => part.attachment_name().map(str::to_owned),
    };
    message.attachments().filter_map(name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn head_and_text_are_kept_and_attachments_named() {
        let mail = b"From: Ann =?utf-8?q?M=C3=BCller?= <ann@example.org>\r\nTo: crew@example.org\r\n\
            Date: Sat, 20 Nov 2021 14:22:01 -0800\r\nSubject: =?utf-8?b?UHVtcCDwn5qi?=\r\nMIME-Version: 1.0\r\n\
            Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=iso-8859-1\r\n\
            Content-Transfer-Encoding: quoted-printable\r\n\r\n# Not a heading\r\nThe pump costs 90=A0euros, caf=E9.\r\n\
            --b\r\nContent-Type: application/pdf; name=\"offer.pdf\"\r\nContent-Disposition: attachment; filename=\"offer.pdf\"\r\n\
            Content-Transfer-Encoding: base64\r\n\r\nJVBERi0=\r\n--b--\r\n";
        let Parsed { title, text } = parsed(mail).unwrap();
        assert_eq!(title.as_deref(), Some("Pump \u{1f6a2}"));
        for wanted in [
            "From: Ann M\u{fc}ller (ann@example.org)",
            "To: crew@example.org",
            "Date: 2021-11-20T14:22:01-08:00",
            "Attachments: offer.pdf",
            "\\# Not a heading\nThe pump costs 90\u{a0}euros, caf\u{e9}.",
        ] {
            assert!(text.contains(wanted), "{wanted}: {text}");
        }
        assert!(!text.contains("JVBER"), "{text}");
    }

    #[test]
    fn html_alone_is_read_as_html() {
        let mail = b"From: a@example.org\r\nContent-Type: text/html\r\n\r\n<h1>Pump</h1><table><tr><th>Part<th>Cost<tr><td>Seal<td>9</table>";
        let text = parsed(mail).unwrap().text;
        assert!(text.contains("# Pump") && text.contains("| Seal"), "{text}");
    }

    #[test]
    fn what_is_no_mail_is_refused_and_what_is_cut_is_read() {
        for bytes in [&b"hello"[..], b"PK\x03\x04\x00\x01", b"\xff\xfe\x00", b"Subject: x\r\n\r\ny"] {
            let error = parsed(bytes).unwrap_err();
            assert!(error.contains("it is no e-mail"), "{error}");
        }
        let cut = b"From: a@example.org\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nThe pump is old.";
        assert!(parsed(cut).unwrap().text.contains("The pump is old."));
    }
}
