//! Changes of campaigns: each makes a new version, and an entry of the audit log with both.

use chrono::Utc;
use uuid::Uuid;

use crate::campaigns::definitions::Campaign;
use crate::connection::error::{StoreError, require_rows};
use crate::connection::statement::Time;
use crate::connection::store::Store;
use crate::connection::transaction::StoreTransaction;
use crate::records::actor::actor_of_task;
use crate::records::audit::{Action, AuditEntry, Outcome};
use codemint_codes::identity::IdentityKey;
use codemint_offers::campaign::change::check_change;
use codemint_offers::campaign::definition::Definition;
use codemint_offers::problem::Problem;

/// The result of creating a campaign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CreateCampaign {
    Created,
    /// A campaign has this name already, perhaps with the same definition. Nothing was changed.
    Exists {
        version: u32,
        is_same: bool,
    },
    /// These jobs of the campaign's name are not finished, and do not know that their codes are for its pool. Nothing was
    /// changed.
    Unfinished {
        job_ids: Vec<Uuid>,
    },
}

/// The result of changing a campaign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeCampaign {
    Changed {
        version: u32,
    },
    /// The definition is the current one. Nothing was changed.
    Unchanged {
        version: u32,
    },
    Unknown,
    /// Somebody else has changed it since that version. Nothing was changed.
    Stale {
        version: u32,
    },
    /// The campaign does not allow the change. Nothing was changed.
    Refused(Vec<Problem>),
}

impl Store {
    /// Creates a campaign with its first version and its limits. The codes that jobs of its name have stored before go into
    /// the pool of the campaign, if it has one.
    pub async fn create_campaign(&self, definition: &Definition) -> Result<CreateCampaign, StoreError> {
        const SQL: &str = "
            insert into campaigns (name, kind, active, version, starts_at, ends_at) values ($1, $2, $3, 1, $4, $5)
            on conflict (name) do nothing
            returning no";
        let key = self.identity_key().await?;
        let mut transaction = self.begin_writing().await?;
        let has_pool = definition.has_pool();
        if has_pool {
            transaction.lock_campaign_name(&definition.name).await?;
        }
        let insert = transaction.query(SQL).bind(&definition.name).bind(definition.kind.into_str());
        let insert = insert.bind(definition.active);
        let insert = insert.bind(definition.starts_at.map(|at| Time(at.with_timezone(&Utc))));
        let insert = insert.bind(definition.ends_at.map(|at| Time(at.with_timezone(&Utc))));
        let no: Option<(i64,)> = insert.fetch_optional().await?;
        let Some((no,)) = no else {
            transaction.rollback().await?;
            return self.describe_existing(definition).await;
        };
        if has_pool {
            let job_ids = transaction.list_unfinished_of(&definition.name).await?;
            if !job_ids.is_empty() {
                transaction.rollback().await?;
                return Ok(CreateCampaign::Unfinished { job_ids });
            }
            transaction.put_earlier_codes_into_pool(no, &definition.name).await?;
        }
        transaction.insert_version(no, 1, definition).await?;
        transaction.put_limits(no, None, definition, &key).await?;
        let entry = entry(Action::CampaignCreate, &definition.name, "version 1");
        transaction.put_audit(&[entry]).await?;
        transaction.commit().await?;
        Ok(CreateCampaign::Created)
    }

    async fn describe_existing(&self, definition: &Definition) -> Result<CreateCampaign, StoreError> {
        let found = self.find_campaign(&definition.name).await?.ok_or(sqlx::Error::RowNotFound)?;
        Ok(CreateCampaign::Exists { version: found.version, is_same: found.definition == *definition })
    }

    /// Changes the definition of a campaign, if its version is still the one that the change was made from.
    pub async fn change_campaign(&self, definition: &Definition, version: u32) -> Result<ChangeCampaign, StoreError> {
        let key = self.identity_key().await?;
        let mut transaction = self.begin_writing().await?;
        let changed = transaction.change_campaign(definition, version, &key).await?;
        match changed {
            ChangeCampaign::Changed { .. } => transaction.commit().await?,
            _ => transaction.rollback().await?,
        }
        Ok(changed)
    }

    /// Switches a campaign on or off. After the answer, nothing is committed under the other state.
    pub async fn switch_campaign(&self, name: &str, active: bool) -> Result<ChangeCampaign, StoreError> {
        let mut transaction = self.begin_writing().await?;
        let Some(Campaign { no, version, definition, .. }) = transaction.lock_campaign(name).await? else {
            transaction.rollback().await?;
            return Ok(ChangeCampaign::Unknown);
        };
        if definition.active == active {
            transaction.rollback().await?;
            return Ok(ChangeCampaign::Unchanged { version });
        }
        transaction.replace_definition(no, version + 1, &Definition { active, ..definition }).await?;
        let action = if active { Action::CampaignActivate } else { Action::CampaignDeactivate };
        transaction.put_audit(&[entry(action, name, &both(version))]).await?;
        transaction.commit().await?;
        Ok(ChangeCampaign::Changed { version: version + 1 })
    }
}

impl StoreTransaction {
    async fn change_campaign(
        &mut self,
        definition: &Definition,
        version: u32,
        key: &IdentityKey,
    ) -> Result<ChangeCampaign, StoreError> {
        let Some(found) = self.lock_campaign(&definition.name).await? else { return Ok(ChangeCampaign::Unknown) };
        if found.version != version {
            return Ok(ChangeCampaign::Stale { version: found.version });
        }
        if found.definition == *definition {
            return Ok(ChangeCampaign::Unchanged { version });
        }
        let problems = check_change(
            &found.definition,
            definition,
            &self.find_taken(found.no, &found.definition, definition).await?,
        );
        if !problems.is_empty() {
            return Ok(ChangeCampaign::Refused(problems));
        }
        self.replace_definition(found.no, version + 1, definition).await?;
        self.put_limits(found.no, Some(&found.definition), definition, key).await?;
        self.put_audit(&[entry(Action::CampaignChange, &definition.name, &both(version))]).await?;
        Ok(ChangeCampaign::Changed { version: version + 1 })
    }

    async fn replace_definition(&mut self, no: i64, version: u32, definition: &Definition) -> Result<(), StoreError> {
        const SQL: &str = "
            update campaigns set active = $2, version = $3, starts_at = $4, ends_at = $5 where no = $1 and version = $6";
        let update = self.query(SQL).bind(no).bind(definition.active).bind(version as i32);
        let update = update.bind(definition.starts_at.map(|at| Time(at.with_timezone(&Utc))));
        let update = update.bind(definition.ends_at.map(|at| Time(at.with_timezone(&Utc)))).bind(version as i32 - 1);
        require_rows("the change of a campaign", update.execute().await?, 1)?;
        self.insert_version(no, version, definition).await
    }

    async fn insert_version(&mut self, no: i64, version: u32, definition: &Definition) -> Result<(), StoreError> {
        const SQL: &str = "
            insert into campaign_versions (campaign_no, version, definition, made_by) values ($1, $2, json($3), $4)";
        let json = serde_json::to_string(definition)
            .map_err(|error| StoreError::Corrupt { table: "campaign_versions", problem: error.to_string() })?;
        let insert = self.query(SQL).bind(no).bind(version as i32).bind(json).bind(actor_of_task());
        require_rows("the insert of a version", insert.execute().await?, 1)
    }
}

fn entry(action: Action, campaign: &str, detail: &str) -> AuditEntry {
    AuditEntry { campaign: Some(campaign.to_owned()), ..AuditEntry::new(action, Outcome::Done) }.with_detail(detail)
}

/// Returns the versions before and after a change.
fn both(version: u32) -> String {
    format!("version {version} to {}", version + 1)
}
