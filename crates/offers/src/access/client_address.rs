//! The address of a client behind proxies: what `X-Forwarded-For` says is believed only as far as trusted proxies have written it.

use core::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use ipnet::IpNet;

/// The networks of the proxies in front of the HTTP API; a text has them with commas between.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

/// An entry that is neither an address nor a network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("found {0:?}; write addresses or networks such as 10.0.0.0/8, with commas between")]
pub struct NotANetwork(String);

impl TrustedProxies {
    fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }

    /// Returns true if the peer of a connection is a trusted proxy.
    pub fn trusts(&self, peer: IpAddr) -> bool {
        self.contains(peer.to_canonical())
    }

    /// Returns the address of the client. `peer` is that of the connection; `forwarded` are the values of `X-Forwarded-For` in
    /// their order, to which each proxy has added its own peer on the right. The sender of a request invents all that is left of
    /// the first address that is no trusted proxy.
    pub fn client<'a>(&self, peer: IpAddr, forwarded: impl DoubleEndedIterator<Item = &'a str>) -> IpAddr {
        let mut entries = forwarded.rev().flat_map(|value| value.rsplit(',')).map(parse_entry);
        let mut client = peer.to_canonical();
        while self.contains(client)
            && let Some(Some(before)) = entries.next()
        {
            client = before;
        }
        client
    }
}

impl FromStr for TrustedProxies {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let entries = text.split(',').map(str::trim).filter(|_| !text.trim().is_empty());
        let network = |entry: &str| entry.parse().or_else(|_| entry.parse::<IpAddr>().map(IpNet::from)).ok();
        let networks = entries.map(|entry| network(entry).ok_or_else(|| NotANetwork(entry.to_owned())));
        networks.collect::<Result<_, _>>().map(Self)
    }
}

/// Returns the address of an entry; `None` if it is malformed. Some proxies add a port.
fn parse_entry(entry: &str) -> Option<IpAddr> {
    let entry = entry.trim();
    let address = entry.parse().or_else(|_| entry.parse::<SocketAddr>().map(|address| address.ip()));
    address.ok().map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The proxies, the peer, the values of the header, and the client.
    const CLIENTS: [(&str, &str, &[&str], &str); 18] = [
        // The peer is no trusted proxy: the header is its own invention.
        ("", "192.0.2.1", &["203.0.113.9"], "192.0.2.1"),
        ("10.0.0.0/8", "192.0.2.1", &["203.0.113.9"], "192.0.2.1"),
        ("10.0.0.1", "10.0.0.2", &["203.0.113.9"], "10.0.0.2"),
        // The proxy writes the last entry; the sender of the request invents all others.
        ("10.0.0.0/8", "10.0.0.1", &["203.0.113.9"], "203.0.113.9"),
        ("10.0.0.0/8", "10.0.0.1", &["198.51.100.1, 203.0.113.9"], "203.0.113.9"),
        ("10.0.0.0/8", "10.0.0.1", &["198.51.100.1", "203.0.113.9"], "203.0.113.9"),
        ("10.0.0.0/8", "10.0.0.1", &["10.0.0.7,203.0.113.9"], "203.0.113.9"),
        // Trusted proxies in a row.
        ("10.0.0.0/8, 192.0.2.1", "192.0.2.1", &["6.6.6.6, 203.0.113.9 , 10.0.0.3"], "203.0.113.9"),
        ("10.0.0.0/8", "10.0.0.1", &["6.6.6.6, 203.0.113.9", "10.0.0.3"], "203.0.113.9"),
        ("10.0.0.0/8", "10.0.0.1", &["10.0.0.2"], "10.0.0.2"),
        // Nothing is known beyond a missing or malformed entry.
        ("10.0.0.0/8", "10.0.0.1", &[], "10.0.0.1"),
        ("10.0.0.0/8", "10.0.0.1", &["203.0.113.9, unknown"], "10.0.0.1"),
        ("10.0.0.0/8", "10.0.0.1", &["203.0.113.9,, 10.0.0.3"], "10.0.0.3"),
        ("10.0.0.0/8", "10.0.0.1", &["203.0.113.9, "], "10.0.0.1"),
        // IPv6, IPv4 in IPv6, and ports.
        ("2001:db8::/32", "2001:db8::1", &["2001:db9::1"], "2001:db9::1"),
        ("10.0.0.0/8", "::ffff:10.0.0.1", &["::ffff:203.0.113.9"], "203.0.113.9"),
        ("10.0.0.0/8", "10.0.0.1", &["203.0.113.9:1234"], "203.0.113.9"),
        ("10.0.0.0/8", "10.0.0.1", &["[2001:db9::1]:1234"], "2001:db9::1"),
    ];

    #[test]
    fn the_client_is_the_first_address_from_the_right_that_is_no_trusted_proxy() {
        for (proxies, peer, forwarded, client) in CLIENTS {
            let proxies: TrustedProxies = proxies.parse().expect("networks");
            let found = proxies.client(peer.parse().expect("an address"), forwarded.iter().copied());
            assert_eq!(found.to_string(), client, "{proxies:?}, {peer}: {forwarded:?}");
        }
    }

    #[test]
    fn texts_that_are_no_networks_are_refused() {
        for text in ["10.0.0.0/33", "proxy", "10.0.0.1,", "10.0.0.1 10.0.0.2", ",", "*"] {
            assert!(text.parse::<TrustedProxies>().is_err(), "{text}");
        }
        assert_eq!(" ".parse(), Ok(TrustedProxies::default()));
    }
}
