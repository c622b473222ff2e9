//! Nothing in Codemint prevents Citus from distributing `codes` by `code`. These tests have no Citus: they search the
//! schema and every statement for what Citus refuses on a distributed table according to its documentation.

use std::path::PathBuf;

use codemint_test_support::stores::TestStore;
use codemint_test_support::tools::{files_below, read};

/// The tables that stay on the coordinator.
const LOCAL_TABLES: [&str; 5] = ["jobs", "chunks", "masks", "reserved", "outbox"];

/// SQL that is refused on a distributed table if more than one node answers, or is unreliable there.
const REFUSED: [&str; 13] = [
    " returning ",
    " for update",
    " for share",
    " for no key update",
    " on conflict",
    " with recursive ",
    " tablesample ",
    " grouping sets",
    " over (",
    " lateral ",
    " update codes ",
    " merge into codes ",
    " truncate ",
];

fn source(directory: &str, ending: &str) -> Vec<(PathBuf, String)> {
    files_below(directory, ending).into_iter().map(|path| (path.clone(), read(path))).collect()
}

/// The string literals of a source file, with single spaces between words.
fn literals(source: &str) -> Vec<String> {
    let code: String =
        source.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let code = code.replace("'\"'", " ").replace("\\\"", "'").replace("\\n", " ");
    let spaced = |text: &str| format!(" {} ", text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase());
    code.split('"').skip(1).step_by(2).map(spaced).collect()
}

/// The statements on the table of codes that a PostgreSQL store may run.
fn statements_with_codes() -> Vec<String> {
    let mut found = Vec::new();
    for (_, text) in source("crates/store/src", "rs") {
        found.extend(literals(&text).into_iter().filter(|sql| names_codes(sql) && !is_of_sqlite(sql)));
    }
    found
}

fn names_codes(sql: &str) -> bool {
    [" from codes ", " join codes ", " into codes ", " update codes ", " copy codes ", "delete from codes "]
        .iter()
        .any(|place| sql.contains(place))
}

fn is_of_sqlite(sql: &str) -> bool {
    ["json_each", "group_concat", " glob "].iter().any(|word| sql.contains(word))
}

/// The reason why Citus would or could refuse the statement.
fn objection(sql: &str) -> Option<String> {
    if let Some(refused) = REFUSED.iter().find(|refused| sql.contains(*refused)) {
        return Some(format!("{refused:?} in {sql}"));
    }
    if sql.contains(" into codes ") {
        return Some(format!("rows that are not written by COPY in {sql}"));
    }
    let outside = outside_of_subqueries(sql);
    let local =
        |table: &&str| [" from ", " join ", ", "].iter().any(|word| outside.contains(&format!("{word}{table} ")));
    if let Some(table) = LOCAL_TABLES.iter().find(|table| local(table)) {
        return Some(format!("the local table {table} beside codes in {sql}"));
    }
    // No subquery may depend on the row outside.
    sql.contains("codes.").then(|| format!("a subquery that may depend on the row outside in {sql}"))
}

/// The statement without its subqueries: brackets that begin with `select`.
fn outside_of_subqueries(sql: &str) -> String {
    let mut inside: Vec<bool> = Vec::new();
    let mut outside = String::new();
    for (at, character) in sql.char_indices() {
        match character {
            '(' => inside.push(sql[at..].starts_with("(select")),
            ')' => drop(inside.pop()),
            other if !inside.contains(&true) => outside.push(other),
            _ => {}
        }
    }
    outside
}

#[test]
fn no_statement_on_codes_is_refused_by_citus() {
    let statements = statements_with_codes();
    assert!(statements.len() >= 6, "found only {statements:#?}");
    for known in ["copy codes (code, run_no) from stdin", "select count(*) from codes", "select code from codes where"]
    {
        assert!(statements.iter().any(|sql| sql.contains(known)), "not found: {known}");
    }
    let objections: Vec<String> = statements.iter().filter_map(|sql| objection(sql)).collect();
    assert!(objections.is_empty(), "{objections:#?}");
}

#[test]
fn a_statement_that_citus_refuses_would_be_found() {
    for sql in [
        " select code from codes where code = $1 for update ",
        " select c.code from codes c join chunks r on r.run_no = c.run_no ",
        " insert into codes (code, run_no) values ($1, $2) on conflict do nothing ",
        " insert into codes (code, run_no) values ($1, $2) ",
        " delete from codes where run_no = $1 returning code ",
        " select count(*) from codes, chunks where codes.run_no = chunks.run_no ",
        " select code, row_number() over (order by code) from codes ",
    ] {
        assert!(objection(sql).is_some(), "{sql}");
    }
}

#[test]
fn codes_are_deleted_by_one_statement_that_of_withdrawn_imports() {
    let sources = source("crates", "rs").into_iter().chain(source("src", "rs"));
    let deletes =
        |text: &str| literals(text).iter().any(|sql| sql.contains("delete from codes ") || sql.contains("truncate "));
    let found: Vec<PathBuf> = sources.filter(|(_, text)| deletes(text)).map(|(path, _)| path).collect();
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].ends_with("crates/store/src/upkeep/withdrawal.rs"), "{found:#?}");
}

#[tokio::test]
async fn nothing_in_the_schema_prevents_distributing_codes_by_code() {
    let place = TestStore::postgres().await;
    let none = async |what: &str, sql: &str| assert_eq!(place.number(sql).await, 0, "{what}");
    none(
        "foreign keys to or from codes",
        "select count(*) from pg_constraint
          where contype = 'f' and ('codes'::regclass in (conrelid, confrelid))",
    )
    .await;
    none(
        "unique indexes without the code",
        "select count(*) from pg_index where indrelid = 'codes'::regclass and indisunique and indkey::text <> '1'",
    )
    .await;
    let exclusions = "select count(*) from pg_constraint where contype in ('x', 't') and conrelid = 'codes'::regclass";
    none("exclusions and triggers", exclusions).await;
    none("triggers", "select count(*) from pg_trigger where tgrelid = 'codes'::regclass").await;
    none("rules", "select count(*) from pg_rewrite where ev_class = 'codes'::regclass").await;
    none(
        "identity, generated or default columns",
        "select count(*) from pg_attribute
          where attrelid = 'codes'::regclass and attnum > 0 and (attidentity <> '' or attgenerated <> '' or atthasdef)",
    )
    .await;
    none(
        "a collation that treats different codes as equal",
        "select count(*) from pg_attribute a join pg_collation c on c.oid = a.attcollation
          where attrelid = 'codes'::regclass and not collisdeterministic",
    )
    .await;
    let first =
        place.texts("select attname::text from pg_attribute where attrelid = 'codes'::regclass and attnum = 1").await;
    assert_eq!(first, ["code"]);
}

#[test]
fn the_file_for_citus_distributes_codes_and_nothing_else() {
    let [(_, text)] = source("deploy/citus", "sql").try_into().expect("one file");
    let statements: Vec<&str> = text.lines().filter(|line| !line.starts_with("--")).collect();
    let calls: Vec<&&str> = statements.iter().filter(|line| line.contains("create_distributed_table(")).collect();
    assert_eq!(calls.len(), 1, "{calls:?}");
    assert!(calls[0].contains("create_distributed_table('codes', 'code'"), "{calls:?}");
    assert!(!text.contains("create_reference_table"));
    // What Citus repeats for each `set local` floods the logs.
    assert!(!text.contains(" set citus.propagate_set_commands"));
}
