//! The database counts the taken codes of masks too large to be read: its patterns match exactly the codes of the mask,
//! whatever the symbols of the mask mean in a pattern.

use std::collections::BTreeSet;

use codemint_codes::keyspace::Keyspace;
use codemint_codes::mask::Mask;
use codemint_codes::overlap::{matches, parts_outside, size};
use codemint_codes::random::{RandomIntegers, Stream};

use codemint_test_support::chance::numbered_key;
use codemint_test_support::engine_steps::{import, refusal_of, request};
use codemint_test_support::on_both_stores;
use codemint_test_support::small_masks::mask;
use codemint_test_support::stores::TestStore;

const LENGTH: usize = 12;
/// Symbols that may mean something in a regular expression or a glob, or that are next to these in a set.
const ODD: &[u8] = b"][^-\\*?.!$()+{}|/&~,:;<=>@_\"'#%A1";
/// Symbol sets for one position, mostly small, so that codes of other masks match as well.
const SETS: [&str; 24] = [
    "[\\]]",
    "[\\[]",
    "[^]",
    "[\\-]",
    "[\\\\]",
    "[*]",
    "[?]",
    "[.]",
    "[\\]^]",
    "[\\-^]",
    "[\\]\\-]",
    "[\\]^\\-]",
    "[A^\\-]",
    "[A\\]]",
    "[\\-A]",
    "[\\\\\\]A1]",
    "[+-\\-]",
    "[!-/]",
    "[\\:-@]",
    "[\\[-_]",
    "[{-~]",
    "[*?.$]",
    "[^A1]",
    "[!-~]",
];

struct Lot(RandomIntegers);

impl Lot {
    fn below(&mut self, bound: usize) -> usize {
        self.0.below_u64(bound as u64) as usize
    }

    /// Draws a mask of at least 2^22 codes and fewer than 10^9, so that the database counts.
    fn mask(&mut self) -> Mask {
        loop {
            let sets: String = (0..LENGTH).map(|_| SETS[self.below(SETS.len())]).collect();
            let drawn = mask(&sets);
            if (1 << 22..1_000_000_000).contains(&Keyspace::new(&drawn).size()) {
                return drawn;
            }
        }
    }

    /// Draws a code of the mask and changes up to two positions.
    fn code_near(&mut self, mask: &Mask) -> String {
        let mut code: Vec<u8> = mask
            .positions()
            .iter()
            .map(|set| {
                let symbols: Vec<u8> = set.iter().collect();
                symbols[self.below(symbols.len())]
            })
            .collect();
        for _ in 0..self.below(3) {
            let at = self.below(LENGTH);
            code[at] = ODD[self.below(ODD.len())];
        }
        String::from_utf8(code).expect("ASCII")
    }
}

on_both_stores!(taken_codes_of_masks_with_odd_symbols_are_counted_exactly);
async fn taken_codes_of_masks_with_odd_symbols_are_counted_exactly(place: TestStore) {
    let mut lot = Lot(RandomIntegers::new(&numbered_key(7), Stream::chunk(0, 0)));
    let masks: Vec<Mask> = (0..30).map(|_| lot.mask()).collect();
    let mut codes = BTreeSet::new();
    for mask in &masks {
        codes.extend((0..60).map(|_| lot.code_near(mask)));
    }
    import(&place, "[!-~]{12}", &codes).await;
    for mask in &masks {
        let keyspace = Keyspace::new(mask);
        let taken = codes.iter().filter(|code| keyspace.contains(code)).count() as u128;
        assert!((5..60).contains(&taken), "{taken}");
        let count = keyspace.size() as i128;
        let refused = refusal_of(&place, &request(&mask.to_string(), count, 1 << 20)).await;
        assert_eq!(refused, (keyspace.size() - taken, true), "{mask} in {:?}", place.kind);
    }
}

on_both_stores!(codes_of_reserved_masks_with_odd_symbols_are_left_out_of_the_count);
async fn codes_of_reserved_masks_with_odd_symbols_are_left_out_of_the_count(place: TestStore) {
    let mut lot = Lot(RandomIntegers::new(&numbered_key(8), Stream::chunk(0, 0)));
    let mask = mask("[\\]^\\-A\\\\]{4}[\\[*?.]{2}[*?A-Z][^1\\-][\\:-@]{3}[+-\\-]");
    let codes: BTreeSet<String> = (0..400).map(|_| lot.code_near(&mask)).collect();
    // Each of these reserved masks narrows the mask at two positions.
    let reserved: Vec<Mask> =
        [(0, "\\]", 1, "^"), (2, "[\\-\\\\]", 4, "\\["), (5, "[*?]", 6, "[!-/]"), (7, "^", 11, "\\-")]
            .into_iter()
            .map(|(first, one, second, other)| {
                let position = |at| {
                    if at == first {
                        one
                    } else if at == second {
                        other
                    } else {
                        "[!-~]"
                    }
                };
                (0..LENGTH).map(position).collect::<String>().parse().expect("a mask")
            })
            .collect();
    import(&place, "[!-~]{12}", &codes).await;
    for at in 0..reserved.len() {
        place.store.put_reserved(&reserved[at], None).await.expect("a row");
        let cut: Vec<_> = reserved[..=at].iter().map(|mask| mask.positions()).collect();
        let is_free = |code: &&String| !cut.iter().any(|positions| matches(positions, code.as_bytes()));
        let keyspace = Keyspace::new(&mask);
        let taken = codes.iter().filter(|code| keyspace.contains(code)).filter(is_free).count() as u128;
        let mintable: u128 = parts_outside(mask.positions(), &cut).expect("parts").iter().map(|part| size(part)).sum();
        let refused = refusal_of(&place, &request(&mask.to_string(), mintable as i128, 1 << 20)).await;
        assert_eq!(refused, (mintable - taken, true), "{at} in {:?}", place.kind);
    }
}
