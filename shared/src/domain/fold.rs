//! The derivation of an order's state.

use std::collections::BTreeSet;

use super::{Order, OrderState, Status};

/// Everything derived, from scratch.
pub fn state(order: &Order) -> OrderState {
    let status = if order.expected.is_some() { Status::Created } else { Status::Unclaimed };
    OrderState {
        status,
        reasons: BTreeSet::new(),
        currency: None,
        authorized_minor: 0,
        captured_minor: 0,
        refunded_minor: 0,
        disputed_minor: 0,
        refund_due: Vec::new(),
        transactions: Vec::new(),
        standing: None,
    }
}
