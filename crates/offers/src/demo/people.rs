//! Invented people and places. Their addresses belong to domains that are reserved for examples, so nobody has them.

const FIRST_NAMES: [&str; 24] = [
    "anna", "ben", "clara", "david", "emma", "felix", "greta", "hugo", "ida", "jonas", "katja", "leo", "mia", "nils",
    "olga", "paul", "rosa", "simon", "tilda", "uwe", "vera", "wim", "yara", "zoe",
];
const LAST_NAMES: [&str; 20] = [
    "apfel", "birke", "dachs", "eiche", "fink", "gras", "hafer", "iltis", "kiesel", "lerche", "moos", "nebel", "otter",
    "pappel", "quelle", "reh", "spatz", "tanne", "ulme", "wiesel",
];

/// Returns the identity of a buyer.
pub(super) fn buyer(number: u64) -> String {
    address(number, "shop.example")
}

/// Returns the address of a person who knows a referrer, or is one.
pub(super) fn friend(number: u64) -> String {
    address(number, "example.com")
}

/// Returns the identity of a business location.
pub(super) fn location(number: u64) -> String {
    format!("location-{:06}", number + 1)
}

fn address(number: u64, domain: &str) -> String {
    let first = FIRST_NAMES[(number % FIRST_NAMES.len() as u64) as usize];
    // Neighbouring numbers are no family.
    let last = LAST_NAMES[(number / 7 % LAST_NAMES.len() as u64) as usize];
    format!("{first}.{last}.{number}@{domain}")
}
