//! `GET /` and `GET /page/{file}`: the page for people. Its files are part of the program, and all its data comes by the
//! API, with the keys that any other client needs.

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::error::{ApiError, ErrorEnvelope};
use super::extract::PathOf;
use super::state::AppState;

/// Lets the page load its own files and call its own service, and nothing else. Text can become markup or script by no
/// means, for browsers that know the last directive refuse to make any of it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'";

/// A file of the page.
struct File {
    name: &'static str,
    text: &'static str,
    /// A hash of the text, in quotes.
    tag: HeaderValue,
}

/// Lists files that lie beside this one.
macro_rules! files {
    ($($name:literal),+ $(,)?) => { [$(($name, include_str!($name))),+] };
}

static FILES: LazyLock<Vec<File>> = LazyLock::new(|| {
    let files = files![
        "index.html",
        "style.css",
        "icon.svg",
        "start.js",
        "app.js",
        "dom.js",
        "api.js",
        "text.js",
        "playground.js",
        "snippets.js",
        "examples.js",
        "chart.js",
        "dashboard.js",
        "health.js",
        "evaluations.js",
        "collections.js",
        "keys.js",
    ];
    files.into_iter().map(|(name, text)| File { name, text, tag: tag(text) }).collect()
});

fn tag(text: &str) -> HeaderValue {
    let hash = blake3::hash(text.as_bytes()).to_hex();
    HeaderValue::try_from(format!("\"{}\"", &hash[..32]))
        .expect("hexadecimal digits in quotes are a header's value")
}

/// Returns the routes of the page. They need no key: the files are part of the program.
pub(super) fn routes() -> Router<Arc<AppState>> {
    Router::new().route("/", get(index)).route("/page/{file}", get(file))
}

/// Returns the page for people.
#[utoipa::path(get, path = "/", tag = "operations",
    responses(
        (status = 200, body = String, content_type = "text/html", description = "The page, unless `page.enabled` is false."),
        (status = 304, description = "The client has it already."),
    ))]
pub(super) async fn index(headers: HeaderMap) -> Result<Response, ApiError> {
    found("index.html", &headers)
}

/// Returns a file of the page.
#[utoipa::path(get, path = "/page/{file}", tag = "operations",
    params(("file" = String, Path, description = "Name of a file, as the page has it.")),
    responses(
        (status = 200, body = String, content_type = "text/javascript", description = "A script, style sheet or picture."),
        (status = 304, description = "The client has it already."),
        (status = 404, body = ErrorEnvelope, description = "The page has no such file."),
    ))]
pub(super) async fn file(PathOf(name): PathOf<String>, headers: HeaderMap) -> Result<Response, ApiError> {
    found(&name, &headers)
}

fn found(name: &str, headers: &HeaderMap) -> Result<Response, ApiError> {
    let file = FILES.iter().find(|file| file.name == name).ok_or_else(|| {
        let message =
            "the page has no such file: load it again, for the service may have another version now";
        ApiError::new(StatusCode::NOT_FOUND, "unknown_file", message)
    })?;
    let headers_of_all = [
        // A browser asks each time whether its copy is the current one: so no page mixes files of two versions.
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (ETAG, file.tag.clone()),
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
        (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
    ];
    if has(headers, &file.tag) {
        return Ok((StatusCode::NOT_MODIFIED, headers_of_all).into_response());
    }
    Ok((headers_of_all, [(CONTENT_TYPE, media_type(name))], file.text).into_response())
}

/// Returns whether the client has the text of `tag` already.
fn has(headers: &HeaderMap, tag: &HeaderValue) -> bool {
    let values = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut tags = values.flat_map(|value| value.split(',')).map(str::trim);
    tags.any(|sent| sent == "*" || sent.strip_prefix("W/").unwrap_or(sent).as_bytes() == tag.as_bytes())
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit_once('.') {
        Some((_, "html")) => "text/html; charset=utf-8",
        Some((_, "css")) => "text/css; charset=utf-8",
        Some((_, "svg")) => "image/svg+xml",
        _ => "text/javascript; charset=utf-8",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_small_and_has_no_script_or_style_but_its_files() {
        let bytes: usize = FILES.iter().map(|file| file.text.len()).sum();
        assert!(bytes <= 300_000, "{bytes}");
        for file in FILES.iter() {
            // A function of a script may be called `url`; a style that has one loads something.
            let style = media_type(file.name).starts_with("text/css");
            let loads = if style { "url(" } else { "src=\"http" };
            for unwanted in [loads, "innerHTML", "outerHTML", "insertAdjacentHTML", "eval("] {
                assert!(!file.text.contains(unwanted), "{} has `{unwanted}`", file.name);
            }
        }
        let index = FILES[0].text;
        assert!(!index.contains("style=") && !index.contains("<style") && !index.contains("onclick"));
        assert_eq!(index.matches("<script").count(), index.matches("<script type=\"module\" src=").count());
    }

    #[test]
    fn the_page_names_no_file_that_is_not_there() {
        for file in FILES.iter() {
            let names = file.text.split("/page/").skip(1).chain(file.text.split("from \"./").skip(1));
            for rest in names.chain(file.text.split("import(\"./").skip(1)) {
                let name = rest.split(['"', '\'', '`']).next().unwrap_or_default();
                assert!(FILES.iter().any(|file| file.name == name), "{} names {name}", file.name);
            }
        }
    }

    #[test]
    fn a_tag_is_known_in_each_form_that_a_client_sends_it_in() {
        let tag = tag("text");
        let quoted = tag.to_str().unwrap().to_owned();
        for (sent, known) in [
            (quoted.clone(), true),
            (format!("W/{quoted}"), true),
            (format!("\"a\", {quoted}"), true),
            ("*".into(), true),
            ("\"a\"".into(), false),
            (String::new(), false),
        ] {
            let headers = HeaderMap::from_iter([(IF_NONE_MATCH, sent.parse().unwrap())]);
            assert_eq!(has(&headers, &tag), known, "{sent}");
        }
    }
}
