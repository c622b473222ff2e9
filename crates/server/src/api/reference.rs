//! The page `/docs`: the OpenAPI document for people. No script, nothing external.

use askama::Template;
use serde_json::{Map, Value};

/// The tags in the order in which a shop needs them.
const TAGS: [&str; 4] = ["redemption", "campaigns", "codes", "issuing"];

/// What the page shows.
#[derive(Debug, Template)]
#[template(path = "reference.html")]
pub struct Reference {
    title: String,
    version: String,
    description: Text,
    groups: Vec<Group>,
    schemas: Vec<Schema>,
}

/// A text, in pieces.
type Text = Vec<Piece>;

#[derive(Clone, Debug)]
struct Piece {
    text: String,
    is_code: bool,
    /// The schema that it names.
    is_link: bool,
}

/// The operations with a tag.
#[derive(Debug)]
struct Group {
    tag: String,
    operations: Vec<Operation>,
}

#[derive(Debug)]
struct Operation {
    id: String,
    method: String,
    path: String,
    summary: Text,
    description: Text,
    scope: String,
    parameters: Vec<Field>,
    bodies: Vec<Body>,
    answers: Vec<Answer>,
}

#[derive(Debug)]
struct Body {
    content_type: String,
    kind: Text,
}

#[derive(Debug)]
struct Answer {
    status: String,
    description: Text,
    bodies: Vec<Body>,
}

/// A parameter, or a field of an object.
#[derive(Debug)]
struct Field {
    name: String,
    kind: Text,
    is_required: bool,
    description: Text,
}

#[derive(Debug)]
struct Schema {
    name: String,
    description: Text,
    shapes: Vec<Shape>,
}

/// One of the shapes that a value of a schema may have.
#[derive(Debug)]
struct Shape {
    kind: Text,
    description: Text,
    fields: Vec<Field>,
}

impl Reference {
    /// Reads the document. What it does not know of OpenAPI, it leaves out: the document is this program's own.
    pub fn new(document: &Value) -> Self {
        let mut groups: Vec<Group> = Vec::new();
        for (path, methods) in members(&document["paths"]) {
            for (method, operation) in members(methods) {
                let tag = text(&operation["tags"][0]);
                let operation = Operation::new(document, method, path, operation);
                match groups.iter_mut().find(|group| group.tag == tag) {
                    Some(group) => group.operations.push(operation),
                    None => groups.push(Group { tag, operations: vec![operation] }),
                }
            }
        }
        // Those that are not named come last.
        groups.sort_by_key(|group| TAGS.iter().position(|tag| *tag == group.tag).unwrap_or(TAGS.len()));
        Self {
            title: text(&document["info"]["title"]),
            version: text(&document["info"]["version"]),
            description: prose(&document["info"]["description"]),
            groups,
            schemas: members(&document["components"]["schemas"])
                .map(|(name, schema)| Schema::new(name, schema))
                .collect(),
        }
    }

    /// Returns the page; empty if it cannot be written, which only a formatter that fails could cause.
    pub fn to_html(&self) -> String {
        self.render().unwrap_or_default()
    }
}

impl Operation {
    fn new(document: &Value, method: &str, path: &str, operation: &Value) -> Self {
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let parameter = |parameter: &Value| {
            let mut kind = kind_of(&parameter["schema"]);
            kind.push(plain(format!(", {}", text(&parameter["in"]))));
            let is_required = parameter["required"] == true;
            let description = prose(&parameter["description"]);
            Field { name: text(&parameter["name"]), kind, is_required, description }
        };
        let answer = |(status, answer): (&String, &Value)| {
            let named = answer["$ref"].as_str().and_then(|name| document.pointer(name.strip_prefix('#')?));
            let answer = named.unwrap_or(answer);
            let (description, bodies) = (prose(&answer["description"]), bodies_of(&answer["content"]));
            Answer { status: status.clone(), description, bodies }
        };
        Self {
            id: text(&operation["operationId"]),
            method: method.to_uppercase(),
            path: path.to_owned(),
            summary: prose(&operation["summary"]),
            description: prose(&operation["description"]),
            scope: text(&operation["security"][0]["key"][0]),
            parameters: parameters.map(parameter).collect(),
            bodies: bodies_of(&operation["requestBody"]["content"]),
            answers: members(&operation["responses"]).map(answer).collect(),
        }
    }
}

impl Schema {
    fn new(name: &str, schema: &Value) -> Self {
        let shapes = match choices(schema) {
            Some(choices) => choices.iter().map(Shape::new).collect(),
            None => vec![Shape { description: Vec::new(), ..Shape::new(schema) }],
        };
        Self { name: name.to_owned(), description: prose(&schema["description"]), shapes }
    }
}

impl Shape {
    fn new(schema: &Value) -> Self {
        let required = schema["required"].as_array();
        let field = |(name, field): (&String, &Value)| Field {
            name: name.clone(),
            kind: kind_of(field),
            is_required: required.is_some_and(|required| required.iter().any(|known| known == name)),
            description: prose(&field["description"]),
        };
        let fields = members(&schema["properties"]).map(field).collect();
        Self { kind: kind_of(schema), description: prose(&schema["description"]), fields }
    }
}

fn bodies_of(content: &Value) -> Vec<Body> {
    let body = |(content_type, body): (&String, &Value)| {
        let kind = kind_of(&body["schema"]);
        Body { content_type: content_type.clone(), kind }
    };
    members(content).map(body).collect()
}

/// Returns what a value of a schema is, in words.
fn kind_of(schema: &Value) -> Text {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.rsplit('/').next().unwrap_or_default().to_owned();
        return vec![Piece { text: name, is_code: false, is_link: true }];
    }
    if let Some(choices) = choices(schema) {
        let mut kinds: Vec<Text> = choices.iter().map(kind_of).collect();
        let last = kinds.pop().unwrap_or_default();
        return kinds.into_iter().flat_map(|kind| [kind, vec![plain(" or ")]].concat()).chain(last).collect();
    }
    let values = schema["enum"].as_array().cloned().or_else(|| Some(vec![schema.get("const")?.clone()]));
    if let Some(values) = values {
        let value = |(no, value): (usize, &Value)| {
            let comma = (no > 0).then(|| plain(", "));
            comma.into_iter().chain([Piece { text: value.to_string(), is_code: true, is_link: false }])
        };
        return values.iter().enumerate().flat_map(value).collect();
    }
    let mut kind = match &schema["type"] {
        Value::Array(types) => types.iter().map(text).collect::<Vec<_>>().join(" or "),
        Value::String(one) => one.clone(),
        _ => "any value".to_owned(),
    };
    let format = schema["format"].as_str().filter(|format| !format.contains("int"));
    kind.extend(format.map(|format| format!(" ({format})")));
    kind.push_str(&bounds(schema));
    match schema.get("items") {
        Some(items) => [vec![plain(format!("{kind} of "))], kind_of(items)].concat(),
        None => vec![plain(kind)],
    }
}

fn bounds(schema: &Value) -> String {
    let pairs =
        [("minimum", "maximum", ""), ("minLength", "maxLength", " characters"), ("minItems", "maxItems", " items")];
    let shown = pairs.into_iter().filter_map(|(least, most, unit)| match (schema.get(least), schema.get(most)) {
        (Some(least), Some(most)) => Some(format!(", {least} to {most}{unit}")),
        (Some(least), None) => Some(format!(", at least {least}{unit}")),
        (None, Some(most)) => Some(format!(", at most {most}{unit}")),
        (None, None) => None,
    });
    shown.collect()
}

fn choices(schema: &Value) -> Option<&Vec<Value>> {
    schema["oneOf"].as_array().or_else(|| schema["anyOf"].as_array())
}

/// Returns the members of an object; none of anything else.
fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

/// Splits a text at its backticks.
fn prose(value: &Value) -> Text {
    let pieces = value.as_str().unwrap_or_default().split('`').enumerate();
    pieces.map(|(no, text)| Piece { text: text.to_owned(), is_code: no % 2 == 1, is_link: false }).collect()
}

fn plain(text: impl Into<String>) -> Piece {
    Piece { text: text.into(), is_code: false, is_link: false }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
