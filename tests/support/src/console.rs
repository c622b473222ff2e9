//! A person who uses the console as a browser without scripts does: with a cookie, and with the token of its forms.

use std::io::{Seek, Write};

use codemint_campaigns::people::People;
use codemint_offers::access::session::FormToken;
use url::form_urlencoded;
use uuid::Uuid;

use crate::api::{Answer, ApiServer};
use crate::stores::TestStore;

/// The password of people who were added with [`add_user`].
pub const PASSWORD: &str = "seven green lamps";

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
/// Between the parts of a form with a file.
const BOUNDARY: &str = "----codemint-boundary";

/// A person who has signed in.
#[derive(Clone, Debug)]
pub struct Console<'a> {
    server: &'a ApiServer,
    /// The header `cookie`.
    pub cookie: String,
    pub form_token: String,
}

impl<'a> Console<'a> {
    /// Signs in a person who has this role, and its name as the login.
    pub async fn sign_in(server: &'a ApiServer, place: &TestStore, role: &str) -> Self {
        let people = People::new(place.store.clone());
        let (login, known) = (role.parse().expect("a login"), role.parse().expect("a role"));
        // Somebody may be there already.
        let _invited = people.invite(Uuid::now_v7(), &login, known).await.expect("a person");
        let signed_in = people.sign_in_trusted(role).await.expect("a store").expect("a person");
        let form_token = FormToken::of(&signed_in.token).text();
        Self { server, cookie: format!("codemint={}", signed_in.token.text()), form_token }
    }

    /// Takes up the session of a cookie.
    pub async fn with_cookie(server: &'a ApiServer, cookie: String) -> Self {
        let page = server.send("GET", "/campaigns", None, &[("cookie", &cookie)], None).await;
        let form_token = field_of(&page.body, "form_token").unwrap_or_else(|| panic!("a token: {}", page.body));
        Self { server, cookie, form_token }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.server.send("GET", path, None, &[("cookie", &self.cookie), ("accept", "text/html")], None).await
    }

    /// Returns a page as its text.
    ///
    /// # Panics
    /// If it is not there.
    pub async fn page(&self, path: &str) -> String {
        let answer = self.get(path).await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (200, Some("text/html; charset=utf-8")),
            "{path}: {answer:?}"
        );
        answer.body
    }

    /// Asks for the part of a page as its script does.
    pub async fn part(&self, path: &str) -> Answer {
        self.server.send("GET", path, None, &[("cookie", &self.cookie), ("x-part", "1")], None).await
    }

    /// Sends a form with the token of the session.
    pub async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.post_with_token(path, fields, &self.form_token).await
    }

    pub async fn post_with_token(&self, path: &str, fields: &[(&str, &str)], token: &str) -> Answer {
        let fields = [&[("form_token", token)], fields].concat();
        let headers = [("cookie", self.cookie.as_str()), FORM, ("sec-fetch-site", "same-origin")];
        self.server.send("POST", path, None, &headers, Some(encoded(&fields))).await
    }

    /// Sends a form with a file.
    pub async fn upload(&self, path: &str, file: &str) -> Answer {
        self.upload_with_token(path, file, Some(&self.form_token)).await
    }

    pub async fn upload_with_token(&self, path: &str, file: &str, token: Option<&str>) -> Answer {
        let mut body = String::new();
        if let Some(token) = token {
            body += &format!("--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"form_token\"\r\n\r\n{token}\r\n");
        }
        body += &format!(
            "--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"list\"; filename=\"list.csv\"\r\ncontent-type: text/csv\r\n\r\n\
             {file}\r\n--{BOUNDARY}--\r\n"
        );
        let content_type = format!("multipart/form-data; boundary={BOUNDARY}");
        let headers = [
            ("cookie", self.cookie.as_str()),
            ("content-type", content_type.as_str()),
            ("sec-fetch-site", "same-origin"),
        ];
        self.server.send("POST", path, None, &headers, Some(body)).await
    }
}

impl Answer {
    /// Returns where a form leads after it was accepted.
    ///
    /// # Panics
    /// If it was not accepted.
    #[track_caller]
    pub fn expect_redirect(&self) -> &str {
        assert_eq!(self.status, 303, "{self:?}");
        self.header("location").expect("a place")
    }

    /// Returns the page that shows what is wrong.
    ///
    /// # Panics
    /// If the status is another one.
    #[track_caller]
    pub fn expect_page(&self, status: u16) -> &str {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), Some("text/html; charset=utf-8"), "{self:?}");
        &self.body
    }
}

/// Sends a form without a session.
pub async fn post_openly(server: &ApiServer, path: &str, fields: &[(&str, &str)]) -> Answer {
    server.send("POST", path, None, &[FORM], Some(encoded(fields))).await
}

/// Adds a person with [`PASSWORD`].
pub async fn add_user(place: &TestStore, login: &str, role: &str) {
    let mut input = tempfile::tempfile().expect("a file");
    input.write_all(PASSWORD.as_bytes()).and_then(|()| input.rewind()).expect("a written file");
    let program = place.codemint(["users", "add", login, "--role", role, "--password-stdin"]);
    program.stdin(input.into()).run().await.expect_code(0);
}

/// Returns the cookie that an answer sets, as the browser sends it back.
pub fn cookie_of(answer: &Answer) -> String {
    let set = answer.header("set-cookie").unwrap_or_else(|| panic!("a cookie: {answer:?}"));
    set.split(';').next().unwrap_or_default().to_owned()
}

/// Returns the value of the first field of this name in a page.
pub fn field_of(page: &str, name: &str) -> Option<String> {
    let (_, rest) = page.split_once(&format!("name=\"{name}\" value=\""))?;
    rest.split('"').next().map(str::to_owned)
}

/// Returns the text of a page as a person reads it, on one line: without tags and with characters instead of their names.
pub fn text_of(page: &str) -> String {
    let mut text = String::new();
    for (at, piece) in page.split('<').enumerate() {
        let shown = if at == 0 { piece } else { piece.split_once('>').map_or("", |(_, shown)| shown) };
        text.push_str(shown);
        text.push(' ');
    }
    let unescaped = text
        .replace("&#60;", "<")
        .replace("&#62;", ">")
        .replace("&#34;", "\"")
        .replace("&#39;", "'")
        .replace("&#38;", "&");
    unescaped.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn encoded(fields: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}
