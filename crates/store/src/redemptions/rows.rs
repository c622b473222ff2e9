//! Rows of `redemptions`.

use chrono::{DateTime, SubsecRound, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::FromRow;
use uuid::Uuid;

use crate::connection::error::StoreError;
use crate::connection::statement::time_text;
use crate::records::rows::unsigned;
use crate::referrals::reads::state_of;
use codemint_codes::text::hexadecimal;
use codemint_offers::money::Currency;
use codemint_offers::read::request::read_context;
use codemint_offers::redemption::record::{LineDiscounts, Redemption, Referred};
use codemint_offers::redemption::request::{Digest, context_document};
use codemint_offers::redemption::state::State;

/// Reads redemptions `r` with the names of their campaigns `p`.
pub(crate) const SELECT: &str = "
    select r.id, r.campaign_no, p.name as campaign, r.version, r.code, r.identity, r.order_ref, r.state, r.keep_use,
           r.discount, r.order_amount, r.currency, cast(r.lines as text) as lines, r.source, r.ad, r.affiliate, r.click_id,
           r.actor, r.request_digest, r.confirm_digest, r.held_at, r.expires_at, r.ended_at,
           cast(r.context as text) as context, f.state as referral_state, w.code as issued_code
      from redemptions r
      join campaigns p on p.no = r.campaign_no
      left join referrals f on f.redemption_id = r.id
      left join referrers w on w.campaign_no = f.campaign_no and w.address = f.referee";

#[derive(FromRow)]
pub(crate) struct RedemptionRow {
    id: Uuid,
    campaign_no: i64,
    campaign: String,
    version: i32,
    code: String,
    identity: Option<String>,
    order_ref: Option<String>,
    state: String,
    keep_use: bool,
    discount: Option<i64>,
    order_amount: Option<i64>,
    currency: Option<String>,
    lines: Option<String>,
    source: Option<String>,
    ad: Option<String>,
    affiliate: Option<String>,
    click_id: Option<Uuid>,
    actor: Option<String>,
    request_digest: Vec<u8>,
    confirm_digest: Option<Vec<u8>>,
    held_at: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
    ended_at: Option<DateTime<Utc>>,
    context: Option<String>,
    referral_state: Option<String>,
    issued_code: Option<String>,
}

fn corrupt(problem: impl Into<String>) -> StoreError {
    StoreError::Corrupt { table: "redemptions", problem: problem.into() }
}

fn digest(bytes: &[u8]) -> Result<Digest, StoreError> {
    Ok(Digest(bytes.try_into().map_err(|_length| corrupt("a digest has another length"))?))
}

impl RedemptionRow {
    fn line_discounts(&self) -> Result<Option<LineDiscounts>, StoreError> {
        let (Some(amount), Some(currency)) = (self.discount, &self.currency) else { return Ok(None) };
        let currency = Currency::from_code(currency).ok_or_else(|| corrupt("a currency is unknown"))?;
        let lines = self.lines.as_deref().unwrap_or("[]");
        let lines = serde_json::from_str(lines).map_err(|_not_pairs| corrupt("its lines are not pairs"))?;
        Ok(Some(LineDiscounts { currency, amount, lines }))
    }
}

impl TryFrom<RedemptionRow> for Redemption {
    type Error = StoreError;

    fn try_from(row: RedemptionRow) -> Result<Self, StoreError> {
        let context = match &row.context {
            None => None,
            Some(text) => {
                let value: Value =
                    serde_json::from_str(text).map_err(|_not_json| corrupt("its context is not JSON"))?;
                Some(read_context(&value).map_err(|_problems| corrupt("its context cannot be read"))?)
            }
        };
        Ok(Self {
            discount: row.line_discounts()?,
            version: unsigned("redemptions", row.version)?,
            state: row.state.parse().map_err(|_unknown| corrupt("its state is unknown"))?,
            request_digest: digest(&row.request_digest)?,
            confirm_digest: row.confirm_digest.as_deref().map(digest).transpose()?,
            context,
            referral: match &row.referral_state {
                Some(state) => Some(Referred { state: state_of(state)?, issued_code: row.issued_code }),
                None => None,
            },
            id: row.id,
            campaign_no: row.campaign_no,
            campaign: row.campaign,
            code: row.code,
            identity: row.identity,
            order: row.order_ref,
            keep_use: row.keep_use,
            order_amount: row.order_amount,
            source: row.source,
            ad: row.ad,
            affiliate: row.affiliate,
            click_id: row.click_id,
            actor: row.actor,
            held_at: row.held_at,
            expires_at: row.expires_at,
            ended_at: row.ended_at,
        })
    }
}

/// Returns a time as both stores keep it: in whole milliseconds.
pub(crate) fn whole_milliseconds(time: DateTime<Utc>) -> DateTime<Utc> {
    time.trunc_subsecs(3)
}

/// The fields of a row to insert or to change. What is null is left out: most fields of most rows are.
#[derive(Serialize)]
pub(crate) struct Row<'a> {
    id: Uuid,
    campaign_no: i64,
    version: u32,
    code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    identity: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    order_ref: Option<&'a str>,
    /// The state that a row must have to be changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    state_before: Option<&'static str>,
    state: &'static str,
    keep_use: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    discount: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    order_amount: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    currency: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lines: Option<&'a [(String, i64)]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ad: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    affiliate: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    click_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<&'a str>,
    request_digest: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    confirm_digest: Option<String>,
    held_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<Value>,
}

impl Row<'_> {
    /// Changes the row only if it is in this state.
    pub(crate) fn if_in(self, state: State) -> Self {
        Self { state_before: Some(state.into_str()), ..self }
    }
}

pub(crate) fn row_of(redemption: &Redemption) -> Row<'_> {
    let bytes = |digest: &Digest| format!("\\x{}", hexadecimal(&digest.0));
    let discount = redemption.discount.as_ref();
    Row {
        id: redemption.id,
        campaign_no: redemption.campaign_no,
        version: redemption.version,
        code: &redemption.code,
        identity: redemption.identity.as_deref(),
        order_ref: redemption.order.as_deref(),
        state_before: None,
        state: redemption.state.into_str(),
        keep_use: redemption.keep_use,
        discount: discount.map(|discount| discount.amount),
        order_amount: redemption.order_amount,
        currency: discount.map(|discount| discount.currency.code()),
        lines: discount.map(|discount| discount.lines.as_slice()),
        source: redemption.source.as_deref(),
        ad: redemption.ad.as_deref(),
        affiliate: redemption.affiliate.as_deref(),
        click_id: redemption.click_id,
        actor: redemption.actor.as_deref(),
        request_digest: bytes(&redemption.request_digest),
        confirm_digest: redemption.confirm_digest.as_ref().map(bytes),
        held_at: time_text(redemption.held_at),
        expires_at: redemption.expires_at.map(time_text),
        ended_at: redemption.ended_at.map(time_text),
        context: redemption.context.as_ref().map(context_document),
    }
}

/// Returns rows as the JSON that statements take.
pub(crate) fn json_of<'a>(rows: impl IntoIterator<Item = Row<'a>>) -> Result<String, StoreError> {
    let rows: Vec<Row<'a>> = rows.into_iter().collect();
    serde_json::to_string(&rows).map_err(|error| corrupt(error.to_string()))
}

/// Returns the statement that inserts redemptions whose ids are new; the parameter of this name is that of [`json_of`].
pub(crate) fn insert_sql(parameter: &str) -> String {
    format!(
        "insert into redemptions (id, campaign_no, version, code, identity, order_ref, state, keep_use, discount,
                order_amount, currency, lines, source, ad, affiliate, click_id, actor, request_digest, held_at, expires_at,
                ended_at, context)
         select r.id, r.campaign_no, r.version, r.code, r.identity, r.order_ref, r.state, r.keep_use, r.discount,
                r.order_amount, r.currency, r.lines, r.source, r.ad, r.affiliate, r.click_id, r.actor, r.request_digest,
                r.held_at, r.expires_at, r.ended_at, r.context
           from json_to_recordset({parameter}::json)
             as r(id uuid, campaign_no bigint, version integer, code text, identity text, order_ref text, state text,
                  keep_use boolean, discount bigint, order_amount bigint, currency text, lines json, source text, ad text,
                  affiliate text, click_id uuid, actor text, request_digest bytea, held_at timestamptz,
                  expires_at timestamptz, ended_at timestamptz, context json)
          where true
         on conflict (id) do nothing
         returning id"
    )
}
