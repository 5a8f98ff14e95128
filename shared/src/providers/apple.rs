//! What Apple's signed protocols share: the pinned root, and chains whose certificates Apple has marked for a purpose.

#[cfg(feature = "sandbox")]
pub(super) mod sandbox;

use crate::callback::certificate::{Certificate, Sha1Signatures, require_chain};
use crate::callback::{CertificateProblem, Rejection, UnixSeconds};

/// Apple Root CA - G3, valid until 2039-04-30.
///
/// # Source
/// <https://www.apple.com/certificateauthority/>, SHA-256
/// `63343abfb89a6a03ebb57e9b3f5fa7be7c4f5c756f3017b3a8c488c3653e9179`.
const ROOT_CA_G3_PEM: &str = include_str!("apple/root_ca_g3.pem");

/// The extensions by which Apple marks the certificates of one purpose. A chain that lacks them belongs to a developer
/// or another service: it leads to Apple's root as well.
pub(super) struct Marks {
    /// On the certificate that signs.
    pub leaf: &'static str,
    /// On the authority that issued it.
    pub intermediate: &'static str,
}

/// The anchor when an account configures none.
pub(super) fn bundled_root() -> Vec<Certificate> {
    Certificate::readable_in_pem(ROOT_CA_G3_PEM.as_bytes())
}

/// Accepts when `anchors` vouch for `intermediate`, that one for `leaf`, and both are marked for the purpose.
///
/// # Errors
/// [`CertificateProblem::Identity`] without the marks, else as [`require_chain`].
pub(super) fn require_marked_chain(
    leaf: &Certificate,
    intermediate: &Certificate,
    anchors: &[Certificate],
    marks: &Marks,
    at: UnixSeconds,
) -> Result<(), Rejection> {
    let intermediates = std::slice::from_ref(intermediate);
    require_chain(leaf, intermediates, anchors, at, Sha1Signatures::Refused)?;
    // Nothing shorter: the marked authority itself must have issued the leaf.
    require_chain(leaf, &[], intermediates, at, Sha1Signatures::Refused)?;
    let is_marked =
        leaf.extension(marks.leaf).is_some() && intermediate.extension(marks.intermediate).is_some();
    if is_marked { Ok(()) } else { Err(Rejection::Certificate(CertificateProblem::Identity)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::callback::signature::sha256;

    #[test]
    fn the_bundled_root_is_apples() {
        let roots = bundled_root();
        assert_eq!(roots.len(), 1);
        assert_eq!(
            hex::encode(sha256(roots[0].der())),
            "63343abfb89a6a03ebb57e9b3f5fa7be7c4f5c756f3017b3a8c488c3653e9179"
        );
        assert_eq!(roots[0].common_name(), Some("Apple Root CA - G3"));
    }

    /// Apple's authorities issue certificates for many purposes; each mark alone is somebody else's.
    #[cfg(feature = "sandbox")]
    #[test]
    fn f9_both_certificates_must_be_marked_for_the_purpose() {
        const MARKS: Marks = Marks { leaf: "1.2.3.1", intermediate: "1.2.3.2" };
        const OTHER: &str = "1.2.3.9";
        let now = UnixSeconds(1_767_225_600);
        for (made, expected) in [
            (MARKS, Ok(())),
            (Marks { leaf: OTHER, ..MARKS }, Err(Rejection::Certificate(CertificateProblem::Identity))),
            (
                Marks { intermediate: OTHER, ..MARKS },
                Err(Rejection::Certificate(CertificateProblem::Identity)),
            ),
        ] {
            let chain = sandbox::chain(&made);
            let read = |der: &[u8]| Certificate::from_der(der).unwrap();
            let (leaf, between, root) = (read(&chain.leaf), read(&chain.intermediate), read(&chain.root));
            assert_eq!(require_marked_chain(&leaf, &between, &[root], &MARKS, now), expected);
        }
    }
}
