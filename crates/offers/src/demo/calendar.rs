//! When codes are used: more on some days of the week than on others, more in the evening, and as an offer becomes known.

use chrono::{DateTime, Datelike, TimeDelta, Utc};

use crate::demo::chance::Chance;
use crate::demo::offers::{Offer, Shape};
use crate::demo::settings::{DAYS, DemoSettings};

/// How much is bought from Monday to Sunday.
const BY_WEEKDAY: [u64; 7] = [95, 88, 92, 100, 110, 128, 121];
/// How much is bought in each hour of UTC, which is one or two less than that of the shop.
const BY_HOUR: [u64; 24] = [3, 2, 1, 1, 2, 6, 14, 25, 34, 40, 45, 49, 44, 38, 36, 38, 44, 54, 66, 72, 60, 36, 14, 6];

/// Returns the number of uses of an offer on each day. Together they are `total`.
pub(super) fn uses_by_day(offer: &Offer, settings: &DemoSettings, total: u64) -> Vec<u64> {
    let mut chance = Chance::new(settings.seed, &format!("days of {}", offer.campaign));
    let (first, end) = offer.days;
    let weights: Vec<u64> = (0..i64::from(DAYS))
        .map(|day| {
            let weekday = settings.day(day).weekday().num_days_from_monday() as usize;
            let noise = chance.between(88, 112);
            let shape = if (first..end).contains(&day) { weight(offer.shape, day - first, end - first) } else { 0 };
            shape * BY_WEEKDAY[weekday] * noise
        })
        .collect();
    let all: u64 = weights.iter().sum::<u64>().max(1);
    // What is rounded off on one day is added on the next.
    let mut so_far = 0;
    let up_to = |weight: u64| (u128::from(total) * u128::from(weight) / u128::from(all)) as u64;
    let mut count = |weight: &u64| {
        let before = up_to(so_far);
        so_far += weight;
        up_to(so_far) - before
    };
    weights.iter().map(&mut count).collect()
}

fn weight(shape: Shape, day: i64, days: i64) -> u64 {
    let (day, days) = (day.unsigned_abs(), days.unsigned_abs().max(1));
    match shape {
        Shape::Steady => 100,
        Shape::Growing => 50 + 100 * day / days,
        Shape::Launched => (30 + 30 * day).min(100).saturating_sub(70 * day / days),
        Shape::Rush => 40 + 12 * day,
    }
}

/// Returns a time of this day.
pub(super) fn time_of_day(start: DateTime<Utc>, chance: &mut Chance) -> DateTime<Utc> {
    let hour = chance.weighted(&BY_HOUR) as i64;
    start + TimeDelta::hours(hour) + TimeDelta::milliseconds(chance.below(3_600_000).cast_signed())
}
