//! A scripted API on loopback stands for an upstream.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};

use super::*;
use crate::config::{Flags, Places, ProcessEnv, load};
use crate::model::store::Silent;

/// No variable is set.
struct Empty;

impl Env for Empty {
    fn value(&self, _: &str) -> Option<OsString> {
        None
    }
}

/// Answers one request after another with `answers`, and gives what was asked.
fn upstream(answers: Vec<(u16, String)>) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for (status, body) in answers {
            let (stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut head, mut length) = (String::new(), 0);
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                head += &line;
                if line.trim().is_empty() {
                    break;
                }
            }
            let mut asked = vec![0; length];
            reader.read_exact(&mut asked).unwrap();
            sender.send(head + &String::from_utf8(asked).unwrap()).unwrap();
            let length = body.len();
            let mut stream = stream;
            write!(
                stream,
                "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
            )
            .unwrap();
        }
    });
    (format!("http://{address}"), receiver)
}

fn config(dialect: &str, url: &str) -> Config {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("whittle.toml");
    let text = format!(
        "[[upstreams]]\nname = 'u'\ndialect = '{dialect}'\nbase_url = '{url}'\nretries = 0\nmodels = ['m']\n\
         aliases = {{ fast = 'm-1' }}\nprices = [{{ model = 'm-1', input = 2.0, output = 8.0 }}]\n"
    );
    std::fs::write(&file, text).unwrap();
    load(&Flags { file: Some(file), listen: None }, &Empty, &Places::usual()).unwrap().config
}

fn asked() -> Ask {
    let turn = |role, text: &str| Message { role, text: text.into() };
    Ask { turns: vec![turn(Role::System, "Be brief."), turn(Role::User, "Why?")], max_tokens: 9 }
}

#[test]
fn an_answer_is_asked_for_once_whatever_happens_to_the_process() {
    let answer =
        r#"{"choices":[{"message":{"content":"So."}}],"usage":{"prompt_tokens":11,"completion_tokens":2}}"#;
    let (url, requests) = upstream(vec![(500, "no".into()), (200, answer.into())]);
    let config = config("openai", &url);
    let engine = Engine::new(&config, &ProcessEnv, Box::new(Silent)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let open = || ChatModel::open("fast", &engine, (&config, &Empty), (folder.path(), "")).unwrap();
    let model = open();
    assert_eq!(model.price(), Some(TokenPrice { input: 2.0, output: 8.0 }));
    let failed = format!("{:#}", model.answer(&asked()).unwrap_err());
    assert!(failed.contains("upstream `u`") && failed.contains("500") && failed.contains("no"), "{failed}");
    let reply = model.answer(&asked()).unwrap();
    assert_eq!((&*reply.text, reply.input_tokens, reply.output_tokens), ("So.", 11, 2));
    // There is no third answer to be had.
    assert_eq!(model.answer(&asked()).unwrap(), reply);
    drop(model);
    assert_eq!(open().answer(&asked()).unwrap(), reply);
    let request = requests.iter().nth(1).unwrap();
    assert!(
        request.starts_with("POST /chat/completions") && request.contains(r#""model":"m-1""#),
        "{request}"
    );
    assert!(request.contains(r#""temperature":0"#) && request.contains(r#""role":"system""#), "{request}");
}

#[test]
fn anthropics_dialect_has_its_own_form() {
    let answer = r#"{"content":[{"type":"text","text":"So."}],"usage":{"input_tokens":3,"output_tokens":1}}"#;
    let (url, requests) = upstream(vec![(200, answer.into()), (200, "{}".into())]);
    let config = config("anthropic", &url);
    let engine = Engine::new(&config, &ProcessEnv, Box::new(Silent)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let model = ChatModel::open("m", &engine, (&config, &Empty), (folder.path(), "")).unwrap();
    assert_eq!(model.answer(&asked()).unwrap().text, "So.");
    let request = requests.recv().unwrap();
    assert!(request.starts_with("POST /v1/messages") && request.contains("anthropic-version"), "{request}");
    assert!(
        request.contains(r#""system":"Be brief.""#) && !request.contains(r#""role":"system""#),
        "{request}"
    );
    let other = Ask { max_tokens: 10, ..asked() };
    let said = format!("{:#}", model.answer(&other).unwrap_err());
    assert!(said.contains("something else"), "{said}");
}

#[test]
fn a_model_that_is_nowhere_is_named() {
    let config = config("openai", "http://127.0.0.1:9");
    let engine = Engine::new(&config, &ProcessEnv, Box::new(Silent)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let said = |name| {
        let opened = ChatModel::open(name, &engine, (&config, &Empty), (folder.path(), ""));
        format!("{:#}", opened.unwrap_err())
    };
    assert!(said("gpt-9").contains("[[upstreams]]"));
    assert!(said("local/other").contains("local/smollm2-135m-instruct"));
}

#[test]
fn what_is_asked_and_of_whom_tells_answers_apart() {
    let folder = tempfile::tempdir().unwrap();
    let answers = Answers::open(folder.path(), "a".into()).unwrap();
    let mut other = asked();
    other.turns[1].text.push(' ');
    assert_ne!(answers.key(&asked()), answers.key(&other));
    assert_ne!(answers.key(&asked()), answers.key(&Ask { max_tokens: 8, ..asked() }));
    let mut moved = asked();
    moved.turns[0].text = "Be brief".into();
    moved.turns[1].text = ".Why?".into();
    assert_ne!(answers.key(&asked()), answers.key(&moved));
}
