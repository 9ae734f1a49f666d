//! The account of a key: in this process alone, or in all replicas together.

use std::sync::Arc;
use std::time::Duration;

use super::limits::{self, Clock};
use super::shared_account::{SharedAccount, SharedReservation};
use super::{Denied, KeyPolicy, RequestCost};

/// The account of a key. Clones are the same account.
#[derive(Debug, Clone)]
pub(super) enum Account {
    /// The count of this process alone.
    Local(Arc<limits::Account>),
    /// The count of the server that replicas share.
    Shared(Arc<SharedAccount>),
}

/// A reservation of a running request, settled when the request is over.
#[derive(Debug)]
pub struct Reservation(Kind);

#[derive(Debug)]
enum Kind {
    Local(limits::Reservation),
    Shared(SharedReservation),
}

impl Account {
    /// Lets one more request in, which may wait `within` for that.
    pub(super) async fn request(&self, policy: &KeyPolicy, within: Duration) -> Result<(), Denied> {
        match self {
            Self::Local(account) => account.request(policy, Clock::now()),
            Self::Shared(account) => account.request(policy, within).await,
        }
    }

    /// Sets aside what a request is thought to take, where anything is left. The request may wait `within` for that.
    pub(super) async fn reserve(
        &self,
        policy: &KeyPolicy,
        cost: &RequestCost<'_>,
        within: Duration,
    ) -> Result<Reservation, Denied> {
        let kind = match self {
            Self::Local(account) => Kind::Local(account.reserve(policy, cost, Clock::now())?),
            Self::Shared(account) => Kind::Shared(account.reserve(policy, cost, within).await?),
        };
        Ok(Reservation(kind))
    }
}

impl Reservation {
    /// Counts what the request took in the place of what was set aside; `cost` is none where it is not known. This waits
    /// for nothing: what replicas share is told in the background.
    pub fn settle(self, tokens: u64, cost: Option<i64>) {
        match self.0 {
            Kind::Local(reservation) => reservation.settle(tokens, cost),
            Kind::Shared(reservation) => reservation.settle(tokens, cost),
        }
    }
}
