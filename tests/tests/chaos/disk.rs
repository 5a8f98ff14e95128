//! S1: a disk that takes nothing more, and a data folder that cannot be written.
//!
//! A limit on the size of files, moved while the process runs, makes its writes fail as a full disk does, for the
//! process and for nobody else, and needs no rights. `sh` sees to it that the process hears an error and no signal, as
//! from a disk.

use std::path::Path;
use std::process::Command;

use fastrand::Rng;
use paybell_tests::server::Options;
use paybell_tests::storm::{Mix, Storm};
use paybell_tests::{Listener, World, told, wait};
use rustix::process::{Resource, Rlimit, prlimit};

use super::orders::pay;

/// Makes every write of the process fail.
fn fill_disk(world: &World) {
    let limit = Rlimit { current: Some(0), maximum: None };
    prlimit(Some(world.server().pid()), Resource::Fsize, limit).expect("a limit can be lowered");
}

/// Writes work again.
fn make_room(world: &World) {
    let limit = Rlimit { current: None, maximum: None };
    prlimit(Some(world.server().pid()), Resource::Fsize, limit).expect("the soft limit can be raised again");
}

async fn health(world: &World) -> u16 {
    world.api.get("/health").await.status
}

#[tokio::test(flavor = "multi_thread")]
async fn s1_a_full_disk_takes_nothing_and_says_so_until_there_is_room() {
    let world =
        World::start_on_this_machine_with(Options { deaf_to_limits: true, ..Options::default() }).await;
    let provider = world.provider("stripe");
    let anna = Listener::connect(&world.api, "anna").await;
    pay(&world, "anna", ["before".to_owned()]).await;
    anna.wait_for("before", "payment.captured").await;
    world.settle().await;

    fill_disk(&world);
    let facts = world.facts(provider, "during");
    for request in world.requests(provider, paybell_cli::simulate::Scenario::Paid, &facts) {
        for _ in 0..3 {
            world.deliver_refused(provider, &request, 503).await;
        }
    }
    wait::until("the process to say so", async || health(&world).await, |status| *status == 503).await;
    assert_eq!(world.api.order("before").await.status, 200, "what is there can be read");

    make_room(&world);
    wait::until("the process to be well again", async || health(&world).await, |status| *status == 200).await;
    pay(&world, "anna", ["during".to_owned(), "after".to_owned()]).await;
    for order_id in ["during", "after"] {
        anna.wait_for(order_id, "payment.captured").await;
    }
    assert_eq!(anna.connections(), 1, "nothing was restarted");
    assert_eq!(anna.told(), told::by_id(world.api.inbox("anna").await));
}

#[tokio::test(flavor = "multi_thread")]
async fn s1_what_was_acknowledged_before_the_disk_was_full_is_applied_once_after_it() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut rng = Rng::with_seed(seed);
    let mut world =
        World::start_on_this_machine_with(Options { deaf_to_limits: true, ..Options::default() }).await;
    let mut storm = Storm::new(Mix { duplicates_percent: 20, moved_percent: 50, users: 2 });
    let wave = storm.next_wave(&world, &mut rng, 150).await;
    let sending = wave.send(&world.api, &world.demo.account, rng.u64(..));
    for moment in [30, 80] {
        sending.wait_for_acknowledged(moment).await;
        fill_disk(&world);
        wait::until("the process to say so", async || health(&world).await, |status| *status == 503).await;
        make_room(&world);
    }
    let repeated = sending.finish().await;
    println!("{repeated} sent again for want of an answer");
    // What was in the functions' hands when the disk was full comes again after minutes, or at once after a restart.
    world.server_mut().kill().await;
    world.server_mut().restart().await;
    world.settle().await;
    let mut tally = storm.tally_orders(&world.api).await;
    for user in storm.users() {
        let inbox = async || told::by_id(world.api.inbox(user).await);
        let is_told = |inbox: &_| storm.tally_told(user, inbox).lost.is_empty();
        tally.add(storm.tally_told(user, &wait::until_or_last(inbox, is_told).await));
    }
    tally.assert_faultless();
}

#[test]
fn s1_a_data_folder_that_cannot_be_written_is_an_error_that_says_so() {
    let parent = tempfile::tempdir().unwrap();
    let data = parent.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let Some(mut command) = on_read_only(&data) else {
        println!(
            "skipped: nobody but a superuser who may mount can make a folder unwritable for a superuser"
        );
        return;
    };
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("cannot use the data folder") && said.contains("data: "), "{said}");
    assert!(!said.contains("panicked"), "{said}");
}

/// `paybell up` on this folder, which it cannot write.
fn on_read_only(data: &Path) -> Option<Command> {
    let paybell = paybell_tests::binary::paybell();
    let mut permissions = std::fs::metadata(data).expect("it is there").permissions();
    if !rustix::process::geteuid().is_root() {
        permissions.set_readonly(true);
        std::fs::set_permissions(data, permissions).expect("it is ours");
        let mut command = Command::new(paybell);
        command.args(["up", "--port", "0", "--data"]).arg(data);
        return Some(command);
    }
    const MOUNT: &str = r#"mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" || exit 99"#;
    let script = format!("{MOUNT}; exec \"$2\" up --port 0 --data \"$1\"");
    let in_own_mounts = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", script, "sh"]).arg(data).arg(&paybell);
        command
    };
    let may_mount = in_own_mounts(MOUNT).status().is_ok_and(|status| status.success());
    may_mount.then(|| in_own_mounts(&script))
}
