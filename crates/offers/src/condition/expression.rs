//! Conditions for more complex needs: a text in CEL, the Common Expression Language.
//!
//! The text is checked when a campaign is saved: its length and its brackets before the parser sees it, then every node
//! of what was parsed. Loops (`all`, `exists`, `map`, `filter`) and functions other than those of [`FUNCTIONS`] are refused.
//! Without loops every node is evaluated at most once, so the length of the text bounds the time.

use std::sync::{Arc, LazyLock};

use cel::common::ast::{CallExpr, Expr, LiteralValue, operators};
use cel::parser::Expression as Parsed;
use cel::{Context, Env, ParseErrors, Value};

use crate::condition::facts::Facts;
use crate::condition::variables::{attributes, order, segments};
use crate::text::cut;

/// The longest text, in bytes.
pub const EXPRESSION_BYTES_MAX: usize = 1000;
/// The maximum number of opening brackets and question marks in the text. They are counted instead of their depth, because
/// only the parser knows which of them stand in texts or are closed; for each it calls itself at most once.
pub const EXPRESSION_BRACKETS_MAX: usize = 40;
/// The maximum number of signs such as `+`, `<` and dots, for each of which what is parsed may become one level deeper.
pub const EXPRESSION_SIGNS_MAX: usize = 200;
/// The maximum number of levels of nodes of what is parsed.
pub const EXPRESSION_DEPTH_MAX: usize = 24;
/// The maximum number of nodes of what is parsed.
pub const EXPRESSION_NODES_MAX: usize = 200;
/// The functions that may be called. The work of each is proportional to its arguments.
pub const FUNCTIONS: [&str; 6] = ["contains", "endsWith", "int", "size", "startsWith", "string"];
/// The names that an expression may use.
pub const VARIABLES: [&str; 3] = ["attributes", "order", "segments"];
/// The longest part of a parser's or evaluator's message that is shown, in characters.
const MESSAGE_CHARS_MAX: usize = 200;
/// The stack of the thread that parses. Without optimization, broken texts within the bounds have needed 4 to 8 MiB.
const PARSER_STACK_BYTES: usize = 32 << 20;

const OPERATORS: [&str; 16] = [
    operators::CONDITIONAL,
    operators::LOGICAL_AND,
    operators::LOGICAL_OR,
    operators::LOGICAL_NOT,
    operators::SUBSTRACT,
    operators::ADD,
    operators::MULTIPLY,
    operators::DIVIDE,
    operators::MODULO,
    operators::EQUALS,
    operators::NOT_EQUALS,
    operators::GREATER_EQUALS,
    operators::LESS_EQUALS,
    operators::GREATER,
    operators::LESS,
    operators::NEGATE,
];
const LOOK_UPS: [&str; 2] = [operators::INDEX, operators::IN];

static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib().with_optional_support(false)));

/// A checked expression. Equal texts are equal expressions.
#[derive(Clone, Debug)]
pub struct Expression {
    text: String,
    parsed: Arc<Parsed>,
}

/// The reason why a text is not an expression that may be saved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpressionError {
    #[error("the expression is empty; write a condition such as order.amount >= 5000, or leave it out")]
    Empty,
    #[error("the expression has {0} bytes; at most {EXPRESSION_BYTES_MAX} are allowed")]
    TooLong(usize),
    #[error("the expression has more than {EXPRESSION_BRACKETS_MAX} opening brackets and question marks; shorten it")]
    TooManyBrackets,
    #[error("the expression has more than {EXPRESSION_SIGNS_MAX} operators and dots; shorten it")]
    TooManySigns,
    #[error("the expression is nested deeper than {EXPRESSION_DEPTH_MAX} levels; write it flatter")]
    TooDeep,
    #[error("the expression has more than {EXPRESSION_NODES_MAX} parts; shorten it")]
    TooManyNodes,
    #[error("the expression is not CEL: {0}")]
    NotCel(String),
    #[error("loops such as all, exists, map and filter are not allowed; compare single attributes, or use a segment")]
    Loop,
    #[error("the function {name} is not allowed; the functions are {}", FUNCTIONS.join(", "))]
    Function { name: String },
    #[error("the name {name} is unknown; the names are {}, such as attributes.city", VARIABLES.join(", "))]
    Name { name: String },
    #[error("maps, messages and bytes are not allowed; use texts, numbers, true, false and lists")]
    Literal,
}

impl Expression {
    /// Parses and checks a text.
    ///
    /// # Errors
    /// The first check that fails.
    ///
    /// ```
    /// use codemint_offers::condition::expression::{Expression, ExpressionError};
    ///
    /// assert!(Expression::new("attributes.city == 'Berlin' && order.amount >= 5000").is_ok());
    /// assert_eq!(Expression::new("[1, 2].all(x, x > 0)").unwrap_err(), ExpressionError::Loop);
    /// ```
    pub fn new(text: &str) -> Result<Self, ExpressionError> {
        check_text(text)?;
        let parsed = parse_apart(text)?;
        check_node(&parsed, 1, &mut 0)?;
        Ok(Self { text: text.to_owned(), parsed: Arc::new(parsed) })
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// Evaluates the expression.
    ///
    /// # Errors
    /// What went wrong, for people: an attribute is missing, types do not fit, a number overflows, the answer is not true or
    /// false.
    pub fn evaluate(&self, facts: &Facts<'_>) -> Result<bool, String> {
        let mut context = Context::with_env(Arc::clone(&ENVIRONMENT));
        for (name, value) in VARIABLES.into_iter().zip([attributes(facts), order(facts), segments(facts)]) {
            context.add_variable_from_value(name, value);
        }
        match Value::resolve(&self.parsed, &context) {
            Ok(Value::Bool(holds)) => Ok(holds),
            Ok(other) => Err(format!("the answer is {}, not true or false", other.type_of())),
            Err(error) => Err(cut(&error.to_string(), MESSAGE_CHARS_MAX)),
        }
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Expression {}

/// Checks what the parser, which calls itself for each bracket, must not see.
fn check_text(text: &str) -> Result<(), ExpressionError> {
    if text.trim().is_empty() {
        return Err(ExpressionError::Empty);
    }
    if text.len() > EXPRESSION_BYTES_MAX {
        return Err(ExpressionError::TooLong(text.len()));
    }
    if text.matches(['(', '[', '{', '?']).count() > EXPRESSION_BRACKETS_MAX {
        return Err(ExpressionError::TooManyBrackets);
    }
    if text.matches(['.', '+', '-', '*', '/', '%', '<', '>', '=', '!']).count() > EXPRESSION_SIGNS_MAX {
        return Err(ExpressionError::TooManySigns);
    }
    Ok(())
}

/// Parses in a thread of its own, which bounds what a text can break: the parser calls itself for each bracket, and tries
/// several ways at once, with a need of stack that nobody promises; and a panic ends with the thread. Campaigns are saved
/// and loaded seldom enough for a thread each.
fn parse_apart(text: &str) -> Result<Parsed, ExpressionError> {
    let parse = || ENVIRONMENT.parser().parse(text);
    let parsed = std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(PARSER_STACK_BYTES).spawn_scoped(scope, parse);
        thread.map_err(|error| error.to_string())?.join().map_err(|_| "the parser failed".to_owned())
    });
    let first = |errors: ParseErrors| errors.errors.into_iter().next().map_or_else(String::new, |error| error.msg);
    parsed
        .and_then(|parsed| parsed.map_err(first))
        .map_err(|message| ExpressionError::NotCel(cut(&message, MESSAGE_CHARS_MAX)))
}

/// Checks a node and those below it.
fn check_node(node: &Parsed, depth: usize, nodes: &mut usize) -> Result<(), ExpressionError> {
    *nodes += 1;
    if depth > EXPRESSION_DEPTH_MAX {
        return Err(ExpressionError::TooDeep);
    }
    if *nodes > EXPRESSION_NODES_MAX {
        return Err(ExpressionError::TooManyNodes);
    }
    let mut below = |part: &Parsed| check_node(part, depth + 1, nodes);
    match &node.expr {
        Expr::Literal(LiteralValue::Bytes(_)) => Err(ExpressionError::Literal),
        Expr::Literal(_) => Ok(()),
        Expr::Ident(name) if VARIABLES.contains(&name.as_str()) => Ok(()),
        Expr::Ident(name) => Err(ExpressionError::Name { name: cut(name, MESSAGE_CHARS_MAX) }),
        Expr::Select(select) => below(&select.operand),
        Expr::List(list) => list.elements.iter().try_for_each(below),
        Expr::Call(call) => {
            check_function(call)?;
            call.target.iter().map(AsRef::as_ref).chain(&call.args).try_for_each(below)
        }
        Expr::Comprehension(_) => Err(ExpressionError::Loop),
        Expr::Map(_) | Expr::Struct(_) | Expr::Unspecified => Err(ExpressionError::Literal),
    }
}

fn check_function(call: &CallExpr) -> Result<(), ExpressionError> {
    let name = call.func_name.as_str();
    let known = OPERATORS.contains(&name) || LOOK_UPS.contains(&name) || FUNCTIONS.contains(&name);
    if known { Ok(()) } else { Err(ExpressionError::Function { name: cut(name, MESSAGE_CHARS_MAX) }) }
}
