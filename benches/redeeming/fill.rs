//! A store with many campaigns, codes and past redemptions, filled in minutes.

use std::time::Instant;

use codemint_test_support::postgres::{Durability, Server, Setup};
use codemint_test_support::redeem_steps::{create_campaign, definition};
use codemint_test_support::stores::TestStore;
use futures_util::{StreamExt, stream};
use serde_json::json;

use crate::{QUOTA, place};

/// The codes of each campaign that a job mints.
const MINTED: u64 = 10;
/// Sixteen symbols of `[:safe:]`, ascending, one for each hexadecimal digit: the database makes codes of numbers quickly.
const SYMBOLS: &str = "3479BCDFGHJKLMNP";
/// The number of texts of ten of these symbols.
const TEXTS: u64 = 1 << 40;
/// The number of statements at the same time; the server has hardly more cores.
const SESSIONS: usize = 2;

/// What the server may leave out while a store is filled, because a lost store is filled again. Validations write nothing, so
/// this does not make them faster.
const DURABILITY: [&str; 3] = ["fsync", "full_page_writes", "synchronous_commit"];

pub fn start_server() -> Server {
    Server::start_with(&Setup {
        durability: Durability::None,
        settings: "full_page_writes = off\nmax_wal_size = '4GB'\nsynchronous_commit = off".to_owned(),
        access_rules: None,
        files: Vec::new(),
    })
}

/// A campaign, with the run that minted its first codes.
struct FilledCampaign {
    no: i64,
    run_no: i64,
    name: String,
}

/// A store that is being filled.
pub struct FilledStore {
    pub place: TestStore,
    campaigns: Vec<FilledCampaign>,
    /// The codes of each campaign, besides the minted ones.
    codes_each: u64,
    redemptions: u64,
    /// The distance between the used codes once the store is full of redemptions. The first code of each such piece is for filling,
    /// the others are free for measurements.
    stride: u64,
}

impl FilledStore {
    /// Creates campaigns of private codes with a limit of one use of each code, and codes at even distances. At most
    /// `redemptions` will be filled in.
    pub async fn create(server: &Server, name: &str, campaigns: u64, codes: u64, redemptions: u64) -> Self {
        let started = Instant::now();
        let (place, _url) = place(server, name).await;
        let limits = json!({ "limits": { "per_code": 1, "redeemed": QUOTA } });
        for number in 0..campaigns {
            let name = prefix(number);
            let mask = format!("{name}-[:safe:]{{10}}");
            create_campaign(&place, &definition(&name, "private", &mask, &limits), MINTED.into()).await;
        }
        let sql = "select p.no, min(c.run_no), p.name from campaigns p
                     join jobs j on j.campaign = p.name join chunks c on c.job_no = j.no group by p.no order by p.no";
        let campaigns: Vec<FilledCampaign> = place
            .all::<(i64, i64, String)>(sql)
            .await
            .into_iter()
            .map(|(no, run_no, name)| FilledCampaign { no, run_no, name })
            .collect();
        let codes_each = codes / campaigns.len() as u64;
        let stride = codes_each * campaigns.len() as u64 / redemptions;
        let filled = Self { place, campaigns, codes_each, redemptions: 0, stride };
        filled.add_codes().await;
        println!("(filled {} codes in {:.0} s)", filled.codes(), started.elapsed().as_secs_f64());
        filled
    }

    pub fn campaigns(&self) -> u64 {
        self.campaigns.len() as u64
    }

    /// The number of codes, without the few minted ones.
    pub fn codes(&self) -> u64 {
        self.codes_each * self.campaigns()
    }

    pub fn redemptions(&self) -> u64 {
        self.redemptions
    }

    /// Adds codes to those that jobs minted, as part of the same runs. A code that exists already stays as it is.
    async fn add_codes(&self) {
        let add = |campaign: &FilledCampaign| {
            format!(
                "insert into codes (code, run_no) select {}, {} from generate_series(0::bigint, {}) n on conflict (code) do nothing",
                self.code(campaign),
                campaign.run_no,
                self.codes_each - 1
            )
        };
        self.execute_for_each(add).await;
        self.tidy("codes").await;
        let stored = self.place.number("select count(*) from codes").await as u64;
        assert!(stored >= self.codes(), "{stored} codes");
    }

    /// Returns SQL that makes a code of the number `n`. Each lies anywhere in the piece of the mask that is its own, so codes
    /// ascend with their numbers.
    fn code(&self, campaign: &FilledCampaign) -> String {
        let step = TEXTS / self.codes_each;
        format!(
            "'{}-' || translate(lpad(to_hex(n * {step} + abs(hashint8(n)::bigint) % {step}), 10, '0'),
                                '0123456789abcdef', '{SYMBOLS}')",
            campaign.name
        )
    }

    /// Adds redemptions, each of another code and with an identity and an order reference, until there are this many.
    ///
    /// # Panics
    /// If the codes are not a multiple of the redemptions, or if these are not a multiple of the earlier ones.
    pub async fn redeem_up_to(&mut self, redemptions: u64) {
        let started = Instant::now();
        let stride = self.codes() / redemptions;
        let earlier = self.codes().checked_div(self.redemptions);
        assert!(
            self.codes().is_multiple_of(redemptions) && earlier.is_none_or(|earlier| earlier.is_multiple_of(stride))
        );
        let is_new = earlier.map(|earlier| format!("and n % {earlier} <> 0")).unwrap_or_default();
        let used = format!("from generate_series(0::bigint, {}, {stride}) n where true {is_new}", self.codes_each - 1);
        let redeem = |campaign: &FilledCampaign| self.redemptions_of(campaign, &used);
        self.execute_for_each(redeem).await;
        self.tidy("redemptions").await;
        self.tidy("allowances").await;
        self.redemptions = redemptions;
        self.check_redemptions().await;
        println!("(filled {redemptions} redemptions in {:.0} s)", started.elapsed().as_secs_f64());
    }

    /// Returns SQL that adds a redemption of each of these codes, with what it takes of the limits. Ids ascend with time, as
    /// those of version 7 do.
    fn redemptions_of(&self, campaign: &FilledCampaign, used: &str) -> String {
        let (no, code) = (campaign.no, self.code(campaign));
        let number = format!("({no} * {} + n)", self.codes_each);
        let order = order_reference(&format!("2 * {number}"));
        format!(
            "insert into redemptions (id, campaign_no, held_at, ended_at, version, state, code, identity, order_ref,
                    request_digest)
             select (lpad(to_hex({number}), 12, '0') || substr(md5({number}::text), 1, 20))::uuid, {no}, at, at, 1,
                    'confirmed', code, 'customer-' || lpad(({number} * 7654321 % 10000000)::text, 7, '0'), {order},
                    decode(md5({number}::text), 'hex')
               from (select n, {code} as code, now() - interval '30 days' + n * interval '10 ms' as at {used}) made;
             insert into allowances (campaign_no, scope, subject, quota, taken)
             select {no}, 'code', {code}, 1, 1 {used};
             update allowances set taken = (select count(*) from redemptions where campaign_no = {no})
              where campaign_no = {no} and scope = 'campaign'"
        )
    }

    /// Requires that the limits agree with the redemptions: those that were filled in, and those of measurements.
    async fn check_redemptions(&self) {
        let stored = self.place.number("select count(*) from redemptions").await;
        assert!(stored as u64 >= self.redemptions, "{stored} redemptions");
        for sum in [
            "select cast(sum(taken) as bigint) from allowances where scope = 'code'",
            "select cast(sum(taken) as bigint) from allowances where scope = 'campaign'",
        ] {
            assert_eq!(self.place.number(sum).await, stored, "{sum}");
        }
    }

    /// Lets the server flush every commit, or spare that.
    pub async fn set_durable(&self, is_durable: bool) {
        let value = if is_durable { "on" } else { "off" };
        for setting in DURABILITY {
            self.place.execute(&format!("alter system set {setting} = {value}")).await;
        }
        self.place.execute("select pg_reload_conf()").await;
    }

    async fn execute_for_each(&self, sql: impl Fn(&FilledCampaign) -> String) {
        let statements: Vec<String> = self.campaigns.iter().map(sql).collect();
        stream::iter(statements)
            .for_each_concurrent(SESSIONS, |sql| async move { self.place.execute(&sql).await })
            .await;
    }

    /// Leaves nothing for autovacuum to do during a measurement.
    async fn tidy(&self, table: &str) {
        self.place.execute(&format!("vacuum (analyze) {table}")).await;
        self.place.execute("checkpoint").await;
    }

    /// Reads the tables and their indexes once, so that no measurement waits for the disk: the system does not keep all pages that a
    /// bulk load has written.
    pub async fn read_into_memory(&self) {
        self.place.execute("create extension if not exists pg_prewarm").await;
        let blocks = self
            .place
            .number(
                "select cast(sum(pg_prewarm(c.oid, 'read')) as bigint)
                   from unnest(array['codes', 'allowances', 'redemptions']::regclass[]) t
                   join pg_class c on c.oid = t or c.oid in (select indexrelid from pg_index where indrelid = t)",
            )
            .await;
        println!("(read {blocks} blocks of 8 KiB)");
    }

    /// Returns unused codes in a random order, at most this many.
    pub async fn unused_codes(&self, count: u64) -> Vec<String> {
        // Some of the sample are used.
        let percent = (200.0 * count as f64 / self.codes() as f64).clamp(0.01, 100.0);
        let sql = format!(
            "select code from codes c tablesample bernoulli ({percent})
              where not exists (select from redemptions r where r.code = c.code) order by random() limit {count}"
        );
        self.place.texts(&sql).await
    }

    /// Returns about this many unused codes in a random order, none of which will be filled with a redemption.
    pub async fn codes_to_redeem(&self, count: u64) -> Vec<String> {
        let each = count.div_ceil(self.campaigns());
        let code_of = |campaign: &FilledCampaign| {
            format!(
                "select code from (select {} as code
                   from (select distinct {stride} * floor(random() * {pieces})::bigint + 1 + floor(random() * {free})::bigint as n
                           from generate_series(1, {each})) numbers) made
                  where exists (select from codes c where c.code = made.code)
                    and not exists (select from redemptions r where r.code = made.code)",
                self.code(campaign),
                stride = self.stride,
                pieces = self.codes_each / self.stride,
                free = self.stride - 1
            )
        };
        let mut codes = Vec::new();
        for campaign in &self.campaigns {
            codes.extend(self.place.texts(&code_of(campaign)).await);
        }
        // The last symbols of a code say nothing about its campaign.
        codes.sort_by_cached_key(|code| code.chars().rev().collect::<String>());
        codes
    }

    /// Returns used codes in a random order, at most this many.
    pub async fn used_codes(&self, count: u64) -> Vec<String> {
        let percent = (110.0 * count as f64 / self.redemptions.max(1) as f64).clamp(0.01, 100.0);
        let sql =
            format!("select code from redemptions tablesample bernoulli ({percent}) order by random() limit {count}");
        self.place.texts(&sql).await
    }

    /// Returns references of orders without redemptions, which lie between those that have some, at most this many.
    pub async fn new_orders(&self, count: u64) -> Vec<String> {
        let order = order_reference(&format!("2 * floor(random() * {})::bigint + 1", self.codes()));
        self.place.texts(&format!("select {order} from generate_series(1, {count})")).await
    }
}

/// The name of a campaign and the beginning of its codes.
fn prefix(number: u64) -> String {
    format!("S{number:04}")
}

/// Returns SQL that makes an order reference of a number.
fn order_reference(number: &str) -> String {
    format!("'A-' || lpad(({number})::text, 10, '0')")
}
