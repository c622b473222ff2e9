//! The state of the connection to the message broker, for readiness and the page.

use strum::IntoStaticStr;

/// The state of the session with the broker, as readiness shows it.
#[derive(Clone, Debug, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum BrokerStatus {
    Away {
        reason: String,
    },
    Connected,
    /// Jobs come in, but the broker accepts no messages: it is short of memory or disk space.
    Blocked {
        reason: String,
    },
}

impl BrokerStatus {
    /// Returns the reason why no jobs come in; `None` if they do.
    pub fn trouble(&self) -> Option<String> {
        match self {
            Self::Away { reason } => Some(reason.clone()),
            Self::Connected | Self::Blocked { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::BrokerStatus;

    #[test]
    fn only_a_broker_that_is_away_keeps_jobs_from_coming_in() {
        let reason = "low on memory".to_owned();
        assert_eq!(BrokerStatus::Away { reason: reason.clone() }.trouble(), Some(reason.clone()));
        assert_eq!(BrokerStatus::Connected.trouble(), None);
        assert_eq!(BrokerStatus::Blocked { reason }.trouble(), None);
    }
}
