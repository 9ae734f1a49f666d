//! A model behind an API, asked as an official client of its dialect would.

use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};
use tokio::time::{Instant, timeout};

use super::{Ask, Reply, TokenPrice};
use crate::config::{Config, Env};
use crate::engine::EngineError;
use crate::model::{Role, display_name};
use crate::upstream::{Call, HeaderMap, HeaderName, HeaderValue, Method, Upstream};
use crate::wire::{Address, Dialect, Endpoint};

/// Bytes of the longest answer that is read.
const MOST_BYTES: usize = 4 << 20;

#[derive(Debug)]
pub(super) struct Remote {
    upstream: Upstream,
    /// The upstream's name of the model.
    model: String,
    /// The endpoint that it is asked at.
    endpoint: Endpoint,
    deadline: Duration,
    runtime: Runtime,
}

impl Remote {
    /// The first upstream of the configuration that has the model.
    pub(super) fn find(name: &str, config: &Config, env: &dyn Env) -> anyhow::Result<Self> {
        let Some(found) = config.upstreams.iter().find(|upstream| upstream.has(name)) else {
            let message = format!(
                "no upstream of the configuration has the model `{name}`: add [[upstreams]] with its base_url, \
                 dialect and models, or take likelihood, none or local/{}",
                display_name(&config.scorer.model)
            );
            return Err(EngineError::invalid("unknown_model", "reader", message).into());
        };
        let endpoint = match found.dialect {
            Dialect::OpenAi | Dialect::Azure => Endpoint::Chat,
            Dialect::Anthropic => Endpoint::Messages,
            Dialect::Gemini | Dialect::Ollama | Dialect::Cohere => {
                let message = format!(
                    "the upstream `{}` speaks {}, in which no reader asks: give it another dialect that its API has, such \
                     as openai",
                    found.name,
                    found.dialect.name()
                );
                return Err(EngineError::invalid("unknown_model", "reader", message).into());
            }
        };
        let upstream = Upstream::with_env(found, env).map_err(anyhow::Error::msg)?;
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let model = found.own_name(name).to_owned();
        Ok(Self { upstream, model, endpoint, deadline: config.proxy.deadline(), runtime })
    }

    /// Tells this model from others.
    pub(super) fn identity(&self) -> String {
        format!("{} {}", self.upstream.config().base_url, self.model)
    }

    pub(super) fn price(&self) -> Option<TokenPrice> {
        let price = self.upstream.config().price(&self.model)?;
        Some(TokenPrice { input: price.input, output: price.output })
    }

    pub(super) fn answer(&self, ask: &Ask) -> anyhow::Result<Reply> {
        let whole = async {
            let deadline = Instant::now() + self.deadline;
            let answer = self.upstream.send(&self.call(ask)?, deadline).await?;
            let read = Limited::new(answer.body, MOST_BYTES).collect();
            let left = deadline.saturating_duration_since(Instant::now());
            let body = timeout(left, read).await.context("the answer did not end in time")?;
            let body = body.map_err(|error| anyhow!("the answer broke off: {error}"))?.to_bytes();
            if !answer.status.is_success() {
                let said = String::from_utf8_lossy(&body).chars().take(300).collect::<String>();
                bail!("it answered {}: {said}", answer.status);
            }
            read_answer(self.endpoint, &body)
        };
        let name = &self.upstream.config().name;
        self.runtime.block_on(whole).with_context(|| format!("the upstream `{name}`, model `{}`", self.model))
    }

    fn call(&self, ask: &Ask) -> anyhow::Result<Call> {
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_static("content-type"), HeaderValue::from_static("application/json"));
        let body = if self.endpoint == Endpoint::Messages {
            let version = HeaderName::from_static("anthropic-version");
            headers.insert(version, HeaderValue::from_static("2023-06-01"));
            anthropic(&self.model, ask)
        } else {
            openai(&self.model, ask)
        };
        let path = Address::usual(self.upstream.config().dialect, self.endpoint, &self.model)
            .context("the dialect has no such endpoint")?;
        let body = Bytes::from(serde_json::to_vec(&body)?);
        Ok(Call { method: Method::POST, path, headers, body })
    }
}

fn openai(model: &str, ask: &Ask) -> Value {
    let turns = ask.turns.iter().map(|turn| json!({"role": turn.role.name(), "content": turn.text}));
    json!({"model": model, "temperature": 0, "max_tokens": ask.max_tokens, "messages": turns.collect::<Vec<_>>()})
}

fn anthropic(model: &str, ask: &Ask) -> Value {
    let (system, turns): (Vec<_>, Vec<_>) = ask.turns.iter().partition(|turn| turn.role == Role::System);
    let turns = turns.iter().map(|turn| json!({"role": turn.role.name(), "content": turn.text}));
    let mut body = json!({"model": model, "temperature": 0, "max_tokens": ask.max_tokens, "messages": turns.collect::<Vec<_>>()});
    if !system.is_empty() {
        let texts: Vec<&str> = system.iter().map(|turn| turn.text.as_str()).collect();
        body["system"] = texts.join("\n\n").into();
    }
    body
}

#[derive(Deserialize)]
struct Completion {
    choices: Vec<Choice>,
    usage: Option<CompletionUsage>,
}

#[derive(Deserialize)]
struct Choice {
    message: Message,
}

#[derive(Deserialize)]
struct Message {
    content: Option<String>,
}

#[derive(Deserialize)]
struct CompletionUsage {
    prompt_tokens: u64,
    completion_tokens: u64,
}

#[derive(Deserialize)]
struct MessageAnswer {
    content: Vec<Block>,
    usage: MessageUsage,
}

#[derive(Deserialize)]
struct Block {
    /// Other blocks than text have none.
    text: Option<String>,
}

#[derive(Deserialize)]
struct MessageUsage {
    input_tokens: u64,
    output_tokens: u64,
}

fn read_answer(endpoint: Endpoint, body: &[u8]) -> anyhow::Result<Reply> {
    let (text, input_tokens, output_tokens) = if endpoint == Endpoint::Messages {
        let answer: MessageAnswer = serde_json::from_slice(body).context("it answered something else")?;
        let text = answer.content.into_iter().filter_map(|block| block.text).collect();
        (text, answer.usage.input_tokens, answer.usage.output_tokens)
    } else {
        let answer: Completion = serde_json::from_slice(body).context("it answered something else")?;
        let usage = answer.usage.map_or((0, 0), |usage| (usage.prompt_tokens, usage.completion_tokens));
        let choice = answer.choices.into_iter().next().context("it answered without a choice")?;
        (choice.message.content.unwrap_or_default(), usage.0, usage.1)
    };
    Ok(Reply { text, input_tokens, output_tokens, milliseconds: 0.0 })
}
