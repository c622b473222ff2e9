//! The judge of every test that breaks something: from what a producer knows, it decides whether the store and the
//! broker hold what they must. It reads the tables itself and trusts nothing that the program reports.
//!
//! What is *not* a failure:
//! - An event that arrives twice with the same id, or `accepted` and progress again after a restart (at-least-once).
//! - A chunk that was drawn twice because its first writer died before COMMIT: its codes are the same.
//! - Progress events that are missing: they describe a moment that has passed.
//! - An invalid message that is in the dead queue twice: the worker that put it there died before its acknowledgement.
//! - Temporary files of a process that was killed, until the next one works in the same directory.
//! - An import with fewer codes than its file: the others existed before.
//! - A job that failed or was cancelled with fewer codes than requested: the codes that it has stay, and are counted.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use futures_util::StreamExt;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::amqp::Message;
use crate::owners_oracle::{FoundOwners, KnownOwners, find_refills, judge_owners};
use crate::rabbitmq::{Broker, Depth, Vhost};
use crate::site::JOBS;
use crate::stores::{Kind, TestStore};
use crate::waiting::wait_until;

/// A job that a producer has requested.
#[derive(Clone, Debug)]
pub struct Asked {
    pub id: Uuid,
    /// A mask of letters, digits, `_`, `-`, and `?` and `#` for a letter and a digit.
    pub mask: String,
    pub count: u64,
}

/// What is known besides the tables, when all jobs have ended.
#[derive(Debug, Default)]
pub struct Known<'a> {
    pub asked: &'a [Asked],
    /// Jobs that may be cancelled, or failed for lack of free codes; all others must be completed.
    pub may_end_short: BTreeSet<Uuid>,
    pub broker: Option<KnownOfBroker<'a>>,
    /// Lists of identities, and requests for codes of pools.
    pub owners: KnownOwners<'a>,
    /// True if programs without an audit log were at work: facts may have no rows there.
    pub is_audited_in_part: bool,
    /// Directories that must not contain temporary files.
    pub directories: Vec<&'a Path>,
}

#[derive(Debug)]
pub struct KnownOfBroker<'a> {
    pub broker: &'a Broker,
    pub vhost: &'a Vhost,
    /// Every event, kept since before the first request.
    pub told: &'a [Message],
    /// All messages that were in the dead queue.
    pub dead: &'a [Message],
    /// Bodies of the invalid messages that were sent.
    pub bad: &'a [Vec<u8>],
}

/// The totals that were found where everything holds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Found {
    pub jobs: u64,
    pub completed: u64,
    pub codes: u64,
    pub owners: FoundOwners,
}

/// Panics with every violation.
pub async fn judge(place: &TestStore, known: &Known<'_>) -> Found {
    let mut judge = Judge { place, known, violations: Vec::new() };
    let found = judge.read_all().await;
    let violations = judge.violations;
    let shown: Vec<&String> = violations.iter().take(20).collect();
    assert!(violations.is_empty(), "{} violations: {shown:#?}", violations.len());
    found
}

/// Returns what is still to be done or published; `None` when the store and the broker are ready to be judged.
pub async fn unsettled(place: &TestStore, broker: &Broker, vhost: &Vhost, asked: &[Asked]) -> Option<String> {
    const OPEN: &str = "select count(*) from jobs where state not in ('completed', 'failed', 'cancelled')";
    let depth = broker.queue_depth(vhost, JOBS);
    let stored: BTreeSet<Uuid> = place.rows::<(Uuid,)>("select id from jobs").map(|(id,)| id).collect().await;
    let known = asked.iter().filter(|asked| stored.contains(&asked.id)).count();
    let open = place.number(OPEN).await;
    let untold = place.number("select count(*) from outbox").await;
    let is_settled = depth == Depth { ready: 0, unacknowledged: 0 } && (open, untold) == (0, 0);
    (!is_settled || known != asked.len()).then(|| {
        let asked = asked.len();
        format!(
            "of {asked} jobs {known} are known and {open} open, {untold} events unpublished, the queue holds {depth:?}"
        )
    })
}

struct Judge<'a> {
    place: &'a TestStore,
    known: &'a Known<'a>,
    violations: Vec<String>,
}

struct JobSeen {
    id: Uuid,
    is_import: bool,
    state: String,
    count: u64,
    minted: u64,
    digest: Option<Vec<u8>>,
    has_reason: bool,
    has_key: bool,
    /// Whether the job emits events.
    announced: bool,
    /// The digest over its done chunks, in order.
    recomputed: Sha256,
    codes: u64,
}

struct ChunkSeen {
    job_no: i64,
    state: String,
    minted: u64,
    digest: Option<Vec<u8>>,
    range: [String; 2],
    codes: u64,
    recomputed: Sha256,
}

impl Judge<'_> {
    fn complain(&mut self, what: String) {
        self.violations.push(what);
    }

    async fn read_all(&mut self) -> Found {
        let mut jobs = self.read_jobs().await;
        let mut chunks = self.read_chunks().await;
        self.read_codes(&jobs, &mut chunks).await;
        self.judge_chunks(&mut jobs, chunks);
        self.judge_jobs(&jobs).await;
        self.judge_masks().await;
        self.judge_audit(&jobs).await;
        let (owners, violations) = judge_owners(self.place, &self.known.owners).await;
        self.violations.extend(violations);
        if let Some(of_broker) = &self.known.broker {
            self.judge_events(&jobs, of_broker.told);
            self.judge_queues(of_broker).await;
        }
        self.judge_connections().await;
        self.judge_directories();
        let completed = jobs.values().filter(|job| job.state == "completed").count() as u64;
        Found { jobs: jobs.len() as u64, completed, codes: jobs.values().map(|job| job.codes).sum(), owners }
    }

    async fn read_jobs(&self) -> BTreeMap<i64, JobSeen> {
        type Row = (i64, Uuid, bool, String, i64, Option<i64>, Option<Vec<u8>>, bool, bool, bool);
        let sql = "select no, id, kind = 'import', state, count, minted, digest, error_code is not null and error_message is not null,
                          key is not null, announced from jobs";
        let rows = self.place.rows::<Row>(sql);
        rows.map(|(no, id, is_import, state, count, minted, digest, has_reason, has_key, announced)| {
            let (count, minted) = (count.unsigned_abs(), minted.unwrap_or(-1).unsigned_abs());
            let (recomputed, codes) = (Sha256::new(), 0);
            let job = JobSeen {
                id,
                is_import,
                state,
                count,
                minted,
                digest,
                has_reason,
                has_key,
                announced,
                recomputed,
                codes,
            };
            (no, job)
        })
        .collect()
        .await
    }

    /// Reads the chunks with their run numbers, in the order of a job's digest.
    async fn read_chunks(&self) -> Vec<(i64, ChunkSeen)> {
        type Row = (i64, i64, String, i64, Option<Vec<u8>>, String, String);
        let sql = "select run_no, job_no, state, cast(minted as bigint), digest, range_first, range_last
                     from chunks order by job_no, round, chunk_no";
        let rows = self.place.rows::<Row>(sql);
        rows.map(|(run_no, job_no, state, minted, digest, first, last)| {
            let (minted, range) = (minted.unsigned_abs(), [first, last]);
            (run_no, ChunkSeen { job_no, state, minted, digest, range, codes: 0, recomputed: Sha256::new() })
        })
        .collect()
        .await
    }

    /// Reads the codes in ascending order, so that each code has to be greater than the one before.
    async fn read_codes(&mut self, jobs: &BTreeMap<i64, JobSeen>, chunks: &mut [(i64, ChunkSeen)]) {
        let masks: HashMap<Uuid, &str> = self.known.asked.iter().map(|asked| (asked.id, &*asked.mask)).collect();
        let mut by_run: HashMap<i64, &mut ChunkSeen> =
            chunks.iter_mut().map(|(run_no, chunk)| (*run_no, chunk)).collect();
        let order = if self.place.kind == Kind::Postgres { "code collate \"C\"" } else { "code" };
        let sql = format!("select code, run_no from codes order by {order}");
        let mut rows = self.place.rows::<(String, i64)>(&sql);
        let mut before = String::new();
        let mut violations = Vec::new();
        while let Some((code, run_no)) = rows.next().await {
            if code <= before {
                violations.push(format!("a code of run {run_no} exists twice"));
            }
            match by_run.get_mut(&run_no) {
                Some(chunk) => {
                    chunk.codes += 1;
                    chunk.recomputed.update(&code);
                    chunk.recomputed.update("\n");
                    let mask = jobs.get(&chunk.job_no).and_then(|job| masks.get(&job.id));
                    if mask.is_some_and(|mask| !matches(mask, &code)) {
                        violations.push(format!("a code of run {run_no} does not match its mask"));
                    }
                    if code < chunk.range[0] || code > chunk.range[1] {
                        violations.push(format!("a code of run {run_no} is outside its range"));
                    }
                }
                None => violations.push(format!("a code belongs to run {run_no}, which does not exist")),
            }
            before = code;
        }
        self.violations.extend(violations);
    }

    fn judge_chunks(&mut self, jobs: &mut BTreeMap<i64, JobSeen>, chunks: Vec<(i64, ChunkSeen)>) {
        for (run_no, chunk) in chunks {
            if chunk.codes != chunk.minted {
                self.complain(format!(
                    "run {run_no} is {} with a count of {}, but has {} codes",
                    chunk.state, chunk.minted, chunk.codes
                ));
            }
            match (&*chunk.state, chunk.digest) {
                ("done", Some(digest)) => {
                    if digest[..] != chunk.recomputed.finalize()[..] {
                        self.complain(format!("the digest of run {run_no} is not that of its codes"));
                    }
                    if let Some(job) = jobs.get_mut(&chunk.job_no) {
                        job.recomputed.update(&digest);
                    }
                }
                ("skipped", None) => {}
                (state, _) => self.complain(format!("run {run_no} is {state} although its job has ended")),
            }
            match jobs.get_mut(&chunk.job_no) {
                Some(job) => job.codes += chunk.codes,
                None => self.complain(format!("run {run_no} belongs to no job")),
            }
        }
    }

    async fn judge_jobs(&mut self, jobs: &BTreeMap<i64, JobSeen>) {
        let refills = find_refills(self.place).await;
        for asked in self.known.asked {
            let rows: Vec<&JobSeen> = jobs.values().filter(|job| job.id == asked.id).collect();
            match rows[..] {
                [job] if job.count != asked.count => {
                    self.complain(format!("job {} requests {} instead of {}", job.id, job.count, asked.count));
                }
                [_] => {}
                _ => self.complain(format!("job {} has {} rows", asked.id, rows.len())),
            }
        }
        for job in jobs.values() {
            let JobSeen { id, state, count, minted, codes, .. } = job;
            if !self.known.asked.iter().any(|asked| asked.id == *id) && !refills.contains(id) {
                self.complain(format!("job {id} was not requested"));
            }
            if codes != minted {
                self.complain(format!("job {id} is {state} with a count of {minted}, but has {codes} codes"));
            }
            match &**state {
                "completed" if minted == count || job.is_import && minted < count => {}
                "failed" if job.has_reason && self.known.may_end_short.contains(id) => {}
                "cancelled" if self.known.may_end_short.contains(id) => {}
                _ => self.complain(format!("job {id} is {state} with {minted} of {count} codes")),
            }
            if job.has_key {
                self.complain(format!("job {id} still has its key"));
            }
            let digest = job.recomputed.clone().finalize();
            if job.digest.as_ref().is_some_and(|told| told[..] != digest[..]) || job.digest.is_none() && *minted > 0 {
                self.complain(format!("the digest of job {id} is not that of its chunks"));
            }
        }
    }

    /// Judges whether each mask's row has the number of its codes, once all jobs have ended.
    async fn judge_masks(&mut self) {
        let sql = "select count(*) from masks m
                    where codes <> (select coalesce(sum(c.minted), 0) from chunks c where c.mask_no = m.mask_no)";
        let wrong = self.place.number(sql).await;
        if wrong > 0 {
            self.complain(format!("{wrong} masks have a wrong number of codes"));
        }
    }

    /// Judges whether each fact has one row in the audit log, and each row its fact; a repeated request has one more.
    async fn judge_audit(&mut self, jobs: &BTreeMap<i64, JobSeen>) {
        type Row = (Uuid, String, String, Option<i64>, Option<Vec<u8>>);
        let sql = "select job_id, action, result, count, digest from audit where job_id is not null";
        let mut by_job: HashMap<Uuid, Vec<Row>> = HashMap::new();
        let mut rows = self.place.rows::<Row>(sql);
        while let Some(row) = rows.next().await {
            by_job.entry(row.0).or_default().push(row);
        }
        drop(rows);
        for job in jobs.values() {
            let rows = by_job.remove(&job.id).unwrap_or_default();
            let count = |wanted: &str| rows.iter().filter(|row| row.2 == wanted && row.1 != "cancel").count();
            let ends: Vec<&Row> = rows.iter().filter(|row| row.1 == "end").collect();
            let (mut accepted, refused) = (count("accepted"), count("refused"));
            if self.known.is_audited_in_part {
                accepted = accepted.max(1);
            }
            let is_told = match ends[..] {
                [] if self.known.is_audited_in_part => accepted == 1,
                [] => (accepted, refused, &*job.state) == (0, 1, "failed"),
                [(_, _, result, minted, digest)] => {
                    (accepted, refused) == (1, 0)
                        && (result, minted, digest) == (&job.state, &Some(job.minted as i64), &job.digest)
                }
                _ => false,
            };
            if !is_told {
                self.complain(format!("job {} is {}, but its rows in the audit log are {rows:?}", job.id, job.state));
            }
        }
        for (id, rows) in by_job {
            if rows.iter().any(|row| row.1 == "end" || row.2 == "accepted") {
                self.complain(format!("the audit log names job {id}, which does not exist"));
            }
        }
        // Each row is looked up: there are millions of codes.
        let held = "select count(*) from audit a
                     where exists (select 1 from codes where code = a.mask)
                        or exists (select 1 from codes where code = a.detail)
                        or exists (select 1 from codes where code = a.campaign)";
        if self.place.number(held).await > 0 {
            self.complain("the audit log contains codes".to_owned());
        }
    }

    fn judge_events(&mut self, jobs: &BTreeMap<i64, JobSeen>, told: &[Message]) {
        let mut ends: HashMap<String, BTreeSet<(String, String)>> = HashMap::new();
        for message in told {
            let kind = message.routing_key.trim_start_matches("job.");
            if ["completed", "failed", "cancelled"].contains(&kind) {
                let event = message.json();
                let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
                ends.entry(text("subject")).or_default().insert((kind.to_owned(), text("id")));
            }
        }
        for job in jobs.values() {
            let told = ends.remove(&job.id.to_string()).unwrap_or_default();
            let kinds: Vec<&String> = told.iter().map(|(kind, _)| kind).collect();
            if job.announced && kinds != [&job.state] || !job.announced && !kinds.is_empty() {
                self.complain(format!("job {} is {}, but its final events are {told:?}", job.id, job.state));
            }
        }
        for subject in ends.into_keys() {
            self.complain(format!("a final event names {subject}, which was not requested"));
        }
    }

    async fn judge_queues(&mut self, of_broker: &KnownOfBroker<'_>) {
        let waiting = self.place.number("select count(*) from outbox").await;
        if waiting > 0 {
            self.complain(format!("{waiting} events wait in the outbox"));
        }
        let depth = of_broker.broker.queue_depth(of_broker.vhost, JOBS);
        if depth != (Depth { ready: 0, unacknowledged: 0 }) {
            self.complain(format!("messages are left in the queue: {depth:?}"));
        }
        for letter in of_broker.dead {
            if !of_broker.bad.contains(&letter.body) {
                self.complain(format!("a valid message is dead-lettered: {}", String::from_utf8_lossy(&letter.body)));
            }
        }
        for body in of_broker.bad {
            if !of_broker.dead.iter().any(|letter| letter.body == *body) {
                self.complain(format!("an invalid message is not dead-lettered: {}", String::from_utf8_lossy(body)));
            }
        }
    }

    /// Waits until no transaction is left open: a server may need a moment to notice that a client has gone.
    async fn judge_connections(&self) {
        if self.place.kind == Kind::Postgres {
            let idle = "select count(*) from pg_stat_activity
                         where datname = current_database() and state like 'idle in transaction%'";
            wait_until("no transaction idles", async || self.place.number(idle).await == 0).await;
        }
    }

    fn judge_directories(&mut self) {
        for directory in &self.known.directories {
            for entry in std::fs::read_dir(directory).expect("a directory") {
                let name = entry.expect("an entry").file_name().to_string_lossy().into_owned();
                if name.ends_with(".codemint-tmp") {
                    self.complain(format!("a temporary file is left: {name}"));
                }
            }
        }
    }
}

/// Returns whether a code matches a mask. Written independently of the program's own parser of masks.
fn matches(mask: &str, code: &str) -> bool {
    mask.len() == code.len()
        && mask.bytes().zip(code.bytes()).all(|(symbol, byte)| match symbol {
            b'?' => byte.is_ascii_uppercase(),
            b'#' => byte.is_ascii_digit(),
            literal => literal == byte,
        })
}
