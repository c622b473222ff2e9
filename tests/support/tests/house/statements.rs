//! SQL statements change the rows that they mean.

use codemint_test_support::tools::root;

use crate::source::read_modules;

#[test]
fn rows_that_a_statement_locks_up_to_a_limit_are_picked_once() {
    let mut found = Vec::new();
    for (module, text) in read_modules(&root().join("crates/store/src"), str::to_owned) {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        found.extend(repeatable(&text).into_iter().map(|subquery| format!("{}: {subquery}", module.join("::"))));
    }
    assert!(found.is_empty(), "write `with picked as materialized (...)` instead: {found:#?}");
}

/// Returns the subqueries with a limit and a lock that PostgreSQL may run again for each row, and which then find other rows each time.
fn repeatable(text: &str) -> Vec<&str> {
    let subqueries = text.split("in (select ").skip(1).filter_map(|rest| rest.split_once(')').map(|(inner, _)| inner));
    subqueries.filter(|inner| inner.contains(" limit ") && inner.contains(" for update")).collect()
}

#[test]
fn a_subquery_that_may_be_repeated_is_found() {
    let wrong = "delete from pool where code in (select code from pool order by code limit $2 for update skip locked)";
    let right = "with picked as materialized (select code from pool limit $2 for update) delete from pool \
                 where code in (select code from picked)";
    assert_eq!(repeatable(wrong).len(), 1);
    assert!(repeatable(right).is_empty());
}
