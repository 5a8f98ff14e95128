//! S9: everybody is cut off at once and comes back at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::{StreamExt as _, stream};
use paybell_tests::listener::Listener;
use paybell_tests::{World, told, wait};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::Value;

use super::orders::pay;

const USERS: usize = 40;
const DEVICES_PER_USER: usize = 25;
/// At first they come bit by bit.
const CONNECTIONS_AT_ONCE: usize = 16;
/// A socket here and one in the process, and some for everything else.
const FILES_WANTED: u64 = 2_500;

#[tokio::test(flavor = "multi_thread")]
async fn s9_a_thousand_clients_come_back_at_once_and_miss_nothing() {
    if let Err(why) = raise_file_limit() {
        println!("skipped: {why}");
        return;
    }
    let mut world = World::start_on_this_machine().await;
    let users: Vec<String> = (0..USERS).map(|number| format!("user-{number}")).collect();
    let devices = users.iter().flat_map(|user| std::iter::repeat_n(user.clone(), DEVICES_PER_USER));
    let api = Arc::new(world.api.clone());
    let connecting = stream::iter(devices).map(|user| {
        let api = Arc::clone(&api);
        async move { (user.clone(), Listener::connect(&api, &user).await) }
    });
    let devices: Vec<(String, Listener)> = connecting.buffer_unordered(CONNECTIONS_AT_ONCE).collect().await;
    for user in &users {
        pay(&world, user, [format!("before-{user}")]).await;
    }
    wait_until_told_as_inbox(&world, &users, &devices, 1).await;

    world.server_mut().kill().await;
    world.server_mut().restart().await;
    for user in &users {
        pay(&world, user, [format!("after-{user}")]).await;
    }

    wait_until_told_as_inbox(&world, &users, &devices, 2).await;
    assert!(devices.iter().all(|(_, device)| device.connections() >= 2), "somebody was not cut off");
    println!(
        "{} devices came back and were told everything once; {} repetitions by id, which they dropped",
        devices.len(),
        devices.iter().map(|(_, device)| device.repetitions()).sum::<usize>()
    );
}

/// Every device has its user's whole inbox, which has so many notifications, each with one content.
async fn wait_until_told_as_inbox(
    world: &World,
    users: &[String],
    devices: &[(String, Listener)],
    notifications: usize,
) {
    let mut inboxes = BTreeMap::<&str, BTreeMap<String, Value>>::new();
    for user in users {
        let inbox = async || told::by_id(world.api.inbox(user).await);
        let inbox = wait::until("the inbox to be full", inbox, |inbox| inbox.len() >= notifications).await;
        assert_eq!(inbox.len(), notifications, "{inbox:#?}");
        inboxes.insert(user, inbox);
    }
    let incomplete = async || {
        devices.iter().filter(|(user, device)| device.told().len() < inboxes[user.as_str()].len()).count()
    };
    let mut left = devices.len();
    // As long as they get on, however slow the machine is.
    while left > 0 {
        let less = |count: &usize| *count < left;
        left = wait::until("more devices to be told", incomplete, less).await;
    }
    for (user, device) in devices {
        assert_eq!(device.told(), inboxes[user.as_str()], "{user}");
        assert_eq!(device.contradictions(), Vec::<String>::new(), "{user}: one id, two contents");
    }
}

/// Allows this process, and those that it starts, as many open files as it may allow itself.
fn raise_file_limit() -> Result<(), String> {
    let limit = getrlimit(Resource::Nofile);
    if limit.maximum.is_some_and(|maximum| maximum < FILES_WANTED) {
        return Err(format!("{FILES_WANTED} open files are wanted, and {:?} are allowed", limit.maximum));
    }
    let wanted = limit.current.map(|current| current.max(FILES_WANTED));
    setrlimit(Resource::Nofile, Rlimit { current: wanted, ..limit }).map_err(|error| error.to_string())
}
