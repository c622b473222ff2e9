//! E-mail addresses, as far as referrals need them: who is the same person. This is no parser of RFC 5322: quoted local parts, comments
//! and addresses of hosts are refused.

use std::fmt;

use codemint_codes::identity::is_invisible;

use crate::access::role::Role;

/// The shortest and the longest address, in characters.
pub const ADDRESS_LENGTH_MIN: usize = 3;
pub const ADDRESS_LENGTH_MAX: usize = 254;
/// The longest part before the `@`, in characters.
pub const LOCAL_LENGTH_MAX: usize = 64;

/// The domain of Gmail, where dots in the local part do not count, and another name of it.
const GMAIL: &str = "gmail.com";
const GOOGLEMAIL: &str = "googlemail.com";

/// The reason why a text is not an address. It never names the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    #[error("the address has {0} characters; {ADDRESS_LENGTH_MIN} to {ADDRESS_LENGTH_MAX} are allowed")]
    Length(usize),
    #[error("the address contains blanks, control characters or invisible characters; leave them out")]
    NotText,
    #[error("an address has one @, as in ann@example.org")]
    At,
    #[error("the part before the @ has {0} characters; 1 to {LOCAL_LENGTH_MAX} are allowed")]
    Local(usize),
    #[error("the part after the @ is not a domain with a dot, such as example.org")]
    Domain,
}

/// An e-mail address. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Address {
    local: String,
    domain: String,
}

impl Address {
    /// Reads an address: without the blanks around it, and in lower case. Strictly, the local part could be sensitive to case; no
    /// provider of mail uses that, and people write their address in either case.
    ///
    /// # Errors
    /// If the text has no form of an address.
    ///
    /// ```
    /// use codemint_offers::referral::address::Address;
    ///
    /// let address = Address::read(" Ann.Lee+shop@GoogleMail.com ").expect("an address");
    /// assert_eq!(address.plain(), "ann.lee+shop@googlemail.com");
    /// assert_eq!(address.strict(), "annlee@gmail.com");
    /// ```
    pub fn read(text: &str) -> Result<Self, AddressError> {
        let text = text.trim().to_lowercase();
        let length = text.chars().count();
        if !(ADDRESS_LENGTH_MIN..=ADDRESS_LENGTH_MAX).contains(&length) {
            return Err(AddressError::Length(length));
        }
        if text.contains(|c: char| c.is_whitespace() || c.is_control() || is_invisible(c)) {
            return Err(AddressError::NotText);
        }
        let (local, domain) = text.split_once('@').ok_or(AddressError::At)?;
        if domain.contains('@') {
            return Err(AddressError::At);
        }
        let local_length = local.chars().count();
        if !(1..=LOCAL_LENGTH_MAX).contains(&local_length) {
            return Err(AddressError::Local(local_length));
        }
        if !domain.contains('.') || domain.split('.').any(str::is_empty) {
            return Err(AddressError::Domain);
        }
        Ok(Self { local: local.to_owned(), domain: domain.to_owned() })
    }

    /// Returns the address in lower case, without blanks around it.
    pub fn plain(&self) -> String {
        format!("{}@{}", self.local, self.domain)
    }

    /// Returns the form in which addresses are compared: without the part from the first `+` on, and for Gmail without dots in the
    /// local part. Two addresses of one person that differ otherwise are two people.
    pub fn strict(&self) -> String {
        let domain = if self.domain == GOOGLEMAIL { GMAIL } else { &self.domain };
        let local = self.local.split_once('+').map_or(&*self.local, |(before, _)| before);
        // An address that consists of what is left out stays as it is.
        let local = if local.is_empty() { &*self.local } else { local };
        let undotted = local.replace('.', "");
        let local = if domain == GMAIL && !undotted.is_empty() { &undotted } else { local };
        format!("{local}@{domain}")
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Address(hidden)")
    }
}

/// Returns an address of which strangers recognize nobody, for people who need no more: `a***@example.org`.
///
/// ```
/// use codemint_offers::referral::address::shortened;
///
/// assert_eq!(shortened("ann.lee@example.org"), "a***@example.org");
/// assert_eq!(shortened("oauth@google:ann.lee@example.org"), "o***@example.org");
/// assert_eq!(shortened("customer-4711"), "c***");
/// ```
pub fn shortened(address: &str) -> String {
    let first = address.chars().next().filter(|first| *first != '@').map(String::from).unwrap_or_default();
    let domain = address.rsplit_once('@').map(|(_, domain)| format!("@{domain}")).unwrap_or_default();
    format!("{first}***{domain}")
}

/// Returns an identity as people of a role see it. Any text with an `@` counts as an address, also one that [`Address::read`] refuses.
pub fn seen_by(role: Role, identity: &str) -> String {
    if role.sees_addresses() || !identity.contains('@') { identity.to_owned() } else { shortened(identity) }
}

/// Returns the form in which a referral campaign compares an identity; `None` if it is not an address.
pub fn strict_form(identity: &str) -> Option<String> {
    Address::read(identity).ok().map(|address| address.strict())
}
