//! Where a click on a link leads.

use codemint_codes::symbols::SymbolSet;
use url::Url;
use uuid::Uuid;

use crate::campaign::definition::{Definition, Kind};
use crate::condition::attribute::TEXT_LENGTH_MAX;
use crate::link::hosts::LinkHosts;

/// What a link says about where it stands. Shops send it along when the code is redeemed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    pub source: Option<String>,
    pub ad: Option<String>,
    pub affiliate: Option<String>,
}

/// What the configuration says about links.
#[derive(Clone, Debug)]
pub struct LinkSettings {
    /// Where links may lead to.
    pub hosts: LinkHosts,
    /// The address of the server, as the public knows it.
    pub public: Url,
}

/// The reason why a link leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoTarget {
    #[error("the campaign names no page that links lead to (landing_url of its offer)")]
    NoLandingPage,
    #[error("links may not lead to the host of the landing page; an operator adds it to links.hosts")]
    HostNotAllowed,
}

impl Origin {
    /// Returns the origin that the parameters of a link state. An empty one is none.
    ///
    /// # Errors
    /// The name of the parameter that is longer than [`TEXT_LENGTH_MAX`] characters or has control characters.
    pub fn checked(self) -> Result<Self, &'static str> {
        let usable = self.clone().usable();
        let kept: Vec<&str> = usable.pairs().map(|(name, _)| name).collect();
        let lost = self.pairs().find(|(name, value)| !value.is_empty() && !kept.contains(name)).map(|(name, _)| name);
        lost.map_or(Ok(usable), Err)
    }

    /// Returns what a click can be counted under: nobody who follows a link can correct what others have appended to it.
    pub fn usable(self) -> Self {
        let is_usable = |text: &String| {
            !text.is_empty() && text.chars().count() <= TEXT_LENGTH_MAX && !text.chars().any(char::is_control)
        };
        let usable = |text: Option<String>| text.filter(is_usable);
        Self { source: usable(self.source), ad: usable(self.ad), affiliate: usable(self.affiliate) }
    }

    /// Returns what is stated, by name.
    pub fn pairs(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let all = [("source", &self.source), ("ad", &self.ad), ("affiliate", &self.affiliate)];
        all.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?)))
    }
}

/// Returns the landing page of a campaign.
///
/// # Errors
/// Why there is none that links may lead to.
pub fn landing_page(campaign: &Definition, hosts: &LinkHosts) -> Result<Url, NoTarget> {
    let landing = campaign.offer.landing_url.as_deref().ok_or(NoTarget::NoLandingPage)?;
    let url = Url::parse(landing).map_err(|_not_a_url| NoTarget::HostNotAllowed)?;
    if hosts.allow(&url) { Ok(url) } else { Err(NoTarget::HostNotAllowed) }
}

/// Returns the code that a link may carry: that of a public campaign, which is everybody's.
pub fn carried_code(campaign: &Definition) -> Option<String> {
    let only = |symbols: &SymbolSet| {
        let mut symbols = symbols.iter();
        symbols.next().filter(|_| symbols.next().is_none()).map(char::from)
    };
    let positions = campaign.mask.positions();
    (campaign.kind == Kind::Public).then(|| positions.iter().map(only).collect::<Option<String>>()).flatten()
}

/// Adds to the landing page what the shop needs to start the coupon: the code, the click, and where the link stood. Parameters of the
/// page itself stay, except those of these names.
pub fn with_click(mut landing: Url, code: Option<&str>, click_id: Uuid, origin: &Origin) -> Url {
    const OWN: [&str; 5] = ["code", "click_id", "source", "ad", "affiliate"];
    let kept: Vec<(String, String)> = landing
        .query_pairs()
        .filter(|(name, _)| !OWN.contains(&&**name))
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect();
    landing
        .query_pairs_mut()
        .clear()
        .extend_pairs(kept)
        .extend_pairs(code.map(|code| ("code", code)))
        .append_pair("click_id", &click_id.to_string())
        .extend_pairs(origin.pairs());
    landing
}

/// Returns the address of a link of a campaign, at the public address of the server.
pub fn link(public: &Url, campaign: &str, origin: &Origin) -> Url {
    let mut url = public.clone();
    // An address of the web always has segments.
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(["go", campaign]);
    }
    url.set_fragment(None);
    url.set_query(None);
    if origin.pairs().next().is_some() {
        url.query_pairs_mut().extend_pairs(origin.pairs());
    }
    url
}
