//! Sources that are refused too often, and everybody else.

use paybell_shared::ports::CachedAccounts;
use paybell_shared::ports::memory::ManualClock;
use paybell_shared::refusals::{HINTS_BURST, REFUSALS_BURST};

use super::*;

const STRANGER: &str = "192.0.2.1";
const PROVIDER: &str = "198.51.100.1";

impl World {
    /// With the memory in front of the accounts that every deployment has.
    async fn remembering(provider: &'static str) -> Self {
        Self::remembering_by(Arc::new(ManualClock::at_ms(NOW.0 * 1_000)), provider).await
    }

    async fn remembering_by(clock: Arc<ManualClock>, provider: &'static str) -> Self {
        let mut world = Self::new(provider).await;
        world.ports.accounts = Arc::new(CachedAccounts::new(world.accounts.clone(), clock));
        world
    }

    fn from(&self, source_ip: &str) -> ApiGatewayV2httpRequest {
        let mut event = self.event();
        event.request_context.http.source_ip = Some(source_ip.to_owned());
        event
    }

    fn forged_from(&self, source_ip: &str) -> ApiGatewayV2httpRequest {
        let mut event = self.from(source_ip);
        event.body = Some(STANDARD.encode("{}"));
        event
    }
}

#[tokio::test]
async fn f19_a_forger_has_to_wait_and_the_provider_has_not() {
    let world = World::remembering("wechatpay_v3").await;
    for _ in 0..REFUSALS_BURST {
        assert_eq!(world.deliver(world.forged_from(STRANGER)).await.status_code, 401);
    }
    let before = world.accounts.faults.calls();
    let limited = world.deliver(world.forged_from(STRANGER)).await;
    let answers = &world.ports.providers.find("wechatpay_v3").unwrap().answers;
    assert_eq!((limited.status_code, body(&limited)), (429, answers.failure_body));
    assert_eq!(limited.headers[RETRY_AFTER], "1");
    // Not even a genuine one is looked at: whoever sends it comes again.
    assert_eq!(world.deliver(world.from(STRANGER)).await.status_code, 429);
    assert_eq!(world.accounts.faults.calls(), before, "no table is read for it");
    for _ in 0..2 * REFUSALS_BURST {
        assert_eq!(
            world.deliver(world.from(PROVIDER)).await.status_code,
            200,
            "genuine ones are not counted"
        );
    }
    let later = UnixSeconds(NOW.0 + 1);
    assert_eq!(handle(world.from(STRANGER), &world.ports, later).await.status_code, 200);
}

/// A provider sends for all its merchants from the same addresses: one account's wrong key is that account's alone.
#[tokio::test]
async fn f19_an_account_with_a_wrong_key_does_not_hold_up_the_others() {
    let world = World::remembering("stripe").await;
    let wrong = Credentials {
        key_sets: vec![KeySet::new(
            "one",
            world.ports.providers.find("stripe").unwrap().sandbox.generate().key_set,
        )],
    };
    world.accounts.put_credentials("other", "stripe", &wrong).await.unwrap();
    let to_other = || {
        let mut event = world.from(PROVIDER);
        event.raw_path = Some("/callbacks/other/stripe".into());
        event
    };
    for _ in 0..REFUSALS_BURST {
        assert_eq!(world.deliver(to_other()).await.status_code, 401);
    }
    assert_eq!(world.deliver(to_other()).await.status_code, 429);
    assert_eq!(world.deliver(world.from(PROVIDER)).await.status_code, 200);
}

#[tokio::test]
async fn f19_guesses_at_accounts_cost_few_reads_and_do_not_hold_up_a_known_one() {
    let world = World::remembering("stripe").await;
    assert_eq!(world.deliver(world.from(PROVIDER)).await.status_code, 200);
    let guess = |number: i64| {
        let mut event = world.forged_from(STRANGER);
        event.raw_path = Some(format!("/callbacks/guess{number}/stripe"));
        event
    };
    let before = world.accounts.faults.calls();
    let mut statuses = BTreeSet::new();
    for number in 0..3 * REFUSALS_BURST {
        statuses.insert(world.deliver(guess(number)).await.status_code);
    }
    assert_eq!(statuses, BTreeSet::from([404, 429]));
    assert_eq!(world.accounts.faults.calls() - before, usize::try_from(REFUSALS_BURST).unwrap());
    // The same unknown account again is answered from memory and costs no guess.
    assert_eq!(world.deliver(guess(0)).await.status_code, 404);
    assert_eq!(world.deliver(world.from(STRANGER)).await.status_code, 200, "a known account is");
}

/// Whoever enters our address as that of his own account has the provider send, from its own addresses, what we must
/// refuse.
#[tokio::test]
async fn f19_forgeries_from_a_providers_own_addresses_do_not_hold_up_what_it_signs() {
    let world = World::remembering("stripe").await;
    assert_eq!(world.deliver(world.from(PROVIDER)).await.status_code, 200);
    for _ in 0..3 * REFUSALS_BURST {
        assert_eq!(world.deliver(world.forged_from(PROVIDER)).await.status_code, 401);
    }
    assert_eq!(world.deliver(world.from(PROVIDER)).await.status_code, 200);
    let an_hour_later = UnixSeconds(NOW.0 + 3_601);
    let statuses = async |events: i64| {
        let mut statuses = BTreeSet::new();
        for _ in 0..events {
            statuses
                .insert(handle(world.forged_from(PROVIDER), &world.ports, an_hour_later).await.status_code);
        }
        statuses
    };
    assert_eq!(statuses(2 * REFUSALS_BURST).await, BTreeSet::from([401, 429]), "it is not believed for good");
}

#[tokio::test]
async fn f19_guesses_through_a_provider_do_not_hold_up_an_account_that_has_heard_from_it() {
    let clock = Arc::new(ManualClock::at_ms(NOW.0 * 1_000));
    let world = World::remembering_by(clock.clone(), "stripe").await;
    assert_eq!(world.deliver(world.from(PROVIDER)).await.status_code, 200);
    // The memory of the account has ended, and asking for it would be a read as for a guess.
    clock.advance_ms(31_000);
    assert!(!world.ports.accounts.remembers("acme", "stripe"));
    for number in 0..2 * REFUSALS_BURST {
        let mut event = world.forged_from(PROVIDER);
        event.raw_path = Some(format!("/callbacks/guess{number}/stripe"));
        handle(event, &world.ports, UnixSeconds(NOW.0 + 31)).await;
    }
    let genuine = handle(world.from(PROVIDER), &world.ports, UnixSeconds(NOW.0 + 31)).await;
    assert_eq!(genuine.status_code, 200);
}

/// Anybody can make up callbacks of a provider that signs nothing, and each would become a question to the provider.
#[tokio::test]
async fn f19_a_source_causes_few_questions_with_callbacks_that_need_no_signature() {
    let world = World::remembering("bitpay").await;
    let made_up = |number: i64, source: &str| {
        let mut event = world.from(source);
        event.body = Some(STANDARD.encode(json!({"data": {"id": format!("made-up-{number}")}}).to_string()));
        event
    };
    for number in 0..HINTS_BURST {
        assert_eq!(world.deliver(made_up(number, STRANGER)).await.status_code, 200);
    }
    let limited = world.deliver(made_up(HINTS_BURST, STRANGER)).await;
    assert_eq!((limited.status_code, &limited.headers[RETRY_AFTER]), (429, &HeaderValue::from(1)));
    assert_eq!(world.queue.messages().len(), usize::try_from(HINTS_BURST).unwrap());
    assert_eq!(world.deliver(world.from(PROVIDER)).await.status_code, 200, "another source");
    let later = UnixSeconds(NOW.0 + 1);
    assert_eq!(handle(world.from(STRANGER), &world.ports, later).await.status_code, 200);
}

/// One provider has webhooks with a signature and others without.
#[tokio::test]
async fn f19_callbacks_that_need_no_signature_do_not_hold_up_signed_ones() {
    let world = World::remembering("mollie").await;
    let unsigned = || {
        let mut event = world.from(PROVIDER);
        event.headers.clear();
        set(&mut event, "content-type", "application/x-www-form-urlencoded");
        event.body = Some(STANDARD.encode("id=tr_7"));
        event
    };
    let mut statuses = BTreeSet::new();
    for _ in 0..2 * HINTS_BURST {
        statuses.insert(world.deliver(unsigned()).await.status_code);
    }
    assert_eq!(statuses, BTreeSet::from([200, 429]));
    for _ in 0..2 * HINTS_BURST {
        assert_eq!(world.deliver(world.from(PROVIDER)).await.status_code, 200);
    }
    assert_eq!(world.deliver(unsigned()).await.status_code, 429, "a signature is no leave for what has none");
}

#[tokio::test]
async fn f19_what_is_too_large_or_unreadable_counts_and_our_own_failures_do_not() {
    let world = World::remembering("stripe").await;
    world.deliver(world.from(PROVIDER)).await;
    for (status, change) in [
        (413, (|event| event.body = Some("A".repeat(400 * 1024))) as fn(&mut ApiGatewayV2httpRequest)),
        (400, |event| event.body = Some("***".into())),
        (404, |event| event.raw_path = Some("/callbacks/acme/nobody".into())),
    ] {
        let source = format!("192.0.2.{}", status % 256);
        let send = async || {
            let mut event = world.from(&source);
            change(&mut event);
            world.deliver(event).await.status_code
        };
        for _ in 0..REFUSALS_BURST {
            assert_eq!(send().await, status);
        }
        assert_eq!(send().await, 429, "after {REFUSALS_BURST} times {status}");
    }
    for _ in 0..2 * REFUSALS_BURST {
        world.queue.faults.push(PortError::Transient("t".into()));
        assert_eq!(world.deliver(world.from(PROVIDER)).await.status_code, 503);
    }
    assert_eq!(world.deliver(world.from(PROVIDER)).await.status_code, 200);
}

#[tokio::test]
async fn a_process_on_this_machine_is_not_limited() {
    let world = World::remembering("stripe").await;
    for _ in 0..2 * REFUSALS_BURST {
        assert_eq!(world.deliver(world.forged_from("127.0.0.1")).await.status_code, 401);
    }
}
