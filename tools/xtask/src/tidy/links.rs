//! Relative links in Markdown lead somewhere: to a file or folder, and to a heading where they name one.

use super::Finding;
use super::tree::Tree;

/// Checks all Markdown files.
pub fn check(tree: &Tree, findings: &mut Vec<Finding>) {
    for (path, text) in tree.texts_of(&["md"]) {
        for (line, target) in links(text) {
            if let Some(problem) = problem(tree, path, target) {
                findings.push(Finding::new(path, line, format!("link `{target}`: {problem}")));
            }
        }
    }
}

fn problem(tree: &Tree, from: &str, target: &str) -> Option<&'static str> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (file, heading) =
        target.split_once('#').map_or((target, None), |(file, heading)| (file, Some(heading)));
    let Some(file) = resolve(from, file) else { return Some("leaves the project") };
    if !tree.exists(&file) {
        return Some("no such file");
    }
    let heading = heading?;
    let has_heading = tree.text(&file).is_some_and(|text| headings(text).any(|have| have == heading));
    (!has_heading).then_some("no such heading")
}

/// The path from the project's root that a link in `from` means; `None` above the root.
fn resolve(from: &str, target: &str) -> Option<String> {
    if target.is_empty() {
        return Some(from.to_owned());
    }
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// Line and target of each link outside code.
fn links(text: &str) -> impl Iterator<Item = (usize, &str)> {
    prose(text).flat_map(|(number, line)| {
        line.match_indices("](").filter_map(move |(at, opening)| {
            let is_in_code = line[..at].matches('`').count() % 2 == 1;
            let target = line[at + opening.len()..].split([')', ' ']).next()?;
            (!is_in_code && !target.is_empty()).then_some((number, target))
        })
    })
}

/// The headings as the names that links use.
fn headings(text: &str) -> impl Iterator<Item = String> {
    prose(text).filter(|(_, line)| line.starts_with('#')).map(|(_, line)| {
        let title = line.trim_start_matches('#').trim().to_lowercase();
        let kept =
            title.chars().filter(|&character| character.is_alphanumeric() || " -_".contains(character));
        kept.map(|character| if character == ' ' { '-' } else { character }).collect()
    })
}

/// Lines with their numbers, without fenced code.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut is_code = false;
    text.lines().enumerate().filter_map(move |(index, line)| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        (!is_code && !is_fence).then_some((index + 1, line))
    })
}
