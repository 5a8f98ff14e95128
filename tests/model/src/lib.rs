//! A model of the way from a callback to a user, small enough to look at every state that it can be in.
//!
//! [`pipeline::Pipeline`] is a `stateright` model without actors: a state is everything that is stored, under way or
//! waiting ([`state::State`]), and an action is one step of one part, so that the checker interleaves all steps in every
//! way and puts a fault between any two of them. What must hold stands in [`properties`]. What an order comes to and what
//! its changes mean is not imitated: [`ledger`] asks `Order` and `notifications` of `paybell_shared::domain`.
//!
//! | Action | Stands for |
//! |---|---|
//! | `Enqueue`, `Acknowledge` | `accept` in `functions/callback/src/handler.rs`: `CallbackQueue::send`, and only then the success |
//! | `LoseAnswer` | the function is killed in between, or its answer is lost: the provider comes again |
//! | `Receive`, `TimeOut` | the event source mapping and the queue: visibility timeout, receive count, dead-letter queue |
//! | `Redrive` | an operator returns a dead letter to its queue |
//! | `Load`, `Save` | `try_once` in `shared/src/ports/fold.rs`: one read, `Order::absorb`, one conditional write |
//! | `Delete` | the response of `functions/apply/src/handler.rs` does not name the message |
//! | `LoadToRegister`, `Register` | `POST /orders` in `functions/orders/src/handler.rs`, the same fold |
//! | `BeginToNotify` | the stream's mapping hands out a lane's first record; the invocation reads the clock |
//! | `Notify` | one step of `functions/notify/src/handler.rs`: `Inbox::put`, `ConnectionStore::of_user`, `Pusher::push`, the checkpoint |
//! | `FailPush` | `push_to` cuts a connection off that does not take a push |
//! | `EndLateNotify` | the deadline that `within` holds every call to |
//! | `Connect`, `ReadInbox`, `Replay` | `functions/connections/src/handler.rs` and `resume.rs` |
//! | `TakeFrame` | `Progress::take` in `tools/cli/src/listen/progress.rs` |
//! | `KillApplier`, `KillRegistration`, `KillNotifier`, `Disconnect` | a process or a connection ends, whatever it was at |
//!
//! Time is the number of begun invocations of `notify`. An invocation is over before so many others have begun that a
//! client's overlap would not reach back to its beginning, as 30 s of work and 30 s of overlap are in the product.

pub mod apply;
pub mod client;
pub mod ledger;
pub mod notify;
pub mod pipeline;
pub mod properties;
pub mod queue;
pub mod state;
