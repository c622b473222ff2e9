//! Tests of everything that decides about offers. They need no server.

mod steps;

mod golden_discounts;
mod bug_classes;
mod discount_laws;
mod buy_get_oracle;
mod allocations;
mod carts;

mod condition_laws;
mod expressions;

mod definitions;
mod broken_definitions;
mod requests;
mod statuses;
mod verdicts;
mod access;
mod people;
mod affiliates;
mod links;
mod reports;
mod affiliate_documents;
mod referrals;
mod triggers;
mod forms;
mod words;
mod contract;
mod hostile_input;
mod demo;
