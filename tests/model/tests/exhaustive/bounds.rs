//! How much of everything the checker looks at, each time for something else.

use paybell_model::ledger::Happening;
use paybell_model::pipeline::{Bounds, Registration};
use paybell_model::state::Faults;

const PAID: &[Happening] = &[Happening::Captured("tx", 1_000)];
const PAID_AND_REFUNDED: &[Happening] = &[Happening::Captured("tx", 1_000), Happening::Refunded("tx", 300)];
const PAID_IN_PARTS: &[Happening] =
    &[Happening::Captured("t1", 600), Happening::Captured("t2", 400), Happening::Refunded("t1", 300)];
const BEGUN_AND_PAID: &[Happening] = &[Happening::Pending("tx"), Happening::Captured("tx", 1_000)];

const NO_FAULTS: Faults =
    Faults { lost_answers: 0, crashes: 0, early_timeouts: 0, disconnects: 0, failed_pushes: 0 };

/// Two events of one order, delivered several times, to two appliers.
pub const DELIVERIES: Bounds = Bounds {
    name: "deliveries",
    orders: &[PAID_AND_REFUNDED],
    registration: Registration::First,
    appliers: 2,
    receives_max: 3,
    faults: Faults { lost_answers: 1, crashes: 1, ..NO_FAULTS },
};

/// As [`DELIVERIES`], while messages become visible too early.
pub const SLOW_APPLIERS: Bounds = Bounds {
    name: "slow appliers",
    faults: Faults { lost_answers: 1, crashes: 1, early_timeouts: 1, ..NO_FAULTS },
    ..DELIVERIES
};

/// A late event of lower rank, and two killed invocations.
pub const LATE_EVENT: Bounds = Bounds {
    name: "a late event",
    orders: &[BEGUN_AND_PAID],
    faults: Faults { crashes: 2, early_timeouts: 1, ..NO_FAULTS },
    ..DELIVERIES
};

/// Three events of one order, which is paid in parts and held until both are there.
pub const PARTS: Bounds = Bounds {
    name: "three events",
    orders: &[PAID_IN_PARTS],
    faults: Faults { crashes: 1, ..NO_FAULTS },
    ..DELIVERIES
};

/// The order is registered before, between or after its events.
pub const REGISTRATION: Bounds =
    Bounds { name: "registration at any time", registration: Registration::AnyTime, ..PARTS_OF_TWO };

const PARTS_OF_TWO: Bounds = Bounds { orders: &[PAID_AND_REFUNDED], ..PARTS };

/// A message that is received too often.
pub const DEAD_LETTERS: Bounds = Bounds {
    name: "dead letters",
    orders: &[PAID],
    receives_max: 2,
    faults: Faults { crashes: 2, early_timeouts: 1, ..NO_FAULTS },
    ..DELIVERIES
};

/// Two orders of one user, a device that goes away at any point, a push that fails.
pub const CONNECTIONS: Bounds = Bounds {
    name: "connections",
    orders: &[PAID, PAID],
    appliers: 1,
    faults: Faults { disconnects: 1, failed_pushes: 1, ..NO_FAULTS },
    ..DELIVERIES
};

/// The same with records that come again.
pub const REDELIVERED_RECORDS: Bounds = Bounds {
    name: "redelivered records",
    faults: Faults { crashes: 1, disconnects: 1, ..NO_FAULTS },
    ..CONNECTIONS
};

/// The same with three changes, and a device that goes away twice.
pub const RESTLESS_DEVICE: Bounds = Bounds {
    name: "a restless device",
    orders: &[PAID_AND_REFUNDED, PAID],
    faults: Faults { disconnects: 2, ..NO_FAULTS },
    ..CONNECTIONS
};

/// All of them.
pub const ALL: &[&Bounds] = &[
    &DELIVERIES,
    &SLOW_APPLIERS,
    &LATE_EVENT,
    &PARTS,
    &REGISTRATION,
    &DEAD_LETTERS,
    &CONNECTIONS,
    &REDELIVERED_RECORDS,
    &RESTLESS_DEVICE,
];
