//! Apple Pay: the payment token that a payer's device hands to the merchant's page or app.
//! Mapping: `fixtures/apple_pay_token/MAPPING.md`.

#[cfg(feature = "sandbox")]
mod sandbox;

use aes_gcm::aead::consts::U16;
use aes_gcm::aes::Aes256;
use aes_gcm::{AeadInPlace, AesGcm, KeyInit};
use aws_lc_rs::agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey, agree};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};
use x509_parser::der_parser::asn1_rs::{Any, FromDer};
use x509_parser::pem::Pem;
use zeroize::Zeroizing;

use super::apple::{Marks, bundled_root, require_marked_chain};
use super::{Covers, CredentialField, MappingError, Normalise, Provider, Rail, Verify};
use crate::callback::certificate::Certificate;
use crate::callback::cms::DetachedSignature;
use crate::callback::json::Json;
use crate::callback::signature::{EcdsaP256Key, require_fresh, sha256};
use crate::callback::{CertificateProblem, KeySet, Proof, RawCallback, Rejection, UnixSeconds, Verified};
use crate::domain::{EventKind, PaymentEvent, Reference};

const NAME: &str = "apple_pay_token";

/// Apple Pay payment tokens.
pub static PROVIDER: Provider = Provider {
    name: NAME,
    title: "Apple Pay payment tokens",
    rail: Rail::WalletToken,
    scheme: "EC_v1: CMS with ECDSA P-256 and a certificate chain to Apple Root CA G3; ECDH, AES-256-GCM",
    events: &[EventKind::TokenUpdated],
    documents: &[
        "https://developer.apple.com/documentation/passkit/payment-token-format-reference",
        "https://developer.apple.com/documentation/passkit/restoring-the-symmetric-key",
        "https://developer.apple.com/library/archive/documentation/PassKit/Reference/PaymentTokenJSON/PaymentTokenJSON.html",
    ],
    retry_schedule: "none: the merchant's own page or app sends a token once",
    covers: Covers::Fields,
    credential_fields: CREDENTIAL_FIELDS,
    verify: Verify::Coded(verify),
    readable,
    // Only the merchant's own key opens the token.
    addressee: |_| Ok(()),
    normalise: Normalise::Coded(normalise),
    #[cfg(feature = "sandbox")]
    sandbox: crate::sandbox::Sandbox::Coded { generate: sandbox::generate, sign: sandbox::sign },
    ..Provider::BASE
};

const CREDENTIAL_FIELDS: &[CredentialField] = &[
    CredentialField {
        name: MERCHANT_CERTIFICATE,
        required: true,
        about: "the Apple Pay Payment Processing certificate in PEM; another key set holds the next one",
    },
    CredentialField {
        name: MERCHANT_KEY,
        required: true,
        about: "the private key of that certificate in PEM, P-256",
    },
    CredentialField {
        name: ROOT,
        required: false,
        about: "trusted root in PEM, or several; Apple Root CA G3 when absent",
    },
    CredentialField {
        name: "tolerance_s",
        required: false,
        about: "how far the signing time may be from ours, in seconds; 300 when absent",
    },
    CredentialField {
        name: "check_signing_time",
        required: false,
        about: "false accepts tokens of any age: only for looking at captured ones",
    },
];

const MERCHANT_CERTIFICATE: &str = "merchant_cert_pem";
const MERCHANT_KEY: &str = "merchant_private_key_pem";
const ROOT: &str = "apple_root_ca_g3_pem";
/// "A few minutes", says Apple.
const TOLERANCE_SECONDS: i64 = 300;
/// Apple Pay's signers, issued by Apple Application Integration CA.
const MARKS: Marks = Marks { leaf: "1.2.840.113635.100.6.29", intermediate: "1.2.840.113635.100.6.2.14" };
/// The extension of a merchant's certificate that holds the SHA-256 of the merchant id, in hexadecimal.
const MERCHANT_ID_HASH: &str = "1.2.840.113635.100.6.32";
const TAG_BYTES: usize = 16;

/// # Source
/// Apple, "Payment token format reference": the signature covers the ephemeral key, the encrypted data, the transaction
/// id and the application data, as bytes and in this order. The certificates must be valid when it was made.
fn verify(raw: &RawCallback, keys: &KeySet, now: UnixSeconds) -> Result<Verified, Rejection> {
    let body = Json::parse(raw.body())?;
    let token = Token::read(&body)?;
    let proof = require_signed(&token, keys, now)?;
    let certificate = merchant_certificate(keys)?;
    if STANDARD.encode(certificate.public_key_sha256()) != token.public_key_hash {
        return Err(Rejection::UnknownKey);
    }
    let plaintext = decrypt(&token, keys)?;
    Ok(Verified::from_checked(raw, proof, now).with_resource(told(&token, &plaintext)?))
}

/// A token as it was sent, its parts decoded.
struct Token {
    data: Vec<u8>,
    signature: Vec<u8>,
    ephemeral_key_der: Vec<u8>,
    public_key_hash: String,
    transaction_id: Vec<u8>,
    application_data: Vec<u8>,
}

impl Token {
    /// Reads `paymentData`, alone or inside of the object that Apple's page hands over.
    fn read(body: &Json) -> Result<Self, Rejection> {
        let malformed = || Rejection::malformed("body");
        let data = body.at("/paymentData").unwrap_or(body);
        let text = |pointer: &str| data.text(pointer).ok_or_else(malformed);
        let base64 = |pointer: &str| STANDARD.decode(text(pointer)?).map_err(|_| malformed());
        match text("/version")? {
            "EC_v1" => {}
            // RSA_v1 is only sent in regions that ask for it, and what pads its key is not documented enough.
            _ => return Err(Rejection::AlgorithmNotAllowed),
        }
        let transaction_id = hex::decode(text("/header/transactionId")?).map_err(|_| malformed())?;
        let outer_id = body.text("/transactionIdentifier").map(hex::decode);
        if transaction_id.is_empty() || outer_id.is_some_and(|outer| outer.as_ref() != Ok(&transaction_id)) {
            return Err(malformed());
        }
        let application_data = match data.at("/header/applicationData") {
            None | Some(Json::Null) => Vec::new(),
            Some(_) => hex::decode(text("/header/applicationData")?).map_err(|_| malformed())?,
        };
        Ok(Self {
            data: base64("/data")?,
            signature: STANDARD.decode(text("/signature")?).map_err(|_| Rejection::malformed("signature"))?,
            ephemeral_key_der: base64("/header/ephemeralPublicKey")?,
            public_key_hash: text("/header/publicKeyHash")?.to_owned(),
            transaction_id,
            application_data,
        })
    }
}

fn require_signed(token: &Token, keys: &KeySet, now: UnixSeconds) -> Result<Proof, Rejection> {
    let anchors = anchors(keys)?;
    let is_live = keys.flag_unless_off("check_signing_time")?;
    let tolerance_seconds = tolerance_seconds(keys)?;
    let signature = DetachedSignature::from_ber(&token.signature)?;
    let signed_at = signature.signing_time();
    let mut problem = Rejection::Certificate(CertificateProblem::Untrusted);
    let is_trusted = signature.others().any(|authority| {
        let outcome = require_marked_chain(signature.signer(), authority, &anchors, &MARKS, signed_at);
        outcome.map_err(|rejection| problem = rejection).is_ok()
    });
    if !is_trusted {
        return Err(problem);
    }
    let content = [&token.ephemeral_key_der, &token.data, &token.transaction_id, &token.application_data]
        .map(Vec::as_slice);
    let proof = signature.require_content(&content.concat())?;
    if is_live {
        require_fresh(signed_at, now, tolerance_seconds)?;
    }
    Ok(proof)
}

fn anchors(keys: &KeySet) -> Result<Vec<Certificate>, Rejection> {
    if keys.has(ROOT) { Certificate::configured(keys, ROOT) } else { Ok(bundled_root()) }
}

fn tolerance_seconds(keys: &KeySet) -> Result<i64, Rejection> {
    match keys.integer_if_any("tolerance_s")? {
        None => Ok(TOLERANCE_SECONDS),
        Some(seconds) if seconds >= 0 => Ok(seconds),
        Some(_) => Err(Rejection::unconfigured("tolerance_s")),
    }
}

/// What the certificate and the key must be for a token to open.
fn readable(keys: &KeySet) -> Result<(), Rejection> {
    merchant(keys)?;
    anchors(keys)?;
    keys.flag_unless_off("check_signing_time")?;
    tolerance_seconds(keys).map(drop)
}

/// The merchant's own key, and the hash of the merchant id in its certificate.
fn merchant(keys: &KeySet) -> Result<(PrivateKey, Vec<u8>), Rejection> {
    let hash = merchant_id_hash(&merchant_certificate(keys)?);
    let hash = hash.ok_or_else(|| Rejection::unconfigured(MERCHANT_CERTIFICATE))?;
    let private = private_key(keys.text(MERCHANT_KEY)?);
    Ok((private.ok_or_else(|| Rejection::unconfigured(MERCHANT_KEY))?, hash))
}

fn merchant_certificate(keys: &KeySet) -> Result<Certificate, Rejection> {
    let mut certificates = Certificate::configured(keys, MERCHANT_CERTIFICATE)?;
    match certificates.len() {
        1 => Ok(certificates.remove(0)),
        _ => Err(Rejection::unconfigured(MERCHANT_CERTIFICATE)),
    }
}

/// # Source
/// Apple, "Restoring the symmetric key": the shared secret of ECDH through the key derivation of NIST SP 800-56A,
/// section 5.8.1, with SHA-256; then AES-256-GCM with a nonce of 16 zero bytes.
fn decrypt(token: &Token, keys: &KeySet) -> Result<Vec<u8>, Rejection> {
    let failed = || Rejection::DecryptFailed;
    let (private, merchant) = merchant(keys)?;
    let ephemeral = EcdsaP256Key::from_spki_der(&token.ephemeral_key_der).ok_or_else(failed)?;
    let public = UnparsedPublicKey::new(&ECDH_P256, ephemeral.point());
    let key = agree(&private, public, failed(), |shared| Ok(symmetric_key(shared, &merchant)))?;
    let (data, tag) =
        token.data.split_at_checked(token.data.len().wrapping_sub(TAG_BYTES)).ok_or_else(failed)?;
    let mut plaintext = data.to_vec();
    AesGcm::<Aes256, U16>::new_from_slice(&key)
        .map_err(|_| failed())?
        .decrypt_in_place_detached(&[0; 16].into(), b"", &mut plaintext, tag.into())
        .map_err(|_| failed())?;
    Ok(plaintext)
}

fn symmetric_key(shared: &[u8], merchant_id_hash: &[u8]) -> Zeroizing<Vec<u8>> {
    let text = [&[0, 0, 0, 1], shared, b"\x0did-aes256-GCM", b"Apple", merchant_id_hash].concat();
    Zeroizing::new(sha256(&Zeroizing::new(text)))
}

fn merchant_id_hash(certificate: &Certificate) -> Option<Vec<u8>> {
    let (rest, text) = Any::from_der(certificate.extension(MERCHANT_ID_HASH)?).ok()?;
    let hash = hex::decode(text.data).ok()?;
    (rest.is_empty() && hash.len() == 32).then_some(hash)
}

/// A key in PKCS#8 or SEC 1; OpenSSL writes the curve in a block of its own before the latter.
fn private_key(pem: &str) -> Option<PrivateKey> {
    let mut blocks = Pem::iter_from_buffer(pem.as_bytes()).filter_map(Result::ok);
    let block = blocks.find(|block| block.label.ends_with("PRIVATE KEY"))?;
    PrivateKey::from_private_key_der(&ECDH_P256, &block.contents).ok()
}

/// What may be told of a decrypted token: nothing of it is a card's number, its expiry, its holder or a cryptogram.
fn told(token: &Token, plaintext: &[u8]) -> Result<Vec<u8>, Rejection> {
    let payment = Json::parse(plaintext).map_err(|_| Rejection::malformed("message"))?;
    let mut told = Map::from_iter([("transactionId".to_owned(), json!(hex::encode(&token.transaction_id)))]);
    for name in ["merchantTokenIdentifier", "paymentDataType", "currencyCode", "transactionAmount"] {
        if let Some(text) = payment.text(&format!("/{name}")) {
            told.insert(name.to_owned(), json!(text));
        }
    }
    Ok(Value::Object(told).to_string().into_bytes())
}

fn normalise(verified: &Verified) -> Result<Vec<PaymentEvent>, MappingError> {
    let token = Json::parse(verified.content()).map_err(|_| MappingError::Content)?;
    let id = token.text("/transactionId").ok_or_else(|| MappingError::field("/header/transactionId"))?;
    let mut event = PaymentEvent::new(EventKind::TokenUpdated, NAME, id, verified.received_at());
    event.subject_id = Some(token.text("/merchantTokenIdentifier").unwrap_or(id).to_owned());
    event.references = vec![Reference::new(NAME, id)];
    event.provider_status = token.text("/paymentDataType").unwrap_or_default().to_owned();
    Ok(vec![event])
}

#[cfg(test)]
#[cfg(feature = "sandbox")]
mod tests;
