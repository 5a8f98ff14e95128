//! The WebSocket gateway: what is pushed reaches a device while its socket is open, in the order of pushing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use paybell_shared::ports::{PortError, Pushed, Pusher};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::sim::{Port, Sim, lock};

/// Open sockets by the connection's id.
pub struct Gateway {
    sim: Arc<Sim>,
    sockets: Mutex<BTreeMap<String, UnboundedSender<String>>>,
}

impl Gateway {
    pub fn new(sim: &Arc<Sim>) -> Self {
        Self { sim: sim.clone(), sockets: Mutex::default() }
    }

    /// A device has opened a socket; the frames that reach it, until it is closed.
    pub fn open(&self, connection_id: &str) -> UnboundedReceiver<String> {
        let (sender, frames) = unbounded_channel();
        lock(&self.sockets).insert(connection_id.to_owned(), sender);
        frames
    }

    /// A socket is closed by whichever side, or broken.
    pub fn hang_up(&self, connection_id: &str) {
        lock(&self.sockets).remove(connection_id);
    }
}

#[async_trait]
impl Pusher for Gateway {
    async fn push(&self, connection_id: &str, text: &str) -> Result<Pushed, PortError> {
        let effect = async {
            let sockets = lock(&self.sockets);
            let taken = sockets.get(connection_id).is_some_and(|socket| socket.send(text.to_owned()).is_ok());
            if !taken {
                self.sim.count("pushes to connections that are gone");
            }
            Ok(if taken { Pushed::Yes } else { Pushed::Gone })
        };
        self.sim.call(Port::Gateway, format!("push to {connection_id}"), effect).await
    }

    async fn close(&self, connection_id: &str) -> Result<(), PortError> {
        let effect = async {
            self.sim.count("connections cut off");
            self.hang_up(connection_id);
            Ok(())
        };
        self.sim.call(Port::Gateway, format!("close {connection_id}"), effect).await
    }
}
