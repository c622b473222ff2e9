//! The plan of a demo: invented campaigns, buyers and orders of ninety days, all of which follow from a seed.

mod chance;
pub mod settings;
mod people;
mod goods;
pub mod offers;
pub mod campaigns;
pub mod extras;
mod calendar;
mod issuing;
pub mod uses;
pub mod orders;
pub mod friends;
