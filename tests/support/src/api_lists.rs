//! Steps of tests that order codes over HTTP.

use serde_json::{Value, json};

use crate::api::{Answer, ApiServer};
use crate::stores::TestStore;
use crate::waiting::wait_until;

impl ApiServer {
    /// Creates a campaign of this kind.
    pub async fn create_campaign(&self, key: &str, name: &str, kind: &str, mask: &str) {
        let definition = json!({
            "title": "Ten percent", "kind": kind, "active": true, "mask": mask,
            "discount": { "effect": { "type": "percent", "basis_points": 1000 }, "target": { "type": "order" } },
        });
        self.ask("PUT", &format!("/v1/campaigns/{name}"), key, Some(definition)).await.expect(201);
    }

    /// Sends a list as CSV.
    pub async fn send_list(&self, method: &str, path: &str, key: &str, list: &str) -> Answer {
        self.send(method, path, Some(key), &[("content-type", "text/csv")], Some(list.to_owned())).await
    }

    /// Reads the codes of a job in this format.
    pub async fn codes(&self, key: &str, job: &str, query: &str, accept: &str) -> Answer {
        self.send("GET", &format!("/v1/jobs/{job}/codes{query}"), Some(key), &[("accept", accept)], None).await
    }

    /// Mints the codes of a job, and returns it once it is completed.
    pub async fn complete(&self, place: &TestStore, key: &str, job: &str) -> Value {
        let path = format!("/v1/jobs/{job}");
        place.codemint(["jobs", "resume", job, "--quiet"]).run().await.expect_code(0);
        wait_until("the job is completed", async || self.get(&path, key).await.expect(200)["state"] == "completed")
            .await;
        self.get(&path, key).await.expect(200)
    }
}

/// Returns the id of the job in an answer.
#[track_caller]
pub fn job_id(ordered: &Value) -> String {
    ordered["job_id"].as_str().unwrap_or_else(|| panic!("no job: {ordered}")).to_owned()
}
