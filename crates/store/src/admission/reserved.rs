//! Reserved masks: their codes belong to somebody else and are never minted.

use chrono::{DateTime, Utc};

use crate::connection::error::StoreError;
use crate::connection::store::Store;
use crate::connection::transaction::StoreTransaction;
use crate::records::audit::{Action, AuditEntry, Outcome};
use codemint_codes::mask::Mask;

/// A mask whose codes are never minted.
#[derive(Clone, Debug)]
pub struct Reserved {
    pub mask: Mask,
    pub note: Option<String>,
    pub created_at: DateTime<Utc>,
}

type Row = (String, Option<String>, DateTime<Utc>);

impl Store {
    /// Returns all reserved masks, in the order of their text.
    pub async fn list_reserved(&self) -> Result<Vec<Reserved>, StoreError> {
        const SQL: &str = "select mask, note, created_at from reserved order by mask";
        let rows: Vec<Row> = self.query(SQL).fetch_all().await?;
        let reserved = |(mask, note, created_at): Row| Ok(Reserved { mask: reserved_mask(&mask)?, note, created_at });
        rows.into_iter().map(reserved).collect()
    }

    /// Reserves a mask. Returns false if it was reserved already; then nothing was changed.
    pub async fn put_reserved(&self, mask: &Mask, note: Option<&str>) -> Result<bool, StoreError> {
        const SQL: &str = "insert into reserved (mask, code_length, note) values ($1, $2, $3) on conflict do nothing";
        let mut transaction = self.begin_writing().await?;
        // An admission that counts the free codes of this length comes before or after.
        transaction.lock_admissions(mask.code_length()).await?;
        let insert = transaction.query(SQL).bind(mask.to_string()).bind(mask.code_length() as i32).bind(note);
        let inserted = insert.execute().await?;
        let mut entry = entry_of(Action::Reserve, inserted, mask);
        entry.detail = note.map(str::to_owned);
        transaction.put_audit(&[entry]).await?;
        transaction.commit().await?;
        Ok(inserted == 1)
    }

    /// Removes a reserved mask. Returns false if the mask was not reserved.
    pub async fn delete_reserved(&self, mask: &Mask) -> Result<bool, StoreError> {
        let mut transaction = self.begin_writing().await?;
        let delete = transaction.query("delete from reserved where mask = $1").bind(mask.to_string());
        let deleted = delete.execute().await?;
        transaction.put_audit(&[entry_of(Action::Unreserve, deleted, mask)]).await?;
        transaction.commit().await?;
        Ok(deleted == 1)
    }
}

impl StoreTransaction {
    /// Returns the reserved masks of this code length.
    pub async fn find_reserved(&mut self, code_length: usize) -> Result<Vec<Mask>, StoreError> {
        const SQL: &str = "select mask from reserved where code_length = $1 order by mask";
        let rows: Vec<String> = self.query(SQL).bind(code_length as i32).fetch_values().await?;
        rows.iter().map(|mask| reserved_mask(mask)).collect()
    }
}

fn entry_of(action: Action, changed: u64, mask: &Mask) -> AuditEntry {
    let outcome = if changed == 1 { Outcome::Done } else { Outcome::Unchanged };
    AuditEntry::new(action, outcome).of_mask(&mask.to_string())
}

fn reserved_mask(mask: &str) -> Result<Mask, StoreError> {
    mask.parse().map_err(|error| StoreError::Corrupt { table: "reserved", problem: format!("{error}") })
}
