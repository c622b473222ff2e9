//! Requests to use codes: the arguments that state them, the ids that name them, and the service that decides them.

use clap::Args;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::cli::support::context::Context;
use crate::cli::support::document;
use crate::cli::support::failure::Failure;
use crate::cli::support::one_line;
use crate::config::policy_files;
use codemint_campaigns::redeeming::{Redeemer, RedeemerOptions};
use codemint_codes::typed::TYPED_BYTES_MAX;
use codemint_offers::cart::Cart;
use codemint_offers::read::request::{read_cart, read_context, read_request};
use codemint_offers::redemption::request::{HOLD_SECONDS_MAX, HOLD_SECONDS_MIN, Request};
use codemint_store::connection::store::Store;

/// The arguments of a request to use a code.
#[derive(Debug, Args)]
pub struct RequestArguments {
    /// Code as it was typed, or - for standard input
    code: String,
    /// JSON file with the cart, or - for standard input
    #[arg(long, value_name = "FILE")]
    cart: Option<String>,
    /// JSON file with the context: source, ad, affiliate, segments, use_case, attributes; or - for standard input
    #[arg(long, value_name = "FILE")]
    context: Option<String>,
    /// Identity that uses the code, such as a customer number
    #[arg(long, value_name = "I")]
    identity: Option<String>,
    /// The shop's reference of the order; several codes on one order see each other
    #[arg(long, value_name = "O")]
    order: Option<String>,
}

impl RequestArguments {
    /// Reads the request.
    ///
    /// # Errors
    /// `usage` if a file cannot be read; `impossible` with every problem if the request is malformed.
    pub async fn read(
        &self,
        context: &Context,
        (actor, hold_seconds): (Option<&str>, u32),
        as_json: bool,
    ) -> Result<Request, Failure> {
        let files = [Some(&self.code), self.cart.as_ref(), self.context.as_ref()];
        if files.into_iter().flatten().filter(|file| *file == "-").count() > 1 {
            return Err(Failure::usage("standard input can be read once; name a file for all but one -"));
        }
        let code = one_line::argument(context, &self.code, "code", TYPED_BYTES_MAX).await?;
        let request = json!({
            "code": code,
            "identity": self.identity,
            "order": self.order,
            "cart": self.document(context, self.cart.as_deref(), as_json).await?,
            "context": self.document(context, self.context.as_deref(), as_json).await?,
            "actor": actor,
            "hold_seconds": hold_seconds,
        });
        read_request(&request).map_err(|problems| document::refuse("the request", as_json, problems))
    }

    async fn document(&self, context: &Context, path: Option<&str>, as_json: bool) -> Result<Value, Failure> {
        let Some(path) = path else { return Ok(Value::Null) };
        let document = document::read(context, path, as_json).await?;
        // Within a request, null would mean that the field is left out.
        if document.value.is_null() {
            let problems = read_context(&document.value).err().unwrap_or_default();
            return Err(document.refuse(problems));
        }
        Ok(document.value)
    }
}

/// Reads the cart with which a redemption is confirmed.
///
/// # Errors
/// `usage` if the file cannot be read; `impossible` with every problem if the cart is malformed.
pub async fn cart(context: &Context, path: Option<&str>, as_json: bool) -> Result<Option<Cart>, Failure> {
    let Some(path) = path else { return Ok(None) };
    let document = document::read(context, path, as_json).await?;
    read_cart(&document.value).map(Some).map_err(|problems| document.refuse(problems))
}

/// Starts the service that decides requests. `by_hand` records its changes of redemptions in the audit log.
pub async fn redeemer(context: &Context, store: &Store, by_hand: bool) -> Result<Redeemer, Failure> {
    let options = RedeemerOptions {
        check_key: policy_files::check_key(&context.config)?,
        emits_events: context.config.broker.is_some(),
        audits: by_hand,
    };
    context.with_retries(async || Redeemer::start(store, options.clone()).await).await
}

/// Parses an argument that names a redemption.
pub fn redemption_id(text: &str) -> Result<Uuid, String> {
    text.parse()
        .map_err(|_| "write the id of a redemption, a UUID such as 01890a5d-ac96-774b-bcce-b302099a8057".to_owned())
}

/// Parses the length of a hold, in seconds, minutes, hours or days.
pub fn hold_seconds(text: &str) -> Result<u32, String> {
    let wrong = || "write a whole number and s, m, h or d, such as 30m; from 60s to 7d".to_owned();
    let unit = text.chars().last().ok_or_else(wrong)?;
    let digits = text.strip_suffix(unit).ok_or_else(wrong)?;
    let factor: u32 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 60 * 60,
        'd' => 24 * 60 * 60,
        _ => return Err(wrong()),
    };
    // `parse` would also accept a sign.
    if !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(wrong());
    }
    let seconds = digits.parse::<u32>().ok().and_then(|number| number.checked_mul(factor)).ok_or_else(wrong)?;
    if (HOLD_SECONDS_MIN..=HOLD_SECONDS_MAX).contains(&seconds) { Ok(seconds) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::hold_seconds;

    #[test]
    fn a_hold_lasts_from_a_minute_to_a_week() {
        for (text, seconds) in [("60s", 60), ("1m", 60), ("30m", 1800), ("2h", 7200), ("7d", 604_800)] {
            assert_eq!(hold_seconds(text), Ok(seconds), "{text}");
        }
        for text in ["", "m", "30", "59s", "0m", "8d", "+5m", "-5m", "5 m", "1.5h", "99999999999d", "5M", "5é"] {
            assert!(hold_seconds(text).is_err(), "{text}");
        }
    }
}
