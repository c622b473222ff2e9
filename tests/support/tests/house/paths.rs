//! The paths that a piece of code names: in `use` items, and anywhere else.

/// Returns every path of the code as its segments: of `use a::{b, c::D}` these are `a::b` and `a::c::D`.
pub(crate) fn paths_in(code: &str) -> Vec<Vec<String>> {
    let mut pieces = code.split("use ");
    let mut paths: Vec<String> = pieces.next().map(inline_paths).unwrap_or_default();
    for piece in pieces {
        let (tree, rest) = piece.split_once(';').unwrap_or((piece, ""));
        let tree: String = tree.split_whitespace().collect::<Vec<_>>().join(" ").replace(" as ", "@");
        paths.extend(branches(&tree.replace(' ', "")));
        paths.extend(inline_paths(rest));
    }
    paths.iter().map(|path| segments(path)).collect()
}

/// Cuts a path without its alias into its segments.
fn segments(path: &str) -> Vec<String> {
    path.split('@').next().unwrap_or_default().split("::").map(str::to_owned).collect()
}

/// Expands the braces of a `use` tree without spaces.
fn branches(tree: &str) -> Vec<String> {
    let Some((stem, rest)) = tree.split_once('{') else { return vec![tree.to_owned()] };
    let inside = rest.strip_suffix('}').unwrap_or(rest);
    split_outside_braces(inside)
        .into_iter()
        .filter(|part| !part.is_empty())
        .flat_map(branches)
        .map(|branch| format!("{stem}{branch}"))
        .collect()
}

fn split_outside_braces(list: &str) -> Vec<&str> {
    let mut depth = 0_i32;
    list.split(|c: char| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        c == ',' && depth == 0
    })
    .collect()
}

/// Returns the paths with at least two segments.
fn inline_paths(code: &str) -> Vec<String> {
    code.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'))
        .map(|word| word.trim_matches(':'))
        .filter(|word| word.contains("::"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn paths_come_from_nested_trees_aliases_and_expressions() {
    let code = "use crate::{a::{self, B}, c::D as E};\nfn f() -> super::g::H { crate::i::j(&k::L) }";
    let paths: Vec<String> = paths_in(code).iter().map(|path| path.join("::")).collect();
    assert_eq!(paths, ["crate::a::self", "crate::a::B", "crate::c::D", "super::g::H", "crate::i::j", "k::L"]);
}
