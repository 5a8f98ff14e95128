//! One Rust source, parsed: its functions, what of it no function runs, and every path that its code names.

use std::ops::RangeInclusive;

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

/// One Rust source, parsed.
pub struct Source {
    /// Whether it begins with a module doc.
    pub has_module_doc: bool,
    /// Its functions.
    pub functions: Vec<Function>,
    /// Every path and macro name in its code, macro bodies included, comments and texts excluded.
    pub named: Vec<Named>,
    /// Modules in files of their own that exist only for tests or the sandbox.
    pub offstage_modules: Vec<String>,
    offstage_lines: Vec<RangeInclusive<usize>>,
}

/// A function with a body.
pub struct Function {
    /// Its name.
    pub name: String,
    /// Where its signature begins.
    pub line: usize,
    /// How many lines it has from its signature to its closing brace.
    pub line_count: usize,
}

/// A path such as `std::env::var`, or a macro's name with its `!`.
#[derive(Debug, PartialEq, Eq)]
pub struct Named {
    /// The path as it is written, with the prefix of the group in `use a::{b, c}`.
    pub path: String,
    /// Where its last part is.
    pub line: usize,
}

impl Source {
    /// Parses a source.
    ///
    /// # Errors
    /// As parsing Rust.
    pub fn parse(text: &str) -> syn::Result<Self> {
        let file = syn::parse_file(text)?;
        let mut items = Items::default();
        items.visit_file(&file);
        let mut named = Vec::new();
        collect_paths(text.parse()?, "", &mut named);
        Ok(Self {
            has_module_doc: file.attrs.iter().any(|attribute| attribute.path().is_ident("doc")),
            functions: items.functions,
            named,
            offstage_modules: items.offstage_modules,
            offstage_lines: items.offstage_lines,
        })
    }

    /// Whether the line belongs to an item that exists only for tests or the sandbox: no deployed function has it.
    pub fn is_offstage(&self, line: usize) -> bool {
        self.offstage_lines.iter().any(|lines| lines.contains(&line))
    }
}

#[derive(Default)]
struct Items {
    functions: Vec<Function>,
    offstage_modules: Vec<String>,
    offstage_lines: Vec<RangeInclusive<usize>>,
}

impl Items {
    fn function(&mut self, signature: &syn::Signature, body: &syn::Block) {
        let line = signature.span().start().line;
        let line_count = body.span().end().line + 1 - line;
        self.functions.push(Function { name: signature.ident.to_string(), line, line_count });
    }

    fn note_if_offstage(&mut self, attributes: &[syn::Attribute], item: &impl Spanned) -> bool {
        let is_offstage = attributes.iter().any(is_offstage_attribute);
        if is_offstage {
            let span = item.span();
            self.offstage_lines.push(span.start().line..=span.end().line);
        }
        is_offstage
    }
}

impl<'ast> Visit<'ast> for Items {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.note_if_offstage(&item.attrs, item);
        self.function(&item.sig, &item.block);
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.note_if_offstage(&item.attrs, item);
        self.function(&item.sig, &item.block);
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(body) = &item.default {
            self.function(&item.sig, body);
        }
        visit::visit_trait_item_fn(self, item);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if self.note_if_offstage(&item.attrs, item) && item.content.is_none() {
            self.offstage_modules.push(item.ident.to_string());
        }
        visit::visit_item_mod(self, item);
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        self.note_if_offstage(&item.attrs, item);
        visit::visit_item_impl(self, item);
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.note_if_offstage(&item.attrs, item);
    }
}

/// `#[test]`, `#[tokio::test]`, `#[cfg(test)]` and `#[cfg(feature = "sandbox")]`, but nothing negated.
fn is_offstage_attribute(attribute: &syn::Attribute) -> bool {
    let path = attribute.path();
    if path.segments.last().is_some_and(|last| last.ident == "test") {
        return true;
    }
    path.is_ident("cfg")
        && attribute.parse_args::<syn::Meta>().is_ok_and(|condition| match &condition {
            syn::Meta::Path(path) => path.is_ident("test"),
            syn::Meta::NameValue(pair) => pair.path.is_ident("feature") && is_text(&pair.value, "sandbox"),
            syn::Meta::List(_) => false,
        })
}

fn is_text(value: &syn::Expr, text: &str) -> bool {
    matches!(value, syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(have), .. }) if have.value() == text)
}

/// Reads paths off the tokens: `a::b` is one, and in `a::{b, c}` there are `a::b` and `a::c`.
fn collect_paths(tokens: TokenStream, prefix: &str, named: &mut Vec<Named>) {
    let mut path: Option<Named> = None;
    let mut colons = 0;
    for token in tokens {
        match token {
            TokenTree::Ident(ident) => {
                let line = ident.span().start().line;
                match &mut path {
                    Some(path) if colons == 2 => {
                        path.path = format!("{}::{ident}", path.path);
                        path.line = line;
                    }
                    _ => {
                        named.extend(path.take());
                        path = Some(Named { path: format!("{prefix}{ident}"), line });
                    }
                }
                colons = 0;
            }
            TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
            TokenTree::Punct(punct) => {
                let is_macro = punct.as_char() == '!' && punct.spacing() == Spacing::Alone;
                if let Some(path) = path.as_mut().filter(|_| is_macro) {
                    path.path.push('!');
                }
                named.extend(path.take());
                colons = 0;
            }
            TokenTree::Group(group) => {
                let is_use_group = colons == 2 && group.delimiter() == Delimiter::Brace;
                let prefix = match &path {
                    Some(path) if is_use_group => format!("{}::", path.path),
                    _ => String::new(),
                };
                named.extend(path.take());
                collect_paths(group.stream(), &prefix, named);
                colons = 0;
            }
            TokenTree::Literal(_) => {
                named.extend(path.take());
                colons = 0;
            }
        }
    }
    named.extend(path);
}
