//! App Store Server Notifications V2. Mapping: `fixtures/apple_app_store_v2/MAPPING.md`.

mod events;
#[cfg(feature = "sandbox")]
mod sandbox;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value};

use super::apple::{Marks, bundled_root, require_marked_chain};
use super::{Covers, CredentialField, Normalise, Part, Provider, Rail, Verify};
use crate::callback::certificate::Certificate;
use crate::callback::json::Json;
use crate::callback::jws::{CompactJws, JwsAlgorithm};
use crate::callback::{
    Answers, CertificateProblem, KeySet, Proof, RawCallback, Rejection, UnixSeconds, Verified,
};

/// App Store Server Notifications V2.
pub static PROVIDER: Provider = Provider {
    name: "apple_app_store_v2",
    title: "Apple App Store Server Notifications V2",
    rail: Rail::AppStore,
    scheme: "JWS ES256 with a certificate chain to Apple Root CA G3, nested JWS too",
    events: events::KINDS,
    documents: &[
        "https://developer.apple.com/documentation/appstoreservernotifications/app-store-server-notifications-v2",
        "https://developer.apple.com/documentation/appstoreservernotifications/notificationtype",
        "https://developer.apple.com/documentation/appstoreservernotifications/responding-to-app-store-server-notifications",
        "https://github.com/apple/app-store-server-library-python",
    ],
    answers: Answers::EMPTY,
    retry_schedule: "1, 12, 24, 48 and 72 hours after the previous attempt, until the answer is 200 to 206; \
        in the sandbox environment never",
    covers: Covers::Fields,
    credential_fields: CREDENTIAL_FIELDS,
    verify: Verify::Coded(verify),
    readable: |keys| Reader::new(keys, UnixSeconds(0)).map(drop),
    // The bundle id is required, and signed.
    addressee: |_| Ok(()),
    normalise: Normalise::Coded(events::normalise),
    parts: &[Part {
        scheme: "apple_x5c_chain",
        about: "a JSON array of three certificates in base64 that must chain to the key set's root",
        check: check_chain,
    }],
    #[cfg(feature = "sandbox")]
    sandbox: crate::sandbox::Sandbox::Coded { generate: sandbox::generate, sign: sandbox::sign },
    ..Provider::BASE
};

const CREDENTIAL_FIELDS: &[CredentialField] = &[
    CredentialField {
        name: "bundle_id",
        required: true,
        about: "the app's bundle id; a notification for another app is rejected",
    },
    CredentialField {
        name: "environment",
        required: true,
        about: "Production or Sandbox; a notification of the other one is rejected",
    },
    CredentialField {
        name: "app_apple_id",
        required: false,
        about: "the app's Apple ID, a number, from App Store Connect: General, App Information. Production requires it",
    },
    CredentialField {
        name: "root_cert_der_b64",
        required: false,
        about: "trusted root in DER, base64, or a list of them; Apple Root CA G3 when absent",
    },
    CredentialField {
        name: "use_signed_date",
        required: false,
        about: "true checks certificates as of the signed date instead of the time of receipt, for old notifications",
    },
];

/// Receipt signing, issued by Apple Worldwide Developer Relations.
const MARKS: Marks = Marks { leaf: "1.2.840.113635.100.6.11.1", intermediate: "1.2.840.113635.100.6.2.1" };

/// The nested signed objects, by what they become in the content that `normalise` reads.
const NESTED: [(&str, &str); 3] = [
    ("transaction", "/data/signedTransactionInfo"),
    ("renewal", "/data/signedRenewalInfo"),
    ("app_transaction", "/appData/signedAppTransactionInfo"),
];

/// # Source
/// Apple's App Store Server Library, `SignedDataVerifier`: ES256 by the first of three certificates in `x5c`, which
/// chain to a root of our own choice and carry Apple's marks; then the app and the environment inside. The nested
/// objects are signed likewise, and come out in the clear beside the notification.
fn verify(raw: &RawCallback, keys: &KeySet, now: UnixSeconds) -> Result<Verified, Rejection> {
    let reader = Reader::new(keys, now)?;
    let envelope = Json::parse(raw.body())?;
    let Some(Json::Text(signed)) = envelope.at("/signedPayload") else {
        return Err(Rejection::malformed("body"));
    };
    let (payload, notification, proof) = reader.open(signed, "signedPayload")?;
    reader.require_addressee(&notification)?;
    let mut content = [b"{\"notification\":", payload.as_slice()].concat();
    for (name, pointer) in NESTED {
        if let Some(signed) = notification.text(pointer) {
            let (payload, nested, _) = reader.open(signed, name)?;
            reader.require_same_app(name, &nested)?;
            content.extend_from_slice(format!(",\"{name}\":").as_bytes());
            content.extend_from_slice(&payload);
        }
    }
    content.push(b'}');
    Ok(Verified::from_checked(raw, proof, now).with_resource(content))
}

/// What one key set expects.
struct Reader<'a> {
    anchors: Vec<Certificate>,
    bundle_id: &'a str,
    environment: &'a str,
    /// Only for production: the sandbox environment does not name it.
    app_apple_id: Option<String>,
    use_signed_date: bool,
    now: UnixSeconds,
}

impl<'a> Reader<'a> {
    fn new(keys: &'a KeySet, now: UnixSeconds) -> Result<Self, Rejection> {
        const APP: &str = "app_apple_id";
        let configured_app = keys.integer_if_any(APP)?;
        let app_apple_id = match keys.text("environment")? {
            "Production" => Some(configured_app.ok_or_else(|| Rejection::unconfigured(APP))?.to_string()),
            "Sandbox" => None,
            // What Xcode and local tests sign proves nothing.
            _ => return Err(Rejection::unconfigured("environment")),
        };
        Ok(Self {
            anchors: anchors(keys)?,
            bundle_id: keys.text("bundle_id")?,
            environment: keys.text("environment")?,
            app_apple_id,
            use_signed_date: keys.flag("use_signed_date")?,
            now,
        })
    }

    /// The payload of a signed object, also parsed.
    fn open(&self, signed: &str, what: &str) -> Result<(Vec<u8>, Json, Proof), Rejection> {
        let jws = CompactJws::parse(signed, JwsAlgorithm::Es256, what)?;
        let payload = Json::parse(jws.payload()).map_err(|_| Rejection::malformed(what))?;
        let leaf = self.leaf(jws.header().members("/x5c"), self.checked_at(&payload)?)?;
        let key = leaf.ecdsa_p256_key().ok_or(Rejection::Certificate(CertificateProblem::Malformed))?;
        let proof = jws.require_es256(&key)?;
        Ok((jws.payload().to_vec(), payload, proof))
    }

    fn checked_at(&self, payload: &Json) -> Result<UnixSeconds, Rejection> {
        match payload.text("/signedDate") {
            Some(milliseconds) if self.use_signed_date => milliseconds
                .parse::<i64>()
                .map(|milliseconds| UnixSeconds(milliseconds.div_euclid(1000)))
                .map_err(|_| Rejection::malformed("signedDate")),
            _ => Ok(self.now),
        }
    }

    /// The first of exactly three certificates. The third is the sender's idea of the root and does not count.
    fn leaf(&self, chain: &[Json], at: UnixSeconds) -> Result<Certificate, Rejection> {
        let [Json::Text(leaf), Json::Text(intermediate), Json::Text(_)] = chain else {
            return Err(Rejection::MissingField { name: "x5c".to_owned() });
        };
        let (leaf, intermediate) = (certificate(leaf)?, certificate(intermediate)?);
        require_marked_chain(&leaf, &intermediate, &self.anchors, &MARKS, at)?;
        Ok(leaf)
    }

    fn require_addressee(&self, notification: &Json) -> Result<(), Rejection> {
        const ABOUT: [&str; 4] = ["/data", "/summary", "/externalPurchaseToken", "/appData"];
        let about = ABOUT.into_iter().find_map(|pointer| {
            Some((pointer, notification.at(pointer).filter(|about| **about != Json::Null)?))
        });
        let Some((pointer, about)) = about else { return Err(mismatch("bundleId")) };
        if about.text("/bundleId") != Some(self.bundle_id) {
            return Err(mismatch("bundleId"));
        }
        if self.app_apple_id.is_some() && about.text("/appAppleId") != self.app_apple_id.as_deref() {
            return Err(mismatch("appAppleId"));
        }
        let environment = match pointer {
            "/externalPurchaseToken" => about.text("/externalPurchaseId").map(environment_of_token),
            _ => about.text("/environment"),
        };
        if environment == Some(self.environment) { Ok(()) } else { Err(mismatch("environment")) }
    }

    /// A transaction names its app and environment; the other objects may, and then must not contradict.
    fn require_same_app(&self, name: &str, nested: &Json) -> Result<(), Rejection> {
        let expected =
            [("bundleId", "/bundleId", self.bundle_id), ("environment", "/environment", self.environment)];
        for (field, pointer, expected) in expected {
            let told = nested.text(pointer);
            if told != Some(expected) && (told.is_some() || name == "transaction") {
                return Err(mismatch(field));
            }
        }
        Ok(())
    }
}

/// # Source
/// <https://developer.apple.com/documentation/appstoreservernotifications/externalpurchaseid>
fn environment_of_token(external_purchase_id: &str) -> &'static str {
    if external_purchase_id.starts_with("SANDBOX") { "Sandbox" } else { "Production" }
}

fn anchors(keys: &KeySet) -> Result<Vec<Certificate>, Rejection> {
    const FIELD: &str = "root_cert_der_b64";
    if !keys.has(FIELD) {
        return Ok(bundled_root());
    }
    let roots = keys.texts(FIELD)?;
    roots.into_iter().map(|root| certificate(root).map_err(|_| Rejection::unconfigured(FIELD))).collect()
}

/// `x5c` is in standard base64, unlike the rest of a JWS.
fn certificate(base64: &str) -> Result<Certificate, Rejection> {
    let der = STANDARD.decode(base64).map_err(|_| Rejection::Certificate(CertificateProblem::Malformed))?;
    Certificate::from_der(&der)
}

fn mismatch(field: &str) -> Rejection {
    Rejection::IdentityMismatch { field: field.to_owned() }
}

fn check_chain(
    raw: &RawCallback,
    keys: &KeySet,
    now: UnixSeconds,
    _options: &Map<String, Value>,
) -> Result<(), Rejection> {
    let body = Json::parse(raw.body())?;
    let reader = Reader {
        anchors: anchors(keys)?,
        bundle_id: "",
        environment: "",
        app_apple_id: None,
        use_signed_date: false,
        now,
    };
    reader.leaf(body.members(""), now).map(drop)
}

#[cfg(test)]
#[cfg(feature = "sandbox")]
mod tests;
