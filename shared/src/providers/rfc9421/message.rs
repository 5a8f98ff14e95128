//! What a signature covers, and the text that is signed.

use std::borrow::Cow;

use sfv::{BareItem, Dictionary, FieldType, InnerList, ListEntry, Parser};
use sha2::{Digest, Sha256, Sha512};
use subtle::ConstantTimeEq;

use crate::callback::{RawCallback, Rejection};

/// The field that stands for the body.
pub(super) const CONTENT_DIGEST: &str = "content-digest";
/// Most components of one signature.
const COMPONENTS_MAX: usize = 64;

/// One covered component.
pub(super) struct Component {
    /// Its name: a field's in lower case, or a derived one with `@`.
    pub(super) name: String,
    /// Its identifier as it is signed, with quotes.
    identifier: String,
}

impl Component {
    /// The components of a signature, each once and without parameters: what those select or rewrite (one member of a
    /// field, another encoding, the request of a response) nobody here needs.
    pub(super) fn all(input: &InnerList) -> Result<Vec<Self>, Rejection> {
        let malformed = || Rejection::malformed("signature-input");
        let mut components: Vec<Self> = Vec::new();
        for item in &input.items {
            let BareItem::String(name) = &item.bare_item else { return Err(malformed()) };
            let name = name.as_str().to_owned();
            let is_new = components.iter().all(|have| have.name != name);
            let is_lower = !name.bytes().any(|byte| byte.is_ascii_uppercase());
            if !item.params.is_empty() || !is_new || !is_lower || components.len() == COMPONENTS_MAX {
                return Err(malformed());
            }
            components.push(Self { name, identifier: item.serialize() });
        }
        Ok(components)
    }

    /// # Source
    /// RFC 9421, sections 2.1 and 2.2.
    fn value<'a>(&self, raw: &'a RawCallback, authority: Option<&'a str>) -> Result<Cow<'a, str>, Rejection> {
        let missing = || Rejection::MissingHeader { name: self.name.clone() };
        let host = || match authority {
            Some(authority) => Ok(authority),
            None => {
                raw.header_if_any("host")?.ok_or_else(|| Rejection::MissingHeader { name: "host".to_owned() })
            }
        };
        let path = raw.path.split('?').next().filter(|path| !path.is_empty()).unwrap_or("/");
        Ok(match self.name.as_str() {
            "@method" => Cow::Borrowed(raw.method.as_str()),
            "@scheme" => Cow::Borrowed("https"),
            "@authority" => Cow::Owned(normal_authority(host()?)),
            "@target-uri" => Cow::Owned(format!("https://{}{}", normal_authority(host()?), raw.path)),
            "@request-target" => Cow::Borrowed(raw.path.as_str()),
            "@path" => Cow::Borrowed(path),
            "@query" => Cow::Owned(format!("?{}", raw.query())),
            name if name.starts_with('@') => return Err(Rejection::malformed("signature-input")),
            name => Cow::Borrowed(raw.header_if_any(name)?.ok_or_else(missing)?.trim()),
        })
    }
}

/// In lower case and without the default port.
fn normal_authority(host: &str) -> String {
    let host = host.to_ascii_lowercase();
    host.strip_suffix(":443").map_or(host.clone(), str::to_owned)
}

/// The text that is signed.
///
/// # Source
/// RFC 9421, section 2.5.
pub(super) fn signature_base(
    raw: &RawCallback,
    input: &InnerList,
    components: &[Component],
    authority: Option<&str>,
) -> Result<Vec<u8>, Rejection> {
    let mut base = String::new();
    for component in components {
        let value = component.value(raw, authority)?;
        if value.contains(['\n', '\r']) {
            return Err(Rejection::malformed("header"));
        }
        base.push_str(&format!("{}: {value}\n", component.identifier));
    }
    let parameters = vec![ListEntry::InnerList(input.clone())].serialize();
    let parameters = parameters.ok_or_else(|| Rejection::malformed("signature-input"))?;
    base.push_str(&format!("\"@signature-params\": {parameters}"));
    Ok(base.into_bytes())
}

/// Accepts a body that every `Content-Digest` with a known hash fits; a request without that field passes.
///
/// # Source
/// RFC 9530, section 2; RFC 9421, section 7.2.8.
pub(super) fn require_digest(raw: &RawCallback) -> Result<(), Rejection> {
    let Some(text) = raw.header_if_any(CONTENT_DIGEST)? else { return Ok(()) };
    let malformed = || Rejection::malformed(CONTENT_DIGEST);
    let digests = Parser::new(text).parse::<Dictionary>().map_err(|_| malformed())?;
    let mut known = 0;
    for (algorithm, digest) in &digests {
        let expected = match algorithm.as_str() {
            "sha-256" => Sha256::digest(raw.body()).to_vec(),
            "sha-512" => Sha512::digest(raw.body()).to_vec(),
            _ => continue,
        };
        let ListEntry::Item(digest) = digest else { return Err(malformed()) };
        let BareItem::ByteSequence(digest) = &digest.bare_item else { return Err(malformed()) };
        if !bool::from(expected.ct_eq(digest)) {
            return Err(Rejection::SignatureMismatch);
        }
        known += 1;
    }
    if known == 0 { Err(malformed()) } else { Ok(()) }
}
