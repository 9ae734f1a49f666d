//! One request to a service of our own.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{StatusCode, Url};

use crate::outbound::{Secret, is_loopback};
use crate::telemetry::chain;

/// Time that the answer has.
const TIME: Duration = Duration::from_mins(1);

/// Gets `url` with `query`, with `key` where there is one. No redirect is followed.
///
/// # Errors
/// There is no whole answer; the text says why.
pub async fn fetch(
    url: &str,
    query: &[(&str, &str)],
    key: Option<&Secret>,
) -> Result<(StatusCode, Bytes), String> {
    // Installing it a second time fails, and the first one serves.
    rustls::crypto::ring::default_provider().install_default().ok();
    let url = Url::parse_with_params(url, query).map_err(|error| format!("`{url}` is no URL: {error}"))?;
    let builder = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).timeout(TIME);
    let builder = if is_loopback(&url) { builder.no_proxy() } else { builder };
    let client = builder.build().map_err(|error| chain(&error))?;
    let mut request = client.get(url);
    if let Some(key) = key {
        let value = HeaderValue::try_from(format!("Bearer {}", key.reveal()));
        let mut value = value.map_err(|_| "the key has characters that no header can hold".to_owned())?;
        value.set_sensitive(true);
        request = request.header(AUTHORIZATION, value);
    }
    let response = request.send().await.map_err(|error| chain(&error))?;
    let status = response.status();
    Ok((status, response.bytes().await.map_err(|error| chain(&error))?))
}
