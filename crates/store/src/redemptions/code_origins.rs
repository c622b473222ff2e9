//! From a code to its campaign: by the run that stored it, and the job of the run. All three are found by primary keys.

use sqlx::FromRow;

use crate::connection::error::StoreError;
use crate::connection::statement::List;
use crate::connection::store::Store;

/// The campaign of a run's codes. What a run belongs to never changes; a campaign may be created later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromRow)]
pub struct RunOrigin {
    pub run_no: i64,
    /// `None` if the job names no campaign, or one that does not exist.
    pub campaign_no: Option<i64>,
    /// An import can be withdrawn, and its codes with it.
    pub may_vanish: bool,
}

impl Store {
    /// Returns those of these codes that exist, each with the number of its run.
    pub async fn find_run_nos(&self, codes: &[String]) -> Result<Vec<(String, i64)>, StoreError> {
        let mut snapshot = self.begin_reading_by_keys().await?;
        let sql = "select code, run_no from codes where code = any($1)";
        let found = snapshot.query(sql).bind(List(codes)).fetch_all().await?;
        snapshot.rollback().await?;
        Ok(found)
    }

    /// Returns the campaigns of runs.
    pub async fn find_run_origins(&self, run_nos: &[i64]) -> Result<Vec<RunOrigin>, StoreError> {
        const SQL: &str = "
            select c.run_no, p.no as campaign_no, j.kind = 'import' as may_vanish
              from chunks c
              join jobs j on j.no = c.job_no
              left join campaigns p on p.name = j.campaign
             where c.run_no = any($1)";
        if run_nos.is_empty() {
            return Ok(Vec::new());
        }
        self.query(SQL).bind(List(run_nos)).fetch_all().await
    }
}
