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
        let rows: Vec<Row> = match self {
            Self::Postgres(pool) => sqlx::query_as(SQL).fetch_all(pool).await?,
            Self::Sqlite(sqlite) => sqlx::query_as(SQL).fetch_all(&sqlite.readers).await?,
        };
        let reserved = |(mask, note, created_at): Row| Ok(Reserved { mask: reserved_mask(&mask)?, note, created_at });
        rows.into_iter().map(reserved).collect()
    }

    /// Reserves a mask. Returns false if it was reserved already; then nothing was changed.
    pub async fn put_reserved(&self, mask: &Mask, note: Option<&str>) -> Result<bool, StoreError> {
        const SQL: &str = "insert into reserved (mask, code_length, note) values ($1, $2, $3) on conflict do nothing";
        let mut transaction = self.begin_writing().await?;
        // An admission that counts the free codes of this length comes before or after.
        transaction.lock_admissions(mask.code_length()).await?;
        let (text, length) = (mask.to_string(), mask.code_length() as i32);
        let inserted = match &mut transaction {
            StoreTransaction::Postgres(transaction) => {
                let insert = sqlx::query(SQL).bind(text).bind(length).bind(note);
                insert.execute(&mut **transaction).await?.rows_affected()
            }
            StoreTransaction::Sqlite(transaction) => {
                let insert = sqlx::query(SQL).bind(text).bind(length).bind(note);
                insert.execute(&mut **transaction).await?.rows_affected()
            }
        };
        let mut entry = entry_of(Action::Reserve, inserted, mask);
        entry.detail = note.map(str::to_owned);
        transaction.put_audit(&[entry]).await?;
        transaction.commit().await?;
        Ok(inserted == 1)
    }

    /// Removes a reserved mask. Returns false if the mask was not reserved.
    pub async fn delete_reserved(&self, mask: &Mask) -> Result<bool, StoreError> {
        const SQL: &str = "delete from reserved where mask = $1";
        let mut transaction = self.begin_writing().await?;
        let text = mask.to_string();
        let deleted = match &mut transaction {
            StoreTransaction::Postgres(transaction) => {
                sqlx::query(SQL).bind(text).execute(&mut **transaction).await?.rows_affected()
            }
            StoreTransaction::Sqlite(transaction) => {
                sqlx::query(SQL).bind(text).execute(&mut **transaction).await?.rows_affected()
            }
        };
        transaction.put_audit(&[entry_of(Action::Unreserve, deleted, mask)]).await?;
        transaction.commit().await?;
        Ok(deleted == 1)
    }
}

impl StoreTransaction {
    /// Returns the reserved masks of this code length.
    pub async fn find_reserved(&mut self, code_length: usize) -> Result<Vec<Mask>, StoreError> {
        const SQL: &str = "select mask from reserved where code_length = $1 order by mask";
        let length = code_length as i32;
        let rows: Vec<String> = match self {
            Self::Postgres(transaction) => sqlx::query_scalar(SQL).bind(length).fetch_all(&mut **transaction).await?,
            Self::Sqlite(transaction) => sqlx::query_scalar(SQL).bind(length).fetch_all(&mut **transaction).await?,
        };
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
