//! Where the Paybell under test runs: as one process on this machine, or deployed as a stage.

use std::path::Path;

use paybell_shared::sandbox::Exchange;

use crate::api::Api;
use crate::server::Server;
use crate::stage::Stage;

/// Where the Paybell under test runs.
pub enum Place {
    /// `paybell up`, started by the test with a data folder of its own.
    Machine(Box<Server>),
    /// A deployed stage, which other tests use too.
    Stage(Box<Stage>),
}

/// How many messages wait or are in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queued {
    /// Verified callbacks and hints.
    pub callbacks: u64,
    /// Those that could not be applied or asked about.
    pub dead_letters: u64,
}

impl Place {
    /// How many messages wait or are in flight; of a stage's dead letters, those that are new since the test began.
    pub async fn queued(&self) -> Queued {
        match self {
            Self::Machine(server) => server.queued(),
            Self::Stage(stage) => stage.queued().await,
        }
    }

    /// Everything that was logged since the test began.
    pub async fn log(&self) -> String {
        match self {
            Self::Machine(server) => server.log(),
            Self::Stage(stage) => stage.log().await,
        }
    }

    /// Makes a provider's API give these answers when it is asked for this account.
    pub async fn put_answers(&self, api: &Api, account: &str, exchanges: &[Exchange]) {
        match self {
            Self::Machine(_) => api.put_answers(exchanges).await,
            Self::Stage(stage) => stage.put_answers(account, exchanges),
        }
    }

    /// Puts any text into the queue of hints.
    pub async fn send_hint(&self, text: &str) {
        match self {
            Self::Machine(server) => server.send_hint(text).await,
            Self::Stage(stage) => stage.send_hint(text).await,
        }
    }

    /// The option with which commands work here.
    pub fn arguments(&self) -> [String; 2] {
        match self {
            Self::Machine(server) => data_arguments(&server.data()),
            Self::Stage(stage) => ["--stage".to_owned(), stage.name().to_owned()],
        }
    }

    /// The name of an account that is made here: on a stage one that nobody else has, whose providers are played.
    pub fn new_account_name(&self, name: &str) -> String {
        match self {
            Self::Machine(_) => name.to_owned(),
            Self::Stage(stage) => stage.new_account_name(name),
        }
    }

    /// Whether API Gateway adds a content type to an answer that has none.
    pub fn adds_content_type(&self) -> bool {
        matches!(self, Self::Stage(_))
    }
}

/// The option with which commands work on a data folder.
pub fn data_arguments(data: &Path) -> [String; 2] {
    ["--data".to_owned(), data.to_str().expect("temporary folders have plain names").to_owned()]
}
