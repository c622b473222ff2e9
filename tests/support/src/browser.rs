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
        let options = json!({"capabilities": {"alwaysMatch": {"goog:chromeOptions": {"args": arguments}}}});
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
