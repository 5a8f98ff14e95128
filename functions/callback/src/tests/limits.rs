//! Sources that are refused too often, and everybody else.

use paybell_shared::ports::CachedAccounts;
use paybell_shared::ports::memory::ManualClock;
use paybell_shared::refusals::REFUSALS_BURST;

use super::*;

const STRANGER: &str = "192.0.2.1";
const PROVIDER: &str = "198.51.100.1";

impl World {
    /// With the memory in front of the accounts that every deployment has.
    async fn remembering(provider: &'static str) -> Self {
        let mut world = Self::new(provider).await;
        let clock = Arc::new(ManualClock::at_ms(NOW.0 * 1_000));
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
