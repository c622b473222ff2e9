//! Imports of codes from files: of codes that only imports have, and of codes that jobs mint at the same time. Commands that
//! import are killed, and repeated.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::ground::Ground;
use crate::lot::Lot;
use crate::owners::kill_after;
use crate::producer::Asked;
use codemint_test_support::oracle;
use codemint_test_support::stores::TestStore;

/// The prefix of codes that nothing mints.
const PREFIX: &str = "OLD-";
/// Masks of imported codes. Jobs mint codes of the second one.
const MASKS: [&str; 2] = ["OLD-######", "SOAK-??????"];
const MOST_IN_FILE: u64 = 200_000;

/// The codes of all files that were imported.
pub type Imported = BTreeSet<String>;

/// Imports files until the time is up.
pub async fn import(ground: &Ground, mut lot: Lot, until: Instant) -> (Asked, Imported) {
    let (mut asked, mut imported) = (Asked::default(), Imported::new());
    while Instant::now() < until {
        let mask = lot.one_of(&MASKS);
        let codes: BTreeSet<String> = (0..lot.of_any_size(MOST_IN_FILE)).map(|_| code_of(mask, &mut lot)).collect();
        let file = ground.site.store.path().join(format!("import-{}.txt", asked.jobs.len()));
        let lines: Vec<String> = codes.iter().map(|code| code.to_lowercase()).collect();
        std::fs::write(&file, lines.join("\r\n")).expect("a file");
        let command = || ground.site.codemint(&["import", "--json"]).args([&file]);
        let (kills, pause) = (lot.below(3), lot.pause(Duration::from_millis(50), Duration::from_secs(2)));
        for _ in 0..kills {
            ground.count("killed a command that imported codes");
            kill_after(command(), pause).await;
        }
        let report = ground.run_until_answered("imported codes", &[0], command).await.json();
        ground.count("imported a file");
        let id = report["job_id"].as_str().expect("a job").parse().expect("an id");
        asked.jobs.push(oracle::Asked { id, mask: mask.to_owned(), count: codes.len() as u64 });
        std::fs::remove_file(&file).expect("a file");
        imported.extend(codes);
        sleep(lot.pause(Duration::from_secs(1), Duration::from_secs(8))).await;
    }
    (asked, imported)
}

fn code_of(mask: &str, lot: &mut Lot) -> String {
    let character = |symbol| match symbol {
        '?' => char::from(b'A' + lot.below(26) as u8),
        '#' => char::from(b'0' + lot.below(10) as u8),
        literal => literal,
    };
    mask.chars().map(character).collect()
}

/// Panics unless the store has each code that was imported, and no other ones that look as if they were.
pub async fn judge(store: &TestStore, imported: &Imported) {
    let sql = format!("select code from codes where code like '{PREFIX}%' or code like 'SOAK-%'");
    let stored: BTreeSet<String> = store.texts(&sql).await.into_iter().collect();
    let missing = imported.difference(&stored).count();
    let invented = stored.difference(imported).filter(|code| code.starts_with(PREFIX)).count();
    assert_eq!((missing, invented), (0, 0), "imported codes that are missing, and codes that nobody imported");
    println!("{:8}  codes that were imported or minted before", imported.len());
}
