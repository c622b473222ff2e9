//! What a worker knows about its connection to the message broker, for readiness and the page.

/// How it stands with the broker. What readiness shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BrokerStatus {
    Away {
        reason: String,
    },
    Connected,
    /// Connected, and jobs come in, but the broker takes no messages.
    Blocked {
        reason: String,
    },
}

impl BrokerStatus {
    /// Why jobs do not come in; `None` if they do.
    pub fn trouble(&self) -> Option<String> {
        match self {
            Self::Away { reason } => Some(reason.clone()),
            Self::Connected | Self::Blocked { .. } => None,
        }
    }

    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Away { .. } => "away",
            Self::Connected => "connected",
            Self::Blocked { .. } => "blocked",
        }
    }
}
