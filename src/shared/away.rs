//! The reasons why the server with the shared state cannot be used.

use std::time::Duration;

use redis::{ErrorKind, RedisError};

/// A reason why the server with the shared state cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Away {
    /// The first attempt to connect is not over.
    #[error("{address} is not connected to yet")]
    Connecting {
        /// The server's host and port.
        address: String,
    },
    /// The connection cannot be made, or broke.
    #[error(
        "{address} cannot be reached: {reason}; check that the server runs there and that `shared.url` begins with \
         `rediss://` if, and only if, it speaks TLS"
    )]
    Unreachable {
        /// The server's host and port.
        address: String,
        /// The cause.
        reason: String,
    },
    /// The server did not answer in time.
    #[error("{address} did not answer within {} ms", .time.as_millis())]
    Late {
        /// The server's host and port.
        address: String,
        /// The time that it had.
        time: Duration,
    },
    /// The password is wrong, or there is none.
    #[error(
        "{address} refuses the password, or the lack of one: put the right one into an environment variable, and its name \
         into `shared.password_env`"
    )]
    Password {
        /// The server's host and port.
        address: String,
    },
    /// The server cannot do what it was asked.
    #[error("{address} refuses commands: {reason}")]
    Refused {
        /// The server's host and port.
        address: String,
        /// The server's words.
        reason: String,
    },
}

impl Away {
    /// The reason that an error of the client library tells.
    pub(super) fn of(address: &str, error: &RedisError) -> Self {
        let address = address.to_owned();
        let reason = error.to_string();
        match (error.kind(), error.code()) {
            (ErrorKind::AuthenticationFailed, _) | (_, Some("NOAUTH" | "WRONGPASS")) => {
                Self::Password { address }
            }
            (ErrorKind::Io | ErrorKind::Parse | ErrorKind::InvalidClientConfig, _) => {
                Self::Unreachable { address, reason }
            }
            _ => Self::Refused { address, reason },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_names_the_server_and_what_to_do() {
        let address = "cache.example:6379";
        let refused = RedisError::from((ErrorKind::AuthenticationFailed, "no"));
        assert!(Away::of(address, &refused).to_string().contains("`shared.password_env`"));
        let broken = RedisError::from(std::io::Error::from(std::io::ErrorKind::ConnectionRefused));
        let shown = Away::of(address, &broken).to_string();
        assert!(shown.starts_with(address) && shown.contains("connection refused"), "{shown}");
        assert!(shown.contains("`rediss://` if, and only if"), "{shown}");
        let late = Away::Late { address: address.into(), time: Duration::from_millis(5) };
        assert!(late.to_string().ends_with("within 5 ms"), "{late}");
    }
}
