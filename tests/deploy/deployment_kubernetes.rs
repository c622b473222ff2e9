//! deploy/kubernetes: every document fits its schema and matches the program.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::deployment::{assert_arguments, assert_settings};
use codemint_test_support::tools::{expect_content, judge, kubernetes_models, node_tool, python_tool, read, root};

const BASE: &str = "deploy/kubernetes/base";
const EXAMPLE: &str = "deploy/kubernetes/overlays/example";
/// The oldest supported version of Kubernetes, and the newest version that has a schema.
const VERSIONS: [&str; 2] = ["1.31", "1.37"];
/// The kinds that the schemas of Kubernetes do not know, and the packages that know them.
const CUSTOM: [(&str, &str); 3] = [
    ("ScaledObject", "@kubernetes-models/keda/keda.sh/v1alpha1"),
    ("PodMonitor", "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1"),
    ("ServiceMonitor", "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1"),
];

/// The YAML documents of a file.
fn documents(path: &Path) -> Vec<Value> {
    let text = read(path);
    let documents = yaml_serde::Deserializer::from_str(&text).map(Value::deserialize);
    documents.map(|document| document.unwrap_or_else(|error| panic!("{}: {error}", path.display()))).collect()
}

/// The files that a kustomization names, directly or through other kustomizations.
fn files(directory: &Path, key: &str) -> Vec<PathBuf> {
    let kustomization = documents(&directory.join("kustomization.yaml")).remove(0);
    let named = kustomization[key].as_array().cloned().unwrap_or_default();
    let paths = named.iter().map(|entry| entry.as_str().or_else(|| entry["path"].as_str()).expect("a path"));
    let paths = paths.map(|path| directory.join(path)).flat_map(|path| match root().join(&path).is_dir() {
        true => files(&path, key),
        false => vec![path],
    });
    paths.collect()
}

fn resources() -> Vec<Value> {
    files(Path::new(BASE), "resources").iter().flat_map(|path| documents(path)).collect()
}

fn resource(kind: &str, name: &str) -> Value {
    let is_it = |resource: &Value| resource["kind"] == kind && resource["metadata"]["name"] == name;
    resources().into_iter().find(is_it).unwrap_or_else(|| panic!("no {kind} {name}"))
}

fn is_custom(resource: &Value) -> bool {
    CUSTOM.iter().any(|(kind, _)| resource["kind"] == *kind)
}

/// The names of the Deployments.
const SERVICES: [&str; 2] = ["codemint-worker", "codemint-server"];

/// The pod templates of the worker, of the server and of the migration.
fn pods() -> Vec<Value> {
    let services = SERVICES.iter().map(|name| resource("Deployment", name));
    services.chain([resource("Job", "codemint-migrate")]).map(|owner| owner["spec"]["template"].clone()).collect()
}

#[test]
fn kustomizations_name_every_file_beside_them_and_patch_existing_resources() {
    for directory in [BASE, EXAMPLE] {
        let named: BTreeSet<PathBuf> = ["resources", "patches"]
            .iter()
            .flat_map(|key| files(Path::new(directory), key))
            .filter(|path| path.parent() == Some(Path::new(directory)))
            .map(|path| root().join(path))
            .collect();
        let beside = fs::read_dir(root().join(directory)).expect("a directory");
        let beside: BTreeSet<PathBuf> = beside
            .map(|entry| entry.expect("a file").path())
            .filter(|path| !path.ends_with("kustomization.yaml"))
            .collect();
        assert_eq!(named, beside, "{directory}");
    }
    let name = |resource: &Value| {
        ["/apiVersion", "/kind", "/metadata/name"].map(|at| resource.pointer(at).expect("a name").clone())
    };
    let there: Vec<_> = resources().iter().map(name).collect();
    let patches: Vec<Value> = files(Path::new(EXAMPLE), "patches").iter().flat_map(|path| documents(path)).collect();
    assert!(!patches.is_empty() && patches.iter().all(|patch| there.contains(&name(patch))), "{patches:?}");
    let image = documents(&Path::new(EXAMPLE).join("kustomization.yaml")).remove(0)["images"][0]["name"].clone();
    for pod in pods() {
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(pod["spec"]["containers"][0]["image"], format!("{}:{version}", image.as_str().expect("a name")));
    }
}

#[test]
fn documents_fit_the_schemas_of_kubernetes() {
    let mut paths = files(Path::new(EXAMPLE), "resources");
    paths.retain(|path| documents(path).iter().all(|document| !is_custom(document)));
    assert!(paths.len() > 6, "{paths:?}");
    for version in VERSIONS {
        let arguments = ["--strict", "--kubernetes-version", version];
        let said = expect_content(python_tool("kubernetes-validate").args(arguments).args(&paths));
        let passed = said.matches(" passed for resource ").count();
        let documents: usize = paths.iter().map(|path| documents(path).len()).sum();
        assert_eq!(passed, documents, "{said}");
    }
}

/// A program that checks each document by the compiler, which knows all fields, and the schema, which knows the values.
fn typed_program(documents: &[Value]) -> String {
    let imports =
        CUSTOM.map(|(kind, package)| format!("import {{ {kind}, type I{kind} }} from \"{package}\";\n")).concat();
    let checks = documents.iter().enumerate().map(|(number, document)| {
        let kind = document["kind"].as_str().expect("a kind");
        format!("const document{number}: I{kind} = {document};\nnew {kind}(document{number}).validate();\n")
    });
    format!("{imports}{}", checks.collect::<String>())
}

/// Whether the documents fit, and the output of the tools.
fn judge_custom(documents: &[Value]) -> (bool, String) {
    let place = tempfile::tempdir_in(kubernetes_models()).expect("the packages; ./tests/run installs them");
    let program = place.path().join("documents.mts");
    fs::write(&program, typed_program(documents)).expect("a file");
    let options = ["--strict", "--skipLibCheck", "--module", "nodenext", "--target", "es2022"];
    let (compiled, said) = judge(node_tool("tsc").args(options).arg(&program));
    if !compiled {
        return (false, said);
    }
    judge(Command::new("node").arg(program.with_extension("mjs")))
}

#[test]
fn custom_resources_fit_the_schemas_of_keda_and_of_the_prometheus_operator() {
    let custom: Vec<Value> = resources().into_iter().filter(is_custom).collect();
    assert_eq!(custom.len(), CUSTOM.len());
    let (fit, said) = judge_custom(&custom);
    assert!(fit, "{said}");
    // The tools notice errors.
    let mut unknown = custom.clone();
    unknown[0]["spec"]["minReplicas"] = json!(1);
    assert!(!judge_custom(&unknown).0, "an unknown field is accepted");
    let mut wrong = custom;
    wrong.iter_mut().filter(|resource| resource["kind"] == "ServiceMonitor").for_each(|monitor| {
        monitor["spec"]["endpoints"][0]["interval"] = json!("a while");
    });
    assert!(!judge_custom(&wrong).0, "a wrong duration is accepted");
}

#[tokio::test]
async fn pods_are_restricted_and_run_valid_commands_of_the_program() {
    for pod in pods() {
        let (spec, container) = (&pod["spec"], &pod["spec"]["containers"][0]);
        assert_eq!(spec["securityContext"]["runAsNonRoot"], true);
        assert_eq!(spec["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
        assert_eq!(spec["automountServiceAccountToken"], false);
        let context = json!({
            "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}
        });
        assert_eq!(container["securityContext"], context);
        assert!(container["resources"]["limits"]["memory"].is_string());
        let arguments = container["args"].as_array().expect("arguments").iter().filter_map(Value::as_str);
        assert_arguments(&arguments.collect::<Vec<_>>()).await;
        assert_settings("a pod", variables(container).keys().map(String::as_str));
        // Secrets are files, mounted from a Secret that is not in the repository.
        let mounts = container["volumeMounts"].as_array().expect("mounts");
        for (name, value) in variables(container).iter().filter(|(name, _)| name.ends_with("URL_FILE")) {
            let mounted = mounts.iter().any(|mount| value.starts_with(mount["mountPath"].as_str().expect("a path")));
            assert!(mounted, "{name} is {value}");
        }
    }
    assert!(resources().iter().all(|resource| resource["kind"] != "Secret"), "Secrets are created by hand");
}

/// The environment variables that a container sets itself.
fn variables(container: &Value) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let list = container["env"].as_array().expect("variables");
    list.iter().map(|variable| (text(&variable["name"]), text(&variable["value"]))).collect()
}

#[test]
fn workers_and_servers_have_the_time_to_shut_down_and_are_probed_where_they_listen() {
    let config = resource("ConfigMap", "codemint")["data"].clone();
    assert_settings("the ConfigMap", config.as_object().expect("settings").keys().map(String::as_str));
    let patch = documents(&Path::new(EXAMPLE).join("configmap.yaml")).remove(0);
    assert_settings("the example", patch["data"].as_object().expect("settings").keys().map(String::as_str));

    let shutdown: u64 =
        config["CODEMINT__WORKER__SHUTDOWN_SECONDS"].as_str().expect("seconds").parse().expect("seconds");
    for name in SERVICES {
        let spec = resource("Deployment", name)["spec"]["template"]["spec"].clone();
        let container = &spec["containers"][0];
        let grace = spec["terminationGracePeriodSeconds"].as_u64().expect("seconds");
        let pause = container["lifecycle"]["preStop"]["sleep"]["seconds"].as_u64().unwrap_or(0);
        assert!(grace > pause + shutdown, "{name} is killed during its shutdown");
        assert_eq!(container["envFrom"][0]["configMapRef"]["name"], "codemint");
        for (probe, path) in [("startupProbe", "/livez"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")] {
            assert_eq!(container[probe]["httpGet"], json!({"path": path, "port": "admin"}), "{name}: {probe}");
        }
        let ports = container["ports"].as_array().expect("ports");
        let port =
            |name: &str| ports.iter().find(|port| port["name"] == name).map(|port| port["containerPort"].clone());
        let listens = |setting: &str| config[setting].as_str().and_then(|at| at.strip_prefix("0.0.0.0:")?.parse().ok());
        assert_eq!(port("admin").and_then(|port| port.as_u64()), listens("CODEMINT__ADMIN__LISTEN"), "{name}");
        let http = listens("CODEMINT__SERVER__LISTEN").filter(|_| name == "codemint-server");
        assert_eq!(port("http").and_then(|port| port.as_u64()), http, "{name}");
    }
    assert_eq!(resource("Service", "codemint-worker")["spec"]["ports"][0]["name"], "admin");
    let api = resource("Service", "codemint-server")["spec"]["ports"].clone();
    assert_eq!(api.as_array().map(Vec::len), Some(1), "clients have no use for the admin port");
    assert_eq!(api[0]["targetPort"], "http");
}

#[test]
fn monitors_scrape_workers_and_servers_as_one_job_and_tell_them_apart() {
    let jobs = documents(&Path::new(BASE).join("kustomization.yaml")).remove(0)["labels"].clone();
    assert_eq!(jobs[0]["pairs"]["app.kubernetes.io/instance"], "codemint", "the name of the scrape job");
    for (kind, name, endpoints) in
        [("ServiceMonitor", "codemint-worker", "endpoints"), ("PodMonitor", "codemint-server", "podMetricsEndpoints")]
    {
        let spec = resource(kind, name)["spec"].clone();
        assert_eq!(spec["jobLabel"], "app.kubernetes.io/instance", "{kind}");
        let endpoint = &spec[endpoints][0];
        assert_eq!((&endpoint["path"], &endpoint["port"]), (&json!("/metrics"), &json!("admin")), "{kind}");
        let component = name.trim_start_matches("codemint-");
        assert_eq!(endpoint["relabelings"], json!([{"targetLabel": "component", "replacement": component}]), "{kind}");
    }
}

#[test]
fn every_selector_selects_the_pods_of_its_deployment() {
    for name in SERVICES {
        let deployment = resource("Deployment", name);
        let labels = deployment["spec"]["template"]["metadata"]["labels"].clone();
        let (monitor, scaler) = match name {
            "codemint-worker" => ("ServiceMonitor", "ScaledObject"),
            _ => ("PodMonitor", "HorizontalPodAutoscaler"),
        };
        let selectors = [
            ("Deployment", "/spec/selector/matchLabels"),
            ("Service", "/spec/selector"),
            ("PodDisruptionBudget", "/spec/selector/matchLabels"),
            ("NetworkPolicy", "/spec/podSelector/matchLabels"),
            (monitor, "/spec/selector/matchLabels"),
        ];
        for (kind, at) in selectors {
            assert_eq!(resource(kind, name).pointer(at), Some(&labels), "{name}: {kind}");
        }
        assert_eq!(resource("Service", name)["metadata"]["labels"], labels, "a ServiceMonitor selects the Service");
        assert_eq!(resource(scaler, name)["spec"]["scaleTargetRef"]["name"], name);
        assert!(deployment["spec"].get("replicas").is_none(), "{name}: {scaler} controls the number");
    }
    let migration = resource("Job", "codemint-migrate")["spec"]["template"]["metadata"]["labels"].clone();
    let policy = resource("NetworkPolicy", "codemint-migrate");
    assert_eq!(policy["spec"]["podSelector"]["matchLabels"], migration);
}

#[test]
fn network_policies_admit_only_scrapes_and_clients_and_reach_only_dns_and_the_servers() {
    for policy in resources().iter().filter(|resource| resource["kind"] == "NetworkPolicy") {
        let (name, spec) = (&policy["metadata"]["name"], &policy["spec"]);
        assert_eq!(spec["policyTypes"], json!(["Ingress", "Egress"]), "{name}");
        let ports = |rules: &Value| -> BTreeSet<u64> {
            let rules = rules.as_array().into_iter().flatten();
            rules
                .flat_map(|rule| rule["ports"].as_array().expect("ports"))
                .filter_map(|port| port["port"].as_u64())
                .collect()
        };
        let (comes_in, goes_out) = match name.as_str() {
            Some("codemint-worker") => (vec![9464], vec![53, 5432, 5671, 5672]),
            Some("codemint-server") => (vec![8080, 9464], vec![53, 5432]),
            _ => (vec![], vec![53, 5432]),
        };
        assert_eq!(ports(&spec["ingress"]).into_iter().collect::<Vec<_>>(), comes_in, "{name}");
        assert_eq!(ports(&spec["egress"]).into_iter().collect::<Vec<_>>(), goes_out, "{name}");
        for rule in spec["ingress"].as_array().into_iter().flatten() {
            let from = rule["from"].as_array().expect("senders");
            let is_named = |sender: &Value| sender["namespaceSelector"]["matchLabels"].is_object();
            assert!(!from.is_empty() && from.iter().all(is_named), "{name} lets everybody in");
        }
    }
}

#[test]
fn workers_are_scaled_on_existing_metrics() {
    let contract = read("docs/metrics.md");
    let triggers = resource("ScaledObject", "codemint-worker")["spec"]["triggers"].clone();
    for trigger in triggers.as_array().expect("triggers") {
        let query = trigger["metadata"]["query"].as_str().expect("a query");
        let metrics: Vec<String> = query
            .match_indices("codemint_")
            .map(|(at, _)| query[at..].chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect())
            .collect();
        assert!(metrics.len() == 2, "{query}");
        for metric in metrics {
            assert!(contract.contains(&format!("| `{metric}` |")), "{metric}");
        }
        assert!(query.starts_with("max("), "every worker exposes the same value: {query}");
    }
    assert!(triggers.to_string().contains("queued|running"), "{triggers}");
    // No tool here reads the queries unless they are rules.
    let queries = triggers.as_array().expect("triggers").iter().map(|trigger| trigger["metadata"]["query"].clone());
    let rules: Vec<Value> = queries.map(|query| json!({"record": "codemint:scale", "expr": query})).collect();
    let place = tempfile::tempdir().expect("a directory");
    let file = place.path().join("rules.yml");
    fs::write(&file, json!({"groups": [{"name": "scaling", "rules": rules}]}).to_string()).expect("a file");
    expect_content(Command::new("promtool").args(["check", "rules", "--lint=none"]).arg(&file));
}
