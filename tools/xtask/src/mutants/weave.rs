//! Puts all mutants of one source into it at once, each behind a switch.
//!
//! Only insertions within a line, so that every line keeps its number.

use std::collections::HashMap;
use std::ops::Range;

use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{BinOp, Expr, UnOp};

use super::list::{Genre, Mutant};

/// A source with its mutants in it.
pub struct Woven {
    /// The text.
    pub text: String,
    /// Where in it which mutants are.
    pub places: Vec<(Range<usize>, Vec<usize>)>,
    /// The numbers of those that are in it.
    pub woven: Vec<usize>,
    /// The numbers of those that no compiler takes.
    pub unviable: Vec<usize>,
}

/// Weaves `mutants`, all of this source.
///
/// # Errors
/// As parsing Rust.
pub fn weave(text: &str, mutants: &[&Mutant]) -> syn::Result<Woven> {
    let file = syn::parse_file(text)?;
    let line_starts: Vec<usize> =
        std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
    let mut wanted: HashMap<(Genre, usize), Vec<&Mutant>> = HashMap::new();
    for mutant in mutants {
        let line = &text[line_starts[mutant.line - 1]..];
        let in_line = line.char_indices().nth(mutant.column - 1).map_or(line.len(), |(at, _)| at);
        wanted.entry((mutant.genre, line_starts[mutant.line - 1] + in_line)).or_default().push(mutant);
    }
    let mut weaver =
        Weaver { text, wanted, edits: Vec::new(), depth: 0, constant_depth: 0, unviable: Vec::new() };
    weaver.visit_file(&file);
    let mut woven = render(text, weaver.edits);
    woven.unviable = weaver.unviable;
    Ok(woven)
}

struct Edit {
    at: usize,
    deleted: usize,
    text: String,
    is_suffix: bool,
    depth: usize,
    numbers: Vec<usize>,
}

/// At one place what ends comes before what begins, the inner ends first and the outer begins first.
fn render(text: &str, mut edits: Vec<Edit>) -> Woven {
    edits.sort_by_key(|edit| {
        let depth = isize::try_from(edit.depth).unwrap_or(isize::MAX);
        (edit.at, !edit.is_suffix, if edit.is_suffix { -depth } else { depth })
    });
    let mut woven = Woven {
        text: String::with_capacity(text.len() * 2),
        places: Vec::new(),
        woven: Vec::new(),
        unviable: Vec::new(),
    };
    let mut done = 0;
    for edit in edits {
        woven.text.push_str(&text[done..edit.at.max(done)]);
        done = done.max(edit.at) + edit.deleted;
        let start = woven.text.len();
        woven.text.push_str(&edit.text.replace('\n', " "));
        woven.woven.extend(&edit.numbers);
        woven.places.push((start..woven.text.len(), edit.numbers));
    }
    woven.text.push_str(&text[done..]);
    woven.woven.sort_unstable();
    woven.woven.dedup();
    woven
}

struct Weaver<'a> {
    text: &'a str,
    wanted: HashMap<(Genre, usize), Vec<&'a Mutant>>,
    edits: Vec<Edit>,
    depth: usize,
    constant_depth: usize,
    unviable: Vec<usize>,
}

fn on(number: usize) -> String {
    format!("crate::mutant::on({number})")
}

impl<'a> Weaver<'a> {
    fn take(&mut self, genre: Genre, at: usize) -> Option<Vec<&'a Mutant>> {
        if self.constant_depth > 0 { None } else { self.wanted.remove(&(genre, at)) }
    }

    fn edit(&mut self, at: Range<usize>, text: String, is_suffix: bool, mutants: &[&Mutant]) {
        let numbers = mutants.iter().map(|mutant| mutant.number).collect();
        let edit = Edit { at: at.start, deleted: at.len(), text, is_suffix, depth: self.depth, numbers };
        self.edits.push(edit);
    }

    fn wrap(&mut self, range: &Range<usize>, before: String, after: &str, mutants: &[&Mutant]) {
        self.edit(range.start..range.start, before, false, mutants);
        self.edit(range.end..range.end, after.to_owned(), true, mutants);
    }

    fn source(&self, item: &impl Spanned) -> &'a str {
        &self.text[item.span().byte_range()]
    }

    fn binary(&mut self, binary: &syn::ExprBinary) {
        let at = binary.op.span().byte_range();
        let Some(mutants) = self.take(Genre::BinaryOperator, at.start) else { return };
        let whole = binary.span().byte_range();
        let cases = |operands: (&str, &str), own: &str| {
            let cases = mutants.iter().map(|mutant| {
                let Mutant { number, replacement, .. } = mutant;
                format!("if {} {{ {} {replacement} {} }} else ", on(*number), operands.0, operands.1)
            });
            format!("{}{{ {} {own} {} }}", cases.collect::<String>(), operands.0, operands.1)
        };
        let own = self.source(&binary.op);
        match binary.op {
            BinOp::Eq(_) | BinOp::Ne(_) => {
                let number = mutants[0].number;
                self.wrap(&whole, format!("crate::mutant::flip({number}, "), ")", &mutants);
            }
            BinOp::And(_) | BinOp::Or(_) => {
                if contains_let(&binary.left) || contains_let(&binary.right) {
                    self.unviable.extend(mutants.iter().map(|mutant| mutant.number));
                    return;
                }
                let number = mutants[0].number;
                let goes_on = if matches!(binary.op, BinOp::And(_)) { "!=" } else { "==" };
                let left = format!("mutant_left_{number}");
                let then = format!(") {{ {left} => if {left} {goes_on} {} {{", on(number));
                self.wrap(&whole, "(match (".to_owned(), &format!("}} else {{ {left} }} }})"), &mutants);
                self.edit(at, then, false, &mutants);
            }
            BinOp::Lt(_) | BinOp::Le(_) | BinOp::Gt(_) | BinOp::Ge(_) => {
                let others =
                    mutants.iter().map(|mutant| format!("({}, {:?}), ", mutant.number, mutant.replacement));
                let others: String = others.collect();
                self.wrap(&whole, format!("crate::mutant::compare({own:?}, &[{others}], &("), "))", &mutants);
                self.edit(at, "), &(".to_owned(), false, &mutants);
            }
            _ if own.ends_with('=') => {
                let cases = cases((self.source(&binary.left), "mutant_right"), own);
                let right = binary.right.span().byte_range();
                self.edit(whole.start..right.start, "match (".to_owned(), false, &mutants);
                let after = format!(") {{ mutant_right => {cases} }}");
                self.edit(right.end..right.end, after, true, &mutants);
            }
            _ => {
                let cases = cases(("mutant_left", "mutant_right"), own);
                let after = format!(")) {{ (mutant_left, mutant_right) => {cases} }})");
                self.wrap(&whole, "(match ((".to_owned(), &after, &mutants);
                self.edit(at, "), (".to_owned(), false, &mutants);
            }
        }
    }

    fn unary(&mut self, unary: &syn::ExprUnary) {
        let at = unary.op.span().byte_range();
        let Some(mutants) = self.take(Genre::UnaryOperator, at.start) else { return };
        let name = if matches!(unary.op, UnOp::Not(_)) { "not" } else { "negative" };
        self.edit(at, format!("crate::mutant::{name}({}, ", mutants[0].number), false, &mutants);
        let end = unary.span().byte_range().end;
        self.edit(end..end, ")".to_owned(), true, &mutants);
    }

    fn structure(&mut self, structure: &syn::ExprStruct) {
        let Some(rest) = &structure.rest else { return };
        for field in &structure.fields {
            let range = field.span().byte_range();
            let Some(mutants) = self.take(Genre::StructField, range.start) else { continue };
            let (name, path, rest_text) =
                (self.source(&field.member), self.source(&structure.path), self.source(rest));
            let other = if matches!(**rest, Expr::Path(_) | Expr::Field(_)) {
                format!("{rest_text}.{name}")
            } else {
                format!("{{ let mutant_rest: {path} = {rest_text}; mutant_rest.{name} }}")
            };
            let condition = on(mutants[0].number);
            let value = field.expr.span().byte_range();
            let colon = if field.colon_token.is_some() { String::new() } else { format!("{name}: ") };
            let before = format!("{colon}if {condition} {{ {other} }} else {{ ");
            self.wrap(&value, before, " }", &mutants);
        }
    }

    /// Where no arm takes whatever is left, one less does not compile; one with a guard was not counted anyway.
    fn exhaustive(&mut self, matched: &syn::ExprMatch) {
        // A name in capitals is a variant or a constant.
        let is_last_resort = |arm: &syn::Arm| match &arm.pat {
            syn::Pat::Wild(_) => true,
            syn::Pat::Ident(name) => {
                name.subpat.is_none() && name.ident.to_string().starts_with(char::is_lowercase)
            }
            _ => false,
        };
        if matched.arms.iter().any(is_last_resort) {
            return;
        }
        for arm in matched.arms.iter().filter(|arm| !matches!(arm.pat, syn::Pat::Guard(_))) {
            let mutants = self.take(Genre::MatchArm, arm.pat.span().byte_range().start);
            self.unviable.extend(mutants.into_iter().flatten().map(|mutant| mutant.number));
        }
    }

    fn arm(&mut self, arm: &syn::Arm) {
        let (pattern, guard) = match &arm.pat {
            syn::Pat::Guard(guarded) => (&*guarded.pat, Some(&*guarded.guard)),
            pattern => (pattern, None),
        };
        let pattern = pattern.span().byte_range();
        if let Some(mutants) = self.take(Genre::MatchArm, pattern.start) {
            let number = mutants[0].number;
            match guard {
                Some(guard) => {
                    self.wrap(&guard.span().byte_range(), format!("!{} && (", on(number)), ")", &mutants);
                }
                None => self.edit(pattern.end..pattern.end, format!(" if !{}", on(number)), true, &mutants),
            }
        }
        if let Some(guard) = guard {
            let range = guard.span().byte_range();
            self.depth += 1;
            if let Some(mutants) = self.take(Genre::MatchArmGuard, range.start) {
                let condition =
                    mutants.iter().fold(String::new(), |text, mutant| match &*mutant.replacement {
                        "true" => format!("{text}{} || ", on(mutant.number)),
                        _ => format!("{text}!{} && ", on(mutant.number)),
                    });
                self.wrap(&range, format!("({condition}("), "))", &mutants);
            }
            self.depth -= 1;
        }
    }

    fn constant(&mut self, visit: impl FnOnce(&mut Self)) {
        self.constant_depth += 1;
        visit(self);
        self.constant_depth -= 1;
    }
}

/// Conditions with `let` cannot be wrapped, and `||` cannot join them.
fn contains_let(expression: &Expr) -> bool {
    match expression {
        Expr::Let(_) => true,
        Expr::Binary(binary) if matches!(binary.op, BinOp::And(_)) => {
            contains_let(&binary.left) || contains_let(&binary.right)
        }
        _ => false,
    }
}

impl<'ast> Visit<'ast> for Weaver<'_> {
    fn visit_expr(&mut self, expression: &'ast Expr) {
        self.depth += 1;
        match expression {
            Expr::Binary(binary) => self.binary(binary),
            Expr::Unary(unary) => self.unary(unary),
            Expr::Struct(structure) => self.structure(structure),
            Expr::Match(matched) => self.exhaustive(matched),
            _ => {}
        }
        visit::visit_expr(self, expression);
        self.depth -= 1;
    }

    fn visit_arm(&mut self, arm: &'ast syn::Arm) {
        self.arm(arm);
        self.depth += 2;
        visit::visit_arm(self, arm);
        self.depth -= 2;
    }

    fn visit_block(&mut self, block: &'ast syn::Block) {
        self.depth += 1;
        if let Some(first) = block.stmts.first()
            && let at = first.span().byte_range().start
            && let Some(mutants) = self.take(Genre::FnValue, at)
        {
            // An opaque result has one type, and another value mostly another.
            for mutant in mutants.into_iter().filter(|mutant| !mutant.is_opaque) {
                let value = format!("if {} {{ return {}; }} ", on(mutant.number), mutant.replacement);
                self.edit(at..at, value, false, &[mutant]);
            }
        }
        visit::visit_block(self, block);
        self.depth -= 1;
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        match item.sig.constness {
            Some(_) => self.constant(|weaver| visit::visit_item_fn(weaver, item)),
            None => visit::visit_item_fn(self, item),
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        match item.sig.constness {
            Some(_) => self.constant(|weaver| visit::visit_impl_item_fn(weaver, item)),
            None => visit::visit_impl_item_fn(self, item),
        }
    }

    fn visit_item_const(&mut self, item: &'ast syn::ItemConst) {
        self.constant(|weaver| visit::visit_item_const(weaver, item));
    }

    fn visit_impl_item_const(&mut self, item: &'ast syn::ImplItemConst) {
        self.constant(|weaver| visit::visit_impl_item_const(weaver, item));
    }

    fn visit_item_static(&mut self, item: &'ast syn::ItemStatic) {
        self.constant(|weaver| visit::visit_item_static(weaver, item));
    }
}
