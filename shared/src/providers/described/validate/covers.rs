//! What a signature fixes.

use super::super::grammar::{Check, CoversRule, Grammar};
use super::super::place::{Place, Root, Step};
use super::super::template::{Segment, Template};
use super::{Problem, require};

/// What decides about money must be signed, whichever of the checks applies, or the callback is only a hint. `items`
/// is the array whose members are read.
pub(super) fn signed<'a>(
    grammar: &Grammar,
    mut checks: impl Iterator<Item = &'a Check>,
    items: Option<&str>,
    place: &Place,
    field: &str,
) -> Result<(), Problem> {
    let signed = grammar.covers == CoversRule::Nothing || checks.all(|check| covers(check, items, place));
    require(signed, field, format!("`{place}` is not signed, so a replay could change it"))
}

/// As [`signed`] for a place that every check must fix.
pub(super) fn signed_in_all(grammar: &Grammar, place: &Place, field: &str) -> Result<(), Problem> {
    signed(grammar, grammar.checks.iter(), None, place, field)
}

/// As [`signed`] for a place inside of the members that are signed for themselves.
pub(super) fn signed_in_items(grammar: &Grammar, place: &Place, field: &str) -> Result<(), Problem> {
    let mut checks = grammar.checks.iter().filter(|check| check.each_item.is_some()).peekable();
    require(checks.peek().is_some(), field, format!("`{place}` needs `each_item`"))?;
    let unsigned = checks.find(|check| !covers(check, check.each_item.as_deref(), place));
    require(unsigned.is_none(), field, format!("`{place}` is not signed, so a replay could change it"))
}

/// Whether a check's signature fixes the value at a place.
pub(super) fn covers(check: &Check, items: Option<&str>, place: &Place) -> bool {
    let of_another_array = matches!(place.root, Root::Item(_)) && check.each_item.as_deref() != items;
    check.signed.iter().flat_map(fixed).any(|signed| {
        let own = signed.root == place.root && !of_another_array;
        fixes(check, signed, place, own)
    })
}

fn fixes(check: &Check, signed: &Place, place: &Place, own: bool) -> bool {
    // A digest at the end stands for all of what it is taken of.
    let digests = signed.steps.iter().rev().take_while(|step| Step::is_digest(step)).count();
    let steps = &signed.steps[..signed.steps.len() - digests];
    let within = match (&signed.root, &place.root) {
        (Root::Sorted, root) => {
            check.sorted.as_ref().is_some_and(|sorted| sorted.covers(root, &check.signature.at))
        }
        (Root::Body, Root::Json(_) | Root::Xml(_) | Root::Form(_) | Root::Item(_))
        | (Root::Path, Root::Query(_)) => true,
        _ => false,
    };
    (own && place.steps.starts_with(steps)) || (within && steps.is_empty())
}

/// The places whose values are in the signed text whenever they are in the request.
fn fixed(template: &Template) -> impl Iterator<Item = &Place> {
    template.0.iter().filter_map(|segment| match segment {
        Segment::At(place) | Segment::AtIfAny(place) => Some(place),
        // With two places in a group, one of them can be there and yet be left out.
        Segment::Group(group) => {
            let mut places = group.iter().filter_map(|segment| match segment {
                Segment::At(place) | Segment::AtIfAny(place) => Some(place),
                _ => None,
            });
            places.next().filter(|_| places.next().is_none())
        }
        Segment::Literal(_) => None,
    })
}
