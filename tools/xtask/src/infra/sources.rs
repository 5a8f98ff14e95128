//! What the code says that the template must agree with: functions, variables, metrics and tables.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use proc_macro2::{Ident, TokenStream, TokenTree};
use thiserror::Error;

use crate::tidy::source::Source;
use crate::tidy::tree::Tree;

/// Why the code could not be read.
#[derive(Debug, Error)]
pub enum CodeError {
    /// A file could not be read.
    #[error("the sources could not be read: {0}")]
    Read(#[from] io::Error),
    /// A source is no Rust.
    #[error("{0}: {1}")]
    Rust(String, syn::Error),
    /// The tables are not described in the way that this check can read.
    #[error("{TABLES} is no longer written in a way that this check can read: {0}")]
    Tables(String),
}

const TABLES: &str = "shared/src/aws/tables.rs";
/// Names of environment variables that are for the functions begin so.
const VARIABLE_PREFIXES: &[&str] = &["PAYBELL_", "OTEL_"];

/// What the code says.
#[derive(Debug, Default)]
pub struct Code {
    /// The functions' folders.
    pub functions: BTreeSet<String>,
    /// The environment variables that functions read.
    pub variables: BTreeSet<String>,
    /// The metrics by function: outcomes and measures of its events.
    pub metrics: BTreeMap<String, BTreeSet<String>>,
    /// The tables by their names without a prefix.
    pub tables: BTreeMap<String, Table>,
}

/// What of a table the code depends on; words are in small letters and without underscores.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// Key attributes with their roles.
    pub keys: Vec<(String, String)>,
    /// The name of the index.
    pub index: Option<String>,
    /// Its key attributes with their roles.
    pub index_keys: Vec<(String, String)>,
    /// What it repeats of the items.
    pub projection: Option<String>,
    /// The attributes' types.
    pub types: BTreeMap<String, String>,
    /// What its stream shows.
    pub stream: Option<String>,
    /// The attribute that says when an item expires.
    pub expires_at: Option<String>,
}

impl Code {
    /// Reads the code of a checkout.
    ///
    /// # Errors
    /// [`CodeError`] when it cannot be read or understood.
    pub fn read(root: &Path) -> Result<Self, CodeError> {
        let tree = Tree::read(root)?;
        Self::of(&tree)
    }

    /// Reads the code of these files.
    ///
    /// # Errors
    /// [`CodeError`] when it cannot be understood.
    pub fn of(tree: &Tree) -> Result<Self, CodeError> {
        let mut code = Self::default();
        for (path, text) in tree.texts_of(&["rs"]).filter(|(path, _)| is_deployed(path)) {
            let rust_error = |error| CodeError::Rust(path.to_owned(), error);
            let source = Source::parse(text).map_err(rust_error)?;
            let mut words = Words { source: &source, texts: BTreeSet::new(), metrics: BTreeSet::new() };
            let tokens = text.parse::<TokenStream>();
            words.read(tokens.map_err(|error| rust_error(error.into()))?);
            code.variables.extend(words.texts.into_iter().filter(|text| is_variable(text)));
            if let Some(name) = path.strip_prefix("functions/").and_then(|path| path.split('/').next()) {
                code.functions.insert(name.to_owned());
                code.metrics.entry(name.to_owned()).or_default().extend(words.metrics);
            }
        }
        if let Some(text) = tree.text(TABLES) {
            code.tables = tables(text)?;
        }
        Ok(code)
    }
}

/// Whether a source goes into a function: not one for tests, the sandbox or the tools.
fn is_deployed(path: &str) -> bool {
    let is_ours = path.starts_with("shared/src/") || path.starts_with("functions/");
    let is_offstage = ["/tests.rs", "/tests/", "/sandbox.rs", "/sandbox/", "/build.rs"];
    is_ours && !is_offstage.iter().any(|part| path.contains(part))
}

fn is_variable(text: &str) -> bool {
    let is_name = |rest: &str| !rest.is_empty() && rest.chars().all(|c| c.is_ascii_uppercase() || c == '_');
    VARIABLE_PREFIXES.iter().any(|prefix| text.strip_prefix(prefix).is_some_and(is_name))
}

/// Reads texts and metrics off the tokens of a source.
struct Words<'a> {
    source: &'a Source,
    texts: BTreeSet<String>,
    metrics: BTreeSet<String>,
}

impl Words<'_> {
    fn read(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        // `outcome = …` in an event or before it; what is written there are the names of metrics.
        let mut in_outcome = false;
        let is_event = is_event(&tokens);
        for (index, token) in tokens.iter().enumerate() {
            match token {
                TokenTree::Ident(ident) if is_event && self.is_measure(ident) => {
                    self.metrics.insert(ident.to_string());
                }
                TokenTree::Ident(ident) if ident == "outcome" => {
                    in_outcome = matches!(tokens.get(index + 1), Some(TokenTree::Punct(next)) if next.as_char() == '=');
                }
                TokenTree::Punct(punct) if matches!(punct.as_char(), ',' | ';') => in_outcome = false,
                _ => {}
            }
            self.read_one(token, in_outcome);
        }
    }

    fn is_measure(&self, ident: &Ident) -> bool {
        ident.to_string().ends_with("_ms") && !self.source.is_offstage(ident.span().start().line)
    }

    fn read_one(&mut self, token: &TokenTree, in_outcome: bool) {
        match token {
            TokenTree::Group(group) => {
                if in_outcome {
                    let texts = texts(group.stream());
                    let line = group.span_open().start().line;
                    self.metrics.extend(texts.into_iter().filter(|_| !self.source.is_offstage(line)));
                }
                self.read(group.stream());
            }
            TokenTree::Literal(literal) if !self.source.is_offstage(literal.span().start().line) => {
                if let Some(text) = text_of(literal) {
                    if in_outcome {
                        self.metrics.insert(text.clone());
                    }
                    self.texts.insert(text);
                }
            }
            _ => {}
        }
    }
}

/// Whether these are the fields of an event: one of them is its outcome.
fn is_event(tokens: &[TokenTree]) -> bool {
    tokens.split(|token| matches!(token, TokenTree::Punct(punct) if punct.as_char() == ',')).any(|field| {
        let is_outcome = matches!(field.first(), Some(TokenTree::Ident(ident)) if ident == "outcome");
        let is_set = matches!(field.get(1), None | Some(TokenTree::Punct(_)));
        is_outcome && is_set
    })
}

fn texts(tokens: TokenStream) -> Vec<String> {
    tokens
        .into_iter()
        .flat_map(|token| match token {
            TokenTree::Group(group) => texts(group.stream()),
            TokenTree::Literal(literal) => text_of(&literal).into_iter().collect(),
            TokenTree::Ident(_) | TokenTree::Punct(_) => Vec::new(),
        })
        .collect()
}

fn text_of(literal: &proc_macro2::Literal) -> Option<String> {
    let tokens = TokenTree::Literal(literal.clone()).into();
    syn::parse2::<syn::LitStr>(tokens).ok().map(|text| text.value())
}

/// Reads the tables off the source that makes them on one machine.
fn tables(text: &str) -> Result<BTreeMap<String, Table>, CodeError> {
    let unreadable = |what: &str| CodeError::Tables(what.to_owned());
    let constants: BTreeMap<&str, &str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("pub const ")?.strip_suffix("\";")?.split_once(": &str = \""))
        .collect();
    let dense: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let (creation, _) = dense.split_once("wait_until_active").ok_or_else(|| unreadable("no creation"))?;
    let expiring = dense
        .split_once("{enable_expiry(")
        .and_then(|(before, _)| before.rsplit_once("fornamein"))
        .map(|(_, names)| names);
    let expiring = expiring.ok_or_else(|| unreadable("no expiry"))?;
    let mut tables = BTreeMap::new();
    for call in creation.split("create(client,&names.").skip(1) {
        let (name, definition) = call.split_once(',').ok_or_else(|| unreadable("no name"))?;
        let function = definition.split_once(").await").map_or(definition, |(function, _)| function);
        let body = match dense.split_once(&format!("fn{function}(create:CreateTable)")) {
            Some((_, body)) => body.split("}fn").next().unwrap_or_default(),
            None => function,
        };
        let mut table = table(body, &constants)?;
        let is_expiring = expiring.contains(&format!("&names.{name}"));
        table.expires_at =
            is_expiring.then(|| constants.get("EXPIRES_AT").copied().unwrap_or_default().to_owned());
        tables.insert(name.to_owned(), table);
    }
    Ok(tables)
}

fn table(body: &str, constants: &BTreeMap<&str, &str>) -> Result<Table, CodeError> {
    let value = |name: &str| {
        let value = constants.get(name).copied().map(str::to_owned);
        value.ok_or_else(|| CodeError::Tables(format!("`{name}` is no constant")))
    };
    let word_after = |mark: &str| {
        let (_, rest) = body.split_once(mark)?;
        rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().map(str::to_owned)
    };
    let mut table = Table {
        index: word_after("index_name(").map(|name| value(&name)).transpose()?,
        projection: word_after("ProjectionType::").map(|word| word.to_lowercase()),
        stream: word_after("StreamViewType::").map(|word| word.to_lowercase()),
        ..Table::default()
    };
    for (at, mark) in body.match_indices(",KeyType::") {
        let (before, name) = body[..at].rsplit_once('(').unwrap_or_default();
        let role = body[at + mark.len()..].split(')').next().unwrap_or_default().to_lowercase();
        let name = value(name)?;
        if before.ends_with("key_schema(key") {
            table.index_keys.push((name, role));
        } else {
            table.types.insert(name.clone(), "S".to_owned());
            table.keys.push((name, role));
        }
    }
    for (at, mark) in body.match_indices(",ScalarAttributeType::") {
        let (_, name) = body[..at].rsplit_once('(').unwrap_or_default();
        let kind = body[at + mark.len()..].split(')').next().unwrap_or_default();
        table.types.insert(value(name)?, kind.to_owned());
    }
    if table.keys.is_empty() { Err(CodeError::Tables("a table without a key".to_owned())) } else { Ok(table) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HANDLER: &str = r#"//! Doc.
fn handle() {
    let outcome = match status { 1 => "held", _ => "late" };
    tracing::warn!(outcome, lag_ms, age_s, "apply");
    tracing::info!(outcome = if none { "nothing_new" } else { "applied" }, reason = "why", "apply");
    if let Err(error) = outcome { say("no metric"); }
    std::env::var("PAYBELL_STAGE");
    log("PAYBELL_X is missing", OTHER_MS);
}
#[cfg(test)]
mod tests {
    fn test() { tracing::info!(outcome = "tested", "apply"); set("PAYBELL_TESTED"); }
}
"#;

    #[test]
    fn functions_variables_and_metrics_are_read_off_the_sources() {
        let tree = Tree::of(&[
            ("functions/apply/src/handler.rs", HANDLER),
            ("functions/apply/src/tests.rs", "fn test() { set(\"PAYBELL_TEST\"); }"),
            ("functions/notify/src/main.rs", "fn main() {}"),
            ("shared/src/config.rs", "const A: &str = \"OTEL_EXPORTER\"; const B: &str = \"OTEL_\";"),
            ("tools/cli/src/main.rs", "const A: &str = \"PAYBELL_CLI\";"),
        ]);
        let code = Code::of(&tree).unwrap();
        let words = |words: &BTreeSet<String>| words.iter().cloned().collect::<Vec<_>>().join(" ");
        assert_eq!(words(&code.functions), "apply notify");
        assert_eq!(words(&code.variables), "OTEL_EXPORTER PAYBELL_STAGE");
        assert_eq!(words(&code.metrics["apply"]), "applied held lag_ms late nothing_new");
        assert_eq!(words(&code.metrics["notify"]), "");
    }

    #[test]
    fn tables_are_read_off_the_source_that_makes_them() {
        let tables = tables(include_str!("../../../../shared/src/aws/tables.rs")).unwrap();
        assert_eq!(
            tables.keys().map(String::as_str).collect::<Vec<_>>(),
            ["accounts", "connections", "inbox", "orders"]
        );
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let inbox = Table {
            keys: vec![pair("pk", "hash"), pair("sk", "range")],
            index: Some("by_cursor".to_owned()),
            index_keys: vec![pair("pk", "hash"), pair("cursor", "range")],
            projection: Some("all".to_owned()),
            types: [pair("pk", "S"), pair("sk", "S"), pair("cursor", "S")].into(),
            stream: None,
            expires_at: Some("expires_at".to_owned()),
        };
        assert_eq!(tables["inbox"], inbox);
        assert_eq!(tables["orders"].stream.as_deref(), Some("newandoldimages"));
        assert_eq!(tables["orders"].types["updated_at_ms"], "N");
        assert_eq!(tables["accounts"].expires_at, None);
    }

    #[test]
    fn tables_that_cannot_be_read_are_an_error() {
        for text in ["", "create(client, &names.a, a_table).await?; wait_until_active()"] {
            assert!(matches!(tables(text), Err(CodeError::Tables(_))), "{text}");
        }
    }
}
