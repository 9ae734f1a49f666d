//! The usage of a key: requests and tokens in token buckets, money by days.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::{Denied, Rights};

const MINUTE: f64 = 60.0;
const DAY: Duration = Duration::from_hours(24);
/// Billionths of a dollar in a dollar.
const PER_DOLLAR: f64 = 1e9;

/// The cost of a request against the key's limits.
#[derive(Debug, Clone)]
pub struct Demand<'a> {
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

/// A reservation of a running request, settled when the request is over.
#[derive(Debug)]
pub struct Hold {
    account: Arc<Account>,
    rights: Rights,
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
    pub(super) fn request(&self, rights: &Rights, clock: Clock) -> Result<(), Denied> {
        let Some(limit) = rights.requests_per_minute else { return Ok(()) };
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
    pub(super) fn hold(
        self: &Arc<Self>,
        rights: &Rights,
        demand: &Demand,
        clock: Clock,
    ) -> Result<Hold, Denied> {
        rights.check(demand.models, demand.cost.is_some())?;
        let mut state = self.state();
        if let Some(limit) = rights.tokens_per_minute {
            // How many it takes is known only afterwards: there must be room for one.
            let wait = state.tokens.wait(limit, 1.0, clock.instant);
            if !wait.is_zero() {
                return Err(Denied::Tokens { limit, wait });
            }
        }
        state.turn_to(clock.day);
        if let Some(limit) = rights.usd_per_day
            && state.spent.1 as f64 >= limit * PER_DOLLAR
        {
            return Err(Denied::Spend { limit: limit.to_string(), wait: clock.midnight });
        }
        let hold = Hold {
            account: Arc::clone(self),
            rights: rights.clone(),
            tokens: demand.tokens,
            cost: demand.cost.unwrap_or_default(),
            day: state.spent.0,
        };
        state.add(rights, hold.tokens as f64, hold.cost);
        Ok(hold)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hold {
    /// Counts what the request took in the place of what was set aside; `cost` is none where it is not known.
    pub fn settle(self, tokens: u64, cost: Option<i64>) {
        let mut state = self.account.state();
        state.turn_to(Clock::now().day);
        let aside = if state.spent.0 == self.day { self.cost } else { 0 };
        let cost = cost.unwrap_or(self.cost).saturating_sub(aside);
        state.add(&self.rights, tokens as f64 - self.tokens as f64, cost);
    }
}

impl State {
    fn add(&mut self, rights: &Rights, tokens: f64, cost: i64) {
        if let Some(limit) = rights.tokens_per_minute {
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
    day: u64,
    /// Time until the next one begins.
    midnight: Duration,
}

impl Clock {
    pub(super) fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
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

    fn demand(tokens: u64, cost: Option<i64>) -> Demand<'static> {
        Demand { models: ["fast", "gpt-4o-mini"], tokens, cost }
    }

    fn account(spent: i64) -> Arc<Account> {
        Arc::new(Account::new(spent))
    }

    #[test]
    fn requests_come_back_minute_by_minute() {
        let rights = Rights { requests_per_minute: Some(2), ..Rights::default() };
        let (account, now) = (account(0), Clock::now());
        account.request(&rights, now).unwrap();
        account.request(&rights, now).unwrap();
        let Err(Denied::Requests { limit: 2, wait }) = account.request(&rights, now) else { panic!() };
        assert!((wait.as_secs_f64() - 30.0).abs() < 0.1, "{wait:?}");
        account.request(&rights, later(now, 29)).unwrap_err();
        account.request(&rights, later(now, 31)).unwrap();
        account.request(&rights, later(now, 32)).unwrap_err();
        // A long pause gives no more than a minute's worth.
        account.request(&rights, later(now, 3600)).unwrap();
        account.request(&rights, later(now, 3600)).unwrap();
        account.request(&rights, later(now, 3600)).unwrap_err();
    }

    #[test]
    fn tokens_are_set_aside_and_settled() {
        let rights = Rights { tokens_per_minute: Some(600), ..Rights::default() };
        let (account, now) = (account(0), Clock::now());
        let hold = account.hold(&rights, &demand(900, None), now).unwrap();
        let Err(Denied::Tokens { wait, .. }) = account.hold(&rights, &demand(1, None), now) else { panic!() };
        assert!((wait.as_secs_f64() - 30.1).abs() < 0.1, "{wait:?}");
        hold.settle(100, None);
        let hold = account.hold(&rights, &demand(1, None), now).unwrap();
        // It took far more than was thought.
        hold.settle(2000, None);
        account.hold(&rights, &demand(1, None), later(now, 100)).unwrap_err();
        account.hold(&rights, &demand(1, None), later(now, 160)).unwrap();
    }

    #[test]
    fn money_is_spent_by_days_and_clocks_that_go_back_give_none() {
        let rights = Rights { usd_per_day: Some(1.0), ..Rights::default() };
        let (account, now) = (account(900_000_000), Clock::now());
        let hold = account.hold(&rights, &demand(0, Some(200_000_000)), now).unwrap();
        let denied = account.hold(&rights, &demand(0, Some(1)), now).unwrap_err();
        assert!(matches!(&denied, Denied::Spend { limit, .. } if limit == "1"), "{denied}");
        hold.settle(0, Some(50_000_000));
        account.hold(&rights, &demand(0, Some(1)), now).unwrap().settle(0, Some(50_000_000));
        account.hold(&rights, &demand(0, Some(1)), now).unwrap_err();
        account.hold(&rights, &demand(0, Some(1)), Clock { day: now.day - 1, ..now }).unwrap_err();
        account.hold(&rights, &demand(0, Some(1)), now).unwrap_err();
        let far = Clock { day: now.day + 1000, ..now };
        account.hold(&rights, &demand(0, Some(2_000_000_000)), far).unwrap();
        account.hold(&rights, &demand(0, Some(1)), now).unwrap_err();
        account.hold(&rights, &demand(0, Some(1)), Clock { day: now.day + 1, ..now }).unwrap();
    }

    #[test]
    fn a_model_must_be_allowed_and_have_a_price_where_money_counts() {
        let now = Clock::now();
        let of = |models: &[&str]| Rights {
            models: models.iter().map(|name| Pattern::new(*name)).collect(),
            ..Rights::default()
        };
        for (models, allowed) in [(&["fast"][..], true), (&["gpt-*"], true), (&["o1"], false), (&[], true)] {
            let held = account(0).hold(&of(models), &demand(1, None), now);
            assert_eq!(held.is_ok(), allowed, "{models:?}");
        }
        let rights = Rights { usd_per_day: Some(1.0), ..Rights::default() };
        let denied = account(0).hold(&rights, &demand(1, None), now).unwrap_err();
        assert_eq!(denied, Denied::Unpriced("gpt-4o-mini".into()));
    }
}
