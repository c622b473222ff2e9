//! Parsers for the values of keys.

use std::net::SocketAddr;
use std::path::Path;
use std::str::FromStr;

use codemint_codes::text::printable;
use codemint_worker::files;
use url::Url;

pub(super) fn whole_number(text: &str, min: u64, max: u64) -> Result<u64, String> {
    let number = text.parse::<u64>().ok().filter(|number| (min..=max).contains(number));
    number.ok_or_else(|| format!("found {text:?}; write a whole number from {min} to {max}"))
}

pub(super) fn true_or_false(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| format!("found {text:?}; write true or false"))
}

/// Parses a value; `None` for `auto`.
pub(super) fn unless_auto<T: FromStr<Err = String>>(text: &str) -> Result<Option<T>, String> {
    if text == "auto" { Ok(None) } else { text.parse().map(Some) }
}

pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| format!("found {text:?}; write an address with a port, such as 127.0.0.1:8080"))
}

/// Parses an address; `None` for `off`.
pub(super) fn address_or_off(text: &str) -> Result<Option<SocketAddr>, String> {
    if text == "off" {
        return Ok(None);
    }
    let address = text.parse().map(Some);
    address.map_err(|_| format!("found {text:?}; write an address with a port, such as 127.0.0.1:9464, or off"))
}

/// Parses the address of a server on the web.
pub(super) fn public_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).ok().filter(|url| ["http", "https"].contains(&url.scheme()));
    let url = url.filter(|url| url.username().is_empty() && url.password().is_none() && url.query().is_none());
    url.ok_or_else(|| format!("found {text:?}; write an address such as https://go.shop.example"))
}

/// Checks that a file can be read: a connection would only report a missing file, and look like an unreachable server.
pub(super) fn readable_file(path: &str) -> Result<(), String> {
    files::open(Path::new(path)).map(drop).map_err(|problem| format!("{}: {problem}", printable(path)))
}

/// Checks the name of an exchange or queue: up to 255 bytes; names that begin with `amq.` are reserved by the broker.
pub(super) fn name_of_entity(text: &str) -> Result<String, String> {
    let fits = (1..=255).contains(&text.len()) && !text.contains(char::is_control) && !text.starts_with("amq.");
    let name = fits.then(|| text.to_owned());
    name.ok_or_else(|| {
        "write a name of 1 to 255 bytes without control characters that does not begin with amq.".to_owned()
    })
}
