//! Texts with places in them.

use serde::Deserialize;

use crate::callback::Rejection;

use super::place::{Place, Root};
use super::request::Scope;

/// Text with places in braces, such as `{entry:t}.{body}`. A place that ends in `?` may be absent and is then empty;
/// a group in brackets is left out when a place in it is absent. A literal brace or bracket is written twice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Template(pub(super) Vec<Segment>);

/// One piece of a [`Template`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Segment {
    Literal(String),
    At(Place),
    AtIfAny(Place),
    Group(Vec<Segment>),
}

impl TryFrom<String> for Template {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let unbalanced = || format!("the braces or brackets of `{text}` do not match");
        let mut reader = Reader::default();
        let mut characters = text.chars().peekable();
        while let Some(character) = characters.next() {
            match character {
                '{' | '}' | '[' | ']' if characters.peek() == Some(&character) => {
                    characters.next();
                    reader.literal.push(character);
                }
                '{' => {
                    let mut name = String::new();
                    loop {
                        match characters.next().ok_or_else(unbalanced)? {
                            '}' => break,
                            character => name.push(character),
                        }
                    }
                    reader.place(name)?;
                }
                '}' => return Err(unbalanced()),
                '[' | ']' if (character == ']') != reader.outer.is_some() => return Err(unbalanced()),
                '[' => reader.open(),
                ']' => reader.close().ok_or_else(|| format!("a group of `{text}` names no place"))?,
                _ => reader.literal.push(character),
            }
        }
        if reader.outer.is_some() {
            return Err(unbalanced());
        }
        reader.flush();
        Ok(Self(reader.segments))
    }
}

/// A place, or a text with places in braces.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Fact(pub(super) Template);

impl TryFrom<String> for Fact {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.contains('{') {
            true => Template::try_from(text).map(Self),
            false => Ok(Self(Template(vec![Segment::At(Place::try_from(text)?)]))),
        }
    }
}

#[derive(Default)]
struct Reader {
    segments: Vec<Segment>,
    literal: String,
    /// What stands before the group that is being read.
    outer: Option<Vec<Segment>>,
}

impl Reader {
    fn flush(&mut self) {
        if !self.literal.is_empty() {
            self.segments.push(Segment::Literal(std::mem::take(&mut self.literal)));
        }
    }

    fn place(&mut self, name: String) -> Result<(), String> {
        self.flush();
        self.segments.push(match name.strip_suffix('?') {
            Some(name) => Segment::AtIfAny(Place::try_from(name.to_owned())?),
            None => Segment::At(Place::try_from(name)?),
        });
        Ok(())
    }

    fn open(&mut self) {
        self.flush();
        self.outer = Some(std::mem::take(&mut self.segments));
    }

    fn close(&mut self) -> Option<()> {
        self.flush();
        let group = std::mem::replace(&mut self.segments, self.outer.take()?);
        let decides = group.iter().any(|segment| matches!(segment, Segment::At(_)));
        self.segments.push(Segment::Group(group));
        decides.then_some(())
    }
}

/// A piece of a template as it stands in one request.
struct Piece<'a> {
    /// The place that it comes from; a literal comes from none.
    place: Option<&'a Place>,
    bytes: Vec<u8>,
}

impl Template {
    /// The places it names.
    pub(super) fn places(&self) -> impl Iterator<Item = &Place> {
        self.0
            .iter()
            .flat_map(|segment| match segment {
                Segment::Group(group) => group.as_slice(),
                single => std::slice::from_ref(single),
            })
            .filter_map(|segment| match segment {
                Segment::At(place) | Segment::AtIfAny(place) => Some(place),
                Segment::Literal(_) | Segment::Group(_) => None,
            })
    }

    /// The text of a template that names no place.
    pub(super) fn literal(&self) -> Option<&str> {
        match self.0.as_slice() {
            [] => Some(""),
            [Segment::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// Whether a place with this root is always in it.
    pub(super) fn always_has(&self, root: &Root) -> bool {
        self.0.iter().any(|segment| matches!(segment, Segment::At(place) if place.root == *root))
    }

    /// The bytes it stands for in a request, which only one reading of the text gives: no field contains what stands
    /// behind it. Whoever chooses one field's value could otherwise move text of his own into the next field. One
    /// field may be `free`: those before it end at what stands behind them, those after it begin at what stands
    /// before them.
    ///
    /// # Errors
    /// The rejection of the first place that is absent: nothing is signed over a gap. [`Rejection::Malformed`] naming
    /// a place whose value could be read in two ways.
    pub(super) fn signed_bytes(&self, scope: &Scope<'_>, free: Option<&Place>) -> Result<Vec<u8>, Rejection> {
        let pieces = self.pieces(scope)?;
        let mut behind_free = false;
        for (index, piece) in pieces.iter().enumerate() {
            let Some(place) = piece.place else { continue };
            if Some(place) == free {
                behind_free = true;
                continue;
            }
            let neighbour = if behind_free { index.checked_sub(1) } else { Some(index + 1) };
            let neighbour = neighbour.and_then(|at| pieces.get(at)).filter(|piece| piece.place.is_none());
            let ends_once = neighbour.is_none_or(|literal| {
                let (value, literal) = (&piece.bytes, &literal.bytes);
                let both =
                    if behind_free { [&literal[..], value].concat() } else { [&value[..], literal].concat() };
                both.windows(literal.len()).filter(|window| window == literal).count() == 1
            });
            if place.is_field() && !ends_once {
                return Err(Rejection::malformed(place.to_string()));
            }
        }
        Ok(pieces.into_iter().flat_map(|piece| piece.bytes).collect())
    }

    /// Its text in a request; nothing when one of its places is absent.
    ///
    /// # Errors
    /// [`Rejection`] when the request cannot be read.
    pub(super) fn text(&self, scope: &Scope<'_>) -> Result<Option<String>, Rejection> {
        let Some(pieces) = pieces(&self.0, scope)?.ok() else { return Ok(None) };
        let bytes = pieces.into_iter().flat_map(|piece| piece.bytes).collect();
        String::from_utf8(bytes).map(Some).map_err(|_| Rejection::malformed("body"))
    }

    fn pieces(&self, scope: &Scope<'_>) -> Result<Vec<Piece<'_>>, Rejection> {
        pieces(&self.0, scope)?.map_err(Place::missing)
    }

    /// Why its text might have several readings, as far as that can be told without a request.
    pub(super) fn ambiguity(&self) -> Option<String> {
        if let Some(problem) = self.0.iter().find_map(|segment| match segment {
            Segment::Group(group) => unbounded(group),
            _ => None,
        }) {
            return Some(problem);
        }
        if let Some(problem) = unbounded(&self.0) {
            return Some(problem);
        }
        // A reader must know from what stands next whether a group is there.
        for (index, segment) in self.0.iter().enumerate() {
            if !matches!(segment, Segment::Group(_)) {
                continue;
            }
            let mut labels: Vec<&str> = Vec::new();
            for next in &self.0[index..] {
                match (label(next), next) {
                    (Some(label), Segment::Group(_)) => labels.push(label),
                    (Some(label), _) => {
                        labels.push(label);
                        break;
                    }
                    (None, _) => {
                        return Some("needs a literal text at the start of a group and behind it".to_owned());
                    }
                }
            }
            for (at, one) in labels.iter().enumerate() {
                if labels[at + 1..].iter().any(|other| one.starts_with(other) || other.starts_with(one)) {
                    return Some(format!("`{one}` begins two of its groups"));
                }
            }
        }
        None
    }
}

/// The literal that a segment begins with.
fn label(segment: &Segment) -> Option<&str> {
    match segment {
        Segment::Literal(text) => Some(text),
        Segment::Group(group) => match group.first() {
            Some(Segment::Literal(text)) => Some(text),
            _ => None,
        },
        Segment::At(_) | Segment::AtIfAny(_) => None,
    }
}

/// A field with another place right behind it, so that nothing says where its value ends.
fn unbounded(segments: &[Segment]) -> Option<String> {
    segments.windows(2).find_map(|pair| match pair {
        [Segment::At(place) | Segment::AtIfAny(place), next] if place.is_field() && !bounds(next) => {
            Some(format!("needs a separator behind `{place}`, or one text would have several readings"))
        }
        _ => None,
    })
}

/// Whether a value ends before this segment: at a literal, or at what is the same in every request.
fn bounds(next: &Segment) -> bool {
    match next {
        Segment::Literal(_) => true,
        Segment::At(place) => place.is_constant(),
        Segment::AtIfAny(_) | Segment::Group(_) => false,
    }
}

/// The pieces in one request, or the place that is absent.
fn pieces<'a>(
    segments: &'a [Segment],
    scope: &Scope<'_>,
) -> Result<Result<Vec<Piece<'a>>, &'a Place>, Rejection> {
    let mut found = Vec::new();
    for segment in segments {
        match segment {
            Segment::Literal(text) => found.push(Piece { place: None, bytes: text.as_bytes().to_vec() }),
            Segment::At(place) => match scope.bytes(place)? {
                Some(value) => found.push(Piece { place: Some(place), bytes: value.into_owned() }),
                None => return Ok(Err(place)),
            },
            Segment::AtIfAny(place) => {
                let bytes = scope.bytes(place)?.unwrap_or_default().into_owned();
                found.push(Piece { place: Some(place), bytes });
            }
            Segment::Group(group) => {
                if let Ok(mut group) = pieces(group, scope)? {
                    found.append(&mut group);
                }
            }
        }
    }
    Ok(Ok(found))
}
