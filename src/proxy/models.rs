//! `GET /v1/models` and its like: what the upstreams list, as far as the configuration sends it to them, the aliases, and
//! the models in this process.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::{Instant, timeout};

use super::{Live, ProxyError};
use crate::config::Pattern;
use crate::keys::Caller;
use crate::upstream::{self, Call, HeaderMap, Method, Upstream};
use crate::wire::Dialect;

/// Time that an upstream has to list its models.
const LIST_TIME: Duration = Duration::from_secs(10);
/// Longest list that is read.
const LIST_BYTES: usize = 4 << 20;

/// An upstream's list, each model as it is spelt.
#[derive(Deserialize)]
struct List {
    data: Option<Vec<Box<RawValue>>>,
    models: Option<Vec<Box<RawValue>>>,
}

#[derive(Deserialize)]
struct Model {
    id: Option<String>,
    name: Option<String>,
}

/// The prefix of a model's name in Gemini's lists.
const FOLDER: &str = "models/";

/// The list that a client of `dialect` gets: what the key of `caller` may call.
pub(super) async fn list(
    live: &Live,
    dialect: Dialect,
    headers: &HeaderMap,
    caller: Option<&Caller>,
) -> Result<String, ProxyError> {
    let (ids, entries) = all(live, dialect, headers, caller).await?;
    Ok(rendered(dialect, &ids, &entries))
}

/// The entry of that list for the model `id`.
pub(super) async fn one(
    live: &Live,
    dialect: Dialect,
    headers: &HeaderMap,
    (caller, id): (Option<&Caller>, &str),
) -> Result<String, ProxyError> {
    let (ids, entries) = all(live, dialect, headers, caller).await?;
    let found = ids.iter().zip(entries).find(|(known, _)| *known == id);
    found.map(|(_, entry)| entry).ok_or_else(|| ProxyError::UnknownModel(id.chars().take(100).collect()))
}

/// The ids of that list, and its entries.
async fn all(
    live: &Live,
    dialect: Dialect,
    headers: &HeaderMap,
    caller: Option<&Caller>,
) -> Result<(Vec<String>, Vec<String>), ProxyError> {
    let upstreams: Vec<Arc<Upstream>> = live.routes.of_dialect(dialect).cloned().collect();
    let mut asked: Vec<_> = Vec::new();
    for (place, upstream) in upstreams.iter().enumerate() {
        // A client's own key is for one place alone, and only one upstream can be meant by it.
        let call = call(dialect, headers);
        let is_meant = place == 0 || upstream.shares_origin(&upstreams[0]);
        let call = if is_meant { call } else { call.without_keys(dialect) };
        let upstream = Arc::clone(upstream);
        asked.push(tokio::spawn(async move { timeout(LIST_TIME, models_of(&upstream, &call)).await }));
    }
    let (mut ids, mut entries) = (Vec::new(), Vec::new());
    let is_embedder = |id: &str| live.routes.local().is_some_and(|local| local.embedder() == id);
    let may_call = |id: &str| match (caller, live.routes.find(dialect, id)) {
        (None, _) => true,
        // It has the price of all that is answered here: none.
        (Some(caller), _) if is_embedder(id) => caller.may_call([id, id], true),
        (Some(caller), Ok(route)) => caller.may_call([id, &route.model], route.price(&route.model).is_some()),
        (Some(_), Err(_)) => false,
    };
    let mut take = |id: String, entry: String| {
        if !ids.contains(&id) && may_call(&id) {
            ids.push(id);
            entries.push(entry);
        }
    };
    for (upstream, answer) in upstreams.iter().zip(asked) {
        let name = &upstream.config().name;
        match answer.await {
            Ok(Ok(Ok(models))) => models.into_iter().for_each(|(id, entry)| take(id, entry)),
            Ok(Ok(Err(reason))) => {
                tracing::warn!(upstream = name, reason, "an upstream does not list its models");
            }
            Ok(Err(_)) | Err(_) => {
                tracing::warn!(upstream = name, "an upstream does not list its models in time");
            }
        }
        // What the configuration names is there whatever the upstream says.
        let exact = upstream.config().models.iter().filter(|pattern| pattern.is_exact());
        let named = exact.map(Pattern::as_str).chain(upstream.config().aliases.keys().map(String::as_str));
        named.for_each(|id| take(id.to_owned(), entry(dialect, id, name)));
    }
    let local = live.routes.local().map(|local| match dialect {
        Dialect::OpenAi => vec![local.model(), local.embedder()],
        Dialect::Azure | Dialect::Anthropic => vec![local.model()],
        Dialect::Gemini | Dialect::Ollama | Dialect::Cohere => Vec::new(),
    });
    let local = local.unwrap_or_default();
    if local.is_empty() && upstreams.is_empty() {
        return Err(if live.routes.is_empty() {
            ProxyError::NoUpstreams
        } else {
            ProxyError::NoUpstreamOf(dialect.name())
        });
    }
    for id in local {
        take(id.to_owned(), entry(dialect, id, "local"));
    }
    Ok((ids, entries))
}

fn call(dialect: Dialect, headers: &HeaderMap) -> Call {
    let path = match dialect {
        Dialect::OpenAi => "/models",
        Dialect::Azure => "/openai/v1/models",
        Dialect::Anthropic => "/v1/models?limit=1000",
        Dialect::Gemini => "/v1beta/models?pageSize=1000",
        Dialect::Ollama => "/api/tags",
        Dialect::Cohere => "/v1/models?page_size=1000",
    };
    let headers = upstream::for_upstream(headers, true);
    Call { method: Method::GET, path: path.into(), headers, body: bytes::Bytes::new() }
}

/// Ids and entries of those models of an upstream that are sent to it.
async fn models_of(upstream: &Upstream, call: &Call) -> Result<Vec<(String, String)>, String> {
    let answer = upstream.send(call, Instant::now() + LIST_TIME).await.map_err(|error| error.to_string())?;
    if !answer.status.is_success() {
        return Err(format!("it answers {}", answer.status));
    }
    let body = Limited::new(answer.body, LIST_BYTES).collect().await.map_err(|error| error.to_string())?;
    let list: List = serde_json::from_slice(&body.to_bytes()).map_err(|error| error.to_string())?;
    let listed = list.data.or(list.models).ok_or("its list has no models")?;
    let entries = listed.into_iter().filter_map(|entry| {
        let Model { id, name } = serde_json::from_str(entry.get()).ok()?;
        let id = id.or(name)?;
        let id = match upstream.config().dialect {
            Dialect::Gemini => id.strip_prefix(FOLDER).unwrap_or(&id).to_owned(),
            _ => id,
        };
        let sent = upstream.config().models.iter().any(|pattern| pattern.matches(&id));
        sent.then(|| (id, entry.get().to_owned()))
    });
    Ok(entries.collect())
}

/// The entry of a model that the configuration names.
fn entry(dialect: Dialect, id: &str, upstream: &str) -> String {
    match dialect {
        Dialect::OpenAi | Dialect::Azure => {
            serde_json::json!({"id": id, "object": "model", "created": 0, "owned_by": upstream})
        }
        Dialect::Anthropic => serde_json::json!({
            "type": "model", "id": id, "display_name": id, "created_at": "1970-01-01T00:00:00Z"}),
        Dialect::Gemini => serde_json::json!({"name": format!("{FOLDER}{id}"), "displayName": id}),
        Dialect::Ollama => serde_json::json!({"name": id, "model": id}),
        Dialect::Cohere => serde_json::json!({ "name": id }),
    }
    .to_string()
}

fn rendered(dialect: Dialect, ids: &[String], entries: &[String]) -> String {
    let data = entries.join(",");
    match dialect {
        Dialect::OpenAi | Dialect::Azure => format!(r#"{{"object":"list","data":[{data}]}}"#),
        Dialect::Anthropic => {
            let ends = [ids.first(), ids.last()].map(|id| serde_json::Value::from(id.cloned()));
            let [first, last] = ends;
            format!(r#"{{"data":[{data}],"first_id":{first},"last_id":{last},"has_more":false}}"#)
        }
        Dialect::Gemini | Dialect::Ollama | Dialect::Cohere => format!(r#"{{"models":[{data}]}}"#),
    }
}
