//! One file per command or group of commands.

pub(super) mod generate;
pub(super) mod worker;
pub(super) mod health;
pub(super) mod enqueue;
pub(super) mod dlq;
pub(super) mod code;
pub(super) mod audit;
pub(super) mod backup;
pub(super) mod mask;
pub(super) mod jobs;
pub(super) mod prune;
pub(super) mod withdraw;
pub(super) mod export;
pub(super) mod verify;
pub(super) mod import;
pub(super) mod issue;
pub(super) mod reserve;
pub(super) mod campaign;
pub(super) mod campaign_codes;
pub(super) mod campaign_list;
pub(super) mod segment;
pub(super) mod segment_members;
pub(super) mod migrate;
pub(super) mod settings;
pub(super) mod shell;
