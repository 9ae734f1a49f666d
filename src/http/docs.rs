//! `GET /docs` and `GET /docs/{topic}`: the guides, as Markdown or as pages.

use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use pulldown_cmark::{Options, Parser, html};

use super::error::{ApiError, ErrorEnvelope};
use super::state::AppState;
use crate::docs::{GUIDES, Guide};

/// What surrounds a page. It loads nothing from anywhere.
const PAGE: &str = include_str!("docs.html");
/// Where the guides are.
const BASE: &str = "/docs";

/// Returns the routes of the guides. They need no key: the text is part of the program.
pub(super) fn routes() -> Router<Arc<AppState>> {
    Router::new().route("/docs", get(list)).route("/docs/{topic}", get(guide))
}

/// Lists the guides.
#[utoipa::path(get, path = "/docs", tag = "operations",
    responses((status = 200, content(
        (String = "text/markdown"),
        (String = "text/html"),
    ), description = "Names and subjects: HTML where Accept prefers it, else Markdown.")))]
pub(super) async fn list(headers: HeaderMap) -> Response {
    let entries = GUIDES.iter().map(|guide| format!("- [{0}]({BASE}/{0}): {1}\n", guide.name, guide.summary));
    let markdown = format!("# Guides\n\n{}", entries.collect::<String>());
    answer(&headers, "Guides", markdown)
}

/// Returns one guide.
#[utoipa::path(get, path = "/docs/{topic}", tag = "operations",
    params(("topic" = String, Path, description = "Name of a guide, as `GET /docs` lists them.")),
    responses(
        (status = 200, content(
            (String = "text/markdown"),
            (String = "text/html"),
        ), description = "The guide: HTML where Accept prefers it, else Markdown."),
        (status = 404, body = ErrorEnvelope, description = "There is no such guide."),
    ))]
pub(super) async fn guide(Path(topic): Path<String>, headers: HeaderMap) -> Result<Response, ApiError> {
    let guide = Guide::find(&topic).ok_or_else(|| {
        let message = "there is no such guide; GET /docs lists them";
        ApiError::new(StatusCode::NOT_FOUND, "unknown_guide", message)
    })?;
    Ok(answer(&headers, guide.name, guide.linked(BASE)))
}

/// Returns `markdown` in the form that the client prefers.
fn answer(headers: &HeaderMap, title: &str, markdown: String) -> Response {
    let caching = [(CACHE_CONTROL, "max-age=300"), (VARY, "accept")];
    if !prefers_html(headers) {
        return (caching, [(CONTENT_TYPE, "text/markdown; charset=utf-8")], markdown).into_response();
    }
    let mut body = String::new();
    html::push_html(&mut body, Parser::new_ext(&markdown, Options::ENABLE_TABLES));
    let page = PAGE.replace("{title}", title).replace("{body}", &body);
    let policy = "default-src 'none'; style-src 'unsafe-inline'";
    (caching, [(CONTENT_TYPE, "text/html; charset=utf-8"), (CONTENT_SECURITY_POLICY, policy)], page)
        .into_response()
}

/// Returns whether the client would rather have HTML than Markdown, as browsers would.
fn prefers_html(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let accept = values.collect::<Vec<_>>().join(",");
    quality(&accept, "html") > quality(&accept, "markdown").max(quality(&accept, "plain"))
}

/// Returns the weight that `accept` gives to `text/SUBTYPE`: that of the most specific media range which covers it.
fn quality(accept: &str, subtype: &str) -> f32 {
    let mut best = (0, 0.0);
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let specificity = match parts.next().and_then(|range| range.split_once('/')) {
            Some(("text", name)) if name == subtype => 3,
            Some(("text", "*")) => 2,
            Some(("*", "*")) => 1,
            _ => continue,
        };
        let weight = parts.find_map(|part| part.strip_prefix("q=")?.parse().ok()).unwrap_or(1.0);
        if specificity > best.0 {
            best = (specificity, weight);
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_get_pages_and_others_markdown() {
        for (accept, page) in [
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", true),
            ("text/html", true),
            ("text/markdown;q=0.5, text/html", true),
            ("*/*", false),
            ("", false),
            ("text/*", false),
            ("text/html;q=0.5, text/markdown", false),
            ("text/html;q=0.5, text/plain", false),
            ("text/html;q=0", false),
            (";;,/,q=,text/html;q=x/y", true),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT, accept.parse().unwrap())]);
            assert_eq!(prefers_html(&headers), page, "{accept}");
        }
    }
}
