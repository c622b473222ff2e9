//! The files of deploy/ and .github/: the tools that they are written for accept them, and they match the program.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use codemint::config::settings::SETTINGS;
use serde_json::Value;

use codemint_test_support::codemint::Codemint;
use codemint_test_support::tools::{expect_content, judge, python_tool, read, root};

const DOCKERFILE: &str = "deploy/Dockerfile";
const UNITS: [&str; 3] = [
    "deploy/systemd/codemint-worker.service",
    "deploy/systemd/codemint-server.service",
    "deploy/systemd/codemint-migrate.service",
];
const DEVCONTAINER: &str = ".devcontainer/devcontainer.json";
const WORKFLOWS: [&str; 2] = [".github/workflows/ci.yml", ".github/workflows/release.yml"];
/// A bound on the scale of `systemd-analyze security`, from 0 to 10.
const EXPOSURE_BELOW: f64 = 2.0;

/// Asserts that the program accepts these arguments, whatever they then do.
pub async fn assert_arguments(arguments: &[&str]) {
    let place = tempfile::tempdir().expect("a directory");
    Codemint::new(place.path()).args(arguments).args(["--help"]).run().await.expect_code(0);
}

/// Asserts that the variables of Codemint in `what` name settings, and that it has at least one.
pub fn assert_settings<'a>(what: &str, variables: impl IntoIterator<Item = &'a str>) {
    let known: BTreeSet<String> =
        SETTINGS.iter().map(|setting| format!("CODEMINT__{}", setting.key.to_uppercase().replace('.', "__"))).collect();
    let mut count = 0;
    for variable in variables.into_iter().filter(|name| name.starts_with("CODEMINT")) {
        assert!(known.contains(variable), "{what}: there is no setting {variable}");
        count += 1;
    }
    assert!(count > 0, "{what} sets nothing");
}

pub fn default_of(key: &str) -> &'static str {
    SETTINGS.iter().find(|setting| setting.key == key).expect("a key").default
}

/// The instructions of the Dockerfile, each joined into one line: its name and the rest.
fn instructions() -> Vec<(String, String)> {
    let text: String =
        read(DOCKERFILE).lines().filter(|line| !line.starts_with('#')).fold(String::new(), |text, line| {
            match line.strip_suffix('\\') {
                Some(start) => text + start,
                None => text + line + "\n",
            }
        });
    let split = |line: &str| line.split_once(' ').map(|(name, rest)| (name.to_owned(), rest.trim().to_owned()));
    text.lines().filter_map(split).collect()
}

/// The paths that the image copies from the repository, in that order.
fn copied() -> Vec<String> {
    let copies = instructions().into_iter().filter(|(name, rest)| name == "COPY" && !rest.starts_with("--from"));
    copies
        .flat_map(|(_, rest)| {
            let mut names: Vec<String> = rest.split_whitespace().map(str::to_owned).collect();
            names.pop();
            names
        })
        .collect()
}

/// The last instruction of this name.
fn last_instruction(wanted: &str) -> String {
    let found = instructions().into_iter().rfind(|(name, _)| name == wanted);
    found.unwrap_or_else(|| panic!("no {wanted} in {DOCKERFILE}")).1
}

/// A list in JSON, as in `CMD ["worker"]`.
fn list(text: &str) -> Vec<String> {
    let start = text.find('[').expect("a list");
    serde_json::from_str(&text[start..]).expect("a list of texts")
}

#[test]
fn hadolint_finds_nothing_in_the_dockerfile() {
    expect_content(python_tool("hadolint").args(["--failure-threshold", "style", DOCKERFILE]));
}

#[test]
fn the_image_copies_existing_files_and_exactly_those_that_are_not_ignored() {
    let let_through = read("deploy/Dockerfile.dockerignore");
    let let_through: BTreeSet<&str> = let_through.lines().filter_map(|line| line.strip_prefix('!')).collect();
    let copied = copied();
    assert!(copied.len() > 5, "{copied:?}");
    for name in &copied {
        assert!(root().join(name).exists(), "{name} does not exist");
    }
    assert_eq!(copied.iter().map(String::as_str).collect::<BTreeSet<_>>(), let_through);
}

/// Collects the files that macros read while the program is compiled: migrations, templates, texts beside the source.
fn read_by_macros(directory: &Path, found: &mut BTreeSet<PathBuf>) {
    for path in fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry").path()) {
        if path.is_dir() {
            read_by_macros(&path, found);
            continue;
        }
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let beside = path.parent().expect("a directory").to_owned();
        let places = [
            ("migrate!(\"", root().join("crates/store")),
            ("template(path = \"", root().join("crates/server/templates")),
            ("include_str!(\"", beside.clone()),
            ("include_bytes!(\"", beside),
        ];
        for (start, from) in places {
            let names = text.split(start).skip(1).filter_map(|rest| rest.split_once('"'));
            found.extend(names.map(|(name, _)| fs::canonicalize(from.join(name)).expect("a file that is read")));
        }
    }
}

#[test]
fn every_file_that_the_program_is_compiled_from_is_copied() {
    let mut found = BTreeSet::new();
    read_by_macros(&root().join("src"), &mut found);
    read_by_macros(&root().join("crates"), &mut found);
    assert!(found.len() > 3, "{found:?}");
    let copied = copied();
    for file in &found {
        let is_copied =
            copied.iter().any(|name| fs::canonicalize(root().join(name)).is_ok_and(|at| file.starts_with(at)));
        assert!(is_copied, "{} is not copied", file.display());
    }
}

/// Copies what the stage `manifests` copies into a directory, and runs the command of that stage there.
fn manifests_stage(layer: &Path) {
    let stage = instructions().into_iter().skip_while(|(_, rest)| !rest.ends_with(" AS manifests")).skip(1);
    for (name, rest) in stage.take_while(|(name, _)| name != "FROM") {
        let mut command = match name.as_str() {
            "COPY" => {
                let mut names: Vec<&str> = rest.split_whitespace().collect();
                let _destination = names.pop();
                let mut copy = Command::new("cp");
                copy.args(["-r", "--parents"]).args(names).arg(layer).current_dir(root());
                copy
            }
            _ => {
                let mut shell = Command::new("sh");
                shell.args(["-c", &rest]).current_dir(layer);
                shell
            }
        };
        expect_content(&mut command);
    }
}

#[test]
fn cargo_reads_the_manifests_of_the_dependency_layer_which_has_no_code() {
    let layer = tempfile::tempdir().expect("a directory");
    manifests_stage(layer.path());
    let metadata = ["metadata", "--format-version", "1", "--no-deps", "--locked", "--offline"];
    expect_content(Command::new("cargo").args(metadata).current_dir(layer.path()));
    let main = fs::read_to_string(layer.path().join("src/main.rs")).expect("the program");
    assert_eq!(main, "fn main() {}\n");
    let code = judge(Command::new("find").args([".", "-name", "*.rs", "-size", "+0"]).current_dir(layer.path())).1;
    assert_eq!(code.trim(), "./src/main.rs");
}

#[test]
fn images_are_pinned_and_have_the_compiler_that_the_program_needs() {
    let minimum = read("Cargo.toml");
    let minimum = minimum.lines().find_map(|line| line.strip_prefix("rust-version = ")).expect("a version");
    let minimum = minimum.trim_matches('"');
    let mut from: Vec<String> =
        instructions().into_iter().filter(|(name, _)| name == "FROM").map(|(_, rest)| rest).collect();
    // The other stages begin with an earlier one.
    from.retain(|image| image.contains(':'));
    for workflow in WORKFLOWS {
        from.extend(read(workflow).lines().filter_map(|line| line.trim().strip_prefix("image: ")).map(str::to_owned));
    }
    let devcontainer: Value = serde_json::from_str(&read(DEVCONTAINER)).expect("JSON");
    from.extend(devcontainer["image"].as_str().map(str::to_owned));
    assert_eq!(from.len(), 5, "{from:?}");
    for image in &from {
        let digest = image.split_once("@sha256:").expect("a digest").1;
        assert!(digest.chars().take_while(char::is_ascii_hexdigit).count() == 64, "{image}");
    }
    let rust = from.iter().filter(|image| image.starts_with("rust:"));
    assert_eq!(rust.filter(|image| image.starts_with(&format!("rust:{minimum}."))).count(), 4, "{from:?}");
}

#[tokio::test]
async fn the_image_runs_valid_commands_of_the_program_as_an_unprivileged_user() {
    assert_eq!(last_instruction("USER"), "65532:65532", "a number, because Kubernetes cannot check a name for root");
    let entry = list(&last_instruction("ENTRYPOINT"));
    let installed = instructions().into_iter().find(|(name, rest)| name == "COPY" && rest.starts_with("--from=build"));
    assert!(installed.is_some_and(|(_, rest)| rest.ends_with(&entry[0])), "{entry:?} is not copied");
    let health = list(&last_instruction("HEALTHCHECK"));
    assert_eq!(health[0], entry[0], "there is no shell");
    for arguments in [list(&last_instruction("CMD")), health[1..].to_vec()] {
        assert_arguments(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).await;
    }
    let environment = last_instruction("ENV");
    assert_settings(DOCKERFILE, environment.split_whitespace().filter_map(|pair| Some(pair.split_once('=')?.0)));
    for listens in ["CODEMINT__ADMIN__LISTEN=0.0.0.0:9464", "CODEMINT__SERVER__LISTEN=0.0.0.0:8080"] {
        assert!(environment.contains(listens), "{environment}");
    }
    assert_eq!(last_instruction("EXPOSE"), "8080 9464");
}

/// The values of one key of a unit, in order.
fn unit_values<'a>(unit: &'a str, key: &str) -> Vec<&'a str> {
    unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect()
}

#[test]
fn systemd_rates_the_exposure_of_units_below_the_bound() {
    for unit in UNITS {
        let arguments = ["security", "--offline=true", "--no-pager", unit];
        let said = expect_content(Command::new("systemd-analyze").args(arguments).current_dir(root()));
        let score = said.split("Overall exposure level for").nth(1).and_then(|rest| rest.split_whitespace().nth(1));
        let score: f64 = score.and_then(|score| score.parse().ok()).unwrap_or_else(|| panic!("no score in {said}"));
        assert!(score > 0.0 && score < EXPOSURE_BELOW, "{unit}: {score}\n{said}");
    }
}

#[test]
fn systemd_accepts_every_line_of_the_units() {
    let program = env!("CARGO_BIN_EXE_codemint");
    for unit in UNITS {
        let place = tempfile::tempdir().expect("a directory");
        let path = place.path().join(Path::new(unit).file_name().expect("a name"));
        // `systemd-analyze verify` checks whether the program exists.
        fs::write(&path, read(unit).replace("/usr/local/bin/codemint", program)).expect("a file");
        let (content, said) = judge(Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&path));
        let about_it: Vec<&str> = said.lines().filter(|line| line.contains("codemint")).collect();
        assert!(content && about_it.is_empty(), "{unit}: {said}");
    }
}

#[tokio::test]
async fn units_run_valid_commands_of_the_program_with_known_settings() {
    for unit in UNITS {
        let text = read(unit);
        let starts = unit_values(&text, "ExecStart");
        let arguments: Vec<&str> = starts[0].split_whitespace().skip(1).collect();
        assert!(starts[0].starts_with("/usr/local/bin/codemint "), "{starts:?}");
        let arguments: Vec<&str> = arguments.into_iter().filter(|word| !word.starts_with("--config")).collect();
        let named = arguments.iter().position(|word| word.ends_with(".toml")).expect("a configuration file");
        assert_arguments(&[&arguments[..named], &arguments[named + 1..]].concat()).await;

        let environment = unit_values(&text, "Environment");
        assert_settings(unit, environment.iter().filter_map(|pair| Some(pair.split_once('=')?.0)));
        let credentials: BTreeSet<&str> =
            unit_values(&text, "LoadCredential").iter().filter_map(|pair| Some(pair.split_once(':')?.0)).collect();
        let used: BTreeSet<&str> = environment.iter().filter_map(|pair| Some(pair.split_once("=%d/")?.1)).collect();
        assert_eq!(credentials, used, "{unit}");
    }
    for service in &UNITS[..2] {
        let text = read(service);
        let stop: u32 = unit_values(&text, "TimeoutStopSec")[0].parse().expect("seconds");
        let shutdown: u32 = default_of("worker.shutdown_seconds").parse().expect("seconds");
        assert!(stop > shutdown, "{service} is killed during its shutdown");
        assert_eq!(unit_values(&text, "Type"), ["notify"], "{service}");
        assert!(!unit_values(&text, "WatchdogSec").is_empty(), "{service}");
    }
    let server = read(UNITS[1]);
    let files: u64 = unit_values(&server, "LimitNOFILE")[0].parse().expect("a number");
    assert!(files > default_of("server.connections_max").parse().expect("a number"), "connections are refused");
    let admin = format!("CODEMINT__ADMIN__LISTEN={}", default_of("admin.listen"));
    let own = unit_values(&server, "Environment").into_iter().find(|pair| pair.starts_with("CODEMINT__ADMIN__LISTEN="));
    assert!(own.is_some_and(|own| own != admin), "a worker on the same machine has this address: {own:?}");
}

#[test]
fn workflows_fit_their_schema_and_zizmor_finds_no_weakness_in_them() {
    expect_content(
        python_tool("check-jsonschema").args(["--builtin-schema", "vendor.github-workflows"]).args(WORKFLOWS),
    );
    let dependabot = ["--builtin-schema", "vendor.dependabot", ".github/dependabot.yml"];
    expect_content(python_tool("check-jsonschema").args(dependabot));
    let zizmor = ["--offline", "--no-progress", "--pedantic", "--no-config", ".github"];
    expect_content(python_tool("zizmor").args(zizmor));
}

#[test]
fn workflows_pin_actions_by_commit_and_have_no_unneeded_permissions() {
    for workflow in WORKFLOWS {
        let document: Value = yaml_serde::from_str(&read(workflow)).expect("YAML");
        for (name, job) in document["jobs"].as_object().expect("jobs") {
            assert!(job["timeout-minutes"].is_u64(), "{workflow}: {name} may run forever");
            let permissions = job.get("permissions").unwrap_or(&document["permissions"]);
            assert!(permissions.is_object(), "{workflow}: {name} has all rights");
            for step in job["steps"].as_array().expect("steps") {
                let Some(action) = step["uses"].as_str() else { continue };
                let commit = action.split_once('@').expect("a version").1;
                assert!(commit.len() == 40 && commit.chars().all(|c| c.is_ascii_hexdigit()), "{workflow}: {action}");
            }
        }
    }
    let release: Value = yaml_serde::from_str(&read(WORKFLOWS[1])).expect("YAML");
    assert_eq!(release["permissions"], serde_json::json!({}));
    let build = &release["jobs"]["build"];
    assert_eq!(build["permissions"], serde_json::json!({"contents": "read"}), "third-party code runs there");
    let steps = build["steps"].as_array().expect("steps");
    assert!(steps.iter().any(|step| step["run"] == "./tests/run"));
}

#[test]
fn jobs_of_ci_run_every_part_of_the_full_check_once() {
    let script = read("tests/run");
    let all = script.lines().find_map(|line| line.strip_prefix("all_parts=(")?.strip_suffix(')')).expect("the parts");
    let mut all: Vec<&str> = all.split_whitespace().collect();
    let ci: Value = yaml_serde::from_str(&read(WORKFLOWS[0])).expect("YAML");
    let tests = &ci["jobs"]["tests"];
    let jobs = tests["strategy"]["matrix"]["include"].as_array().expect("jobs").iter();
    let mut run: Vec<&str> = jobs.flat_map(|job| job["parts"].as_str().expect("parts").split_whitespace()).collect();
    all.sort_unstable();
    run.sort_unstable();
    assert_eq!(run, all);
    let steps = tests["steps"].as_array().expect("steps");
    assert!(steps.iter().any(|step| step["run"] == "./tests/run $PARTS"));
}

#[test]
fn scripts_of_the_repository_stop_at_errors_and_pass_shellcheck() {
    let scripts = [".ci/run", "benches/run-all", "tests/previous", "tests/run", "tests/support/fresh-machine"];
    for script in scripts {
        assert!(read(script).contains("\nset -euo pipefail\n"), "{script} continues after an error");
    }
    expect_content(Command::new("shellcheck").arg("--external-sources").args(scripts).current_dir(root()));
}

#[test]
fn the_sample_configuration_has_every_key_with_its_meaning_and_its_default() {
    let path = root().join("deploy/codemint.toml");
    let sources = codemint::config::load::Sources { file: Some(path), flags: Vec::new() };
    let loaded = codemint::config::load::load(&sources).expect("a valid configuration");
    let text = read("deploy/codemint.toml");
    let lines: Vec<&str> = text.lines().collect();
    let mut section = String::new();
    let mut written = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            name.clone_into(&mut section);
        } else if let Some((name, _)) = line.trim_start_matches("# ").split_once(" = ") {
            let meaning = lines[number - 1].strip_prefix("# ").expect("a meaning above");
            written.push((format!("{section}.{name}"), meaning, !line.starts_with('#')));
        }
    }
    let expected: Vec<(String, &str, bool)> =
        SETTINGS.iter().map(|setting| (setting.key.to_owned(), setting.meaning, !setting.default.is_empty())).collect();
    assert_eq!(written, expected, "left: deploy/codemint.toml, right: src/config/settings.rs");
    for (resolved, setting) in loaded.resolved.iter().zip(SETTINGS) {
        assert_eq!(resolved.key, setting.key);
        assert_eq!(resolved.value.as_deref().unwrap_or_default(), setting.default, "{}", setting.key);
    }
}
