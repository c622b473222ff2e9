//! Reads conditions and segments.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use serde_json::Value;

use crate::condition::attribute::{ATTRIBUTES_MAX, Attribute};
use crate::condition::expression::Expression;
use crate::condition::predicate::{Comparison, DEPTH_MAX, NODES_MAX, Predicate, VALUES_MAX};
use crate::condition::segment::Segment;
use crate::problem::Problem;
use crate::read::node::{Node, Problems};

/// Reads a segment: `{ "condition": … }`.
///
/// # Errors
/// Every problem.
pub fn read_segment(value: &Value) -> Result<Segment, Vec<Problem>> {
    let problems = Problems::default();
    let read = segment(&Node::root(value, &problems));
    problems.or(read)
}

fn segment(node: &Node<'_>) -> Option<Segment> {
    let object = node.object(&["condition"])?;
    let condition = object.optional("condition", |node| tree(node, Members::Refused))?;
    Some(Segment { condition })
}

/// Reads a condition of a campaign.
pub(super) fn condition(node: &Node<'_>) -> Option<Predicate> {
    tree(node, Members::Allowed)
}

/// Reads and compiles an expression.
pub(super) fn expression(node: &Node<'_>) -> Option<Expression> {
    let Value::String(text) = node.value() else { return node.lines(0).and(None) };
    if text.contains('\0') {
        return node.wrong("the expression has the character U+0000, which no text has; remove it");
    }
    Expression::new(text).map_or_else(|error| node.wrong(error.to_string()), Some)
}

/// Reads attributes of a request: texts, integers, booleans, days and money.
pub(super) fn attributes(node: &Node<'_>) -> Option<BTreeMap<String, Attribute>> {
    let entries = node.entries(ATTRIBUTES_MAX)?.into_iter().filter(|(_, node)| !node.value().is_null());
    let read: Vec<Option<(String, Attribute)>> = entries.map(named_attribute).collect();
    read.into_iter().collect()
}

fn named_attribute((name, node): (String, Node<'_>)) -> Option<(String, Attribute)> {
    match name.contains('\0') {
        true => node.wrong("the name of an attribute has the character U+0000, which no text has; remove it"),
        false => Some((name, attribute(&node)?)),
    }
}

/// Whether a condition may ask for segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Members {
    Allowed,
    Refused,
}

/// Counts what a tree is made of.
struct TreeReader {
    members: Members,
    nodes: usize,
    values: usize,
}

fn tree(node: &Node<'_>, members: Members) -> Option<Predicate> {
    let mut reader = TreeReader { members, nodes: 0, values: 0 };
    let read = reader.node(node, 1);
    if reader.nodes > NODES_MAX {
        return node.wrong(format!("the condition has more than {NODES_MAX} nodes; use an in, or a segment"));
    }
    if reader.values > VALUES_MAX {
        return node.wrong(format!("the condition has {} values; at most {VALUES_MAX} are allowed", reader.values));
    }
    read
}

#[derive(Clone, Copy)]
enum NodeType {
    All,
    Any,
    Not,
    Compare,
    In,
    Member,
}

const NODE_TYPES: [(&str, NodeType); 6] = [
    ("all", NodeType::All),
    ("any", NodeType::Any),
    ("not", NodeType::Not),
    ("compare", NodeType::Compare),
    ("in", NodeType::In),
    ("member", NodeType::Member),
];

impl TreeReader {
    /// Stops at the first node beyond a limit, so that a huge tree costs no more than an allowed one.
    fn node(&mut self, node: &Node<'_>, depth: usize) -> Option<Predicate> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return None;
        }
        if depth > DEPTH_MAX {
            return node.wrong(format!("the condition is nested deeper than {DEPTH_MAX} levels; write it flatter"));
        }
        let object = node.object(&NODE_TYPES.map(|(name, _)| name))?;
        let mut parts = NODE_TYPES.iter().filter_map(|(name, node_type)| Some((*node_type, object.get(name)?)));
        let (Some((node_type, part)), 1) = (parts.next(), object.len()) else {
            return node.wrong("each node has exactly one field: all, any, not, compare, in or member");
        };
        match node_type {
            NodeType::All => Some(Predicate::All(self.parts(&part, depth)?)),
            NodeType::Any => Some(Predicate::Any(self.parts(&part, depth)?)),
            NodeType::Not => Some(Predicate::Not(Box::new(self.node(&part, depth + 1)?))),
            NodeType::Compare => self.compare(&part),
            NodeType::In => self.one_of(&part),
            NodeType::Member => self.member(&part),
        }
    }

    fn parts(&mut self, node: &Node<'_>, depth: usize) -> Option<Vec<Predicate>> {
        let parts: Vec<_> = node.list(1, NODES_MAX)?.iter().map(|part| self.node(part, depth + 1)).collect();
        parts.into_iter().collect()
    }

    fn compare(&mut self, node: &Node<'_>) -> Option<Predicate> {
        self.values += 1;
        let object = node.object(&["attribute", "op", "value"])?;
        let name = object.required("attribute").and_then(|node| node.text());
        let op = object.required("op").and_then(|node| node.choice(&Comparison::ALL));
        let value = object.required("value").and_then(|node| attribute(&node));
        let (name, op, value) = (name?, op?, value?);
        let found = value.attribute_type();
        if op.is_ordering() && !found.is_ordered() {
            object.wrong("op", format!("{} is not less or greater than another; use eq or ne", found.name()));
        }
        Some(Predicate::Compare { attribute: name, op, value })
    }

    fn one_of(&mut self, node: &Node<'_>) -> Option<Predicate> {
        let object = node.object(&["attribute", "values"])?;
        let name = object.required("attribute").and_then(|node| node.text());
        let list = object.required("values")?;
        let values = list.list(1, VALUES_MAX)?;
        self.values += values.len();
        let values: Vec<Option<Attribute>> = values.iter().map(attribute).collect();
        let values: Vec<Attribute> = values.into_iter().collect::<Option<_>>()?;
        if values.iter().any(|value| value.attribute_type() != values[0].attribute_type()) {
            return list.wrong("the values have different types; an attribute has one type");
        }
        Some(Predicate::In { attribute: name?, values })
    }

    fn member(&mut self, node: &Node<'_>) -> Option<Predicate> {
        let object = node.object(&["segment"])?;
        let segment = object.required("segment").and_then(|node| node.text())?;
        if self.members == Members::Refused {
            return node.wrong("the condition of a segment cannot ask for a segment; repeat that condition here");
        }
        Some(Predicate::Member { segment })
    }
}

/// Reads a value of an attribute: its form decides its type.
fn attribute(node: &Node<'_>) -> Option<Attribute> {
    match node.value() {
        Value::String(_) => node.text().map(Attribute::Text),
        Value::Number(_) => node.integer(i64::MIN, i64::MAX).map(Attribute::Integer),
        Value::Bool(found) => Some(Attribute::Boolean(*found)),
        Value::Object(fields) if fields.contains_key("day") => {
            let day = node.object(&["day"])?.required("day")?;
            let date = day.value().as_str().and_then(|text| text.parse::<NaiveDate>().ok());
            date.map_or_else(|| day.wrong("a day such as 2027-03-01 is expected"), |day| Some(Attribute::Day { day }))
        }
        Value::Object(_) => node.money(0).map(Attribute::Money),
        Value::Array(_) | Value::Null => node.wrong(
            "a text, a whole number, true or false, { \"currency\", \"amount\" } or { \"day\": \"2027-03-01\" } is expected",
        ),
    }
}
