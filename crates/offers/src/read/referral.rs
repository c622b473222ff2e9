//! Reads a request for a referrer's code.

use codemint_codes::job::request::check_campaign;
use serde_json::Value;

use crate::problem::Problem;
use crate::read::node::{Node, Problems};
use crate::referral::address::{ADDRESS_LENGTH_MAX, Address};

/// A person who is to get a code of a referral campaign to pass on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferrerRequest {
    /// The name of the campaign.
    pub campaign: String,
    pub address: Address,
}

/// Reads a request for a referrer's code. No problem repeats the address.
///
/// # Errors
/// Every problem.
pub fn read_referrer(value: &Value) -> Result<ReferrerRequest, Vec<Problem>> {
    let problems = Problems::of_request();
    let read = referrer(&Node::root(value, &problems));
    problems.or(read)
}

fn referrer(node: &Node<'_>) -> Option<ReferrerRequest> {
    let object = node.object(&["campaign", "referrer"])?;
    let campaign = object.required("campaign").and_then(|node| {
        let name = node.text()?;
        match check_campaign(&name) {
            Ok(()) => Some(name),
            Err(error) => node.wrong(error.to_string()),
        }
    });
    let address = object.required("referrer").and_then(|node| {
        let text = node.lines(ADDRESS_LENGTH_MAX + 2)?;
        match Address::read(&text) {
            Ok(address) => Some(address),
            Err(error) => node.wrong(error.to_string()),
        }
    });
    Some(ReferrerRequest { campaign: campaign?, address: address? })
}
