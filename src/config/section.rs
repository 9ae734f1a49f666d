//! Sections of the configuration: tables of keys, each key defined once.
//!
//! A key is one line of a [`section!`] and its documentation. To add one is to add that line:
//!
//! ```text
//! /// Requests that may wait for their turn, 0 to 100,000; more get 503 with `retry-after`.
//! queue: usize = 64, within(0..=100_000);
//! ```
//!
//! From it come the field of the struct, the key in the file and in `whittle config show`, its default, the check of its
//! value, its environment variable, and its line of `whittle config keys`.

use std::fmt;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::Value;
use url::Url;

use super::{ConfigError, SharedKind, StoreKind, ToolResults, WhenAway};
use crate::compress::Method;
use crate::compress::fold::Rule;
use crate::model::{Device, EmbedderKind, Precision, RerankerKind, ScorerKind};

/// The beginning of the names of this program's environment variables.
pub(super) const PREFIX: &str = "WHITTLE_";

/// A key of the configuration.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// The path in the file, such as `limits.queue`.
    pub path: &'static str,
    /// The lines of its documentation.
    doc: &'static str,
    /// The value where nothing else is said.
    default: fn() -> Option<Value>,
    /// Reads the text of its environment variable.
    read: fn(&str) -> Result<Value, String>,
}

impl Key {
    /// Returns the name of its environment variable: `WHITTLE_LIMITS_QUEUE` for `limits.queue`.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("{}{}", PREFIX, self.path.replace('.', "_").to_ascii_uppercase())
    }

    /// Returns what it means, in one line of Markdown.
    #[must_use]
    pub fn meaning(&self) -> &'static str {
        self.doc.trim()
    }

    /// Returns its default, if it has one.
    #[must_use]
    pub fn default(&self) -> Option<Value> {
        (self.default)()
    }

    /// Returns what the help of a flag for it says: its meaning without a full stop, and its default.
    #[must_use]
    pub fn help(&self) -> String {
        let meaning = self.meaning().trim_end_matches('.');
        match self.default() {
            Some(Value::String(default)) => format!("{meaning} [default: {default}]"),
            Some(default) => format!("{meaning} [default: {default}]"),
            None => meaning.to_owned(),
        }
    }

    /// Reads the text of its environment variable into what the file would have.
    ///
    /// # Errors
    /// The text is no value of the key's type; says what would be.
    pub fn read(&self, text: &str) -> Result<Value, String> {
        (self.read)(text)
    }

    /// The functions that a [`section!`] makes a key of type `T` from.
    pub(super) const fn of<T: Variable>(
        path: &'static str,
        doc: &'static str,
        default: fn() -> Option<Value>,
    ) -> Self {
        Self { path, doc, default, read: |text| value(&T::read(text)?).map_err(|error| error.to_string()) }
    }
}

/// A value as the file would have it; an error where it is an unset option.
pub(super) fn value(value: &impl Serialize) -> Result<Value, toml::ser::Error> {
    Value::try_from(value)
}

/// A table of the configuration.
pub(super) trait Section {
    /// Appends its keys and those of the tables in it.
    fn keys(keys: &mut Vec<Key>);

    /// Checks that each value is within its bounds.
    fn check(&self) -> Result<(), ConfigError>;
}

/// Defines a section: `Name at "path."`, its keys as `name: Type = default, check;` and the sections in it as
/// `name: Type;`. A check is optional: a function of the key's path and a reference to its value.
macro_rules! section {
    (
        $(#[$meta:meta])*
        $name:ident at $prefix:literal {
            $( $(#[doc = $doc:literal])+ $key:ident: $type:ty = $default:expr $(, $check:expr)?; )*
        }
        $( sections { $( $(#[$sub_meta:meta])+ $sub:ident: $sub_type:ty; )* } )?
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name {
            $( $(#[doc = $doc])+ pub $key: $type, )*
            $( $( $(#[$sub_meta])+ pub $sub: $sub_type, )* )?
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $( $key: $default, )* $( $( $sub: <$sub_type>::default(), )* )? }
            }
        }

        impl crate::config::section::Section for $name {
            fn keys(keys: &mut Vec<crate::config::section::Key>) {
                $( keys.push(crate::config::section::Key::of::<$type>(
                    concat!($prefix, stringify!($key)),
                    concat!($($doc),+),
                    || crate::config::section::value(&Self::default().$key).ok(),
                )); )*
                $( $( <$sub_type as crate::config::section::Section>::keys(keys); )* )?
            }

            fn check(&self) -> Result<(), crate::config::ConfigError> {
                $( $( ($check)(concat!($prefix, stringify!($key)), &self.$key)?; )? )*
                $( $( crate::config::section::Section::check(&self.$sub)?; )* )?
                Ok(())
            }
        }
    };
}
pub(super) use section;

/// A key of the tables in a list, such as `[[upstreams]]`. It has no environment variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListKey {
    /// The name in a table of the list, such as `base_url`.
    pub name: &'static str,
    /// The lines of its documentation.
    pub(super) doc: &'static str,
}

impl ListKey {
    /// Returns what it means, in one line of Markdown.
    #[must_use]
    pub fn meaning(&self) -> &'static str {
        self.doc.trim()
    }
}

/// Defines the struct of a table in a list, and `KEYS`: its keys with their documentation.
macro_rules! list_entry {
    (
        $(#[$meta:meta])*
        $name:ident at $prefix:literal {
            $( $(#[doc = $doc:literal])+ $(#[serde $serde:tt])* $key:ident: $type:ty, )*
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $( $(#[doc = $doc])+ $(#[serde $serde])* pub $key: $type, )*
        }

        impl $name {
            /// The keys of such a table, in the order of the file.
            pub const KEYS: &[crate::config::section::ListKey] = &[
                $( crate::config::section::ListKey {
                    name: concat!($prefix, stringify!($key)),
                    doc: concat!($($doc),+),
                }, )*
            ];
        }
    };
}
pub(super) use list_entry;

/// A type whose values an environment variable can hold.
pub(super) trait Variable: Serialize + Sized {
    /// Reads the text of a variable.
    fn read(text: &str) -> Result<Self, String>;
}

/// Makes types readable by `$read`.
macro_rules! variables {
    ($read:ident: $($type:ident)*) => {
        $(
            impl Variable for $type {
                fn read(text: &str) -> Result<Self, String> {
                    $read(text)
                }
            }
        )*
    };
}
variables!(parsed: bool usize u64 f64 String SocketAddr ToolResults);
variables!(named: Device EmbedderKind Precision Method RerankerKind Rule ScorerKind SharedKind StoreKind WhenAway);

fn parsed<T: FromStr<Err: fmt::Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: T::Err| error.to_string())
}

/// Reads one of several names, as the file has them.
fn named<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    Value::from(text).try_into().map_err(|error: toml::de::Error| error.message().to_owned())
}

impl<T: Variable> Variable for Option<T> {
    fn read(text: &str) -> Result<Self, String> {
        T::read(text).map(Some)
    }
}

/// Values with commas between them.
impl<T: Variable> Variable for Vec<T> {
    fn read(text: &str) -> Result<Self, String> {
        text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(T::read).collect()
    }
}

/// Checks that a value lies in `range`.
pub(super) fn within<T>(range: RangeInclusive<T>) -> impl Fn(&'static str, &T) -> Result<(), ConfigError>
where
    T: PartialOrd + fmt::Display,
{
    move |key, value| {
        let wanted = || format!("from {} to {}", range.start(), range.end());
        ensure(range.contains(value), key, value, wanted)
    }
}

/// Checks a value by `check`, where there is one.
pub(super) fn optional<T>(
    check: impl Fn(&'static str, &T) -> Result<(), ConfigError>,
) -> impl Fn(&'static str, &Option<T>) -> Result<(), ConfigError> {
    move |key, value| value.as_ref().map_or(Ok(()), |value| check(key, value))
}

/// Checks a number of threads.
pub(super) fn threads() -> impl Fn(&'static str, &Option<usize>) -> Result<(), ConfigError> {
    optional(within(1..=1024))
}

/// Checks the base URL of a server.
pub(super) fn base_url() -> impl Fn(&'static str, &String) -> Result<(), ConfigError> {
    |key, value| {
        let name = key.rsplit('.').next().unwrap_or(key);
        let fault = read_base_url(name, value).err();
        // A URL with a password is not repeated.
        let shown = if value.contains('@') { "refused" } else { value.as_str() };
        ensure(fault.is_none(), key, &shown, || format!("a base URL: {}", fault.clone().unwrap_or_default()))
    }
}

/// Returns `text`, the value of the key called `name`, as a base URL without a slash at its end.
///
/// # Errors
/// The text cannot be one; says why.
pub(super) fn read_base_url(name: &str, text: &str) -> Result<String, String> {
    let url = Url::parse(text).map_err(|error| format!("`{name}` is not a URL: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(format!("`{name}` must begin with https:// or http:// and name a host"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        let remedy = "put the key into an environment variable and its name into `api_key_env`";
        return Err(format!("`{name}` must hold no password: {remedy}"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(format!("`{name}` must end with a path: leave out `?` and `#`"));
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// Checks the name of an environment variable.
pub(super) fn variable_name() -> impl Fn(&'static str, &String) -> Result<(), ConfigError> {
    |key, value| {
        let wanted = || "the name of an environment variable".into();
        ensure(is_variable_name(value), key, value, wanted)
    }
}

/// Returns whether an environment variable can be called so.
pub(super) fn is_variable_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(['=', '\0'])
}

/// Checks a number of dollars.
pub(super) fn dollars() -> impl Fn(&'static str, &f64) -> Result<(), ConfigError> {
    |key, value| ensure(value.is_finite() && *value >= 0.0, key, value, || "dollars, from 0".into())
}

/// Checks a share, 0 to 1; `example` says what one means.
pub(super) fn share(example: &'static str) -> impl Fn(&'static str, &f64) -> Result<(), ConfigError> {
    move |key, value| ensure((0.0..=1.0).contains(value), key, value, || format!("0 to 1: {example}"))
}

/// Checks names of hosts.
pub(super) fn host_names() -> impl Fn(&'static str, &Vec<String>) -> Result<(), ConfigError> {
    |key, hosts| {
        let wanted =
            || "names or addresses alone, without scheme, port and path, such as `whittle.example`".into();
        let is_name = |host: &&String| {
            url::Host::parse(host).is_ok_and(|parsed| parsed.to_string() == host.to_lowercase())
        };
        match hosts.iter().find(|host| !is_name(host)) {
            Some(host) => ensure(false, key, host, wanted),
            None => Ok(()),
        }
    }
}

/// Checks the name of a model.
pub(super) fn model() -> impl Fn(&'static str, &String) -> Result<(), ConfigError> {
    |key, value| {
        let wanted = || "the name of a model, see `whittle models list`".into();
        ensure(!value.trim().is_empty(), key, &"empty", wanted)
    }
}

/// Fails unless `holds`, and then says what the value of `key` must be.
pub(super) fn ensure(
    holds: bool,
    key: &'static str,
    value: &dyn fmt::Display,
    wanted: impl FnOnce() -> String,
) -> Result<(), ConfigError> {
    if holds { Ok(()) } else { Err(ConfigError::Invalid { key, value: value.to_string(), wanted: wanted() }) }
}
