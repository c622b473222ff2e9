//! Commands that a document shows with their output, run word for word.

use std::path::Path;

use crate::codemint::{Codemint, program};
use crate::tools::root;

/// Returns the blocks of this language below a heading of a document, up to the next heading of that rank.
///
/// # Panics
/// If there is no such heading or no block below it.
pub fn blocks_below(document: &str, heading: &str, language: &str) -> Vec<String> {
    let page = std::fs::read_to_string(root().join(document)).expect("the document");
    let (_, section) =
        page.split_once(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no {heading} in {document}"));
    let rank = heading.split(' ').next().expect("a rank");
    let section = section.split(&format!("\n{rank} ")).next().expect("a section");
    let start = format!("```{language}\n");
    let blocks: Vec<String> =
        section.split(&start).skip(1).map(|rest| rest.split_once("```").expect("an end").0.to_owned()).collect();
    assert!(!blocks.is_empty(), "nothing in {language} below {heading}");
    blocks
}

/// Returns the commands of a block; the lines of one that are indented continue it.
pub fn commands(shown: &str) -> Vec<String> {
    let mut commands: Vec<String> = Vec::new();
    let mut is_command = false;
    for line in shown.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            commands.push(command.to_owned());
            is_command = true;
            continue;
        }
        is_command = is_command && line.starts_with("    ");
        if let Some(command) = commands.last_mut().filter(|_| is_command) {
            command.push('\n');
            command.push_str(line);
        }
    }
    commands
}

/// Runs the commands of a block in one shell, and returns the block with the outputs that they had.
pub async fn run_shown(shown: &str, place: &Path, environment: &[(&str, &str)]) -> String {
    const END: char = '\u{1e}';
    let commands = commands(shown);
    let script: String = commands.iter().map(|command| format!("{{ {command}\n}} 2>&1; printf '\\036'\n")).collect();
    let path = format!("{}:/usr/bin:/bin", program().parent().expect("a directory").display());
    let mut shell = Codemint::built_elsewhere(Path::new("/bin/sh"), place).args(["-c", &script]).env("PATH", &path);
    for (name, value) in environment {
        shell = shell.env(name, value);
    }
    let ran = shell.run().await;
    let outputs: Vec<&str> = ran.stdout.split_terminator(END).collect();
    assert_eq!(outputs.len(), commands.len(), "{ran:?}");
    commands.iter().zip(outputs).map(|(command, output)| format!("$ {command}\n{output}")).collect()
}

/// Replaces what differs from run to run: ids that were drawn, and times. Ids that begin as those of the documents stay.
pub fn without_chance(output: &str) -> String {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || "-:.".contains(letter);
    let mut masked = String::new();
    for piece in output.split_inclusive(|letter| !is_part(letter)) {
        let word = piece.trim_end_matches(|letter| !is_part(letter));
        let is_id = word.len() == 36 && word.matches('-').count() == 4 && !word.starts_with("01890a5d");
        let is_time = word.len() == 24 && word.ends_with('Z') && word.matches('-').count() == 2;
        masked.push_str(if is_id {
            "ID"
        } else if is_time {
            "TIME"
        } else {
            word
        });
        masked.push_str(&piece[word.len()..]);
    }
    masked
}
