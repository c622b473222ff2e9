//! Which differences between two OpenAPI documents break programs that were written for the first one.
//!
//! Of a request, a program must be able to send what it sent before: nothing that was optional is required, no type or limit is narrower.
//! Of an answer, it must be able to read what it read before: no field is missing or null now, and no type is another one. It has to expect
//! fields, enumerated values and problems that it does not know.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// Who sends what a schema describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Request,
    Answer,
}

/// Two documents, and the breaking changes found between them.
struct Comparison<'a> {
    before: &'a Value,
    after: &'a Value,
    found: Vec<String>,
    /// The pairs of named schemas that were compared already: schemas may contain themselves.
    compared: BTreeSet<(String, String, bool)>,
}

/// Returns the breaking changes, each with its place.
pub fn breaking_changes(before: &Value, after: &Value) -> Vec<String> {
    let mut comparison = Comparison { before, after, found: Vec::new(), compared: BTreeSet::new() };
    for (path, methods) in members(&before["paths"]) {
        for (method, operation) in members(methods) {
            let place = format!("{} {path}", method.to_uppercase());
            match after["paths"][path].get(method) {
                Some(now) => comparison.operation(&place, operation, now),
                None => comparison.report(&place, "is gone"),
            }
        }
    }
    comparison.found
}

impl Comparison<'_> {
    fn report(&mut self, place: &str, what: &str) {
        self.found.push(format!("{place} {what}"));
    }

    fn operation(&mut self, place: &str, before: &Value, after: &Value) {
        // Generated clients name their functions by it.
        if before["operationId"] != after["operationId"] {
            self.report(place, "has another operationId");
        }
        if before["security"] != after["security"] {
            self.report(place, "needs another scope");
        }
        self.parameters(place, &before["parameters"], &after["parameters"]);
        let (body_before, body_after) = (&before["requestBody"], &after["requestBody"]);
        if body_before["required"] != true && body_after["required"] == true {
            self.report(place, "requires a body");
        }
        self.contents(&format!("{place} body"), Side::Request, &body_before["content"], &body_after["content"]);
        for (status, _) in members(&after["responses"]) {
            if status.starts_with('2') && before["responses"].get(status).is_none() {
                self.report(&format!("{place} {status}"), "is a new status");
            }
        }
        for (status, answer) in members(&before["responses"]) {
            let place = format!("{place} {status}");
            let Some(now) = after["responses"].get(status) else {
                self.report(&place, "is gone");
                continue;
            };
            let (answer, now) = (resolve(self.before, answer).clone(), resolve(self.after, now).clone());
            for (name, _) in members(&answer["headers"]) {
                if now["headers"].get(name).is_none() {
                    self.report(&format!("{place} header {name}"), "is gone");
                }
            }
            self.contents(&place, Side::Answer, &answer["content"], &now["content"]);
        }
    }

    fn parameters(&mut self, place: &str, before: &Value, after: &Value) {
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let (before, after) = (list(before), list(after));
        let same = |one: &Value, other: &Value| one["name"] == other["name"] && one["in"] == other["in"];
        let name = |parameter: &Value| format!("{place} parameter {}", parameter["name"].as_str().unwrap_or_default());
        for known in &before {
            match after.iter().find(|now| same(known, now)) {
                Some(now) => self.schema(&name(known), Side::Request, &known["schema"], &now["schema"]),
                None => self.report(&name(known), "is gone"),
            }
        }
        for now in after.iter().filter(|now| now["required"] == true) {
            if !before.iter().any(|known| same(known, now) && known["required"] == true) {
                self.report(&name(now), "is required");
            }
        }
    }

    fn contents(&mut self, place: &str, side: Side, before: &Value, after: &Value) {
        for (content_type, content) in members(before) {
            let place = format!("{place} {content_type}");
            match after.get(content_type) {
                Some(now) => self.schema(&place, side, &content["schema"], &now["schema"]),
                None => self.report(&place, "is gone"),
            }
        }
    }

    fn schema(&mut self, place: &str, side: Side, before: &Value, after: &Value) {
        let names = (before["$ref"].as_str(), after["$ref"].as_str());
        if let (Some(one), Some(other)) = names
            && !self.compared.insert((one.to_owned(), other.to_owned(), side == Side::Request))
        {
            return;
        }
        let (before, after) = (resolve(self.before, before).clone(), resolve(self.after, after).clone());
        let (types_before, types_after) = (types(&before), types(&after));
        let is_broken = match side {
            Side::Request => !accepts(&types_after, &types_before),
            Side::Answer => !accepts(&types_before, &types_after),
        };
        if is_broken {
            self.report(place, "has another type");
        }
        self.values(place, side, &before, &after);
        self.limits(place, side, &before, &after);
        self.fields(place, side, &before, &after);
        if let (Some(one), Some(other)) = (before.get("items"), after.get("items")) {
            self.schema(&format!("{place}[]"), side, one, other);
        }
        if let (Some(one), Some(other)) = (before.get("additionalProperties"), after.get("additionalProperties"))
            && one.is_object()
            && other.is_object()
        {
            self.schema(&format!("{place}.*"), side, one, other);
        }
        self.choices(place, side, &before, &after);
    }

    /// Compares enumerated values.
    fn values(&mut self, place: &str, side: Side, before: &Value, after: &Value) {
        let is_lost = match (values(before), values(after)) {
            (_, None) => false,
            (None, Some(_)) => side == Side::Request,
            (Some(one), Some(other)) => one.iter().any(|value| !other.contains(value)),
        };
        if is_lost {
            self.report(place, "has lost a value");
        }
    }

    fn limits(&mut self, place: &str, side: Side, before: &Value, after: &Value) {
        if side == Side::Answer {
            return;
        }
        for least in ["minimum", "minLength", "minItems", "minProperties"] {
            let (was, is) = (before[least].as_f64(), after[least].as_f64());
            if is.is_some_and(|is| was.is_none_or(|was| is > was)) {
                self.report(place, &format!("has a narrower {least}"));
            }
        }
        for most in ["maximum", "maxLength", "maxItems", "maxProperties"] {
            let (was, is) = (before[most].as_f64(), after[most].as_f64());
            if is.is_some_and(|is| was.is_none_or(|was| is < was)) {
                self.report(place, &format!("has a narrower {most}"));
            }
        }
        for text in ["pattern", "format"] {
            if after.get(text).is_some() && before.get(text) != after.get(text) {
                self.report(place, &format!("has another {text}"));
            }
        }
        if before["additionalProperties"] != false && after["additionalProperties"] == false {
            self.report(place, "refuses unknown fields");
        }
    }

    fn fields(&mut self, place: &str, side: Side, before: &Value, after: &Value) {
        let is_required = |schema: &Value, name: &str| {
            schema["required"].as_array().is_some_and(|required| required.iter().any(|known| known == name))
        };
        for (name, field) in members(&before["properties"]) {
            let place = format!("{place}.{name}");
            match after["properties"].get(name) {
                Some(now) => self.schema(&place, side, field, now),
                None => self.report(&place, "is gone"),
            }
            if side == Side::Answer && is_required(before, name) && !is_required(after, name) {
                self.report(&place, "may be missing");
            }
        }
        for (name, _) in members(&after["properties"]) {
            if side == Side::Request && is_required(after, name) && !is_required(before, name) {
                self.report(&format!("{place}.{name}"), "is required");
            }
        }
    }

    /// Compares alternatives one by one, in their order; new ones of a request come last.
    fn choices(&mut self, place: &str, side: Side, before: &Value, after: &Value) {
        let (one, other) = (choices(before), choices(after));
        for (no, choice) in one.iter().enumerate() {
            match other.get(no) {
                Some(now) => self.schema(&format!("{place}|{no}"), side, choice, now),
                None if side == Side::Request => self.report(place, "has lost an alternative"),
                None => {}
            }
        }
        if side == Side::Answer && other.len() > one.len() {
            self.report(place, "has a new alternative");
        }
    }
}

/// Returns the types of a schema; `None` for any.
fn types(schema: &Value) -> Option<BTreeSet<String>> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    match &schema["type"] {
        Value::Array(types) => Some(types.iter().filter_map(text).collect()),
        one => text(one).map(|one| BTreeSet::from([one])),
    }
}

fn accepts(wide: &Option<BTreeSet<String>>, narrow: &Option<BTreeSet<String>>) -> bool {
    match (wide, narrow) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(wide), Some(narrow)) => {
            let is_number = |name: &str| name == "integer" && wide.contains("number");
            narrow.iter().all(|name| wide.contains(name) || is_number(name))
        }
    }
}

fn values(schema: &Value) -> Option<Vec<Value>> {
    schema["enum"].as_array().cloned().or_else(|| Some(vec![schema.get("const")?.clone()]))
}

fn choices(schema: &Value) -> Vec<Value> {
    schema["oneOf"].as_array().or_else(|| schema["anyOf"].as_array()).cloned().unwrap_or_default()
}

/// Follows references, unless they lead nowhere.
fn resolve<'a>(document: &'a Value, mut schema: &'a Value) -> &'a Value {
    const STEPS_MAX: usize = 10;
    for _ in 0..STEPS_MAX {
        let found = schema["$ref"].as_str().and_then(|name| document.pointer(name.strip_prefix('#')?));
        let Some(found) = found else { break };
        schema = found;
    }
    schema
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::breaking_changes;

    fn document() -> Value {
        json!({
            "paths": { "/a": { "put": {
                "operationId": "put_a",
                "security": [{ "key": ["redeem"] }],
                "parameters": [{ "name": "limit", "in": "query", "required": false, "schema": { "type": "integer", "maximum": 9 } }],
                "requestBody": { "required": true, "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Asked" } } } },
                "responses": {
                    "200": {
                        "headers": { "ETag": { "schema": { "type": "string" } } },
                        "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Told" } } },
                    },
                    "404": { "$ref": "#/components/responses/missing" },
                },
            } } },
            "components": {
                "responses": { "missing": { "content": { "application/problem+json": { "schema": { "type": "object" } } } } },
                "schemas": {
                    "Asked": {
                        "type": "object",
                        "properties": {
                            "code": { "type": "string", "minLength": 1, "maxLength": 64 },
                            "kind": { "enum": ["one", "two"] },
                            "below": { "anyOf": [{ "$ref": "#/components/schemas/Asked" }, { "type": "null" }] },
                            "list": { "type": "array", "items": { "type": ["integer", "null"] } },
                        },
                        "required": ["code"],
                    },
                    "Told": {
                        "type": "object",
                        "properties": {
                            "state": { "enum": ["held", "released"] },
                            "at": { "type": ["string", "null"] },
                            "amount": { "type": "integer", "minimum": 0 },
                        },
                        "required": ["state", "amount"],
                    },
                },
            },
        })
    }

    const PUT: &str = "/paths/~1a/put";
    const ASKED: &str = "/components/schemas/Asked";
    const TOLD: &str = "/components/schemas/Told";

    /// Changes the value at the pointer, which is the first two texts; null removes it.
    fn changed(base: &str, below: &str, value: Value) -> Value {
        let mut document = document();
        let pointer = format!("{base}{below}");
        let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
        let name = &*name.replace("~1", "/");
        let parent = document.pointer_mut(parent).unwrap_or_else(|| panic!("{pointer}"));
        match (parent, value) {
            (Value::Object(fields), Value::Null) => assert!(fields.remove(name).is_some(), "{pointer}"),
            (Value::Object(fields), value) => {
                fields.insert(name.to_owned(), value);
            }
            (Value::Array(items), Value::Null) => {
                items.remove(name.parse().expect("an index"));
            }
            (Value::Array(items), value) => items.push(value),
            _ => panic!("{pointer}"),
        }
        document
    }

    #[test]
    fn each_breaking_change_is_found_and_named() {
        let body = "PUT /a body application/json";
        let answer = "PUT /a 200 application/json";
        let table = [
            ("", "/paths/~1a", Value::Null, "PUT /a is gone".to_owned()),
            ("", "/paths/~1a/put", Value::Null, "PUT /a is gone".to_owned()),
            (PUT, "/operationId", json!("put_b"), "PUT /a has another operationId".to_owned()),
            (PUT, "/security", json!([{ "key": ["manage"] }]), "PUT /a needs another scope".to_owned()),
            (PUT, "/parameters/0", Value::Null, "PUT /a parameter limit is gone".to_owned()),
            (PUT, "/parameters/0/required", json!(true), "PUT /a parameter limit is required".to_owned()),
            (PUT, "/parameters/0/schema/maximum", json!(8), "PUT /a parameter limit has a narrower maximum".to_owned()),
            (
                PUT,
                "/parameters/-",
                json!({ "name": "x", "in": "query", "required": true }),
                "PUT /a parameter x is required".to_owned(),
            ),
            (PUT, "/requestBody/content/application~1json", Value::Null, format!("{body} is gone")),
            (PUT, "/responses/200", Value::Null, "PUT /a 200 is gone".to_owned()),
            (PUT, "/responses/202", json!({}), "PUT /a 202 is a new status".to_owned()),
            (PUT, "/responses/200/headers/ETag", Value::Null, "PUT /a 200 header ETag is gone".to_owned()),
            (PUT, "/responses/200/content/application~1json", Value::Null, format!("{answer} is gone")),
            (
                "",
                "/components/responses/missing/content/application~1problem+json",
                Value::Null,
                "PUT /a 404 application/problem+json is gone".to_owned(),
            ),
            (ASKED, "/properties/code", Value::Null, format!("{body}.code is gone")),
            (ASKED, "/required/-", json!("kind"), format!("{body}.kind is required")),
            (ASKED, "/properties/code/type", json!("integer"), format!("{body}.code has another type")),
            (ASKED, "/properties/code/minLength", json!(2), format!("{body}.code has a narrower minLength")),
            (ASKED, "/properties/code/maxLength", json!(63), format!("{body}.code has a narrower maxLength")),
            (ASKED, "/properties/code/pattern", json!("^A"), format!("{body}.code has another pattern")),
            (ASKED, "/properties/kind/enum/1", Value::Null, format!("{body}.kind has lost a value")),
            (ASKED, "/properties/below/anyOf/1", Value::Null, format!("{body}.below has lost an alternative")),
            (ASKED, "/properties/list/items/type", json!("integer"), format!("{body}.list[] has another type")),
            (ASKED, "/additionalProperties", json!(false), format!("{body} refuses unknown fields")),
            (TOLD, "/properties/at", Value::Null, format!("{answer}.at is gone")),
            (TOLD, "/properties/amount/type", json!(["integer", "null"]), format!("{answer}.amount has another type")),
            (TOLD, "/properties/state/enum/1", Value::Null, format!("{answer}.state has lost a value")),
            (TOLD, "/required/1", Value::Null, format!("{answer}.amount may be missing")),
        ];
        for (base, below, value, expected) in table {
            let found = breaking_changes(&document(), &changed(base, below, value));
            assert_eq!(found, [expected], "{base}{below}");
        }
        let mut optional = document();
        *optional.pointer_mut("/paths/~1a/put/requestBody/required").expect("a flag") = json!(false);
        assert_eq!(breaking_changes(&optional, &document()), ["PUT /a requires a body"]);
    }

    #[test]
    fn harmless_changes_are_not_reported() {
        let table = [
            ("", "/info", json!({ "version": "9" })),
            ("", "/paths/~1b", json!({ "get": {} })),
            (PUT, "/summary", json!("Puts a")),
            (PUT, "/parameters/-", json!({ "name": "x", "in": "query", "required": false })),
            (PUT, "/parameters/0/schema/maximum", json!(10)),
            (PUT, "/parameters/0/schema/maximum", Value::Null),
            (PUT, "/requestBody/required", json!(false)),
            (PUT, "/responses/200/headers/Age", json!({})),
            (ASKED, "/properties/more", json!({ "type": "string" })),
            (ASKED, "/required/0", Value::Null),
            (ASKED, "/properties/code/type", json!(["string", "null"])),
            (ASKED, "/properties/code/maxLength", json!(65)),
            (ASKED, "/properties/code/minLength", json!(0)),
            (ASKED, "/properties/kind/enum/-", json!("three")),
            (ASKED, "/properties/below/anyOf/-", json!({ "type": "string" })),
            (PUT, "/responses/409", json!({})),
            (TOLD, "/properties/state/enum/-", json!("lost")),
            (TOLD, "/properties/more", json!({ "type": "string" })),
            (TOLD, "/required/-", json!("at")),
            (TOLD, "/properties/at/type", json!("string")),
            (TOLD, "/properties/amount/minimum", json!(1)),
        ];
        assert_eq!(breaking_changes(&document(), &document()), Vec::<String>::new());
        for (base, below, value) in table {
            let found = breaking_changes(&document(), &changed(base, below, value));
            assert_eq!(found, Vec::<String>::new(), "{base}{below}");
        }
    }
}
