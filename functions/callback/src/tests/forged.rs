//! Forgeries through the whole function: what a stranger says of himself changes nothing.

use paybell_shared::sandbox::request::signature_spans;

use super::*;

/// Providers whose ways of signing differ: RSA over headers, HMAC over a header's fields, sorted parameters, a chain.
const PROVIDERS: &[&str] =
    &["wechatpay_v3", "stripe", "alipay", "paypal", "standard_webhooks", "adyen", "unionpay"];

const CLAIMS: &[(&str, &str)] = &[
    ("host", "localhost"),
    ("x-forwarded-for", "127.0.0.1"),
    ("x-forwarded-host", "localhost"),
    ("x-debug", "true"),
    ("x-test-mode", "1"),
    ("x-skip-verification", "1"),
    ("x-paybell-debug", "1"),
];

/// Genuine but for the signature, which is empty, from this very machine and with every flag that somebody may think of.
#[tokio::test]
async fn f1_f4_no_header_and_no_flag_stands_for_a_signature() {
    for name in PROVIDERS {
        let mut world = World::new(name).await;
        world.request = without_signature(&world.request);
        let mut event = world.event();
        event.raw_query_string =
            Some(format!("{}&debug=1&test=true&skip_verification=1", world.request.query));
        event.request_context.http.source_ip = Some("127.0.0.1".into());
        for (header, value) in CLAIMS {
            set(&mut event, header, value);
        }
        assert_eq!(world.deliver(event).await.status_code, 401, "{name}");
        assert_eq!(world.queue.messages(), [""; 0], "{name}");
    }
}

/// The request with nothing in the places of its signatures, everything else as it was.
fn without_signature(request: &SignedRequest) -> SignedRequest {
    let mut emptied = request.clone();
    while let Some(span) = signature_spans(&emptied).first() {
        emptied = span.replaced(&emptied, |_| Vec::new());
    }
    assert_ne!(emptied, *request, "a signature was found");
    emptied
}

/// A callback for one account, signed with its key, delivered to another that has a key of its own.
#[tokio::test]
async fn f15_a_callback_signed_for_one_account_is_refused_by_another() {
    for name in PROVIDERS {
        let world = World::new(name).await;
        let provider = world.ports.providers.find(name).unwrap();
        let other = Credentials { key_sets: vec![KeySet::new("own", provider.sandbox.generate().key_set)] };
        world.accounts.put_credentials("shop", name, &other).await.unwrap();
        let to_shop = world.event_to(&format!("/callbacks/shop/{name}"));
        assert_eq!(world.deliver(to_shop).await.status_code, 401, "{name}");
        assert_eq!(world.queue.messages(), [""; 0], "{name}");
        assert_eq!(
            world.deliver(world.event()).await.status_code,
            i64::from(provider.answers.success.status)
        );
        let verified = Verified::from_queue(&world.queue.messages()[0]).unwrap();
        assert_eq!(verified.account(), "acme", "{name}: the account is the address's");
    }
}
