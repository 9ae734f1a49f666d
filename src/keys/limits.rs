//! The usage of a key: requests and tokens in token buckets, money by days.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::{Denied, KeyPolicy};

const MINUTE: f64 = 60.0;
const DAY: Duration = Duration::from_hours(24);
/// Billionths of a dollar in a dollar.
pub(super) const PER_DOLLAR: f64 = 1e9;

/// The cost of a request against the key's limits.
#[derive(Debug, Clone)]
pub struct RequestCost<'a> {
    /// Names of the model: in the request, and the upstream's own.
    pub models: [&'a str; 2],
    /// About as many tokens as its input has.
    pub tokens: u64,
    /// About what that costs, in billionths of a dollar, where there is a price.
    pub cost: Option<i64>,
}

/// The usage of a key.
#[derive(Debug)]
pub(super) struct Account(Mutex<State>);

#[derive(Debug)]
struct State {
    requests: Bucket,
    tokens: Bucket,
    /// Days since the epoch, and billionths of a dollar that were spent on that day.
    spent: (u64, i64),
}

/// Room for so many a minute. It may be overdrawn, and then has to fill up first.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    /// Share of a minute's worth that is free; below 0 where it is overdrawn.
    free: f64,
    at: Instant,
}

/// A reservation of a running request in this process, settled when the request is over.
#[derive(Debug)]
pub(super) struct Reservation {
    account: Arc<Account>,
    policy: KeyPolicy,
    tokens: u64,
    cost: i64,
    day: u64,
}

impl Account {
    /// An account that has spent `spent` today.
    pub(super) fn new(spent: i64) -> Self {
        let bucket = Bucket { free: 1.0, at: Instant::now() };
        Self(Mutex::new(State { requests: bucket, tokens: bucket, spent: (Clock::now().day, spent) }))
    }

    /// Lets one more request in.
    pub(super) fn request(&self, policy: &KeyPolicy, clock: Clock) -> Result<(), Denied> {
        let Some(limit) = policy.requests_per_minute else { return Ok(()) };
        let requests = &mut self.state().requests;
        // A request must find room for the whole of itself.
        let wait = requests.wait(limit, 1.0, clock.instant);
        if !wait.is_zero() {
            return Err(Denied::Requests { limit, wait });
        }
        requests.take(limit, 1.0);
        Ok(())
    }

    /// Sets aside what a request is thought to take, where anything is left.
    pub(super) fn reserve(
        self: &Arc<Self>,
        policy: &KeyPolicy,
        cost: &RequestCost,
        clock: Clock,
    ) -> Result<Reservation, Denied> {
        policy.check(cost.models, cost.cost.is_some())?;
        let mut state = self.state();
        if let Some(limit) = policy.tokens_per_minute {
            // How many it takes is known only afterwards: there must be room for one.
            let wait = state.tokens.wait(limit, 1.0, clock.instant);
            if !wait.is_zero() {
                return Err(Denied::Tokens { limit, wait });
            }
        }
        state.turn_to(clock.day);
        if let Some(limit) = policy.usd_per_day
            && state.spent.1 as f64 >= limit * PER_DOLLAR
        {
            return Err(Denied::Spend { limit: limit.to_string(), wait: clock.midnight });
        }
        Ok(self.set_aside(&mut state, policy, cost))
    }

    /// Sets aside what a request is thought to take, whatever is left: somebody else has let it in.
    pub(super) fn note(
        self: &Arc<Self>,
        policy: &KeyPolicy,
        cost: &RequestCost,
        clock: Clock,
    ) -> Reservation {
        let mut state = self.state();
        state.turn_to(clock.day);
        self.set_aside(&mut state, policy, cost)
    }

    fn set_aside(self: &Arc<Self>, state: &mut State, policy: &KeyPolicy, cost: &RequestCost) -> Reservation {
        let reservation = Reservation {
            account: Arc::clone(self),
            policy: policy.clone(),
            tokens: cost.tokens,
            cost: cost.cost.unwrap_or_default(),
            day: state.spent.0,
        };
        state.add(policy, reservation.tokens as f64, reservation.cost);
        reservation
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reservation {
    /// Counts what the request took in the place of what was set aside; `cost` is none where it is not known.
    pub(super) fn settle(self, tokens: u64, cost: Option<i64>) {
        self.settle_at(tokens, cost, Clock::now());
    }

    /// Does as [`Reservation::settle`], by another clock.
    pub(super) fn settle_at(self, tokens: u64, cost: Option<i64>, clock: Clock) {
        let mut state = self.account.state();
        state.turn_to(clock.day);
        let aside = if state.spent.0 == self.day { self.cost } else { 0 };
        let cost = cost.unwrap_or(self.cost).saturating_sub(aside);
        state.add(&self.policy, tokens as f64 - self.tokens as f64, cost);
    }
}

impl State {
    fn add(&mut self, policy: &KeyPolicy, tokens: f64, cost: i64) {
        if let Some(limit) = policy.tokens_per_minute {
            self.tokens.take(limit, tokens);
        }
        self.spent.1 = self.spent.1.saturating_add(cost);
    }

    /// Begins a day anew. A clock that goes back gives nobody new money.
    fn turn_to(&mut self, day: u64) {
        if day > self.spent.0 {
            self.spent = (day, 0);
        } else if day + 1 < self.spent.0 {
            // It was far ahead before: the day that it showed must not be waited for.
            self.spent.0 = day;
        }
    }
}

impl Bucket {
    /// Time until there is room for `amount`.
    fn wait(&mut self, limit: u32, amount: f64, now: Instant) -> Duration {
        let passed = now.saturating_duration_since(self.at);
        self.free = (self.free + passed.as_secs_f64() / MINUTE).min(1.0);
        self.at = now.max(self.at);
        let short = amount / f64::from(limit.max(1)) - self.free;
        // Sums of shares are off in their last digits.
        if short <= 1e-9 { Duration::ZERO } else { Duration::from_secs_f64((short * MINUTE).min(86_400.0)) }
    }

    fn take(&mut self, limit: u32, amount: f64) {
        self.free = (self.free - amount / f64::from(limit.max(1))).min(1.0);
    }
}

/// The current time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    /// The monotonic time, for limits per minute.
    instant: Instant,
    /// Days since the epoch, in UTC.
    pub(super) day: u64,
    /// Time until the next one begins.
    midnight: Duration,
}

impl Clock {
    pub(super) fn now() -> Self {
        Self::at(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
    }

    /// The current time, which is so long after the epoch by whoever keeps the days.
    pub(super) fn at(since: Duration) -> Self {
        let midnight = DAY.saturating_sub(Duration::from_secs(since.as_secs() % DAY.as_secs()));
        Self { instant: Instant::now(), day: since.as_secs() / DAY.as_secs(), midnight }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Pattern;

    fn later(clock: Clock, seconds: u64) -> Clock {
        Clock { instant: clock.instant + Duration::from_secs(seconds), ..clock }
    }

    fn cost(tokens: u64, cost: Option<i64>) -> RequestCost<'static> {
        RequestCost { models: ["fast", "gpt-4o-mini"], tokens, cost }
    }

    fn account(spent: i64) -> Arc<Account> {
        Arc::new(Account::new(spent))
    }

    #[test]
    fn requests_come_back_minute_by_minute() {
        let policy = KeyPolicy { requests_per_minute: Some(2), ..KeyPolicy::default() };
        let (account, now) = (account(0), Clock::now());
        account.request(&policy, now).unwrap();
        account.request(&policy, now).unwrap();
        let Err(Denied::Requests { limit: 2, wait }) = account.request(&policy, now) else { panic!() };
        assert!((wait.as_secs_f64() - 30.0).abs() < 0.1, "{wait:?}");
        account.request(&policy, later(now, 29)).unwrap_err();
        account.request(&policy, later(now, 31)).unwrap();
        account.request(&policy, later(now, 32)).unwrap_err();
        // A long pause gives no more than a minute's worth.
        account.request(&policy, later(now, 3600)).unwrap();
        account.request(&policy, later(now, 3600)).unwrap();
        account.request(&policy, later(now, 3600)).unwrap_err();
    }

    #[test]
    fn tokens_are_set_aside_and_settled() {
        let policy = KeyPolicy { tokens_per_minute: Some(600), ..KeyPolicy::default() };
        let (account, now) = (account(0), Clock::now());
        let reservation = account.reserve(&policy, &cost(900, None), now).unwrap();
        let Err(Denied::Tokens { wait, .. }) = account.reserve(&policy, &cost(1, None), now) else {
            panic!()
        };
        assert!((wait.as_secs_f64() - 30.1).abs() < 0.1, "{wait:?}");
        reservation.settle(100, None);
        let reservation = account.reserve(&policy, &cost(1, None), now).unwrap();
        // It took far more than was thought.
        reservation.settle(2000, None);
        account.reserve(&policy, &cost(1, None), later(now, 100)).unwrap_err();
        account.reserve(&policy, &cost(1, None), later(now, 160)).unwrap();
    }

    #[test]
    fn money_is_spent_by_days_and_clocks_that_go_back_give_none() {
        let policy = KeyPolicy { usd_per_day: Some(1.0), ..KeyPolicy::default() };
        let (account, now) = (account(900_000_000), Clock::now());
        let reservation = account.reserve(&policy, &cost(0, Some(200_000_000)), now).unwrap();
        let denied = account.reserve(&policy, &cost(0, Some(1)), now).unwrap_err();
        assert!(matches!(&denied, Denied::Spend { limit, .. } if limit == "1"), "{denied}");
        reservation.settle(0, Some(50_000_000));
        account.reserve(&policy, &cost(0, Some(1)), now).unwrap().settle(0, Some(50_000_000));
        account.reserve(&policy, &cost(0, Some(1)), now).unwrap_err();
        account.reserve(&policy, &cost(0, Some(1)), Clock { day: now.day - 1, ..now }).unwrap_err();
        account.reserve(&policy, &cost(0, Some(1)), now).unwrap_err();
        let far = Clock { day: now.day + 1000, ..now };
        account.reserve(&policy, &cost(0, Some(2_000_000_000)), far).unwrap();
        account.reserve(&policy, &cost(0, Some(1)), now).unwrap_err();
        account.reserve(&policy, &cost(0, Some(1)), Clock { day: now.day + 1, ..now }).unwrap();
    }

    #[test]
    fn a_model_must_be_allowed_and_have_a_price_where_money_counts() {
        let now = Clock::now();
        let of = |models: &[&str]| KeyPolicy {
            models: models.iter().map(|name| Pattern::new(*name)).collect(),
            ..KeyPolicy::default()
        };
        for (models, allowed) in [(&["fast"][..], true), (&["gpt-*"], true), (&["o1"], false), (&[], true)] {
            let held = account(0).reserve(&of(models), &cost(1, None), now);
            assert_eq!(held.is_ok(), allowed, "{models:?}");
        }
        let policy = KeyPolicy { usd_per_day: Some(1.0), ..KeyPolicy::default() };
        let denied = account(0).reserve(&policy, &cost(1, None), now).unwrap_err();
        assert_eq!(denied, Denied::Unpriced("gpt-4o-mini".into()));
    }
}
