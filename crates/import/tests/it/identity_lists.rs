//! Lists of identities: what is read, what is left out, and in which order codes go to them.

use std::collections::{BTreeSet, HashSet};

use codemint_codes::identity::{IdentityKey, IdentityOrder};
use codemint_codes::random::Key;
use std::ops::ControlFlow;

use codemint_import::identity_list::{IdentityList, ListCounts, ListError};

fn key() -> IdentityKey {
    IdentityKey::new(&[7; IdentityKey::LENGTH_BYTES]).expect("a key")
}

/// Returns the list, and what was left out as `line reason`.
fn read(input: &[u8]) -> Result<(IdentityList, Vec<String>), ListError> {
    let mut left_out = Vec::new();
    let list = IdentityList::read(input, false, &key(), &|_bytes| ControlFlow::Continue(()), &mut |row| {
        left_out.push(format!("{} {}", row.line, row.reason));
        Ok(())
    })?;
    Ok((list, left_out))
}

fn identities(list: &IdentityList) -> BTreeSet<String> {
    let order = IdentityOrder::of_job(&Key::new([3; 32])).expect("an order");
    list.pages(&order, 3).flat_map(|page| page.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

fn set(identities: &[&str]) -> BTreeSet<String> {
    identities.iter().map(|&identity| identity.to_owned()).collect()
}

#[test]
fn identities_are_read_from_lines_and_from_a_column() {
    for input in [
        "ann\nbob\neve",
        "\u{feff}ann\r\nbob\r\neve\r\n",
        "identity\nann\nbob\neve\n",
        "name,identity\nA,ann\nB,\"bob\"\nE,eve\n",
        "\"identity\";name\nann;A\nbob;B\neve;E\n",
        "x\tidentity\n1\tann\n2\tbob\n3\teve\n",
    ] {
        let (list, left_out) = read(input.as_bytes()).expect(input);
        assert_eq!((identities(&list), left_out), (set(&["ann", "bob", "eve"]), vec![]), "{input:?}");
        assert_eq!(list.counts.rows, 3);
    }
}

#[test]
fn rows_without_a_valid_identity_and_repeated_ones_are_counted_and_named() {
    let long = "x".repeat(201);
    let longer = "y".repeat(100_000);
    let input =
        [b"ann\n\n  \nbob\n\xff\xfe\nann\n ann \n", long.as_bytes(), b"\na\x07b\n", longer.as_bytes(), b"\neve\n"];
    let (list, left_out) = read(&input.concat()).expect("a list");
    assert_eq!(identities(&list), set(&["ann", "bob", "eve"]));
    assert_eq!(list.counts, ListCounts { rows: 11, repeated: 2, invalid: 6, bound: 0 });
    let expected =
        ["2 empty", "3 empty", "5 not_utf8", "8 too_long", "9 not_text", "10 too_long", "6 repeated", "7 repeated"];
    assert_eq!(left_out, expected);
}

#[test]
fn several_columns_of_which_none_is_called_identity_are_refused() {
    for input in ["name,Person\nA,ann\n", "id;name\n1;ann\n", "a\tb\n"] {
        assert!(matches!(read(input.as_bytes()), Err(ListError::Read(_))), "{input:?}");
    }
    assert!(read(b"").expect("an empty list").0.is_empty());
}

#[test]
fn a_list_is_known_by_its_identities_whatever_their_order_and_number() {
    let digest = |input: &[u8]| read(input).expect("a list").0.digest();
    assert_eq!(digest(b"ann\nbob\n"), digest(b"bob\nann\nbob\n\n"));
    assert_ne!(digest(b"ann\nbob\n"), digest(b"ann\nbob\neve\n"));
}

#[test]
fn identities_with_a_code_are_left_out() {
    let (mut list, _) = read(b"ann\nbob\neve\n").expect("a list");
    let bound: HashSet<String> = [key().digest("bob").to_string()].into();
    let mut lines = Vec::new();
    list.remove_bound(&bound, &mut |row| {
        lines.push(format!("{} {} {}", row.line, row.reason, row.identity));
        Ok(())
    })
    .expect("a list");
    assert_eq!((identities(&list), list.counts.bound), (set(&["ann", "eve"]), 1));
    assert_eq!(lines, ["2 has a code already bob"]);
}

#[test]
fn the_order_follows_from_the_key_of_the_job_and_not_from_the_identities() {
    let names: Vec<String> = (0..1000).map(|number| format!("customer-{number:04}")).collect();
    let ordered = |key| {
        let (list, _) = read(names.join("\n").as_bytes()).expect("a list");
        let order = IdentityOrder::of_job(&Key::new(key)).expect("an order");
        list.pages(&order, 100).flat_map(|page| page.lines().map(str::to_owned).collect::<Vec<_>>()).collect::<Vec<_>>()
    };
    let one = ordered([1; 32]);
    assert_eq!(one, ordered([1; 32]));
    assert_ne!(one, ordered([2; 32]));
    assert_eq!(one.iter().collect::<BTreeSet<_>>().len(), 1000);
    // Of a random order, half of the neighbours ascend.
    let ascending = one.windows(2).filter(|pair| pair[0] < pair[1]).count();
    assert!((400..600).contains(&ascending), "{ascending} of 999 neighbours ascend");
}
