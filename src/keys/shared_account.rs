//! The usage of a key in all replicas together, which the server that they share counts.
//!
//! The semantics are those of one process ([`limits`]): requests and tokens in token buckets, money by days. A bucket of
//! 600 a minute that is full lets 600 requests in at once and then 10 a second, whichever replica they come to, so a window
//! of a minute has at most 600 besides what the bucket held when it began. The scripts in `scripts/` decide, each as a whole
//! and by the server's clock, so nothing is counted twice or lost between replicas.
//!
//! Money must be right after the server has lost its data, too. Each process therefore says in all that it tells how much
//! the key has spent through it on that day, and a number: what is missing there is there again with the next message, and
//! a message that comes late changes nothing. Buckets that are lost begin full.

use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::sync::oneshot;
use tokio::time::sleep;

use super::limits::{self, Clock, PER_DOLLAR};
use super::{Denied, KeyPolicy, RequestCost};
use crate::config::WhenAway;
use crate::shared::{Away, Script, Shared};

/// Time after which a request that was refused for want of the server may be sent again.
pub(super) const AWAY_WAIT: Duration = Duration::from_secs(1);
/// Pause before what could not be told is told again.
const RETELL_PAUSE: Duration = Duration::from_millis(50);

/// Makes a script of a file that the functions in `limits.lua` come before.
macro_rules! script {
    ($file:literal) => {
        LazyLock::new(|| {
            Script::new(concat!(include_str!("scripts/limits.lua"), include_str!(concat!("scripts/", $file))))
        })
    };
}

static REQUEST: LazyLock<Script> = script!("request.lua");
static RESERVE: LazyLock<Script> = script!("reserve.lua");
static SETTLE: LazyLock<Script> = script!("settle.lua");

/// The way to what replicas share, for all accounts of a process.
#[derive(Debug, Clone)]
pub(super) struct Replicas {
    shared: Shared,
    /// A random name of this process.
    process: Arc<str>,
    errands: UnboundedSender<Errand>,
}

/// Something to be told in the background.
#[derive(Debug)]
pub(super) enum Errand {
    /// Has the server told what an account owes. Each account is in the queue once at most.
    Tell(Arc<SharedAccount>),
    /// Says that all before is told, or could not be.
    Answer(oneshot::Sender<()>),
}

/// The usage of a key in all replicas together.
#[derive(Debug)]
pub(super) struct SharedAccount {
    /// Counts what this process lets in, too, and decides while the server is away and need not be waited for.
    local: Arc<limits::Account>,
    replicas: Replicas,
    /// The keys of the buckets and of the money.
    keys: [String; 2],
    spending: Mutex<Spending>,
    owed: Mutex<Owed>,
}

/// Billionths of a dollar that a key has spent through this process on a day, what running requests may spend included.
#[derive(Debug, Default)]
struct Spending {
    day: u64,
    amount: i64,
    /// The number of the last message that said so.
    number: u64,
}

/// The news that the server has not been told.
#[derive(Debug, Default)]
struct Owed {
    /// The share of a minute's tokens that requests took beside what was set aside for them.
    share: f64,
    queued: bool,
}

/// A reservation of a running request in what replicas share, settled when the request is over.
#[derive(Debug)]
pub(super) struct SharedReservation {
    local: limits::Reservation,
    account: Arc<SharedAccount>,
    set_aside: SetAside,
    /// The tokens that the server has set aside, and how many there may be a minute.
    tokens: Option<(u64, u32)>,
    /// Says whether the key has a limit, so that the server is told what the request took.
    limited: bool,
}

/// Money that was set aside on a day.
#[derive(Debug, Clone, Copy)]
struct SetAside {
    day: u64,
    cost: i64,
}

impl Replicas {
    /// The way to `shared`, and the errands that [`run_errands`] is to run.
    pub(super) fn new(shared: Shared, errands: UnboundedSender<Errand>) -> Result<Self, getrandom::Error> {
        let mut bits = [0; 8];
        getrandom::fill(&mut bits)?;
        let process = format!("{:016x}", u64::from_le_bytes(bits)).into();
        Ok(Self { shared, process, errands })
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Waits until all that was to be told is told, or could not be.
    pub(super) async fn told(&self) {
        let (sender, receiver) = oneshot::channel();
        if self.errands.send(Errand::Answer(sender)).is_ok() {
            receiver.await.unwrap_or_default();
        }
    }

    fn clock(&self) -> Clock {
        Clock::at(self.shared.now())
    }
}

/// Tells the server what accounts owe, one after the other, for as long as there are accounts.
pub(super) async fn run_errands(mut errands: UnboundedReceiver<Errand>) {
    while let Some(errand) = errands.recv().await {
        match errand {
            Errand::Tell(account) => account.tell().await,
            // Nobody may wait any more.
            Errand::Answer(sender) => sender.send(()).unwrap_or_default(),
        }
    }
}

impl Spending {
    /// Begins a day anew. The server's clock is the only one that counts.
    fn turn_to(&mut self, day: u64) {
        if day > self.day {
            self.amount = 0;
        }
        self.day = day;
    }

    fn set_aside(&mut self, day: u64, cost: i64) -> SetAside {
        self.turn_to(day);
        self.amount = self.amount.saturating_add(cost);
        SetAside { day, cost }
    }

    /// Counts what was spent in the place of what was set aside.
    fn settle(&mut self, day: u64, set_aside: SetAside, cost: i64) {
        self.turn_to(day);
        let aside = if set_aside.day == day { set_aside.cost } else { 0 };
        self.amount = self.amount.saturating_add(cost.saturating_sub(aside));
    }

    /// Returns what a message says: its number, the day and the amount.
    fn message(&mut self) -> [String; 3] {
        self.number += 1;
        [self.number.to_string(), self.day.to_string(), self.amount.to_string()]
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SharedAccount {
    /// The account of the key `id`, of which `local` has what this process alone knows.
    pub(super) fn new(id: &str, local: Arc<limits::Account>, replicas: Replicas) -> Self {
        let keys = ["minute", "day"].map(|name| replicas.shared.key(id, name));
        Self { local, replicas, keys, spending: Mutex::default(), owed: Mutex::default() }
    }

    /// Lets one more request in.
    pub(super) async fn request(&self, policy: &KeyPolicy, within: Duration) -> Result<(), Denied> {
        let Some(limit) = policy.requests_per_minute else { return Ok(()) };
        let (keys, arguments) = (&self.keys[..1], [limit.to_string()]);
        let answer = self.replicas.shared.run::<u64>(&REQUEST, (keys, &arguments), within).await;
        let counted = |clock| self.local.request(policy, clock);
        match answer {
            Ok(0) => {
                // It has nothing to say here.
                counted(self.replicas.clock()).unwrap_or_default();
                Ok(())
            }
            Ok(micros) => Err(Denied::Requests { limit, wait: Duration::from_micros(micros) }),
            Err(away) => self.without_server(&away).and_then(counted),
        }
    }

    /// Sets aside what a request is thought to take, where anything is left.
    pub(super) async fn reserve(
        self: &Arc<Self>,
        policy: &KeyPolicy,
        cost: &RequestCost<'_>,
        within: Duration,
    ) -> Result<SharedReservation, Denied> {
        policy.check(cost.models, cost.cost.is_some())?;
        let mut asked = Asked::new(self, cost.cost.unwrap_or_default());
        let limited = policy.tokens_per_minute.is_some() || policy.usd_per_day.is_some();
        let answer = if limited { self.ask(policy, cost, (&asked, within)).await } else { Ok([0, 0]) };
        let (local, tokens) = match answer {
            Ok([0, _]) => {
                let tokens = policy.tokens_per_minute.map(|limit| (cost.tokens, limit));
                (self.local.note(policy, cost, self.replicas.clock()), tokens)
            }
            Ok([what, micros]) => return Err(denial(policy, what, Duration::from_micros(micros))),
            Err(away) => (self.local.reserve(policy, cost, self.without_server(&away)?)?, None),
        };
        asked.admitted = true;
        let (account, set_aside) = (Arc::clone(self), asked.set_aside);
        Ok(SharedReservation { local, account, set_aside, tokens, limited })
    }

    async fn ask(
        &self,
        policy: &KeyPolicy,
        cost: &RequestCost<'_>,
        (asked, within): (&Asked<'_>, Duration),
    ) -> Result<[u64; 2], Away> {
        let money = policy.usd_per_day.map_or(-1.0, |limit| limit * PER_DOLLAR);
        let [number, day, amount] = asked.message.clone();
        let arguments = [
            policy.tokens_per_minute.unwrap_or_default().to_string(),
            cost.tokens.to_string(),
            money.to_string(),
            asked.set_aside.cost.to_string(),
            self.replicas.process.to_string(),
            number,
            day,
            amount,
        ];
        self.replicas.shared.run(&RESERVE, (&self.keys, &arguments), within).await
    }

    /// The time by which this process may decide alone, where the server cannot be asked.
    fn without_server(&self, away: &Away) -> Result<Clock, Denied> {
        match self.replicas.shared.when_away() {
            WhenAway::Local => Ok(self.replicas.clock()),
            WhenAway::Refuse => {
                tracing::debug!(reason = %away, "a request is refused, as limits cannot be checked");
                Err(Denied::Unavailable { wait: AWAY_WAIT })
            }
        }
    }

    /// Has the server told what is owed, and what the key has spent through this process.
    pub(super) fn owe(self: &Arc<Self>, share: f64) {
        let mut owed = lock(&self.owed);
        owed.share += share;
        if !owed.queued {
            // Nobody listens any more where the service ends.
            owed.queued = self.replicas.errands.send(Errand::Tell(Arc::clone(self))).is_ok();
        }
    }

    /// Tells the server what is owed. Where it is away this is for later: a new connection has all accounts tell again.
    async fn tell(self: Arc<Self>) {
        let share = {
            let mut owed = lock(&self.owed);
            owed.queued = false;
            std::mem::take(&mut owed.share)
        };
        let [number, day, amount] = {
            let mut spending = lock(&self.spending);
            spending.turn_to(self.replicas.clock().day);
            if spending.number == 0 && share == 0.0 {
                return;
            }
            spending.message()
        };
        let arguments = [share.to_string(), self.replicas.process.to_string(), number, day, amount];
        let shared = &self.replicas.shared;
        let answer = shared.run::<u64>(&SETTLE, (&self.keys, &arguments), shared.timeout()).await;
        // The tokens of this minute may have been counted: they are not counted twice.
        if answer.is_err() && shared.away().is_none() {
            sleep(RETELL_PAUSE).await;
            self.owe(0.0);
        }
    }
}

/// The reason that the server's answer tells.
fn denial(policy: &KeyPolicy, what: u64, wait: Duration) -> Denied {
    match (what, policy.usd_per_day) {
        (2, Some(limit)) => Denied::Spend { limit: limit.to_string(), wait },
        _ => Denied::Tokens { limit: policy.tokens_per_minute.unwrap_or_default(), wait },
    }
}

/// A request that the server is asked about. What it may spend counts meanwhile, and no more where it was not let in.
struct Asked<'a> {
    account: &'a Arc<SharedAccount>,
    set_aside: SetAside,
    message: [String; 3],
    admitted: bool,
}

impl<'a> Asked<'a> {
    fn new(account: &'a Arc<SharedAccount>, cost: i64) -> Self {
        let mut spending = lock(&account.spending);
        let set_aside = spending.set_aside(account.replicas.clock().day, cost);
        Self { account, set_aside, message: spending.message(), admitted: false }
    }
}

impl Drop for Asked<'_> {
    /// Takes back what was set aside for a request that was not let in, or whose client left.
    fn drop(&mut self) {
        if self.admitted || self.set_aside.cost == 0 {
            return;
        }
        let day = self.account.replicas.clock().day;
        lock(&self.account.spending).settle(day, self.set_aside, 0);
        self.account.owe(0.0);
    }
}

impl SharedReservation {
    /// Counts what the request took in the place of what was set aside; `cost` is none where it is not known.
    pub(super) fn settle(self, tokens: u64, cost: Option<i64>) {
        let Self { local, account, set_aside, tokens: reserved, limited } = self;
        let clock = account.replicas.clock();
        lock(&account.spending).settle(clock.day, set_aside, cost.unwrap_or(set_aside.cost));
        local.settle_at(tokens, cost, clock);
        let share =
            |(reserved, limit): (u64, u32)| (tokens as f64 - reserved as f64) / f64::from(limit.max(1));
        if limited {
            account.owe(reserved.map_or(0.0, share));
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::unbounded_channel;

    use super::*;
    use crate::config::WhenAway;
    use crate::shared::fake::{FakeServer, closed_port, look, recorded, shared_at};

    const LONG: Duration = Duration::from_secs(10);

    fn account(shared: Shared) -> (Arc<SharedAccount>, UnboundedReceiver<Errand>) {
        let (sender, receiver) = unbounded_channel();
        let replicas = Replicas::new(shared, sender).unwrap();
        (Arc::new(SharedAccount::new("abc", Arc::new(limits::Account::new(0)), replicas)), receiver)
    }

    fn cost(cost: i64) -> RequestCost<'static> {
        RequestCost { models: ["m", "m"], tokens: 100, cost: Some(cost) }
    }

    fn policy() -> KeyPolicy {
        KeyPolicy {
            requests_per_minute: Some(2),
            tokens_per_minute: Some(1_000),
            usd_per_day: Some(0.5),
            ..KeyPolicy::default()
        }
    }

    #[test]
    fn spending_is_that_of_the_servers_day() {
        let mut spending = Spending::default();
        let first = spending.set_aside(10, 100);
        let second = spending.set_aside(10, 50);
        assert_eq!(spending.message(), ["1", "10", "150"]);
        spending.settle(10, first, 30);
        assert_eq!(spending.message(), ["2", "10", "80"]);
        // What was set aside yesterday is not today's, but what it came to is.
        spending.settle(11, second, 20);
        assert_eq!(spending.message(), ["3", "11", "20"]);
        // A clock that goes back gives nobody new money.
        spending.turn_to(10);
        assert_eq!(spending.message(), ["4", "10", "20"]);
    }

    #[tokio::test]
    async fn a_server_that_is_away_refuses_or_each_process_counts_alone() {
        let (account, _errands) = account(shared_at(closed_port(), |_| {}));
        let unavailable = Denied::Unavailable { wait: AWAY_WAIT };
        assert_eq!(account.request(&policy(), LONG).await.unwrap_err(), unavailable);
        assert_eq!(account.reserve(&policy(), &cost(1), LONG).await.unwrap_err(), unavailable);
        // Nothing of it is spent, and nothing is asked for a key without limits.
        assert_eq!(lock(&account.spending).amount, 0);
        account.request(&KeyPolicy::default(), LONG).await.unwrap();
        account.reserve(&KeyPolicy::default(), &cost(1), LONG).await.unwrap().settle(1, Some(1));

        let (account, _errands) =
            super::tests::account(shared_at(closed_port(), |config| config.when_away = WhenAway::Local));
        account.request(&policy(), LONG).await.unwrap();
        account.request(&policy(), LONG).await.unwrap();
        assert!(matches!(account.request(&policy(), LONG).await, Err(Denied::Requests { limit: 2, .. })));
        account.reserve(&policy(), &cost(400_000_000), LONG).await.unwrap().settle(100, Some(500_000_000));
        let denied = account.reserve(&policy(), &cost(1), LONG).await.unwrap_err();
        assert!(matches!(denied, Denied::Spend { .. }), "{denied}");
        // The server is told once it is back.
        assert_eq!(lock(&account.spending).amount, 500_000_000);
    }

    #[tokio::test]
    async fn the_server_decides_and_is_told_what_was_taken() {
        let (commands, answer) = recorded(|command| match command.len() {
            // Three words before keys and arguments: of a request 2 of them, of a reservation 10, of a settlement 7.
            5 => ":0\r\n".into(),
            13 if command[8] == "7" => "*2\r\n:2\r\n:60000000\r\n".into(),
            13 => "*2\r\n:0\r\n:0\r\n".into(),
            10 => ":11574\r\n".into(),
            _ => look(""),
        });
        let server = FakeServer::new(answer);
        let shared = server.shared(|_| {});
        tokio::spawn(shared.clone().keep());
        shared.tried().await;
        let (account, errands) = account(shared);
        tokio::spawn(run_errands(errands));
        account.request(&policy(), LONG).await.unwrap();
        let reservation = account.reserve(&policy(), &cost(300), LONG).await.unwrap();
        let denied = account.reserve(&policy(), &cost(7), LONG).await.unwrap_err();
        assert_eq!(denied, Denied::Spend { limit: "0.5".into(), wait: Duration::from_mins(1) });
        account.replicas.told().await;
        reservation.settle(600, Some(50));
        account.replicas.told().await;
        let seen: Vec<_> = commands.try_iter().filter(|command| command.len() != 6).collect();
        assert_eq!(seen[0][3..], ["whittle:{abc}:minute", "2"]);
        let process = account.replicas.process.to_string();
        let day = "11574";
        let keys = ["whittle:{abc}:minute", "whittle:{abc}:day"];
        let told = |command: &[String]| command[3..].to_vec();
        let expected = |words: &[&str]| keys.iter().chain(words).map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(told(&seen[1]), expected(&["1000", "100", "500000000", "300", &process, "1", day, "300"]));
        assert_eq!(told(&seen[2]), expected(&["1000", "100", "500000000", "7", &process, "2", day, "307"]));
        // What was refused is taken back, and what was taken is told in the place of what was set aside.
        assert_eq!(told(&seen[3]), expected(&["0", &process, "3", day, "300"]));
        assert_eq!(told(&seen[4]), expected(&["0.5", &process, "4", day, "50"]));
    }
}
