//! JSON Web Signatures in the compact form, read strictly.
//!
//! Who calls fixes the algorithm and the key. What the header offers as a key (`jwk`, `jku`, `x5c`, `x5u`) is only
//! text: it counts after the caller has checked it against something of its own, such as a pinned root.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::json::Json;
use super::rejection::Rejection;
use super::signature::{EcdsaForm, EcdsaP256Key, EcdsaP521Key, Proof, RsaHash, RsaKey};

/// A signature algorithm of RFC 7518 that a caller may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JwsAlgorithm {
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-521 with SHA-512.
    Es512,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
}

impl JwsAlgorithm {
    /// Its name in the header's `alg`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Es512 => "ES512",
            Self::Rs256 => "RS256",
        }
    }
}

/// A compact JWS whose signature is not checked yet. It prints without its payload.
pub struct CompactJws {
    algorithm: JwsAlgorithm,
    header: Json,
    payload: Vec<u8>,
    signing_input: Vec<u8>,
    signature: Vec<u8>,
}

impl CompactJws {
    /// Reads `header.payload.signature`, which must be signed with this algorithm and no other.
    ///
    /// # Errors
    /// [`Rejection::Malformed`] naming `what` when it is not three parts in base64url without padding, or the header
    /// is not a JSON object without repeated names, or asks by `crit` for an extension;
    /// [`Rejection::AlgorithmNotAllowed`] when its `alg` is another.
    ///
    /// # Source
    /// RFC 7515, sections 5.2 and 7.1; RFC 8725, section 3.1.
    pub fn parse(text: &str, algorithm: JwsAlgorithm, what: &str) -> Result<Self, Rejection> {
        let malformed = || Rejection::malformed(what);
        let [header, payload, signature] = three_parts(text).ok_or_else(malformed)?;
        let decoded = URL_SAFE_NO_PAD.decode(payload).map_err(|_| malformed())?;
        Self::read(header, payload, decoded, signature, algorithm).map_err(|problem| problem.of(what))
    }

    /// Reads `header..signature`, whose payload is what came beside it.
    ///
    /// # Errors
    /// As [`CompactJws::parse`].
    ///
    /// # Source
    /// RFC 7515, appendix F.
    pub fn parse_detached(
        text: &str,
        payload: &[u8],
        algorithm: JwsAlgorithm,
        what: &str,
    ) -> Result<Self, Rejection> {
        let malformed = || Rejection::malformed(what);
        let [header, "", signature] = three_parts(text).ok_or_else(malformed)? else {
            return Err(malformed());
        };
        let encoded = URL_SAFE_NO_PAD.encode(payload);
        Self::read(header, &encoded, payload.to_vec(), signature, algorithm)
            .map_err(|problem| problem.of(what))
    }

    fn read(
        header: &str,
        encoded_payload: &str,
        payload: Vec<u8>,
        signature: &str,
        algorithm: JwsAlgorithm,
    ) -> Result<Self, Problem> {
        let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| Problem::Malformed);
        let parsed = Json::parse(&decode(header)?).map_err(|_| Problem::Malformed)?;
        // No extension is understood here, so none may be critical; `crit` has no other meaning.
        if !matches!(parsed, Json::Object(_)) || parsed.at("/crit").is_some() {
            return Err(Problem::Malformed);
        }
        match parsed.at("/alg") {
            Some(Json::Text(name)) if name == algorithm.name() => {}
            _ => return Err(Problem::Algorithm),
        }
        Ok(Self {
            algorithm,
            payload,
            signing_input: [header, ".", encoded_payload].concat().into_bytes(),
            signature: decode(signature)?,
            header: parsed,
        })
    }

    /// The header: nothing in it has been believed yet.
    pub fn header(&self) -> &Json {
        &self.header
    }

    /// The header's key id.
    pub fn key_id(&self) -> Option<&str> {
        self.header.text("/kid")
    }

    /// The payload: it proves nothing before a check has given out its [`Proof`].
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Accepts when it is signed with ES256 by this key.
    ///
    /// # Errors
    /// [`Rejection::AlgorithmNotAllowed`] when it was read for another algorithm, [`Rejection::SignatureMismatch`]
    /// when the signature is not 64 bytes of this key over this header and payload.
    ///
    /// # Source
    /// RFC 7518, section 3.4.
    pub fn require_es256(&self, key: &EcdsaP256Key) -> Result<Proof, Rejection> {
        self.require_read_for(JwsAlgorithm::Es256)?;
        key.require_signature(EcdsaForm::Raw, &self.signing_input, &self.signature)
    }

    /// Accepts when it is signed with ES512 by this key.
    ///
    /// # Errors
    /// [`Rejection::AlgorithmNotAllowed`] when it was read for another algorithm, [`Rejection::SignatureMismatch`]
    /// when the signature is not 132 bytes of this key over this header and payload.
    ///
    /// # Source
    /// RFC 7518, section 3.4.
    pub fn require_es512(&self, key: &EcdsaP521Key) -> Result<Proof, Rejection> {
        self.require_read_for(JwsAlgorithm::Es512)?;
        key.require_signature(&self.signing_input, &self.signature)
    }

    /// Accepts when it is signed with RS256 by this key.
    ///
    /// # Errors
    /// [`Rejection::AlgorithmNotAllowed`] when it was read for another algorithm, [`Rejection::SignatureMismatch`].
    ///
    /// # Source
    /// RFC 7518, section 3.3.
    pub fn require_rs256(&self, key: &RsaKey) -> Result<Proof, Rejection> {
        self.require_read_for(JwsAlgorithm::Rs256)?;
        key.require_signature(RsaHash::Sha256, &self.signing_input, &self.signature)
    }

    fn require_read_for(&self, algorithm: JwsAlgorithm) -> Result<(), Rejection> {
        if self.algorithm == algorithm { Ok(()) } else { Err(Rejection::AlgorithmNotAllowed) }
    }
}

impl std::fmt::Debug for CompactJws {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CompactJws").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

enum Problem {
    Malformed,
    Algorithm,
}

impl Problem {
    fn of(self, what: &str) -> Rejection {
        match self {
            Self::Malformed => Rejection::malformed(what),
            Self::Algorithm => Rejection::AlgorithmNotAllowed,
        }
    }
}

fn three_parts(text: &str) -> Option<[&str; 3]> {
    let mut parts = text.split('.');
    let three = [parts.next()?, parts.next()?, parts.next()?];
    parts.next().is_none().then_some(three)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "eyJhbGciOiJFUzI1NiJ9";
    const PAYLOAD: &str =
        "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    const SIGNATURE: &str =
        "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";

    /// The key, header, payload and signature of RFC 7515, appendix A.3.
    fn rfc_key() -> EcdsaP256Key {
        let number = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap();
        let point = [
            vec![4],
            number("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"),
            number("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"),
        ];
        EcdsaP256Key::from_point(&point.concat()).unwrap()
    }

    fn parse(text: &str) -> Result<CompactJws, Rejection> {
        CompactJws::parse(text, JwsAlgorithm::Es256, "token")
    }

    #[test]
    fn the_example_of_the_standard_is_genuine_whole_and_detached() {
        let payload = b"{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n \"http://example.com/is_root\":true}";
        let jws = parse(&format!("{HEADER}.{PAYLOAD}.{SIGNATURE}")).unwrap();
        assert!(jws.require_es256(&rfc_key()).is_ok());
        assert_eq!(jws.payload(), payload);
        let detached = |payload: &[u8]| {
            let text = format!("{HEADER}..{SIGNATURE}");
            CompactJws::parse_detached(&text, payload, JwsAlgorithm::Es256, "token").unwrap()
        };
        assert!(detached(payload).require_es256(&rfc_key()).is_ok());
        assert_eq!(detached(b"{}").require_es256(&rfc_key()).err(), Some(Rejection::SignatureMismatch));
    }

    #[test]
    fn each_algorithm_has_its_own_key_and_serves_no_other() {
        use aws_lc_rs::rand::SystemRandom;
        use aws_lc_rs::signature::{ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
        let pair = EcdsaKeyPair::generate(&ECDSA_P521_SHA512_FIXED_SIGNING).unwrap();
        let (x, y) = pair.public_key().as_ref()[1..].split_at(66);
        let input = format!("{}.e30", URL_SAFE_NO_PAD.encode(r#"{"alg":"ES512"}"#));
        let signature = pair.sign(&SystemRandom::new(), input.as_bytes()).unwrap();
        let es512 = format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()));
        let rs256 = format!("{}.e30.AA", URL_SAFE_NO_PAD.encode(r#"{"alg":"RS256"}"#));
        let jws = CompactJws::parse(&es512, JwsAlgorithm::Es512, "token").unwrap();
        assert!(jws.require_es512(&EcdsaP521Key::from_coordinates(x, y).unwrap()).is_ok());
        let other = EcdsaP521Key::from_coordinates(y, x).unwrap();
        assert_eq!(jws.require_es512(&other).err(), Some(Rejection::SignatureMismatch));
        assert_eq!(jws.require_es256(&rfc_key()).err(), Some(Rejection::AlgorithmNotAllowed));
        assert_eq!(EcdsaP521Key::from_coordinates(&[0; 67], y), None);
        for (text, algorithm) in [(&rs256, JwsAlgorithm::Es512), (&es512, JwsAlgorithm::Rs256)] {
            let outcome = CompactJws::parse(text, algorithm, "token");
            assert_eq!(outcome.err(), Some(Rejection::AlgorithmNotAllowed), "{text}");
        }
    }

    #[test]
    fn another_payload_key_or_length_is_a_mismatch() {
        let short = &SIGNATURE[..84];
        let other_payload = format!("{HEADER}.e30.{SIGNATURE}");
        let texts = [other_payload, format!("{HEADER}.{PAYLOAD}.{short}"), format!("{HEADER}.{PAYLOAD}.")];
        for text in texts {
            let outcome = parse(&text).unwrap().require_es256(&rfc_key());
            assert_eq!(outcome.err(), Some(Rejection::SignatureMismatch), "{text}");
        }
    }

    #[test]
    fn what_is_not_strictly_a_jws_of_the_algorithm_is_refused() {
        let with_header =
            |header: &str| parse(&format!("{}.{PAYLOAD}.{SIGNATURE}", URL_SAFE_NO_PAD.encode(header))).err();
        let malformed = Some(Rejection::malformed("token"));
        for (header, expected) in [
            (r#"{"alg":"ES256","kid":"1","jwk":{},"jku":"https://a.example"}"#, None),
            (r#"{"alg":"none"}"#, Some(Rejection::AlgorithmNotAllowed)),
            (r#"{"alg":"HS256"}"#, Some(Rejection::AlgorithmNotAllowed)),
            (r#"{"alg":"es256"}"#, Some(Rejection::AlgorithmNotAllowed)),
            (r#"{"alg":["ES256"]}"#, Some(Rejection::AlgorithmNotAllowed)),
            (r#"{}"#, Some(Rejection::AlgorithmNotAllowed)),
            (r#"{"alg":"ES256","crit":["b64"],"b64":false}"#, malformed.clone()),
            (r#"{"alg":"ES256","crit":[]}"#, malformed.clone()),
            (r#"{"alg":"none","alg":"ES256"}"#, malformed.clone()),
            (r#"["ES256"]"#, malformed.clone()),
            ("", malformed.clone()),
        ] {
            assert_eq!(with_header(header), expected, "{header}");
        }
        for text in [
            String::new(),
            format!("{HEADER}.{PAYLOAD}"),
            format!("{HEADER}.{PAYLOAD}.{SIGNATURE}."),
            format!("{HEADER}.{PAYLOAD}.{SIGNATURE}=="),
            format!("{HEADER}.{PAYLOAD} .{SIGNATURE}"),
            format!("{HEADER}.{PAYLOAD}.{}", SIGNATURE.replace('-', "+")),
            format!("{HEADER}.{PAYLOAD}.{}R", &SIGNATURE[..85]),
        ] {
            assert_eq!(parse(&text).err(), malformed, "{text}");
        }
    }
}
