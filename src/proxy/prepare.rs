//! A request, read and checked: everything that is known of it before any text is compressed.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Semaphore;

use super::conversation::{Arm, Conversation};
use super::decision::{Decision, Key};
use super::decode::decoded;
use super::ledger::{TOKEN_BYTES, UsageRecordBuilder, cost};
use super::recall::Recall;
use super::recall_tool::Tool;
use super::route::{Route, Target};
use super::settings::Settings;
use super::store::Secret;
use super::{Live, Plan, ProxyError, ProxyRequest};
use crate::admission::BodyRoom;
use crate::config::ToolResults;
use crate::keys::{Caller, Denied, RequestCost};
use crate::upstream::{self, Call, HeaderMap, Method};
use crate::wire::local::{Ask, AskError};
use crate::wire::{
    self, Address, ConversationText, Edit, Endpoint, NamedModel, Question, Request, TextSpan, Texts, Usage,
    WireError,
};

/// Bodies up to this size are read on the async threads: handing them over would take longer.
const INLINE_BYTES: usize = 64 << 10;

/// The number of bodies that are decoded at once: a decoder holds a window of up to 16 MiB beside the body's own room.
const DECODERS: usize = 4;

/// What the reading of requests needs, whatever the configuration says.
pub(super) struct Intake {
    /// The most bytes of a body, also when it is decoded.
    limit: usize,
    secret: Secret,
    decoders: Semaphore,
}

impl Intake {
    pub(super) const fn new(limit: usize, secret: Secret) -> Self {
        Self { limit, secret, decoders: Semaphore::const_new(DECODERS) }
    }

    /// Undoes the encoding of a body that has one.
    async fn decode(&self, incoming: ProxyRequest) -> Result<(ProxyRequest, Option<Bytes>), ProxyError> {
        let encoding = match incoming.headers.get("content-encoding").map(|value| value.to_str()) {
            None => return Ok((incoming, None)),
            Some(Ok(encoding)) => encoding.to_owned(),
            Some(Err(_)) => return Err(ProxyError::Encoding("?".into())),
        };
        // Only a closed semaphore refuses, and nothing closes this one.
        let _decoder = self.decoders.acquire().await.ok();
        let (mut incoming, limit) = (incoming, self.limit);
        let task = tokio::task::spawn_blocking(move || {
            let decoded = decoded(&encoding, &incoming.body, limit, &mut incoming.room)?;
            Ok((incoming, decoded))
        });
        task.await.map_err(|_| ProxyError::Internal("decoding a request's body panicked".into()))?
    }
}

/// A request, read and checked.
pub(super) struct Prepared {
    pub(super) route: Route,
    pub(super) settings: Settings,
    /// Texts that may be compressed.
    pub(super) passages: Vec<TextSpan>,
    /// Whether there are texts besides that are too short to be counted.
    pub(super) small: bool,
    /// The questions of the conversation.
    pub(super) asked: Vec<Question>,
    /// All texts that folding looks at.
    pub(super) shown: Arc<[ConversationText]>,
    /// The keys of the passages in the store of decisions.
    pub(super) keys: Vec<Key>,
    /// The conversation that it belongs to, where that can be told.
    pub(super) conversation: Option<Conversation>,
    /// The treatment of its conversation.
    pub(super) arm: Arm,
    /// Names and keeps the originals of its tools' results.
    pub(super) recall: Recall,
    /// The tool that recalls them, where the request may have it.
    pub(super) tool: Option<Tool>,
    id: String,
    caller: Option<Caller>,
    address: Address,
    /// The body as it came.
    original: Bytes,
    /// The body without its encoding, where it has one.
    decoded: Option<Bytes>,
    /// The room in memory that both take.
    _room: BodyRoom,
    /// Headers to be sent on, those of the body included.
    headers: HeaderMap,
    /// The query string with the question mark.
    query: String,
    /// The model's name, as requested.
    model: String,
    /// The model that the body names.
    named: Option<NamedModel>,
    without_options: Option<Edit>,
}

/// Reads and checks a request.
pub(super) async fn prepare(
    incoming: ProxyRequest,
    live: &Arc<Live>,
    intake: &Intake,
) -> Result<Prepared, ProxyError> {
    let (incoming, decoded) = intake.decode(incoming).await?;
    let secret = intake.secret;
    if decoded.as_ref().unwrap_or(&incoming.body).len() <= INLINE_BYTES {
        return Prepared::new(incoming, decoded, live, secret);
    }
    let live = Arc::clone(live);
    let task = tokio::task::spawn_blocking(move || Prepared::new(incoming, decoded, &live, secret));
    task.await.map_err(|_| ProxyError::Internal("reading a request's body panicked".into()))?
}

impl Prepared {
    fn new(
        incoming: ProxyRequest,
        decoded: Option<Bytes>,
        live: &Live,
        secret: Secret,
    ) -> Result<Self, ProxyError> {
        let ProxyRequest { id, caller, address, upstream, query, headers, body: original, room } = incoming;
        let body = decoded.as_ref().unwrap_or(&original);
        let (dialect, endpoint) = (address.dialect, address.endpoint);
        let request = Request::read(endpoint, body)?;
        // What a path names is what answers, and what a key may call.
        let of_path = address.model().map(Cow::into_owned);
        let of_body = || request.model.as_ref().map(|model| model.name.clone());
        let model = of_path.or_else(of_body).ok_or(WireError::NoModel)?;
        let settings = Settings::new(&live.config, &headers, request.options)?;
        let route = match &upstream {
            Some(name) => Route::on(live.routes.named(name)?, &model),
            None => live.routes.find(dialect, &model)?,
        };
        if matches!(route.place, Target::Local(_)) {
            // What it cannot do is said before any work is done.
            Ask::read(endpoint, std::str::from_utf8(body).unwrap_or_default())?;
        }
        // Where nothing is done to the texts, they need not be read.
        let read = !settings.bypass || settings.retrieves();
        let Texts { mut passages, asked, mut shown, small, small_results } =
            if read { request.texts(settings.least_bytes()) } else { Texts::default() };
        let small = small || small_results && settings.tool_results == ToolResults::Compress;
        let conversation = (!settings.bypass).then(|| Conversation::of(&request, &secret)).flatten();
        let arm = conversation.map_or(Arm::None, |it| it.arm(live.config.holdout));
        if settings.bypass || arm == Arm::HeldOut {
            passages.clear();
            shown.clear();
        }
        match settings.tool_results {
            ToolResults::Compress => shown.clear(),
            ToolResults::Fold | ToolResults::Keep => passages.retain(|passage| !passage.from_tool),
        }
        let recall = Recall::new(&secret, live.originals.as_ref(), caller.as_ref());
        let named = conversation.filter(|_| live.config.recall.tool && arm != Arm::HeldOut);
        let named = named.filter(|_| matches!(route.place, Target::Upstream(_)));
        let tool = named.and_then(|named| Tool::of(&request, (&recall, named), &live.late));
        let keys = passages.iter().map(|passage| Key::new(passage, &route.model, &settings)).collect();
        Ok(Self {
            recall,
            tool,
            id,
            caller,
            keys,
            conversation,
            arm,
            asked,
            passages,
            small,
            shown: shown.into(),
            settings,
            headers: upstream::for_upstream(&headers, true),
            query,
            address,
            named: request.model.clone(),
            without_options: request.without_options(),
            model,
            route,
            decoded,
            original,
            _room: room,
        })
    }

    /// Returns the request's id.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Returns the endpoint that it was sent to.
    pub(super) const fn endpoint(&self) -> Endpoint {
        self.address.endpoint
    }

    /// About as many tokens as it has.
    pub(super) fn tokens(&self) -> u64 {
        self.decoded.as_ref().unwrap_or(&self.original).len() as u64 / TOKEN_BYTES
    }

    /// Returns the opening of the request's bill, where an hour of this machine costs `hourly` dollars. What it is
    /// thought to take is set aside for its key.
    pub(super) async fn opening(&self, hourly: f64) -> Result<UsageRecordBuilder, Denied> {
        let price = self.route.price(&self.route.model);
        let bytes = self.decoded.as_ref().unwrap_or(&self.original).len() as u64;
        let charged = !self.endpoint().only_counts();
        let tokens = if charged { bytes / TOKEN_BYTES } else { 0 };
        let input = Usage { input: tokens, ..Usage::default() };
        let cost = RequestCost {
            models: [&self.model, &self.route.model],
            tokens,
            cost: price.map(|price| cost(price, &input)),
        };
        let hold = match &self.caller {
            Some(caller) => Some(caller.reserve(&cost).await?),
            None => None,
        };
        Ok(UsageRecordBuilder {
            request: self.id.clone(),
            key: self.caller.as_ref().map(|caller| caller.id().to_owned()),
            hold,
            price: price.cloned(),
            model: self.route.model.clone(),
            upstream: self.route.name().to_owned(),
            // Counting of tokens is no turn.
            arm: if charged { self.arm } else { Arm::None },
            conversation: self.conversation,
            bytes,
            charged,
            embeds: self.endpoint() == Endpoint::Embeddings,
            hourly,
        })
    }

    /// Returns the call to `route`, with the passages changed by `plan`.
    pub(super) fn call(&self, route: &Route, plan: &Plan) -> Call {
        let edits = self.edits(route, plan);
        let mut headers = self.headers.clone();
        let body = if edits.is_empty() {
            self.original.clone()
        } else {
            headers.remove("content-encoding");
            wire::splice(self.text(), edits).into()
        };
        let path = self.address.path_for(&route.model) + &self.query;
        Call { method: Method::POST, path, headers, body }
    }

    /// Returns the request to the model in this process, with the passages changed by `plan`.
    pub(super) fn ask(&self, plan: &Plan) -> Result<(Endpoint, Ask), AskError> {
        let body = wire::splice(self.text(), self.edits(&self.route, plan));
        Ok((self.endpoint(), Ask::read(self.endpoint(), &body)?))
    }

    /// The edit of a tool's result that a model cut, with the id of its original.
    fn cut(&self, passage: &TextSpan, decision: &Decision) -> Option<Edit> {
        let cut = match decision {
            Decision::Subset { ranges, .. } => {
                ranges.iter().filter_map(|range| passage.text.get(range.clone())).collect()
            }
            Decision::Replaced { text, .. } => text.to_string(),
            _ => return None,
        };
        self.recall.of_cut(&passage.text, &cut).map(|text| passage.replace(&text))
    }

    /// The body as it can be read.
    fn text(&self) -> &str {
        let readable = self.decoded.as_ref().unwrap_or(&self.original);
        // It was checked when it was read.
        std::str::from_utf8(readable).unwrap_or_default()
    }

    fn edits(&self, route: &Route, plan: &Plan) -> Vec<Edit> {
        let text = self.text();
        let mut edits: Vec<Edit> = self.without_options.clone().into_iter().collect();
        edits.extend(self.named.as_ref().and_then(|named| named.renamed(&self.model, &route.model)));
        // Before what is made of a text that begins in the same place.
        edits.extend(plan.inserts.edits());
        for (passage, (_, decision)) in self.passages.iter().zip(&plan.passages) {
            if passage.from_tool && self.recall.is_on() {
                edits.extend(self.cut(passage, decision));
                continue;
            }
            match &**decision {
                Decision::Subset { ranges, .. } => edits.push(passage.keep(text, ranges)),
                Decision::Replaced { text, .. } => edits.push(passage.replace(text)),
                Decision::Unchanged
                | Decision::Small
                | Decision::Declined
                | Decision::Folded { .. }
                | Decision::Inserted { .. }
                | Decision::Tool => {}
            }
        }
        edits.extend(plan.tool.iter().flat_map(|tool| tool.edits.iter().cloned()));
        edits.extend_from_slice(&plan.folds.edits);
        edits
    }
}
