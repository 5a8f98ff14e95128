//! What the sandbox signs is genuine, and says what the scenario says.

use paybell_shared::callback::{Credentials, KeyStatus, Rejection, UnixSeconds, Verified};

use super::{BENCHES, Bench, NOW, line};

#[test]
fn every_scenario_gives_its_event() {
    for (provider, scenario, expected) in [
        ("alipay", "paid", "payment.captured ORDER-1 transaction=T1 19.90 CNY"),
        ("alipay", "refunded", "refund.succeeded ORDER-1 transaction=T1 refund=R1 5.00 CNY so far"),
        ("alipay", "partial-refund", "refund.succeeded ORDER-1 transaction=T1 refund=R1 5.00 CNY so far"),
        ("alipay", "failed", "payment.expired ORDER-1 transaction=T1 19.90 CNY"),
        ("wechatpay_v3", "paid", "payment.captured ORDER-1 transaction=T1 19.90 CNY"),
        ("wechatpay_v3", "refunded", "refund.succeeded ORDER-1 transaction=T1 refund=R1 5.00 CNY"),
        ("wechatpay_v3", "partial-refund", "refund.succeeded ORDER-1 transaction=T1 refund=R1 5.00 CNY"),
        ("wechatpay_v3", "failed", "payment.failed ORDER-1 transaction=T1 19.90 CNY"),
        ("unionpay", "paid", "payment.captured ORDER-1 transaction=T1 19.90 CNY ~unionpay:T1"),
        ("unionpay", "refunded", "refund.succeeded transaction=T1 refund=R1 5.00 CNY ~unionpay:T1"),
        ("unionpay", "partial-refund", "refund.succeeded transaction=T1 refund=R1 5.00 CNY ~unionpay:T1"),
        ("unionpay", "failed", "payment.failed ORDER-1 transaction=T1 19.90 CNY ~unionpay:T1"),
        ("paypal", "paid", "payment.captured ORDER-1 transaction=T1 19.90 CNY ~paypal:O-T1 ~paypal:T1"),
        ("paypal", "refunded", "refund.succeeded transaction=T1 refund=R1 5.00 CNY ~paypal:T1"),
        ("paypal", "partial-refund", "refund.succeeded transaction=T1 refund=R1 5.00 CNY ~paypal:T1"),
        ("paypal", "failed", "payment.failed ORDER-1 transaction=T1 19.90 CNY ~paypal:O-T1 ~paypal:T1"),
    ] {
        let bench = Bench::of(provider);
        let events = bench.events(&bench.scenario(scenario)).unwrap();
        let lines: Vec<String> = events.iter().map(line).collect();
        assert_eq!(lines, [expected], "{provider} {scenario}");
        assert_eq!(events[0].received_at, NOW);
        assert_eq!(events[0].occurred_at, Some(NOW), "{provider} {scenario}");
    }
}

#[test]
fn the_queue_carries_everything_that_the_mapping_reads() {
    for bench in BENCHES.iter() {
        let verified = bench.verify(&bench.scenario("paid")).unwrap();
        let queued = Verified::from_queue(&verified.to_message()).unwrap();
        assert_eq!(bench.provider.normalise(&queued), bench.provider.normalise(&verified));
    }
}

#[test]
fn f17_any_active_key_set_proves_and_a_retired_one_does_not() {
    for bench in BENCHES.iter() {
        let name = bench.provider.name;
        let request = bench.scenario("paid");
        let other = Bench::new(name);
        let verify =
            |credentials: &Credentials| bench.provider.verify(&bench.raw(&request), credentials, NOW);
        let rotating = Credentials { key_sets: vec![other.key_set("new"), bench.key_set("old")] };
        assert_eq!(
            verify(&rotating).map(|verified| verified.key_set_id().to_owned()),
            Ok("old".into()),
            "{name}"
        );
        let mut retired = rotating.clone();
        retired.key_sets[1].status = KeyStatus::Retired;
        assert!(verify(&retired).is_err(), "{name}");
        assert!(matches!(verify(&Credentials::default()), Err(Rejection::Unconfigured { .. })), "{name}");
    }
}

#[test]
fn a_missing_credential_rejects() {
    for bench in BENCHES.iter() {
        let request = bench.scenario("paid");
        let required = bench
            .keys
            .key_set
            .keys()
            .filter(|name| !name.starts_with("expected_") && !matches!(name.as_str(), "sign_type"));
        for missing in required {
            for replacement in [None, Some(""), Some(" ")] {
                let mut fields = bench.keys.key_set.clone();
                match replacement {
                    None => drop(fields.remove(missing)),
                    Some(blank) => drop(fields.insert(missing.clone(), blank.into())),
                }
                let keys = paybell_shared::callback::KeySet::new("incomplete", fields);
                let credentials = Credentials { key_sets: vec![keys] };
                let outcome = bench.provider.verify(&bench.raw(&request), &credentials, NOW);
                let name = bench.provider.name;
                // A certificate that is not configured is fetched, and its authority is built in.
                let substituted = replacement.is_none()
                    && ["cert_pem", "trust_anchor_pem"].contains(&missing.as_str())
                    && name == "paypal";
                let refused = match outcome {
                    Err(Rejection::Certificate(_)) => substituted,
                    Err(Rejection::Unconfigured { .. }) => !substituted,
                    _ => false,
                };
                assert!(refused, "{name} without {missing}");
            }
        }
    }
}

#[test]
fn f15_somebody_elses_callback_is_refused() {
    for (provider, field) in [
        ("alipay", "expected_app_id"),
        ("alipay", "expected_seller_id"),
        ("wechatpay_v3", "expected_mchid"),
        ("wechatpay_v3", "expected_appid"),
        ("unionpay", "expected_mer_id"),
    ] {
        let bench = Bench::of(provider);
        let request = bench.scenario("paid");
        let mut fields = bench.keys.key_set.clone();
        fields.insert(field.to_owned(), "somebody else".into());
        let keys = paybell_shared::callback::KeySet::new("other", fields);
        let outcome = bench.provider.verify(&bench.raw(&request), &Credentials { key_sets: vec![keys] }, NOW);
        assert!(matches!(outcome, Err(Rejection::IdentityMismatch { .. })), "{provider} {field}");
    }
}

#[test]
fn f7_wechat_pay_has_a_strict_window_both_ways() {
    let bench = Bench::of("wechatpay_v3");
    let raw = bench.raw(&bench.scenario("paid"));
    for (difference, fresh) in [(-300, false), (-299, true), (0, true), (299, true), (300, false)] {
        let now = UnixSeconds(NOW.0 + difference);
        let outcome = bench.provider.verify(&raw, &bench.credentials(), now);
        assert_eq!(outcome.is_ok(), fresh, "{difference}");
        if !fresh {
            assert_eq!(outcome, Err(Rejection::Stale { age_seconds: difference }));
        }
    }
}

#[test]
fn f9_certificates_must_be_valid_at_the_time_of_receipt() {
    for provider in ["unionpay", "paypal"] {
        let bench = Bench::of(provider);
        let raw = bench.raw(&bench.scenario("paid"));
        for (now, valid) in [(1_400_000_000, false), (NOW.0, true), (2_600_000_000, false)] {
            let outcome = bench.provider.verify(&raw, &bench.credentials(), UnixSeconds(now));
            assert_eq!(outcome.is_ok(), valid, "{provider} at {now}");
        }
    }
}
