//! The part of the oracle that judges whose the codes of restricted campaigns are: each is one identity's or in the pool, and
//! everybody who was promised a code has it. Called by the oracle when all jobs have ended; it reads the tables itself.
//!
//! What is *not* a failure:
//! - A code of a list's job in the pool: its identity got another code before its chunk was written.
//! - A list without a job: the process that stored it died before it stored the job.
//! - A job for a pool that nobody requested, if its id is the one of a refill.
//! - An identity without a code although one was requested, where no answer arrived.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use futures_util::StreamExt;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::stores::TestStore;

/// A job that binds a code to each of these identities.
#[derive(Clone, Debug)]
pub struct ListAsked {
    pub job: Uuid,
    /// The identities of the list, each once, also those that had codes when the job was requested.
    pub identities: Vec<String>,
}

/// An identity for which a code of the pool was requested.
#[derive(Clone, Debug)]
pub struct IssueAsked {
    pub campaign: String,
    pub identity: String,
    /// The code that was answered; `None` if the answer was a refusal or did not arrive.
    pub code: Option<String>,
}

/// What is known about the owners of codes besides the tables.
#[derive(Clone, Copy, Debug, Default)]
pub struct KnownOwners<'a> {
    pub lists: &'a [ListAsked],
    pub issues: &'a [IssueAsked],
}

/// The totals that were found.
#[derive(Clone, Copy, Debug, Default)]
pub struct FoundOwners {
    pub list_jobs: u64,
    pub pool_jobs: u64,
    /// The number of pool jobs that a worker ordered by itself.
    pub refills: u64,
    pub assigned: u64,
    pub pooled: u64,
}

/// Returns the totals and every violation.
pub async fn judge_owners(place: &TestStore, known: &KnownOwners<'_>) -> (FoundOwners, Vec<String>) {
    let mut judge = Judge { place, known, violations: Vec::new() };
    let owners = judge.read_owners().await;
    let jobs = judge.read_jobs().await;
    let refills = find_refills(place).await;
    let restricted_to = |wanted: &str| jobs.values().filter(|job| job.restricted_to == wanted).count() as u64;
    let found = FoundOwners {
        list_jobs: restricted_to("list"),
        pool_jobs: restricted_to("pool"),
        refills: refills.len() as u64,
        assigned: owners.assigned.len() as u64,
        pooled: (owners.campaign_of_code.len() - owners.assigned.len()) as u64,
    };
    judge.judge_refills(&jobs, &refills);
    judge.judge_lists(&jobs, &owners);
    judge.judge_causes(&jobs, &owners).await;
    judge.judge_codes(owners).await;
    judge.judge_limits().await;
    judge.judge_leftovers().await;
    (found, judge.violations)
}

/// Returns the ids of the jobs that workers ordered to refill a pool.
pub async fn find_refills(place: &TestStore) -> BTreeSet<Uuid> {
    let sql = "select j.id, p.no from jobs j join campaigns p on p.name = j.campaign
                where j.restricted_to = 'pool' order by j.no";
    let mut orders: BTreeMap<i64, u64> = BTreeMap::new();
    let mut refills = BTreeSet::new();
    let mut rows = place.rows::<(Uuid, i64)>(sql);
    while let Some((id, campaign_no)) = rows.next().await {
        let earlier = orders.entry(campaign_no).or_default();
        // Somebody may have ordered more between the look of a worker and its order.
        if (1..=*earlier).any(|orders| id == id_of_refill(campaign_no, orders)) {
            refills.insert(id);
        }
        *earlier += 1;
    }
    refills
}

/// Computes the id of a refill independently of the program.
fn id_of_refill(campaign_no: i64, orders: u64) -> Uuid {
    let text = [&b"codemint pool"[..], &campaign_no.to_be_bytes(), &orders.to_be_bytes()].concat();
    let digest = Sha256::digest(text);
    uuid::Builder::from_custom_bytes(std::array::from_fn(|at| digest[at])).into_uuid()
}

struct Judge<'a> {
    place: &'a TestStore,
    known: &'a KnownOwners<'a>,
    violations: Vec<String>,
}

struct JobSeen {
    restricted_to: String,
    state: String,
    campaign_no: i64,
    count: i64,
    first_count: i64,
}

#[derive(Default)]
struct Owners {
    /// The number of the campaign of each code that is somebody's or in a pool.
    campaign_of_code: HashMap<String, i64>,
    /// The code and the cause of each identity of a campaign.
    assigned: HashMap<(i64, String), (String, String)>,
}

impl Judge<'_> {
    fn complain(&mut self, what: String) {
        self.violations.push(what);
    }

    fn complain_of(&mut self, count: usize, what: &str) {
        if count > 0 {
            self.complain(format!("{count} {what}"));
        }
    }

    async fn read_owners(&mut self) -> Owners {
        let mut owners = Owners::default();
        let (mut codes_twice, mut identities_twice, mut nameless) = (0, 0, 0);
        let sql = "select campaign_no, code, identity_text, cause from assignments";
        let mut rows = self.place.rows::<(i64, String, Option<String>, String)>(sql);
        while let Some((campaign_no, code, identity, cause)) = rows.next().await {
            codes_twice += usize::from(owners.campaign_of_code.insert(code.clone(), campaign_no).is_some());
            let Some(identity) = identity else {
                nameless += 1;
                continue;
            };
            let before = owners.assigned.insert((campaign_no, identity), (code, cause));
            identities_twice += usize::from(before.is_some());
        }
        let mut rows = self.place.rows::<(i64, String)>("select campaign_no, code from pool");
        while let Some((campaign_no, code)) = rows.next().await {
            codes_twice += usize::from(owners.campaign_of_code.insert(code, campaign_no).is_some());
        }
        self.complain_of(codes_twice, "codes have two owners, or an owner and a place in a pool");
        self.complain_of(identities_twice, "identities have a second code of the same campaign");
        self.complain_of(nameless, "assignments name no identity");
        owners
    }

    async fn read_jobs(&mut self) -> HashMap<Uuid, JobSeen> {
        type Row = (Uuid, String, String, i64, i64, i64);
        let sql = "select j.id, j.restricted_to, j.state, p.no, j.count,
                          coalesce((select f.count from jobs f
                                     where f.campaign = j.campaign and f.restricted_to = 'pool'
                                     order by f.no limit 1), 0)
                     from jobs j join campaigns p on p.name = j.campaign
                    where j.restricted_to is not null";
        let rows = self.place.rows::<Row>(sql);
        rows.map(|(id, restricted_to, state, campaign_no, count, first_count)| {
            (id, JobSeen { restricted_to, state, campaign_no, count, first_count })
        })
        .collect()
        .await
    }

    fn judge_refills(&mut self, jobs: &HashMap<Uuid, JobSeen>, refills: &BTreeSet<Uuid>) {
        for (id, job) in jobs.iter().filter(|(id, _)| refills.contains(id)) {
            if job.count != job.first_count {
                self.complain(format!("refill {id} has {} codes, and the first order {}", job.count, job.first_count));
            }
        }
    }

    /// Judges whether every identity of a completed list has a code.
    fn judge_lists(&mut self, jobs: &HashMap<Uuid, JobSeen>, owners: &Owners) {
        for list in self.known.lists {
            let Some(job) = jobs.get(&list.job).filter(|job| job.restricted_to == "list") else {
                self.complain(format!("job {} has no list", list.job));
                continue;
            };
            let has_code =
                |identity: &&String| owners.assigned.contains_key(&(job.campaign_no, String::clone(identity)));
            let without = list.identities.len() - list.identities.iter().filter(has_code).count();
            if job.state == "completed" && without > 0 {
                let all = list.identities.len();
                self.complain(format!(
                    "job {} is completed, and {without} of its {all} identities have no code",
                    list.job
                ));
            }
        }
        let asked: HashSet<Uuid> = self.known.lists.iter().map(|list| list.job).collect();
        for (id, job) in jobs {
            if job.restricted_to == "list" && !asked.contains(id) {
                self.complain(format!("job {id} has a list that nobody gave"));
            }
        }
    }

    /// Judges whether what was answered is stored, and whether somebody requested what is stored.
    async fn judge_causes(&mut self, jobs: &HashMap<Uuid, JobSeen>, owners: &Owners) {
        let campaigns = self.place.rows::<(String, i64)>("select name, no from campaigns");
        let campaigns: HashMap<String, i64> = campaigns.collect().await;
        let mut wanted: HashSet<(&str, i64, &str)> = HashSet::new();
        for list in self.known.lists {
            if let Some(job) = jobs.get(&list.job) {
                wanted.extend(list.identities.iter().map(|identity| ("list", job.campaign_no, &**identity)));
            }
        }
        let mut other_code = 0;
        for IssueAsked { campaign, identity, code } in self.known.issues {
            let campaign_no = campaigns.get(campaign).copied().unwrap_or_default();
            wanted.insert(("issue", campaign_no, identity));
            let stored = owners.assigned.get(&(campaign_no, identity.clone())).map(|(code, _)| code);
            other_code += usize::from(code.is_some() && code.as_ref() != stored);
        }
        self.complain_of(other_code, "identities do not have the code that was answered");
        // Triggers and referrals have records of their own, which tests of them judge.
        let recorded = "select code from trigger_results where state = 'issued' union select code from referrers
                        union select code from assignments where trigger_id like 'referral:%'";
        let recorded: HashSet<String> = self.place.texts(recorded).await.into_iter().collect();
        let is_unasked = |((campaign_no, identity), (code, cause)): &(&(i64, String), &(String, String))| {
            !wanted.contains(&(&**cause, *campaign_no, &**identity)) && !recorded.contains(code)
        };
        let unasked = owners.assigned.iter().filter(is_unasked).count();
        self.complain_of(unasked, "identities have codes for a cause that nobody gave");
    }

    /// Judges whether each code of a job for a restricted campaign belongs to it once, and nothing else does.
    async fn judge_codes(&mut self, mut owners: Owners) {
        let sql = "select k.code, p.no
                     from codes k
                     join chunks c on c.run_no = k.run_no
                     join jobs j on j.no = c.job_no
                     left join campaigns p on p.name = j.campaign
                    where j.restricted_to is not null";
        let (mut ownerless, mut elsewhere) = (0, 0);
        let mut rows = self.place.rows::<(String, Option<i64>)>(sql);
        while let Some((code, campaign_no)) = rows.next().await {
            match owners.campaign_of_code.remove(&code) {
                None => ownerless += 1,
                found => elsewhere += usize::from(found != campaign_no),
            }
        }
        drop(rows);
        self.complain_of(ownerless, "codes of restricted campaigns are nobody's and in no pool");
        self.complain_of(elsewhere, "codes belong to another campaign than their job");
        let left = owners.campaign_of_code.len();
        self.complain_of(left, "assignments and rows of pools have no code of a job for a restricted campaign");
    }

    /// Judges whether the limits of issued codes count what was issued: no unfinished list has reserved any.
    async fn judge_limits(&mut self) {
        let sql = "select campaign_no, quota, taken,
                          (select count(*) from assignments a where a.campaign_no = allowances.campaign_no)
                     from allowances where scope = 'issued'";
        let limits: Vec<_> = self.place.rows::<(i64, i64, i64, i64)>(sql).collect().await;
        for (campaign_no, quota, taken, assigned) in limits {
            if taken != assigned || taken > quota {
                self.complain(format!(
                    "campaign {campaign_no} has {taken} of {quota} issued codes taken, and {assigned} assignments"
                ));
            }
        }
    }

    async fn judge_leftovers(&mut self) {
        let ended = "select count(*) from job_identities i join jobs j on j.list_id = i.list_id
                      where j.state in ('completed', 'failed', 'cancelled')";
        let ended = self.place.number(ended).await;
        self.complain_of(ended as usize, "pages of lists are left whose jobs have ended");
        let public = "select count(*) from jobs j join campaigns p on p.name = j.campaign
                       where p.kind = 'restricted' and j.restricted_to is null and j.kind <> 'import'";
        let public = self.place.number(public).await;
        self.complain_of(public as usize, "jobs of restricted campaigns mint for nobody");
    }
}
