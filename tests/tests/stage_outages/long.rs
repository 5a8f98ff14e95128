//! Functions that are killed in the middle of their batches, and an outage that lasts.

use std::fs;
use std::time::{Duration, Instant};

use paybell_tests::fault_proxy::{Fault, Rule};
use paybell_tests::wait;
use rustix::process::{Pid, Signal, kill_process};

use super::world::Outage;
use super::{FIRST_DELAY_SECONDS_MAX, delays_seconds, dynamodb_is_throttled};

/// Nobody waits three minutes in a test: messages of killed functions come again after this.
const VISIBILITY_TIMEOUT_SECONDS: u32 = 6;
/// How long the outage lasts, unless `PAYBELL_OUTAGE_SECONDS` says otherwise.
const OUTAGE_SECONDS: u64 = 20;
/// Messages that were received so often have been put off for a minute.
const RECEIVES_PER_MINUTE_MAX: usize = 6;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a deployed stage behind a proxy"]
async fn s1_s2_functions_that_are_killed_in_the_middle_of_their_batches_lose_nothing() {
    let outage = Outage::start().await;
    outage.warm_up().await;
    let payments = outage.orders("killed").await;
    let kept = outage.stage().set_visibility_timeout(VISIBILITY_TIMEOUT_SECONDS).await;
    let mut killed = 0;
    for (round, fault) in [Fault::Hang, Fault::HangAfterEffect].into_iter().enumerate() {
        outage.proxy.heal();
        let before = outage.proxy.failed("UpdateItem");
        outage.proxy.inject(Rule::new(fault).service("dynamodb").operation("UpdateItem").percent(50));
        if round == 0 {
            outage.acknowledged(&payments).await;
        }
        let hanging = async || outage.proxy.failed("UpdateItem") - before;
        wait::until("a write to hang", hanging, |count| *count > 0).await;
        for pid in processes_of(&outage.stage().function("apply")) {
            kill_process(pid, Signal::KILL).expect("a function can be killed");
            killed += 1;
        }
    }
    assert!(killed >= 2, "{killed} functions were killed: the test proves nothing");
    outage.proxy.heal();
    outage.assert_paid_once(&payments).await;
    assert_eq!(outage.stage().queued().await.dead_letters, 0);
    outage.stage().set_visibility_timeout(kept).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a deployed stage behind a proxy"]
async fn s5_an_outage_that_lasts_is_asked_about_ever_less() {
    let outage = Outage::start().await;
    outage.warm_up().await;
    let payments = outage.orders("lasting").await;
    let calls_before = outage.proxy.calls().len();
    let seconds = std::env::var("PAYBELL_OUTAGE_SECONDS").ok().and_then(|text| text.parse().ok());
    let end = Instant::now() + Duration::from_secs(seconds.unwrap_or(OUTAGE_SECONDS));
    outage.proxy.inject(dynamodb_is_throttled());
    outage.acknowledged(&payments).await;
    tokio::time::sleep(end.saturating_duration_since(Instant::now())).await;
    let delays = delays_seconds(&outage.proxy.calls()[calls_before..]);
    outage.proxy.heal();

    println!("{} callbacks were given back {} times, for {delays:?} s", payments.len(), delays.len());
    let longest = delays.iter().max().expect("something was given back");
    assert!(*longest > 2 * FIRST_DELAY_SECONDS_MAX, "{longest} s at most: the delays do not grow");
    let minutes = 1 + seconds.unwrap_or(OUTAGE_SECONDS) as usize / 60;
    assert!(delays.len() <= payments.len() * RECEIVES_PER_MINUTE_MAX * minutes, "{} times", delays.len());
    outage.assert_paid_once(&payments).await;
    assert_eq!(outage.stage().queued().await.dead_letters, 0);
}

/// The processes that the emulator has started for a function.
fn processes_of(function: &str) -> Vec<Pid> {
    let wanted = format!("AWS_LAMBDA_FUNCTION_NAME={function}");
    let processes = fs::read_dir("/proc").expect("Linux lists its processes").flatten();
    processes
        .filter_map(|process| {
            let pid = process.file_name().to_str()?.parse().ok()?;
            let environment = fs::read(process.path().join("environ")).ok()?;
            let is_function = environment.split(|byte| *byte == 0).any(|pair| pair == wanted.as_bytes());
            if is_function { Pid::from_raw(pid) } else { None }
        })
        .collect()
}
