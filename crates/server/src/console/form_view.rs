//! A form as a page shows it: its fields, each with what is wrong with it.

use std::collections::BTreeMap;

use codemint_offers::form::fields::Fields;
use codemint_offers::problem::Problem as FieldProblem;

/// A form for the macros of `forms.html`.
#[derive(Clone, Debug, Default)]
pub struct FormView {
    fields: Fields,
    /// The first problem of each field.
    problems: BTreeMap<String, String>,
    /// Problems of the form as a whole.
    pub general: Vec<String>,
}

impl FormView {
    pub fn new(fields: Fields) -> Self {
        Self { fields, ..Self::default() }
    }

    /// Puts each problem at its field; `field_of` returns the field of a pointer, or none.
    #[must_use]
    pub fn with_problems<'p, N: AsRef<str>>(
        mut self,
        problems: &'p [FieldProblem],
        field_of: impl Fn(&'p str) -> Option<N>,
    ) -> Self {
        for FieldProblem { field, message } in problems {
            match field_of(field) {
                Some(name) => {
                    self.problems.entry(name.as_ref().to_owned()).or_insert_with(|| message.clone());
                }
                None => self.general.push(message.clone()),
            }
        }
        self
    }

    #[must_use]
    pub fn with_general(mut self, problem: impl Into<String>) -> Self {
        self.general.push(problem.into());
        self
    }

    pub fn value(&self, name: &str) -> &str {
        self.fields.raw(name)
    }

    pub fn problem(&self, name: &str) -> Option<&str> {
        self.problems.get(name).map(String::as_str)
    }

    pub fn is_checked(&self, name: &str) -> bool {
        self.fields.is_checked(name)
    }

    /// Returns true if the field has this value.
    pub fn has(&self, name: &str, value: &str) -> bool {
        self.fields.text(name) == value
    }

    /// Returns true if something is wrong.
    pub fn is_wrong(&self) -> bool {
        !self.problems.is_empty() || !self.general.is_empty()
    }

    /// Returns the number of problems.
    pub fn problem_count(&self) -> usize {
        self.problems.len() + self.general.len()
    }
}
