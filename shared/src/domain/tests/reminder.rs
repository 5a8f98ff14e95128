//! When a provider is asked about a payment that nobody mentions, and when no more.

use proptest::prelude::*;

use super::*;
use crate::domain::reminder::{
    DELAY_SECONDS_MAX, FIRST_QUESTION_SECONDS, LAST_QUESTION_SECONDS_MAX, QUESTIONS_MAX,
};

const REGISTERED_AT: UnixSeconds = UnixSeconds(1_000);

fn first(expires_at: Option<i64>) -> Reminder {
    let expected = Expectation { expires_at: expires_at.map(UnixSeconds), ..expectation() };
    Reminder::first(subject("o1"), Reference::new("bank", "t1"), &expected, REGISTERED_AT)
}

/// The ages in minutes at which is asked, each question so many seconds late.
fn ages(reminder: Reminder, mut late_seconds: impl FnMut() -> i64) -> Vec<i64> {
    let mut ages = Vec::new();
    let mut next = Some(reminder);
    while let Some(reminder) = next {
        ages.push((reminder.due_at.0 - REGISTERED_AT.0) / 60);
        assert!(ages.len() <= QUESTIONS_MAX, "{ages:?}");
        next = reminder.next(UnixSeconds(reminder.due_at.0 + late_seconds()));
    }
    ages
}

#[test]
fn m11_questions_come_at_ages_that_double_until_a_little_after_the_expiry() {
    const HOUR: i64 = 3_600;
    for (expires_after, late_seconds, expected) in [
        (None, 0, &[5, 10, 20, 40, 80, 160, 320, 640, 1_280, 1_440][..]),
        (Some(HOUR), 0, &[5, 10, 20, 40, 65]),
        (Some(35 * 60), 0, &[5, 10, 20, 40]),
        (Some(0), 0, &[5]),
        (Some(-HOUR), 0, &[5]),
        (Some(i64::MAX - 1_000), 0, &[5, 10, 20, 40, 80, 160, 320, 640, 1_280, 2_560, 4_320]),
        // A little late is on time for the next one; what an outage has held up is asked once.
        (Some(HOUR), 30, &[5, 10, 20, 40, 65]),
        (Some(HOUR), 5 * 60, &[5, 20, 40, 65]),
        (Some(HOUR), 50 * 60, &[5, 65]),
        (Some(HOUR), 2 * HOUR, &[5]),
    ] {
        let reminder = first(expires_after.map(|seconds| REGISTERED_AT.0 + seconds));
        assert_eq!(ages(reminder, || late_seconds), expected, "{expires_after:?} {late_seconds}");
    }
}

#[test]
fn m11_a_queue_holds_a_reminder_back_until_it_is_due_and_no_longer_than_it_can() {
    let reminder = first(None);
    for (seconds_before, delay_seconds) in [
        (i64::MAX, 900),
        (10_000, 900),
        (901, 900),
        (900, 900),
        (899, 899),
        (1, 1),
        (0, 0),
        (-1, 0),
        (-9_999, 0),
    ] {
        let now = UnixSeconds(reminder.due_at.0.saturating_sub(seconds_before));
        assert_eq!(reminder.delay_seconds(now), delay_seconds, "{seconds_before}");
    }
}

proptest! {
    /// However late each question is asked and whenever the order expires: each comes after the one before, none is due
    /// before the first age or after the end, there is an end, and on time the last one comes at the very end.
    #[test]
    fn m11_the_schedule_ends_and_never_asks_after_its_end(
        expires_after in prop::option::of(-1_000_000..10_000_000_i64),
        late in prop::collection::vec(prop_oneof![3 => 0..10_i64, 1 => 0..1_000_000_i64], QUESTIONS_MAX),
    ) {
        let reminder = first(expires_after.map(|seconds| REGISTERED_AT.0 + seconds));
        prop_assert!(reminder.ends_at.0 <= REGISTERED_AT.0 + LAST_QUESTION_SECONDS_MAX);
        prop_assert_eq!(reminder.due_at.0, REGISTERED_AT.0 + FIRST_QUESTION_SECONDS);
        let (mut next, mut dues) = (Some(reminder.clone()), Vec::new());
        while let Some(reminder) = next {
            prop_assert!(dues.len() < QUESTIONS_MAX);
            prop_assert!(dues.last().is_none_or(|last| *last < reminder.due_at));
            prop_assert!(reminder.due_at <= reminder.ends_at);
            let now = UnixSeconds(reminder.due_at.0 + late[dues.len()]);
            dues.push(reminder.due_at);
            next = reminder.next(now);
            prop_assert!(next.iter().all(|next| now < next.due_at), "no question is made up for");
        }
        if late.iter().all(|seconds| *seconds == 0) {
            prop_assert_eq!(dues.last(), Some(&reminder.ends_at));
        }
    }

    /// A reminder that hops through the queue arrives when it is due, not before and hardly after.
    #[test]
    fn m11_hops_lead_to_the_moment_that_is_due(due_after in 0..300_000_i64) {
        let reminder = Reminder { due_at: UnixSeconds(REGISTERED_AT.0 + due_after), ..first(None) };
        let (mut now, mut hops) = (REGISTERED_AT, 0);
        while reminder.delay_seconds(now) > 0 {
            now.0 += i64::from(reminder.delay_seconds(now));
            hops += 1;
        }
        prop_assert_eq!(now, reminder.due_at);
        let hops_max = due_after / i64::from(DELAY_SECONDS_MAX) + 1;
        prop_assert!(hops <= hops_max, "{} hops", hops);
    }
}

#[test]
fn m11_a_reminder_is_over_when_the_money_has_come_or_its_own_payment_has_ended() {
    let table = "
                                          => open  # nothing heard
        pending/t1                        => open
        authorized/t1                     => open  # reserved is not taken
        failed/t1                         => open  # another attempt may follow
        captured/t1=100                   => over
        captured/t2=100                   => over  # by another payment
        captured/t1=100@2000              => over  # late
        captured/t1=100 captured/t2=100   => over  # overpaid
        captured/t1=100 refund.succeeded/t1/r1=100 => over
        captured/t1=100 dispute.opened/t1/d1       => over
        captured/t1=100 dispute.lost/t1/d1         => over
        cancelled/t1                      => over
        expired/t1                        => over
        cancelled/t2                      => open  # the payer tries again
        expired/t2                        => open
        captured/t2=60                    => open  # held: this may be the other part
        captured/t1=60                    => over  # held, and this one has told all
    ";
    for (given, expected) in rows(table) {
        let is_over = first(None).is_over(&registered(given));
        assert_eq!(if is_over { "over" } else { "open" }, expected, "{given}");
    }
    assert!(first(None).is_over(&order("captured/t9=100")), "nobody waits for what is not registered");
}
