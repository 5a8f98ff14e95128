//! HTTP message signatures, with a policy. Mapping: `fixtures/rfc9421/MAPPING.md`.

mod message;
#[cfg(feature = "sandbox")]
mod sandbox;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sfv::{BareItem, Dictionary, InnerList, ListEntry, Parser};
use zeroize::Zeroizing;

use super::described::normalise_vocabulary;
use super::{Covers, CredentialField, Normalise, Provider, Rail, Verify};
use crate::callback::signature::{
    EcdsaForm, EcdsaP256Key, EcdsaP384Key, HmacHash, RsaHash, RsaKey, ed25519_key, require_ed25519,
    require_fresh, require_hmac,
};
use crate::callback::{KeySet, Proof, RawCallback, Rejection, UnixSeconds, Verified};
use crate::domain::EventKind;

use message::{CONTENT_DIGEST, Component, require_digest, signature_base};

const NAME: &str = "rfc9421";

/// HTTP message signatures (RFC 9421).
pub static PROVIDER: Provider = Provider {
    name: NAME,
    title: "HTTP message signatures (RFC 9421)",
    rail: Rail::Generic,
    scheme: "RFC 9421 over required components, Content-Digest recomputed; the account says which algorithm",
    events: EventKind::ALL,
    documents: &[
        "https://www.rfc-editor.org/rfc/rfc9421",
        "https://www.rfc-editor.org/rfc/rfc9530",
        "https://www.rfc-editor.org/rfc/rfc9651",
    ],
    retry_schedule: "up to the sender",
    covers: Covers::Body,
    credential_fields: CREDENTIAL_FIELDS,
    verify: Verify::Coded(verify),
    readable,
    addressee: require_expectation,
    normalise: Normalise::Coded(|verified| normalise_vocabulary(NAME, verified, verified.content(), None)),
    #[cfg(feature = "sandbox")]
    sandbox: crate::sandbox::Sandbox::Coded { generate: sandbox::generate, sign: sandbox::sign },
    ..Provider::BASE
};

const CREDENTIAL_FIELDS: &[CredentialField] = &[
    CredentialField {
        name: "alg",
        required: true,
        about: "the only algorithm that counts: ed25519, ecdsa-p256-sha256, ecdsa-p384-sha384, rsa-pss-sha512, rsa-v1_5-sha256 or hmac-sha256",
    },
    CredentialField {
        name: "public_key_pem",
        required: false,
        about: "the sender's public key, unless alg is hmac-sha256",
    },
    CredentialField { name: "secret_base64", required: false, about: "the shared secret of hmac-sha256" },
    CredentialField { name: "keyid", required: false, about: "the keyid that signatures must name" },
    CredentialField {
        name: "label",
        required: false,
        about: "the label of the signature that counts; any unless told",
    },
    CredentialField { name: "tag", required: false, about: "the tag that signatures must have" },
    CredentialField {
        name: "authority",
        required: false,
        about: "our host as the sender knows it, such as merchant.example; the Host header unless told. Needed for live callbacks with a public key",
    },
    CredentialField {
        name: "required_components",
        required: false,
        about: "what a signature must cover; unless told @method, content-digest, and @authority or @target-uri. Where it leaves out content-digest, callbacks are only hints",
    },
    CredentialField {
        name: "max_age_seconds",
        required: false,
        about: "how far `created` may be from our time; 300 unless told",
    },
];

const MAX_AGE_SECONDS: i64 = 300;
/// Most signatures of one request that are tried.
const SIGNATURES_MAX: usize = 8;

/// # Source
/// RFC 9421, sections 3.2 and 3.2.1 (what an application must require).
fn verify(raw: &RawCallback, keys: &KeySet, now: UnixSeconds) -> Result<Verified, Rejection> {
    let inputs = dictionary(raw, "signature-input")?;
    let signatures = dictionary(raw, "signature")?;
    let label = keys.text_if_any("label")?;
    require_digest(raw)?;
    let mut told = Rejection::MissingSignature;
    let wanted = inputs.iter().filter(|(have, _)| label.is_none_or(|label| have.as_str() == label));
    for (label, input) in wanted.take(SIGNATURES_MAX) {
        let (ListEntry::InnerList(input), Some(signature)) = (input, signatures.get(label)) else { continue };
        let ListEntry::Item(signature) = signature else { continue };
        let BareItem::ByteSequence(signature) = &signature.bare_item else { continue };
        match verify_one(raw, input, signature, keys, now) {
            Ok(verified) => return Ok(verified),
            Err(rejection) => told = rejection,
        }
    }
    Err(told)
}

fn dictionary(raw: &RawCallback, name: &'static str) -> Result<Dictionary, Rejection> {
    let text = raw.header(name)?;
    Parser::new(text).parse::<Dictionary>().map_err(|_| Rejection::malformed(name))
}

fn verify_one(
    raw: &RawCallback,
    input: &InnerList,
    signature: &[u8],
    keys: &KeySet,
    now: UnixSeconds,
) -> Result<Verified, Rejection> {
    require_parameters(input, keys, now)?;
    let components = Component::all(input)?;
    require_coverage(&components, keys)?;
    let base = signature_base(raw, input, &components, keys.text_if_any("authority")?)?;
    let proof = prove(keys, &base, signature)?;
    let verified = Verified::from_checked(raw, proof, now);
    let covers_body = components.iter().any(|component| component.name == CONTENT_DIGEST);
    Ok(if covers_body { verified } else { verified.into_hint() })
}

fn require_parameters(input: &InnerList, keys: &KeySet, now: UnixSeconds) -> Result<(), Rejection> {
    let integer = |name: &str| match input.params.get(name) {
        None => Ok(None),
        Some(BareItem::Integer(seconds)) => Ok(Some(UnixSeconds(i64::from(*seconds)))),
        Some(_) => Err(Rejection::malformed("timestamp")),
    };
    let text = |name: &str| match input.params.get(name) {
        None => Ok(None),
        Some(BareItem::String(text)) => Ok(Some(text.as_str())),
        Some(_) => Err(Rejection::malformed("signature-input")),
    };
    if text("alg")?.is_some_and(|alg| keys.text_if_any("alg") != Ok(Some(alg))) {
        return Err(Rejection::AlgorithmNotAllowed);
    }
    if keys.text_if_any("keyid")?.is_some_and(|wanted| text("keyid") != Ok(Some(wanted))) {
        return Err(Rejection::UnknownKey);
    }
    if keys.text_if_any("tag")?.is_some_and(|wanted| text("tag") != Ok(Some(wanted))) {
        return Err(Rejection::IdentityMismatch { field: "tag".to_owned() });
    }
    let created = integer("created")?.ok_or_else(|| Rejection::malformed("timestamp"))?;
    require_fresh(created, now, keys.integer_if_any("max_age_seconds")?.unwrap_or(MAX_AGE_SECONDS))?;
    match integer("expires")? {
        Some(expires) if expires < now => {
            Err(Rejection::Stale { age_seconds: now.0.saturating_sub(created.0) })
        }
        _ => Ok(()),
    }
}

fn require_coverage(components: &[Component], keys: &KeySet) -> Result<(), Rejection> {
    let covers = |name: &str| components.iter().any(|component| component.name.eq_ignore_ascii_case(name));
    let missing = |name: &str| Err(Rejection::MissingField { name: name.to_owned() });
    match keys.list_if_any("required_components")? {
        Some(required) => required.into_iter().find(|name| !covers(name)).map_or(Ok(()), missing),
        None if !covers("@method") => missing("@method"),
        None if !covers(CONTENT_DIGEST) => missing(CONTENT_DIGEST),
        None if !covers("@authority") && !covers("@target-uri") => missing("@authority"),
        None => Ok(()),
    }
}

fn prove(keys: &KeySet, base: &[u8], signature: &[u8]) -> Result<Proof, Rejection> {
    const PEM: &str = "public_key_pem";
    let candidates = [signature.to_vec()];
    match keys.text("alg")? {
        "hmac-sha256" => {
            let unconfigured = || Rejection::unconfigured("secret_base64");
            let secret = STANDARD.decode(keys.text("secret_base64")?).map_err(|_| unconfigured())?;
            let secret = Zeroizing::new(secret);
            if secret.is_empty() {
                return Err(unconfigured());
            }
            require_hmac(HmacHash::Sha256, &secret, &[base], &candidates)
        }
        "ed25519" => require_ed25519(&ed25519_key(keys.text(PEM)?, PEM)?, base, &candidates),
        "ecdsa-p256-sha256" => EcdsaP256Key::from_public_key_text(keys.text(PEM)?, PEM)?.require_signature(
            EcdsaForm::Raw,
            base,
            signature,
        ),
        "ecdsa-p384-sha384" => {
            EcdsaP384Key::from_public_key_text(keys.text(PEM)?, PEM)?.require_signature(base, signature)
        }
        "rsa-pss-sha512" => {
            RsaKey::from_public_key_text(keys.text(PEM)?, PEM)?.require_pss_sha512(base, signature)
        }
        "rsa-v1_5-sha256" => RsaKey::from_public_key_text(keys.text(PEM)?, PEM)?.require_signature(
            RsaHash::Sha256,
            base,
            signature,
        ),
        _ => Err(Rejection::unconfigured("alg")),
    }
}

/// Tries the key on nothing: a signature that does not match says that the key could be read.
fn readable(keys: &KeySet) -> Result<(), Rejection> {
    keys.integer_if_any("max_age_seconds")?;
    keys.list_if_any("required_components")?;
    match prove(keys, b"", b"") {
        Err(unconfigured @ Rejection::Unconfigured { .. }) => Err(unconfigured),
        _ => Ok(()),
    }
}

/// A sender may sign for several receivers with one private key.
fn require_expectation(keys: &KeySet) -> Result<(), Rejection> {
    match keys.text("alg")? {
        "hmac-sha256" => Ok(()),
        _ => keys.text("authority").map(|_| ()),
    }
}

#[cfg(test)]
#[cfg(feature = "sandbox")]
mod tests;
