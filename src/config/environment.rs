//! The names of environment variables that set keys, and of those that were meant to.

use crate::config::settings::SETTINGS;

pub(super) const ENVIRONMENT_PREFIX: &str = "CODEMINT";

/// Returns the environment variable that sets a key.
pub(super) fn variable_of(key: &str) -> String {
    format!("{ENVIRONMENT_PREFIX}__{}", key.to_uppercase().replace('.', "__"))
}

/// Returns a warning for each name of a variable that resembles the variable of a key, but is not read.
pub(super) fn misnamed(names: impl IntoIterator<Item = String>) -> Vec<String> {
    let warning = |name: String| {
        let rest = name.to_ascii_uppercase();
        let rest = rest.strip_prefix(ENVIRONMENT_PREFIX)?.strip_prefix('_')?;
        if rest.starts_with('_') {
            return None;
        }
        let meant: Vec<String> = keys_like(rest).into_iter().map(variable_of).collect();
        let is_none = meant.is_empty();
        (!is_none).then(|| format!("the environment variable {name} is not read; did you mean {}?", meant.join(" or ")))
    };
    let mut warnings: Vec<String> = names.into_iter().filter_map(warning).collect();
    warnings.sort();
    warnings
}

/// Returns the keys that a wrong name may mean: the one with the same letters, or else those with the same last part.
pub(super) fn keys_like(name: &str) -> Vec<&'static str> {
    let letters = |text: &str| text.replace(['.', '_', '-'], "").to_ascii_lowercase();
    let last = |text: &str| letters(text.rsplit('.').next().unwrap_or(text));
    let keys = || SETTINGS.iter().map(|setting| setting.key);
    let same: Vec<&str> = keys().filter(|key| letters(key) == letters(name)).collect();
    if same.is_empty() { keys().filter(|key| last(key) == last(name)).collect() } else { same }
}

#[cfg(test)]
mod tests {
    use super::misnamed;

    #[test]
    fn regression_variables_that_resemble_those_of_keys_are_named_with_the_right_name() {
        let meant = |name: &str| {
            let warnings = misnamed([name.to_owned()]);
            warnings.first().map(|warning| warning.split("did you mean ").nth(1).unwrap_or_default().to_owned())
        };
        for (name, expected) in [
            ("CODEMINT_JOB_CHUNK_SIZE", Some("CODEMINT__JOB__CHUNK_SIZE?")),
            ("CODEMINT_JOB__CHUNK_SIZE", Some("CODEMINT__JOB__CHUNK_SIZE?")),
            ("codemint_job_chunksize", Some("CODEMINT__JOB__CHUNK_SIZE?")),
            ("CODEMINT_CHUNK_SIZE", Some("CODEMINT__JOB__CHUNK_SIZE?")),
            ("CODEMINT_STORE_URL", Some("CODEMINT__STORE__URL?")),
            ("CODEMINT_URL", Some("CODEMINT__STORE__URL or CODEMINT__AMQP__URL?")),
            // Read, or checked, as they are.
            ("CODEMINT__JOB__CHUNK_SIZE", None),
            ("CODEMINT__NONSENSE", None),
            // Those of Kubernetes, of tests and of other programs.
            ("CODEMINT_SERVICE_HOST", None),
            ("CODEMINT_PORT_9464_TCP", None),
            ("CODEMINT_TEST_POSTGRES_URL", None),
            ("CODEMINT", None),
            ("CODEMINT_", None),
            ("MY_CODEMINT_STORE_URL", None),
            ("JOB_CHUNK_SIZE", None),
        ] {
            assert_eq!(meant(name).as_deref(), expected, "{name}");
        }
    }
}
