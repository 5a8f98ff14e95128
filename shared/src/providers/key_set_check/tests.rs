//! Over every provider of the registry: what the sandbox makes is accepted, what is empty or damaged is not.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::*;
use crate::providers::registry;

fn problems(provider: &Provider, fields: &Map<String, Value>) -> Vec<KeyProblem> {
    provider.check_key_set(&KeySet::new("k", fields.clone())).err().unwrap_or_default()
}

/// The sandbox's key set of a provider; making RSA keys takes a while, so each is made once.
fn generated(provider: &Provider) -> Map<String, Value> {
    type KeySets = BTreeMap<&'static str, Map<String, Value>>;
    static GENERATED: LazyLock<KeySets> = LazyLock::new(|| {
        registry::built_in().map(|provider| (provider.name, provider.sandbox.generate().key_set)).collect()
    });
    GENERATED[provider.name].clone()
}

/// The providers whose key sets are empty, because nothing of theirs is signed and nothing is asked.
const WITHOUT_KEYS: &[&str] = &["apple_pay_merchant_token"];

#[test]
fn f3_every_sandbox_key_set_is_accepted_and_no_empty_one() {
    for provider in registry::built_in() {
        let keys = generated(provider);
        assert_eq!(problems(provider, &keys), [], "{}", provider.name);
        let of_none = problems(provider, &Map::new());
        assert_eq!(of_none.is_empty(), WITHOUT_KEYS.contains(&provider.name), "{}", provider.name);
        assert!(of_none.iter().all(|problem| problem.fault == KeyFault::Missing), "{of_none:?}");
    }
}

#[test]
fn a_mistyped_field_is_named() {
    for provider in registry::built_in() {
        let mut keys = generated(provider);
        keys.insert("secrte".to_owned(), json!("x"));
        let found = problems(provider, &keys);
        let expected = KeyProblem { field: "secrte".to_owned(), fault: KeyFault::Unknown, wanted: "" };
        assert_eq!(found, [expected], "{}", provider.name);
    }
}

#[test]
fn f3_a_blank_or_mistyped_value_is_refused_wherever_it_stands() {
    for provider in registry::built_in() {
        let keys = generated(provider);
        for name in keys.keys() {
            let mut blanks = vec![json!(""), json!("  "), Value::Null, json!([]), json!({}), json!([""])];
            blanks.extend(with_a_member(&keys[name], &json!("")));
            for blank in blanks {
                assert_unusable(provider, &keys, name, blank);
            }
        }
    }
}

/// A value with each of its members replaced, where it holds keys by their ids.
fn with_a_member(value: &Value, replacement: &Value) -> Vec<Value> {
    let members = value.as_object().into_iter().flat_map(Map::keys);
    let replaced = |id: &String| {
        let mut value = value.clone();
        value[id.as_str()] = replacement.clone();
        value
    };
    members.map(replaced).collect()
}

fn assert_unusable(provider: &Provider, keys: &Map<String, Value>, name: &str, value: Value) {
    let mut damaged = keys.clone();
    damaged.insert(name.to_owned(), value.clone());
    let found = problems(provider, &damaged);
    assert!(
        found.iter().any(|problem| problem.field == name && problem.fault == KeyFault::Unusable),
        "{}: {name} = {value}: {found:?}",
        provider.name
    );
}

/// What a payments switch shipped as the secret of everybody who had set none.
#[test]
fn f3_a_secret_that_everybody_knows_is_refused_wherever_it_stands() {
    let mut by_id = 0;
    for provider in registry::built_in() {
        let keys = generated(provider);
        for name in keys.keys() {
            by_id += usize::from(keys[name].is_object());
            for known in [json!("default_secret"), json!(" Changeme "), json!("<your-webhook-secret>")] {
                let mut values = with_a_member(&keys[name], &known);
                values.extend([known.clone(), json!([keys[name], known])]);
                for value in values {
                    assert_unusable(provider, &keys, name, value);
                }
            }
        }
    }
    assert!(by_id > 0, "no provider holds its keys by their ids");
}

/// The fields whose values have a form of their own, so that half of one is none.
const WITH_A_FORM: &[&str] = &[
    "alipay_public_key_spki_b64",
    "antom_public_key_spki_b64",
    "api_v3_key",
    "apple_root_ca_g3_pem",
    "cert_pem",
    "certs_by_url",
    "google_certs_pem",
    "hmac_key_hex",
    "jwks",
    "merchant_cert_pem",
    "merchant_key",
    "merchant_private_key_pem",
    "middle_cert_pem",
    "platform_public_keys",
    "public_key_pem",
    "public_key_spki_b64",
    "public_keys",
    "recipient_private_key_pkcs8_b64",
    "root_cert_der_b64",
    "root_cert_pem",
    "root_signing_keys",
    "trust_anchor_pem",
    "yop_public_key_pem",
];

#[test]
fn a_damaged_key_is_refused_by_name() {
    let mut damaged_ones = 0;
    for provider in registry::built_in() {
        let keys = generated(provider);
        for name in keys.keys().filter(|name| WITH_A_FORM.contains(&name.as_str())) {
            let mut damaged = keys.clone();
            damaged.insert(name.clone(), halved(&keys[name]));
            let found = problems(provider, &damaged);
            let fields: Vec<&str> = found.iter().map(|problem| problem.field.as_str()).collect();
            assert_eq!(fields, [name.as_str()], "{}", provider.name);
            assert!(!found[0].wanted.is_empty(), "{}: {name} has no description", provider.name);
            damaged_ones += 1;
        }
    }
    assert!(damaged_ones >= WITH_A_FORM.len(), "{damaged_ones} keys were damaged");
}

/// Every text without its second half; an odd number of characters is neither hexadecimal nor base64.
fn halved(value: &Value) -> Value {
    match value {
        Value::String(text) => {
            let half = (text.chars().count() / 2) | 1;
            text.chars().take(half).collect::<String>().into()
        }
        Value::Array(members) => members.iter().map(halved).collect(),
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), halved(value))).collect(),
        other => other.clone(),
    }
}

/// Key sets that prove callbacks and could not stand against live ones.
#[test]
fn f15_what_live_callbacks_would_be_refused_for_is_refused() {
    for (name, without, missing) in [
        // The provider signs for all its merchants with one key.
        ("adapay", "expected_app_id", "expected_app_id"),
        ("allinpay", "expected_cusid", "expected_cusid"),
        ("aws_sns", "allowed_topic_arns", "allowed_topic_arns"),
        ("circle", "subscription_id", "subscription_id"),
        ("rfc9421", "authority", "authority"),
        ("unionpay", "expected_mer_id", "expected_mer_id"),
        ("wise", "subscription_id", "subscription_id"),
        // It has to be asked, and cannot be.
        ("flutterwave", "secret_key", "secret_key"),
        ("gocardless", "access_token", "access_token"),
        ("btcpay", "server_url", "server_url"),
        ("truelayer", "access_token", "access_token"),
        ("phonepe_v2", "client_secret", "client_secret"),
    ] {
        let provider = registry::built_in().find(|provider| provider.name == name).unwrap();
        let mut keys = generated(provider);
        assert!(keys.remove(without).is_some(), "{name} has no {without}");
        let found = problems(provider, &keys);
        let found: Vec<_> = found.iter().map(|problem| (problem.field.as_str(), problem.fault)).collect();
        assert_eq!(found, [(missing, KeyFault::Missing)], "{name} without {without}");
    }
}

#[test]
fn settings_are_checked_and_keys_that_are_fetched_may_be_absent() {
    for (name, changes, unusable) in [
        ("circle", json!({"public_keys": null, "api_key": "x"}), None),
        ("circle", json!({"environment": "sandbocks"}), Some("environment")),
        ("paypal", json!({"cert_pem": null}), None),
        ("google_pay", json!({"root_signing_keys": null}), None),
        ("google_pay", json!({"protocol_version": "ECv9"}), Some("protocol_version")),
        ("truelayer", json!({"jwks": null}), None),
        ("wechatpay_v2", json!({"sign_type": "SHA1"}), Some("sign_type")),
        ("wechatpay_v3", json!({"tolerance_s": 301}), Some("tolerance_s")),
        ("alipay", json!({"sign_type": "RSA"}), Some("sign_type")),
        ("alipay", json!({"sign_type": "RSA", "allow_legacy_rsa1": true}), None),
        ("stripe", json!({"secret": ["old", "new"]}), None),
        ("stripe", json!({"secret": 7}), Some("secret")),
        ("paddle", json!({"tolerance_seconds": 60}), None),
        ("paddle", json!({"tolerance_seconds": "60"}), Some("tolerance_seconds")),
        ("quicknode", json!({"nodes": {"ethereum": "http://node.example"}}), Some("nodes")),
        ("quicknode", json!({"nodes": null}), None),
    ] {
        let provider = registry::built_in().find(|provider| provider.name == name).unwrap();
        let mut keys = generated(provider);
        for (field, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => drop(keys.remove(field)),
                value => drop(keys.insert(field.clone(), value.clone())),
            }
        }
        let found = problems(provider, &keys);
        let found: Vec<_> = found.iter().map(|problem| (problem.field.as_str(), problem.fault)).collect();
        let expected: Vec<_> = unusable.map(|field| (field, KeyFault::Unusable)).into_iter().collect();
        assert_eq!(found, expected, "{name} {changes}");
    }
}

#[test]
fn a_problem_says_what_is_wanted_and_no_value() {
    let provider = registry::built_in().find(|provider| provider.name == "adyen").unwrap();
    let mut keys = generated(provider);
    keys.insert("hmac_key_hex".to_owned(), json!("my-own-secret"));
    let text = problems(provider, &keys)[0].to_string();
    assert!(text.starts_with("`hmac_key_hex` cannot be used as it is: "), "{text}");
    assert!(!text.contains("my-own-secret"), "{text}");
}
