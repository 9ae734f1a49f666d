//! The queries to the ledger, and its reports.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::folding::{Folding, FoldingLine};
use super::holdout::{HoldoutReport, Trials};
use super::stores::LedgerSource;
use super::{Entry, Ledger};
use crate::proxy::ProxyError;
use crate::proxy::store::Place;

pub(in crate::proxy) const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// Days that are looked at where the question does not say.
const DAYS: u64 = 30;
/// Most groups of an answer.
const MOST_GROUPS: usize = 10_000;
/// What requests are grouped by.
const AXES: [&str; 5] = ["day", "model", "key", "upstream", "reason"];
/// Requests of one page: by default, and at most.
const PAGE: (usize, usize) = (100, 1000);

/// A question to the ledger, as the query of `GET /v1/usage` has it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct UsageParams {
    /// The start: a day in UTC, or a time such as `2026-11-01T12:00:00Z`; by default 30 days ago.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// The end, not included; by default now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Id of the only key that counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The only model that counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// `day`, `model`, `key`, `upstream`, `reason`, or several with commas between them; `request` lists the requests. By
    /// default `day`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_by: Option<String>,
    /// Requests of a page, 1 to 1,000; by default 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<String>,
    /// The cursor: the `next` of the previous page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// `true` compares held-out conversations with the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holdout: Option<bool>,
}

/// A report of the ledger.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct UsageReport {
    /// Beginning of what was looked at.
    pub since: String,
    /// End of it, not included.
    pub until: String,
    /// Sums, one for each group, in the order of their days, models and keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<Group>>,
    /// Sum of all groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<Numbers>,
    /// Savings of folding of tools' results, by rule and kind of result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folding: Option<Vec<FoldingLine>>,
    /// Held-out conversations compared with the others, where that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holdout: Option<HoldoutReport>,
    /// Requests, in the order in which they came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<Vec<RequestLine>>,
    /// The `after` that gives the next page, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// Requests that are in no ledger, because it could not be written, since the service began.
    pub lost: u64,
}

/// Sums of a group. What it is not grouped by is left out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Group {
    /// The day, in UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub day: Option<String>,
    /// The model; empty where requests passed unread.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Id of the key; empty where requests came without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The upstream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream: Option<String>,
    /// The reason why texts went on as they came, as `x-whittle-status` has it: that of a text, or `unchanged` or
    /// `bypassed`; empty where all were compressed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The sums.
    #[serde(flatten)]
    pub numbers: Numbers,
}

/// Sums over requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Numbers {
    /// Requests.
    pub requests: u64,
    /// The number of requests that were not answered with success, streams that ended in an error included.
    pub errors: u64,
    /// Tokens of the texts that were compressed, before.
    pub text_tokens_before: u64,
    /// The number of tokens after compression.
    pub text_tokens_after: u64,
    /// Tokens of the input that providers counted, those from and to their caches included.
    pub input_tokens: u64,
    /// Tokens of the output.
    pub output_tokens: u64,
    /// Tokens of the input that came from providers' caches.
    pub cache_read_tokens: u64,
    /// Tokens of the input that went into providers' caches.
    pub cache_write_tokens: u64,
    /// Requests of which the provider did not say what they took: it is estimated from the lengths.
    pub estimated: u64,
    /// Milliseconds of work on texts.
    pub compressor_ms: f64,
    /// Dollars that the requests with a price cost.
    pub cost_usd: f64,
    /// Dollars that compression saved on them, less its own cost; below 0 where that was more.
    pub saving_usd: f64,
    /// Requests of models without a price, which are in neither sum of dollars.
    pub unpriced: u64,
}

/// One request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RequestLine {
    /// The time of the request.
    pub time: String,
    /// The id of the request.
    pub request_id: String,
    /// Id of the key that it came with.
    pub key: Option<String>,
    /// The model; empty where it passed unread.
    pub model: String,
    /// The upstream.
    pub upstream: String,
    /// Status of the answer; 499 where the client left before there was one.
    pub status: u16,
    /// The reason why texts went on as they came, as `x-whittle-status` has it: that of a text, or `unchanged` or
    /// `bypassed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The figures of the request.
    #[serde(flatten)]
    pub numbers: Numbers,
}

/// A question that was understood.
struct Query {
    from: Place,
    until: Place,
    key: Option<String>,
    model: Option<String>,
    shape: Shape,
}

enum Shape {
    /// Which of [`AXES`] count.
    Groups([bool; AXES.len()]),
    Requests {
        limit: usize,
    },
}

/// The features that the requests of a group have in common, in the order that groups have.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Common {
    /// Days since the epoch.
    day: Option<u64>,
    model: Option<String>,
    key: Option<String>,
    upstream: Option<String>,
    reason: Option<String>,
}

impl Common {
    fn group(self, numbers: Numbers) -> Group {
        let Self { day, model, key, upstream, reason } = self;
        Group { day: day.map(|day| date(day * DAY_MS)), model, key, upstream, reason, numbers }
    }
}

/// Sums while they are made: whole numbers, so that the order does not matter.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    numbers: Numbers,
    compressor: u64,
    cost: i64,
    saving: i64,
}

impl Sums {
    fn add(&mut self, entry: &Entry) {
        let numbers = &mut self.numbers;
        numbers.requests += 1;
        numbers.errors += u64::from(!(200..300).contains(&entry.status));
        numbers.estimated += u64::from(entry.estimated);
        numbers.unpriced += u64::from(entry.cost.is_none());
        let usage = entry.usage;
        for (sum, value) in [
            (&mut numbers.text_tokens_before, entry.texts.0),
            (&mut numbers.text_tokens_after, entry.texts.1),
            (&mut numbers.input_tokens, usage.input),
            (&mut numbers.output_tokens, usage.output),
            (&mut numbers.cache_read_tokens, usage.cache_read),
            (&mut numbers.cache_write_tokens, usage.cache_write),
            (&mut self.compressor, entry.compressor),
        ] {
            *sum = sum.saturating_add(value);
        }
        self.cost = self.cost.saturating_add(entry.cost.unwrap_or_default());
        self.saving = self.saving.saturating_add(entry.saving.unwrap_or_default());
    }

    fn numbers(self) -> Numbers {
        Numbers {
            compressor_ms: self.compressor as f64 / 1e3,
            cost_usd: self.cost as f64 / 1e9,
            saving_usd: self.saving as f64 / 1e9,
            ..self.numbers
        }
    }

    fn of(entry: &Entry) -> Numbers {
        let mut sums = Self::default();
        sums.add(entry);
        sums.numbers()
    }
}

impl Ledger {
    /// Answers a question. This reads the disk: not for async threads.
    pub(in crate::proxy) fn usage(&self, params: &UsageParams) -> Result<UsageReport, ProxyError> {
        let store = self.store.as_ref().ok_or(ProxyError::NoUpstreams)?;
        // What was answered a moment ago is to be there.
        store.flush()?;
        Ok(UsageReport { lost: store.lost(), ..report(&**store, params)? })
    }
}

pub(in crate::proxy) fn report(
    source: &(impl LedgerSource + ?Sized),
    params: &UsageParams,
) -> Result<UsageReport, ProxyError> {
    let query = Query::new(params, now())?;
    let mut report = UsageReport {
        since: time(query.from.0),
        until: time(query.until.0),
        groups: None,
        total: None,
        folding: None,
        holdout: None,
        requests: None,
        next: None,
        lost: 0,
    };
    if params.holdout == Some(true) {
        let mut trials = Trials::default();
        query.each(source, |_, entry| trials.add(&entry))?;
        report.holdout = Some(trials.report());
    }
    match query.shape {
        Shape::Groups(_) => {
            let mut folding = Folding::default();
            let (groups, total) = query.groups(source, &mut folding)?;
            (report.groups, report.total) = (Some(groups), Some(total));
            report.folding = Some(folding.lines());
        }
        Shape::Requests { limit } => {
            let (requests, next) = query.requests(source, limit)?;
            (report.requests, report.next) = (Some(requests), next);
        }
    }
    Ok(report)
}

impl Query {
    fn new(params: &UsageParams, now: u64) -> Result<Self, ProxyError> {
        let until = params.until.as_deref().map(|text| moment("until", text)).transpose()?;
        let since = params.since.as_deref().map(|text| moment("since", text)).transpose()?;
        // What came in this millisecond counts, too.
        let until = until.unwrap_or(now + 1);
        let since = since.unwrap_or(until.saturating_sub(DAYS * DAY_MS));
        let shape = Shape::new(params)?;
        let after = params.after.as_deref().map(after).transpose()?;
        if after.is_some() && !matches!(shape, Shape::Requests { .. }) {
            return Err(wrong("after", "only lists of requests (`group_by=request`) have pages"));
        }
        Ok(Self {
            from: after.map_or(Place::at(since), |place| place.after().max(Place::at(since))),
            until: Place::at(until),
            key: params.key.clone(),
            model: params.model.clone(),
            shape,
        })
    }

    fn asks_for(&self, entry: &Entry) -> bool {
        self.model.as_ref().is_none_or(|model| *model == entry.model)
            && self.key.as_ref().is_none_or(|key| Some(key) == entry.key.as_ref())
    }

    fn groups(
        &self,
        source: &(impl LedgerSource + ?Sized),
        folding: &mut Folding,
    ) -> Result<(Vec<Group>, Numbers), ProxyError> {
        let mut groups = BTreeMap::<_, Sums>::new();
        let mut total = Sums::default();
        self.each(source, |_, entry| {
            total.add(&entry);
            folding.add(&entry);
            groups.entry(self.group_of(&entry)).or_default().add(&entry);
            groups.len() <= MOST_GROUPS
        })?;
        if groups.len() > MOST_GROUPS {
            let reason = format!("there are more than {MOST_GROUPS} groups: ask for less time, or one key");
            return Err(wrong("group_by", reason));
        }
        let groups = groups.into_iter().map(|(common, sums)| common.group(sums.numbers()));
        Ok((groups.collect(), total.numbers()))
    }

    fn group_of(&self, entry: &Entry) -> Common {
        let Shape::Groups([day, model, key, upstream, reason]) = self.shape else { return Common::default() };
        Common {
            day: day.then_some(entry.milliseconds / DAY_MS),
            model: model.then(|| entry.model.clone()),
            key: key.then(|| entry.key.clone().unwrap_or_default()),
            upstream: upstream.then(|| entry.upstream.clone()),
            reason: reason.then(|| entry.reason.clone().unwrap_or_default()),
        }
    }

    /// A page of requests, and where the next one begins.
    fn requests(
        &self,
        source: &(impl LedgerSource + ?Sized),
        limit: usize,
    ) -> Result<(Vec<RequestLine>, Option<String>), ProxyError> {
        let (mut lines, mut last, mut next) = (Vec::new(), None, None);
        self.each(source, |place, entry| {
            if lines.len() == limit {
                next = last;
                return false;
            }
            last = Some(place);
            lines.push(line(entry));
            true
        })?;
        Ok((lines, next.map(|Place(time, number)| format!("{time}-{number}"))))
    }

    /// Calls `each` with the entries that are asked for.
    fn each(
        &self,
        source: &(impl LedgerSource + ?Sized),
        mut each: impl FnMut(Place, Entry) -> bool,
    ) -> Result<(), ProxyError> {
        let mut each = |place, entry: Entry| !self.asks_for(&entry) || each(place, entry);
        Ok(source.entries(self.from, self.until, &mut each)?)
    }
}

impl Shape {
    fn new(params: &UsageParams) -> Result<Self, ProxyError> {
        let names: Vec<&str> =
            params.group_by.as_deref().unwrap_or("day").split(',').map(str::trim).collect();
        if let Some(other) = names.iter().find(|name| **name != "request" && !AXES.contains(name)) {
            let other: String = other.chars().take(40).collect();
            let reason = format!("`{other}` is none of `{}`, `request`", AXES.join("`, `"));
            return Err(wrong("group_by", reason));
        }
        if !names.contains(&"request") {
            if params.limit.is_some() {
                return Err(wrong("limit", "only lists of requests (`group_by=request`) have pages"));
            }
            return Ok(Self::Groups(AXES.map(|name| names.contains(&name))));
        }
        if names.len() > 1 {
            return Err(wrong("group_by", "`request` stands alone: it lists requests one by one"));
        }
        let (usual, most) = PAGE;
        let limit = params.limit.as_deref().map(str::parse::<usize>);
        match limit.unwrap_or(Ok(usual)) {
            Ok(limit) if (1..=most).contains(&limit) => Ok(Self::Requests { limit }),
            _ => Err(wrong("limit", format!("must be from 1 to {most}"))),
        }
    }
}

fn line(entry: Entry) -> RequestLine {
    RequestLine {
        time: time(entry.milliseconds),
        numbers: Sums::of(&entry),
        request_id: entry.request,
        key: entry.key,
        model: entry.model,
        upstream: entry.upstream,
        status: entry.status,
        reason: entry.reason,
    }
}

/// Milliseconds since the epoch.
pub(super) fn now() -> u64 {
    u64::try_from(Timestamp::now().as_millisecond()).unwrap_or_default()
}

fn wrong(param: &'static str, reason: impl Into<String>) -> ProxyError {
    ProxyError::Option { param, reason: reason.into() }
}

/// Milliseconds since the epoch of a day's beginning, or of a time.
fn moment(param: &'static str, text: &str) -> Result<u64, ProxyError> {
    let day = text.parse::<Date>().ok().filter(|_| text.len() == "2026-11-01".len());
    let time = match day {
        Some(day) => day.to_zoned(TimeZone::UTC).map(|zoned| zoned.timestamp()).ok(),
        None => text.parse::<Timestamp>().ok(),
    };
    time.and_then(|time| u64::try_from(time.as_millisecond()).ok()).ok_or_else(|| {
        wrong(param, "must be a day such as 2026-11-01, or a time such as 2026-11-01T12:00:00Z, since 1970")
    })
}

fn after(text: &str) -> Result<Place, ProxyError> {
    let place =
        text.split_once('-').and_then(|(time, number)| Some(Place(time.parse().ok()?, number.parse().ok()?)));
    place.ok_or_else(|| wrong("after", "must be what a page before called `next`"))
}

/// A time in RFC 3339's form.
pub(in crate::proxy) fn time(milliseconds: u64) -> String {
    timestamp(milliseconds).to_string()
}

/// The day of a time, in UTC.
fn date(milliseconds: u64) -> String {
    timestamp(milliseconds).to_zoned(TimeZone::UTC).date().to_string()
}

fn timestamp(milliseconds: u64) -> Timestamp {
    let milliseconds = i64::try_from(milliseconds).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(milliseconds).unwrap_or(Timestamp::MAX)
}
