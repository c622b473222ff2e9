//! The judge of every test that breaks something: from what a producer knows it says whether the store and the broker hold
//! what they must. It reads the tables by itself and believes nothing of what the program says.
//!
//! What is *not* a failure:
//! - An event that arrives twice with the same id, or `accepted` and progress again after a restart: delivery is at least once.
//! - A chunk that was drawn twice because whoever drew it first died before COMMIT: its codes are the same.
//! - Progress events that are missing: they tell of a moment that has passed.
//! - A message that is no job in the dead queue twice: whoever buried it died before its acknowledgement.
//! - Temporary files of a process that was killed, until the next one works in the same directory.
//! - A job that failed or was cancelled with fewer codes than were asked for: those that it has stay, and are counted.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use futures_util::StreamExt;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::amqp::Message;
use super::rabbitmq::{Broker, Depth, Vhost};
use super::site::JOBS;
use super::stores::{Kind, TestStore};
use super::wait_until;

/// A job that a producer has asked for.
#[derive(Clone, Debug)]
pub struct Asked {
    pub id: Uuid,
    /// Of letters, digits, `_`, `-`, and `?` and `#` for a letter and a digit.
    pub mask: String,
    pub count: u64,
}

/// What is known besides the tables. All jobs have ended.
#[derive(Debug, Default)]
pub struct Known<'a> {
    pub asked: &'a [Asked],
    /// Jobs that were cancelled may be, and jobs that had no room may have failed; all others must be completed.
    pub may_end_short: BTreeSet<Uuid>,
    pub broker: Option<KnownOfBroker<'a>>,
    /// Programs were at work that knew no audit log: facts may have no rows there.
    pub is_audited_in_part: bool,
    /// Where nothing temporary may lie.
    pub directories: Vec<&'a Path>,
}

#[derive(Debug)]
pub struct KnownOfBroker<'a> {
    pub broker: &'a Broker,
    pub vhost: &'a Vhost,
    /// Every event since before the first request.
    pub told: &'a [Message],
    /// All that lay in the dead queue.
    pub dead: &'a [Message],
    /// Bodies of what was sent and is no job.
    pub bad: &'a [Vec<u8>],
}

/// What was found where everything holds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Found {
    pub jobs: u64,
    pub completed: u64,
    pub codes: u64,
}

/// Panics with everything that does not hold.
pub async fn judge(place: &TestStore, known: &Known<'_>) -> Found {
    let mut judge = Judge { place, known, violations: Vec::new() };
    let found = judge.read_all().await;
    let violations = judge.violations;
    let shown: Vec<&String> = violations.iter().take(20).collect();
    assert!(violations.is_empty(), "{} things do not hold: {shown:#?}", violations.len());
    found
}

/// What is still to be done or told; `None` when the store and the broker are ready to be judged.
pub async fn unsettled(place: &TestStore, broker: &Broker, vhost: &Vhost, asked: &[Asked]) -> Option<String> {
    const OPEN: &str = "select count(*) from jobs where state not in ('completed', 'failed', 'cancelled')";
    let depth = broker.queue_depth(vhost, JOBS);
    let known = place.number("select count(*) from jobs").await;
    let open = place.number(OPEN).await;
    let untold = place.number("select count(*) from outbox").await;
    let is_settled = depth == Depth { ready: 0, unacknowledged: 0 } && (open, untold) == (0, 0);
    (!is_settled || known != asked.len() as i64).then(|| {
        let asked = asked.len();
        format!(
            "of {asked} jobs {known} are known and {open} open, {untold} events are untold, the queue holds {depth:?}"
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
    state: String,
    count: u64,
    minted: u64,
    digest: Option<Vec<u8>>,
    has_reason: bool,
    has_key: bool,
    /// Events tell how it goes.
    announced: bool,
    /// Over its done chunks in order.
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
        self.judge_jobs(&jobs);
        self.judge_masks().await;
        self.judge_audit(&jobs).await;
        if let Some(of_broker) = &self.known.broker {
            self.judge_events(&jobs, of_broker.told);
            self.judge_queues(of_broker).await;
        }
        self.judge_connections().await;
        self.judge_directories();
        let completed = jobs.values().filter(|job| job.state == "completed").count() as u64;
        Found { jobs: jobs.len() as u64, completed, codes: jobs.values().map(|job| job.codes).sum() }
    }

    async fn read_jobs(&self) -> BTreeMap<i64, JobSeen> {
        type Row = (i64, Uuid, String, i64, Option<i64>, Option<Vec<u8>>, bool, bool, bool);
        let sql = "select no, id, state, count, minted, digest, error_code is not null and error_message is not null,
                          key is not null, announced from jobs";
        let rows = self.place.rows::<Row>(sql);
        rows.map(|(no, id, state, count, minted, digest, has_reason, has_key, announced)| {
            let (count, minted) = (count.unsigned_abs(), minted.unwrap_or(-1).unsigned_abs());
            let (recomputed, codes) = (Sha256::new(), 0);
            (no, JobSeen { id, state, count, minted, digest, has_reason, has_key, announced, recomputed, codes })
        })
        .collect()
        .await
    }

    /// With their run numbers, in the order of a job's digest.
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

    /// In ascending order, so that each code has to be greater than the one before.
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
                violations.push(format!("a code of run {run_no} is there twice"));
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
                None => violations.push(format!("a code belongs to run {run_no}, which is not there")),
            }
            before = code;
        }
        self.violations.extend(violations);
    }

    fn judge_chunks(&mut self, jobs: &mut BTreeMap<i64, JobSeen>, chunks: Vec<(i64, ChunkSeen)>) {
        for (run_no, chunk) in chunks {
            if chunk.codes != chunk.minted {
                self.complain(format!(
                    "run {run_no} is {} with {}, and has {} codes",
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

    fn judge_jobs(&mut self, jobs: &BTreeMap<i64, JobSeen>) {
        for asked in self.known.asked {
            let rows: Vec<&JobSeen> = jobs.values().filter(|job| job.id == asked.id).collect();
            match rows[..] {
                [job] if job.count != asked.count => {
                    self.complain(format!("job {} asks for {} instead of {}", job.id, job.count, asked.count));
                }
                [_] => {}
                _ => self.complain(format!("job {} has {} rows", asked.id, rows.len())),
            }
        }
        for job in jobs.values() {
            let JobSeen { id, state, count, minted, codes, .. } = job;
            if !self.known.asked.iter().any(|asked| asked.id == *id) {
                self.complain(format!("nobody asked for job {id}"));
            }
            if codes != minted {
                self.complain(format!("job {id} is {state} with {minted}, and has {codes} codes"));
            }
            match &**state {
                "completed" if minted == count => {}
                "failed" if job.has_reason && self.known.may_end_short.contains(id) => {}
                "cancelled" if self.known.may_end_short.contains(id) => {}
                _ => self.complain(format!("job {id} is {state} with {minted} of {count} codes")),
            }
            if job.has_key {
                self.complain(format!("job {id} has its key still"));
            }
            let digest = job.recomputed.clone().finalize();
            if job.digest.as_ref().is_some_and(|told| told[..] != digest[..]) || job.digest.is_none() && *minted > 0 {
                self.complain(format!("the digest of job {id} is not that of its chunks"));
            }
        }
    }

    /// A mask's row says how many codes it has, once all jobs have ended.
    async fn judge_masks(&mut self) {
        let sql = "select count(*) from masks m
                    where codes <> (select coalesce(sum(c.minted), 0) from chunks c where c.mask_no = m.mask_no)";
        let wrong = self.place.number(sql).await;
        if wrong > 0 {
            self.complain(format!("{wrong} masks do not know how many codes they have"));
        }
    }

    /// Each fact has its one row in the audit log, and each row its fact; a request that comes again has one more.
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
                self.complain(format!("of job {}, which is {}, the audit log says {rows:?}", job.id, job.state));
            }
        }
        for (id, rows) in by_job {
            if rows.iter().any(|row| row.1 == "end" || row.2 == "accepted") {
                self.complain(format!("the audit log tells of job {id}, which is not there"));
            }
        }
        let held = "select count(*) from audit where mask in (select code from codes)
                        or detail in (select code from codes) or campaign in (select code from codes)";
        if self.place.number(held).await > 0 {
            self.complain("the audit log holds codes".to_owned());
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
                self.complain(format!("job {} is {}, and its ends are {told:?}", job.id, job.state));
            }
        }
        for subject in ends.into_keys() {
            self.complain(format!("an end was told of {subject}, which nobody asked for"));
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
                self.complain(format!("something valid is dead: {}", String::from_utf8_lossy(&letter.body)));
            }
        }
        for body in of_broker.bad {
            if !of_broker.dead.iter().any(|letter| letter.body == *body) {
                self.complain(format!("what is no job is not dead: {}", String::from_utf8_lossy(body)));
            }
        }
    }

    /// A server may need a moment to notice that a client has gone.
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

/// Written apart from the program's own reading of masks.
fn matches(mask: &str, code: &str) -> bool {
    mask.len() == code.len()
        && mask.bytes().zip(code.bytes()).all(|(symbol, byte)| match symbol {
            b'?' => byte.is_ascii_uppercase(),
            b'#' => byte.is_ascii_digit(),
            literal => literal == byte,
        })
}
