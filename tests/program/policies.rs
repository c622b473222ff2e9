//! The files that restrict which codes may be made: what is accepted, and what is refused with which message.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use codemint::config::configuration::Config;
use codemint::config::load::{self, Sources};
use codemint::config::policy_files;
use codemint_codes::denied::{DeniedWords, WORDS_MAX};
use codemint_codes::policy::Policy;

fn configured(directory: &Path, keys: &str) -> Config {
    let file = directory.join("codemint.toml");
    std::fs::write(&file, keys.replace("DIR", &directory.display().to_string())).expect("a file");
    load::load(&Sources { file: Some(file), flags: Vec::new() }).expect("a configuration")
}

fn load(directory: &Path, keys: &str) -> Result<Policy, String> {
    policy_files::load(&configured(directory, keys)).map_err(|error| error.to_string())
}

fn digest(text: &str) -> [u8; 32] {
    DeniedWords::from_text(text).expect("words").digest()
}

#[test]
fn without_configuration_there_is_no_policy() {
    let directory = tempfile::tempdir().expect("a directory");
    for keys in ["", "[deny]\nfile = \"\"\nbuiltin = false\n[check]\nkey_file = \" \""] {
        let policy = load(directory.path(), keys).expect("a policy");
        assert!(policy.check_key.is_none() && policy.denied.is_none(), "{keys}");
    }
}

#[test]
fn denied_words_come_from_the_file_the_builtin_list_or_both() {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("words"), "\u{feff}# ours\r\nbadword\r\n\r\nB4DWORD\r\n").expect("a file");
    let denied = |keys: &str| load(directory.path(), keys).expect("a policy").denied.expect("words");
    let file = denied("[deny]\nfile = \"DIR/words\"");
    assert_eq!((file.len(), file.digest()), (1, digest("badword")));
    let builtin = denied("[deny]\nbuiltin = true");
    assert_eq!(builtin.digest(), DeniedWords::builtin().expect("words").digest());
    let both = denied("[deny]\nbuiltin = true\nfile = \"DIR/words\"");
    assert_eq!(both.len(), builtin.len() + 1);
    assert_eq!(both.digest(), builtin.union(&file).expect("words").digest());
}

#[test]
fn an_unusable_deny_file_is_refused_with_the_line() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("words");
    let refused = |words: &str| {
        let message = load(directory.path(), "[deny]\nfile = \"DIR/words\"").map(|_| ()).expect_err("no policy");
        assert!(message.starts_with(&format!("deny.file: {}: ", path.display())), "{message}");
        assert!(message.contains(words), "{message}");
    };
    refused("cannot be read: No such file");
    for (text, words) in [
        (&b""[..], "the list contains no words; write one word per line"),
        (b"good\nx\n", "line 2: the word has one letter or digit only"),
        (b"good\n\ncaf\xc3\xa9\n", "line 3: found 'é'"),
        (b"good\nbad\n\xff\n", "line 3 is not UTF-8 text"),
    ] {
        std::fs::write(&path, text).expect("a file");
        refused(words);
    }
    std::fs::write(&path, vec![b'\n'; 16 << 20]).expect("a file");
    refused("the list contains no words");
    std::fs::write(&path, vec![b'\n'; (16 << 20) + 1]).expect("a file");
    refused("has more than 16777216 bytes; expected one word per line");
    let letters = |number: usize| -> String {
        (0..5).map(|place| char::from(b'A' + (number >> (4 * place) & 15) as u8)).collect()
    };
    let many: Vec<String> = (0..=2 * WORDS_MAX).map(letters).collect();
    std::fs::write(&path, many.join("\n")).expect("a file");
    refused(&format!("there are more than {WORDS_MAX} words"));
    std::fs::remove_file(&path).expect("no file");
    std::fs::create_dir(&path).expect("a directory");
    refused("cannot be read: Is a directory");
}

#[test]
fn the_check_key_is_read_and_neither_it_nor_the_denied_words_are_shown() {
    let directory = tempfile::tempdir().expect("a directory");
    let key = directory.path().join("key");
    std::fs::write(&key, "0123456789abcdef\n").expect("a file");
    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o600)).expect("permissions");
    let policy = load(directory.path(), "[deny]\nbuiltin = true\n[check]\nkey_file = \"DIR/key\"").expect("a policy");
    let fingerprint = policy.check_key.as_ref().map(|key| key.fingerprint());
    assert_eq!(fingerprint.as_deref(), Some("fe5147bdb7c4d31b"));
    let shown = format!("{policy:?}");
    assert!(shown.contains("CheckKey(secret)") && shown.contains("DeniedWords { len: 142, .. }"), "{shown}");
    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o644)).expect("permissions");
    let message = load(directory.path(), "[check]\nkey_file = \"DIR/key\"").map(|_| ()).expect_err("no policy");
    assert!(
        message.ends_with("its mode is 644, which gives access to others than its owner; run chmod 600"),
        "{message}"
    );
}
