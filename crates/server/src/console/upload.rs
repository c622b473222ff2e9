//! Forms with a list in a file: the token comes first, and the list is read piece by piece, however long it is.

use std::sync::Arc;

use axum::extract::multipart::{Field, Multipart, MultipartError};
use axum::extract::{FromRequest, FromRequestParts, Request};
use tokio::sync::oneshot;

use std::fs::File;

use crate::api::body::refuse_encoded;
use crate::api::list_errands::ListErrand;
use crate::api::observing::in_time;
use crate::api::problem::{INVALID, Problem, UNSUPPORTED_MEDIA_TYPE};
use crate::api::service::Api;
use crate::console::origin::require_own;
use crate::console::posted::{FORM_TOKEN, require_token};
use crate::console::visitor::{May, NoPage, Permit};

/// The longest token that is read, in bytes.
const TOKEN_BYTES_MAX: usize = 256;

/// A form with a file, of a person who may send it. Its other fields were read; the file was not.
#[derive(Debug)]
pub struct Upload<P: Permit> {
    pub by: May<P>,
    form: Multipart,
}

/// Why a list was refused; nothing was changed.
#[derive(Clone, Debug)]
pub struct RefusedList {
    pub reason: String,
    /// The first wrong lines, if some are: each with what is wrong.
    pub lines: Vec<(String, String)>,
}

impl<P: Permit> Upload<P> {
    /// Receives the file and waits until the program has done the errand with it.
    ///
    /// # Errors
    /// As [`Api::have_list_read`]; `invalid` if the form has no file.
    pub async fn have_list_read<T>(
        &mut self,
        api: &Api,
        errand: impl FnOnce(File) -> ListErrand,
        answer: oneshot::Receiver<Result<T, Problem>>,
    ) -> Result<T, Problem> {
        let file = in_time(next_field(&mut self.form)).await?;
        let file = file.filter(|field| field.file_name().is_some_and(|name| !name.is_empty()));
        let file = file.ok_or_else(|| Problem::invalid_field("", "choose a file"))?;
        api.have_list_read(file, errand, answer).await
    }
}

impl<P: Permit> FromRequest<Arc<Api>> for Upload<P> {
    type Rejection = NoPage;

    async fn from_request(request: Request, api: &Arc<Api>) -> Result<Self, NoPage> {
        let (mut parts, body) = request.into_parts();
        let by = May::from_request_parts(&mut parts, api).await?;
        require_own(&parts.headers)?;
        refuse_encoded(&parts.headers)?;
        let form = Multipart::from_request(Request::from_parts(parts, body), api).await.map_err(|_other_type| {
            Problem::new(UNSUPPORTED_MEDIA_TYPE, "send the form as a browser does: multipart/form-data")
        });
        let mut form = form?;
        let sent = in_time(read_token(&mut form)).await?;
        require_token(&by, &sent)?;
        Ok(Self { by, form })
    }
}

/// Returns the token of the form, before anything of the file is received; empty if another field comes first.
async fn read_token(form: &mut Multipart) -> Result<String, Problem> {
    let mut text = Vec::new();
    let Some(mut field) = next_field(form).await?.filter(|field| field.name() == Some(FORM_TOKEN)) else {
        return Ok(String::new());
    };
    while let Some(piece) = field.chunk().await.map_err(|error| broken(&error))? {
        if text.len() + piece.len() > TOKEN_BYTES_MAX {
            return Ok(String::new());
        }
        text.extend_from_slice(&piece);
    }
    Ok(String::from_utf8(text).unwrap_or_default())
}

async fn next_field(form: &mut Multipart) -> Result<Option<Field<'_>>, Problem> {
    form.next_field().await.map_err(|error| broken(&error))
}

fn broken(_values_are_not_repeated: &MultipartError) -> Problem {
    Problem::new(INVALID, "the form is broken or ended early; nothing was changed; send it again")
}

/// Takes the problems that the person can solve with another file; gives back the others, which are pages of their own.
impl TryFrom<Problem> for RefusedList {
    type Error = Problem;

    fn try_from(problem: Problem) -> Result<Self, Problem> {
        if !problem.status().is_client_error() {
            return Err(problem);
        }
        let document = problem.document();
        let lines = document.errors.iter().filter(|error| !error.field.is_empty());
        let lines = lines.map(|error| (error.field.clone(), error.message.clone())).collect();
        Ok(Self { reason: document.detail.clone(), lines })
    }
}
