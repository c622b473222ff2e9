//! The console: pages for the people who use the system. They call the same services as the API.

pub mod router;
mod campaigns;
mod codes;
mod redemptions;
mod segments;
mod affiliates;
pub(crate) mod jobs;
mod keys;
mod assets;
mod audit;
mod failure;
mod form_view;
mod frame;
mod origin;
mod page;
mod people;
mod posted;
mod referrals;
mod reports;
mod upload;
mod refusal;
mod session_cookie;
mod shown;
mod sign_in;
mod system;
mod visitor;
