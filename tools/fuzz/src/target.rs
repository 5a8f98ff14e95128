//! The list of targets.

use crate::{documents, readers, requests};

/// One reader of unverified bytes.
pub struct Target {
    /// Its name in commands and of its libFuzzer program.
    pub name: &'static str,
    /// What it reads.
    pub about: &'static str,
    /// Reads an input; it panics when something is not as it must be.
    pub run: fn(&[u8]),
    /// Inputs to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Words of its grammar, as libFuzzer reads them.
    pub dictionary: &'static str,
    /// Its share of the time of a run over all targets.
    pub weight: u32,
}

const FORM: &str = include_str!("../dictionaries/form.dict");
const JSON: &str = include_str!("../dictionaries/json.dict");
const XML: &str = include_str!("../dictionaries/xml.dict");
const DER: &str = include_str!("../dictionaries/der.dict");
const HTTP: &str = include_str!("../dictionaries/http.dict");
const TOML: &str = include_str!("../dictionaries/toml.dict");
const MONEY: &str = include_str!("../dictionaries/money.dict");

/// All targets.
pub const TARGETS: &[Target] = &[
    Target {
        name: "form",
        about: "form bodies and queries",
        run: documents::form,
        seeds: documents::form_seeds,
        dictionary: FORM,
        weight: 2,
    },
    Target {
        name: "json",
        about: "JSON bodies, messages of WebSocket clients, registrations of orders",
        run: documents::json,
        seeds: documents::json_seeds,
        dictionary: JSON,
        weight: 2,
    },
    Target {
        name: "xml",
        about: "XML bodies",
        run: documents::xml,
        seeds: documents::xml_seeds,
        dictionary: XML,
        weight: 2,
    },
    Target {
        name: "jws",
        about: "JSON Web Signatures in the compact form",
        run: readers::jws,
        seeds: readers::jws_seeds,
        dictionary: JSON,
        weight: 1,
    },
    Target {
        name: "certificate",
        about: "certificates in DER and PEM, and chains of them",
        run: readers::certificate,
        seeds: readers::certificate_seeds,
        dictionary: DER,
        weight: 2,
    },
    Target {
        name: "cms",
        about: "detached CMS signatures",
        run: readers::cms,
        seeds: readers::cms_seeds,
        dictionary: DER,
        weight: 2,
    },
    Target {
        name: "public_key",
        about: "public keys in PEM, base64 and DER, and signatures in every form",
        run: readers::public_key,
        seeds: readers::public_key_seeds,
        dictionary: DER,
        weight: 1,
    },
    Target {
        name: "money",
        about: "amounts in major and minor units",
        run: readers::money,
        seeds: readers::money_seeds,
        dictionary: MONEY,
        weight: 1,
    },
    Target {
        name: "request",
        about: "a whole callback of any provider: handshake, key fetch, verification, events, the queue's message",
        run: requests::request,
        seeds: requests::request_seeds,
        dictionary: HTTP,
        weight: 12,
    },
    Target {
        name: "content",
        about: "what a provider's normalise reads, whatever was proved",
        run: requests::content,
        seeds: requests::content_seeds,
        dictionary: JSON,
        weight: 6,
    },
    Target {
        name: "answer",
        about: "what a provider's API answers, tokens included",
        run: requests::answer,
        seeds: requests::answer_seeds,
        dictionary: JSON,
        weight: 3,
    },
    Target {
        name: "fetched_key",
        about: "keys and certificates that are fetched",
        run: requests::fetched_key,
        seeds: requests::fetched_key_seeds,
        dictionary: JSON,
        weight: 1,
    },
    Target {
        name: "queue_message",
        about: "the messages of the queue of verified callbacks",
        run: requests::queue_message,
        seeds: requests::queue_message_seeds,
        dictionary: JSON,
        weight: 1,
    },
    Target {
        name: "description",
        about: "descriptions of providers in TOML",
        run: readers::description,
        seeds: readers::description_seeds,
        dictionary: TOML,
        weight: 1,
    },
];

/// The target of this name.
pub fn find(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

/// Runs the target of this name on an input.
///
/// # Panics
/// When there is none of this name, or the input breaks what must hold.
pub fn run(name: &str, input: &[u8]) {
    let target = find(name).unwrap_or_else(|| panic!("no target is called `{name}`"));
    (target.run)(input);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_is_a_program_of_libfuzzer_and_has_seeds() {
        let programs: Vec<&str> = include_str!("../fuzz/Cargo.toml")
            .split("[[bin]]")
            .skip(1)
            .filter_map(|bin| bin.split('"').nth(1))
            .collect();
        let targets: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
        assert_eq!(programs, targets);
        for target in TARGETS {
            assert!((target.seeds)().len() > 2, "{}", target.name);
        }
    }
}
