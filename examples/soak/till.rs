//! The ways on which buyers reach the store: a redeemer in the process of the shop, or a server of the HTTP API.

use std::net::SocketAddr;

use serde_json::{Value, json};
use uuid::Uuid;

use codemint_campaigns::answers::{RedeemError, Redeemed};
use codemint_campaigns::redeeming::Redeemer;
use codemint_offers::redemption::record::Redemption;
use codemint_offers::redemption::request::{HOLD_SECONDS_MIN, Request as UseRequest};
use codemint_offers::redemption::transition::Action;
use codemint_store::redemptions::transitions::Moved;
use codemint_test_support::api::ApiClient;
use codemint_test_support::redeem_steps::{asking, cart};
use codemint_test_support::redemption_histories::{Answer, Request};

/// Answers that say that nothing is known about a request, which is sent again.
const AGAIN: [&str; 3] = ["store-away", "timeout", "busy"];

/// A request to use a code.
pub struct Use {
    /// The request without the duration of its hold, as the HTTP API takes it.
    pub document: Value,
    /// May be shorter than the HTTP API permits: some holds are to expire.
    pub hold_seconds: u32,
}

impl Use {
    /// Returns the request; those of different variants are different requests under one id.
    fn variant(&self, variant: u8) -> UseRequest {
        let code = self.document["code"].as_str().expect("a code");
        UseRequest { hold_seconds: self.hold_seconds, actor: actor(variant), ..asking(code, &self.document) }
    }

    fn is_short(&self) -> bool {
        (1..HOLD_SECONDS_MIN).contains(&self.hold_seconds)
    }
}

fn actor(variant: u8) -> Option<String> {
    (variant > 0).then(|| format!("till {variant}"))
}

pub enum Till {
    InProcess(Redeemer),
    Http { client: ApiClient, key: String },
}

impl Till {
    pub fn at(server: SocketAddr, key: String) -> Self {
        Self::Http { client: ApiClient::new(server), key }
    }

    /// Returns the client and the key of a server.
    pub fn over_http(&self) -> Option<(&ApiClient, &str)> {
        match self {
            Self::InProcess(_) => None,
            Self::Http { client, key } => Some((client, key)),
        }
    }

    /// Returns whether a request can be sent this way.
    pub fn accepts(&self, wanted: &Use, request: Request) -> bool {
        let is_redemption = matches!(request, Request::Redeem { .. });
        matches!(self, Self::InProcess(_)) || !(is_redemption && wanted.is_short())
    }

    /// Carries out a request; `None` if its end is not known, and it is to be sent again.
    pub async fn carry_out(&self, id: Uuid, wanted: &Use, request: Request) -> Option<Answer> {
        match self {
            Self::InProcess(redeemer) => match carry_out(redeemer, id, wanted, request).await {
                Ok(answer) => Some(answer),
                Err(RedeemError::Busy) => None,
                Err(RedeemError::Store(error)) if error.is_retryable() => None,
                Err(error) => panic!("{error}"),
            },
            Self::Http { client, key } => send(client, key, id, wanted, request).await,
        }
    }
}

async fn carry_out(redeemer: &Redeemer, id: Uuid, wanted: &Use, request: Request) -> Result<Answer, RedeemError> {
    let action = match request {
        Request::Validate => {
            let validation = redeemer.validate(wanted.variant(0), true).await?;
            return Ok(if validation.verdict.is_valid() { Answer::Valid } else { Answer::Refused });
        }
        Request::Redeem { variant, .. } => {
            return Ok(match redeemer.redeem(id, wanted.variant(variant), true).await? {
                Redeemed::Granted { redemption, is_new } => stands(&redemption, is_new),
                Redeemed::DifferentRequest => Answer::DifferentRequest,
                Redeemed::Refused(_) => Answer::Refused,
            });
        }
        Request::Confirm { cart: amount } => {
            let cart = amount.and_then(|amount| asking("-", &json!({ "cart": cart(amount) })).cart);
            Action::Confirm { cart }
        }
        Request::Release => Action::Release,
        Request::RollBack { keep_use } => Action::RollBack { keep_use },
    };
    Ok(match redeemer.act(id, action).await? {
        Moved::Done { redemption, is_changed } => stands(&redemption, is_changed),
        Moved::Unknown => Answer::Unknown,
        Moved::WrongState(state) => Answer::WrongState(state.into_str().to_owned()),
        Moved::DifferentRequest => Answer::DifferentRequest,
        Moved::Refused(_) => Answer::Refused,
        Moved::Locked => panic!("a shop waits for locked redemptions"),
    })
}

fn stands(redemption: &Redemption, is_changed: bool) -> Answer {
    Answer::Stands {
        state: redemption.state.into_str().to_owned(),
        keep_use: redemption.keep_use,
        discount: redemption.discount.as_ref().map(|discount| discount.amount),
        is_changed,
    }
}

/// Sends a request to the HTTP API. Its answer is the same whether this request made the change or an earlier one did.
async fn send(client: &ApiClient, key: &str, id: Uuid, wanted: &Use, request: Request) -> Option<Answer> {
    let path = format!("/v1/redemptions/{id}");
    let (method, path, body) = match request {
        Request::Validate => ("POST", "/v1/validations".to_owned(), wanted.document.clone()),
        Request::Redeem { variant, .. } => {
            let mut body = wanted.document.clone();
            body["actor"] = json!(actor(variant));
            body["hold_seconds"] = json!(wanted.hold_seconds);
            ("PUT", path, body)
        }
        Request::Confirm { cart: None } => ("POST", format!("{path}/confirm"), json!({})),
        Request::Confirm { cart: Some(amount) } => ("POST", format!("{path}/confirm"), json!({ "cart": cart(amount) })),
        Request::Release => ("POST", format!("{path}/release"), json!({})),
        Request::RollBack { keep_use } => ("POST", format!("{path}/rollback"), json!({ "keep_use": keep_use })),
    };
    // A server that was killed does not answer.
    let answer = client.try_ask(method, &path, key, Some(body)).await.ok()?;
    let document: Value = serde_json::from_str(&answer.body).expect("JSON");
    let text = |name: &str| document[name].as_str();
    Some(match (text("state"), text("code")) {
        (Some(state), _) => Answer::Stands {
            state: state.to_owned(),
            keep_use: document["keep_use"] == true,
            discount: document["discount"]["amount"].as_i64(),
            is_changed: answer.status == 201,
        },
        (None, None) if document["valid"] == true => Answer::Valid,
        (None, None) if document["valid"] == false => Answer::Refused,
        (None, Some(code)) if AGAIN.contains(&code) => return None,
        (None, Some("different-request")) => Answer::DifferentRequest,
        (None, Some("not-found")) => Answer::Unknown,
        (None, Some("wrong-state")) => {
            let detail = text("detail").and_then(|detail| detail.strip_prefix("the redemption is "));
            // What is possible in the state follows.
            let detail = detail.and_then(|detail| detail.split(':').next());
            Answer::WrongState(detail.expect("a state").replace(' ', "_"))
        }
        (None, Some(_)) if document["reasons"].is_array() => Answer::Refused,
        _ => panic!("{method} {path}: {answer:?}"),
    })
}
