//! The hosts that links may lead to. Nobody who may write a campaign can make a link to any other.

use std::collections::BTreeSet;
use std::str::FromStr;

use url::{Host, Url};

/// The maximum number of hosts.
pub const HOSTS_MAX: usize = 1000;

/// The hosts that links may lead to, in lower case. `*.shop.example` stands for all hosts below `shop.example`, and not for itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkHosts {
    hosts: BTreeSet<String>,
    below: BTreeSet<String>,
}

/// What is wrong with a list of hosts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostsError {
    #[error(
        "{text:?} is not a host; write names such as shop.example, *.shop.example or localhost, with commas between"
    )]
    NotAHost { text: String },
    #[error("there are more than {HOSTS_MAX} hosts")]
    TooMany,
}

impl FromStr for LinkHosts {
    type Err = HostsError;

    fn from_str(text: &str) -> Result<Self, HostsError> {
        let mut hosts = Self::default();
        let items: Vec<&str> = text.split(',').map(str::trim).filter(|item| !item.is_empty()).collect();
        if items.len() > HOSTS_MAX {
            return Err(HostsError::TooMany);
        }
        for item in items {
            let (name, set) = match item.strip_prefix("*.") {
                Some(name) => (name, &mut hosts.below),
                None => (item, &mut hosts.hosts),
            };
            match Host::parse(name) {
                Ok(host) if !name.contains('*') => set.insert(host.to_string()),
                _ => return Err(HostsError::NotAHost { text: item.to_owned() }),
            };
        }
        Ok(hosts)
    }
}

impl LinkHosts {
    pub fn is_empty(&self) -> bool {
        self.hosts.is_empty() && self.below.is_empty()
    }

    /// Returns true if links may lead to this address: by HTTP or HTTPS, to one of the hosts, without a user or a password.
    pub fn allow(&self, url: &Url) -> bool {
        let Some(host) = url.host_str() else { return false };
        let is_web = ["http", "https"].contains(&url.scheme());
        let is_plain = url.username().is_empty() && url.password().is_none();
        let is_below = || host.match_indices('.').any(|(dot, _)| self.below.contains(&host[dot + 1..]));
        is_web && is_plain && (self.hosts.contains(host) || is_below())
    }
}
