//! What a start prints, and what `GET /` answers.

use std::fmt::Write as _;

use paybell_shared::providers::Registry;

use crate::Place;
use crate::demo::DemoAccount;

/// What to try, for the person at the terminal. It shows the API key.
pub fn what_to_try(place: &Place, demo: &DemoAccount, providers: &Registry) -> String {
    let (address, options) = (address(place), client_options(place));
    let DemoAccount { account, api_key, user, .. } = demo;
    let mut text = format!("\nAccount {account}, user {user}, API key {api_key}\n\nCallback addresses\n");
    for provider in providers.iter() {
        let _ = writeln!(text, "  {:<20} {address}/callbacks/{account}/{}", provider.name, provider.name);
    }
    let example = providers.iter().next().map_or("PROVIDER", |provider| provider.name);
    let _ = write!(
        text,
        "
Hear of payments, then make one (in other terminals)
  paybell listen{options}
  paybell simulate{options} {example} paid

Register an order
  curl -X POST {address}/orders -H 'Authorization: Bearer {api_key}' \\
    -d '{{\"order_id\":\"order-1\",\"amount_minor\":1999,\"currency\":\"CNY\",\"user\":\"{user}\"}}'

WebSocket
  {}/ws?ticket=TICKET    a ticket for a user: POST {address}/tickets {{\"user\":\"{user}\"}}

",
        address.replacen("http", "ws", 1)
    );
    text
}

/// What runs here, for whoever opens the address. It shows no key.
pub fn about(place: &Place, demo: &DemoAccount, providers: &Registry) -> String {
    let (address, account) = (address(place), &demo.account);
    let names: Vec<&str> = providers.iter().map(|provider| provider.name).collect();
    format!(
        "Paybell {} runs here: payment callbacks, verified, applied once, told to the people who wait.\n\n\
         Callbacks   POST {address}/callbacks/{account}/PROVIDER\n            PROVIDER: {}\n\
         Orders      POST {address}/orders, GET {address}/orders/ORDER_ID\n\
         Users       GET {address}/users/USER/orders, GET {address}/users/USER/inbox\n\
         Tickets     POST {address}/tickets\n\
         WebSocket   {}/ws?ticket=TICKET\n\
         Health      GET {address}/health\n\n\
         The API key of the account {account} is in {} in the data folder.\n",
        env!("CARGO_PKG_VERSION"),
        names.join(", "),
        address.replacen("http", "ws", 1),
        DemoAccount::FILE_NAME,
    )
}

/// `http://127.0.0.1:PORT`.
pub fn address(place: &Place) -> String {
    format!("http://127.0.0.1:{}", place.port)
}

/// The options that client commands need to find this process: none when it is where they look by default.
fn client_options(place: &Place) -> String {
    let mut options = String::new();
    if place.port != Place::DEFAULT_PORT {
        let _ = write!(options, " --port {}", place.port);
    }
    if place.data.as_os_str() != Place::DEFAULT_DATA {
        let _ = write!(options, " --data {}", place.data.display());
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_public_page_shows_no_key() {
        let place = Place { data: "elsewhere".into(), port: 1 };
        let demo = DemoAccount {
            account: "demo".to_owned(),
            api_key: "pb_test_key".to_owned(),
            user: "demo-user".to_owned(),
            providers: Default::default(),
        };
        let registry = Registry::default();
        assert!(!about(&place, &demo, &registry).contains("pb_test_key"));
        let text = what_to_try(&place, &demo, &registry);
        assert!(text.contains("pb_test_key"));
        assert!(text.contains("paybell listen --port 1 --data elsewhere"), "{text}");
    }
}
