//! A real browser, driven by the WebDriver protocol (<https://www.w3.org/TR/webdriver2/>) and Chromium's extensions.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use ureq::Agent;

use crate::processes::reserved_port;

const START_TIMEOUT: Duration = Duration::from_secs(60);

/// A browser without a window, which ends when it is dropped.
#[derive(Debug)]
pub struct Browser {
    driver: Child,
    agent: Agent,
    /// The URL of the session.
    url: String,
}

impl Browser {
    pub fn start() -> Self {
        let port = reserved_port();
        let driver = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver, of the package chromium-driver");
        let agent = Agent::config_builder().timeout_global(Some(START_TIMEOUT)).proxy(None).build().into();
        let mut browser = Self { driver, agent, url: format!("http://127.0.0.1:{port}/session") };
        // Containers have neither a nested sandbox nor much shared memory.
        let arguments =
            ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"];
        let wanted = json!({"goog:chromeOptions": {"args": arguments}, "goog:loggingPrefs": {"browser": "ALL"}});
        let options = json!({"capabilities": {"alwaysMatch": wanted}});
        let begun = Instant::now();
        let session = loop {
            match browser.try_post("", &options) {
                Ok(answer) => break answer,
                Err(error) => assert!(begun.elapsed() < START_TIMEOUT, "no session: {error}"),
            }
            std::thread::sleep(Duration::from_millis(100));
        };
        browser.url = format!("{}/{}", browser.url, session["sessionId"].as_str().expect("a session"));
        browser
    }

    pub fn open(&self, url: &str) {
        self.post("/url", &json!({ "url": url }));
    }

    /// Evaluates an expression in the page.
    pub fn evaluate(&self, expression: &str) -> Value {
        self.post("/execute/sync", &json!({"script": format!("return {expression}"), "args": []}))
    }

    /// Types a text into a field, as a person does.
    ///
    /// # Panics
    /// If there is no such field.
    pub fn fill(&self, selector: &str, text: &str) {
        let script = "const field = document.querySelector(arguments[0]); field.focus(); field.value = arguments[1]; \
                      for (const name of ['input', 'change']) field.dispatchEvent(new Event(name, { bubbles: true }));";
        let found =
            self.post("/execute/sync", &json!({"script": format!("{script} return true;"), "args": [selector, text]}));
        assert_eq!(found, true, "{selector}: {found}");
    }

    /// Clicks and waits until the page that this leads to is loaded.
    pub fn click(&self, selector: &str) {
        let found = self.post("/element", &json!({"using": "css selector", "value": selector}));
        let element = found.as_object().and_then(|found| found.values().next()).and_then(Value::as_str);
        let element = element.unwrap_or_else(|| panic!("no {selector}: {found}"));
        let clicked = self.post(&format!("/element/{element}/click"), &json!({}));
        assert_eq!(clicked, Value::Null, "{selector}: {clicked}");
    }

    /// Evaluates an expression whose value is a promise.
    pub fn evaluate_later(&self, expression: &str) -> Value {
        let script = format!("const done = arguments[0]; ({expression}).then(done, (error) => done(String(error)));");
        self.post("/execute/async", &json!({"script": script, "args": []}))
    }

    /// Runs a script in the page, whatever the page permits.
    pub fn run(&self, script: &str) {
        self.post("/execute/sync", &json!({"script": script, "args": []}));
    }

    /// Forbids scripts of pages, or permits them again.
    pub fn forbid_scripts(&self, forbidden: bool) {
        self.command("Emulation.setScriptExecutionDisabled", &json!({"value": forbidden}));
    }

    /// Keeps a cookie that only the server reads.
    pub fn keep_cookie(&self, url: &str, name: &str, value: &str) {
        self.command("Network.setCookie", &json!({"url": url, "name": name, "value": value, "httpOnly": true}));
    }

    /// Returns what the pages have complained about since the last call, such as what a policy forbids.
    pub fn complaints(&self) -> Vec<String> {
        let entries = self.post("/se/log", &json!({"type": "browser"}));
        let entries = entries.as_array().cloned().unwrap_or_default();
        entries.iter().filter_map(|entry| entry["message"].as_str()).map(str::to_owned).collect()
    }

    /// Sets the size of the page, in pixels.
    pub fn set_size(&self, width: u32, height: u32) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600});
        self.command("Emulation.setDeviceMetricsOverride", &size);
    }

    /// Sets the preferred color scheme, `light` or `dark`.
    pub fn prefer_colors(&self, scheme: &str) {
        let feature = json!({"name": "prefers-color-scheme", "value": scheme});
        self.command("Emulation.setEmulatedMedia", &json!({"features": [feature]}));
    }

    /// Returns a PNG of the whole page.
    pub fn picture(&self) -> Vec<u8> {
        let taken = self.command("Page.captureScreenshot", &json!({"format": "png", "captureBeyondViewport": true}));
        BASE64_STANDARD.decode(taken["data"].as_str().expect("a picture")).expect("base64")
    }

    fn command(&self, name: &str, parameters: &Value) -> Value {
        self.post("/goog/cdp/execute", &json!({"cmd": name, "params": parameters}))
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        self.try_post(path, body).unwrap_or_else(|error| panic!("{path} {body}: {error}"))
    }

    fn try_post(&self, path: &str, body: &Value) -> Result<Value, ureq::Error> {
        let mut answer = self.agent.post(format!("{}{path}", self.url)).send(body.to_string())?;
        let text = answer.body_mut().with_config().limit(64 << 20).read_to_string()?;
        let mut answer: Value = serde_json::from_str(&text).expect("JSON");
        Ok(answer["value"].take())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver ends the browser with its session.
        let _ended = self.agent.delete(&self.url).call();
        let _killed = self.driver.kill();
        let _waited = self.driver.wait();
    }
}
