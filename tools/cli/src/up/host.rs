//! One process: opens the data folder, starts the embedded services, the triggers and the gateway, and stops them.

use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use paybell_shared::aws::{Adapters, Clients};
use paybell_shared::config::TableNames;
use paybell_shared::https::{HttpsLimits, HttpsTransport};
use paybell_shared::ports::{Clock, ForwardClock, SystemRandom};
use paybell_shared::providers::Registry;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::dynamodb::DynamoDb;
use super::embedded::{CALLBACKS_QUEUE, Embedded, HINTS_QUEUE, NOTIFY_DEAD_LETTERS};
use super::endpoint::Endpoint;
use super::folder::DataFolder;
use super::functions::{Functions, HttpFunction, TRIGGER_TIMEOUT, WebSocketFunction, limited, limited_apart};
use super::gateway::hub::Hub;
use super::gateway::serving::{self, Limits};
use super::gateway::{self, Gateway, OPEN_MAX};
use super::kept_time::KeptTime;
use super::sandbox::Sandbox;
use super::triggers::queue::QueueMapping;
use super::triggers::stream::StreamMapping;
use super::triggers::{self, Stopping};
use super::{Options, StartError, accounts, configuration, help, open_files};
use crate::Place;

/// How long one record of the stream is tried, after which the others of its lane no longer wait for it.
const STREAM_RECORD_TRIED_MAX: Duration = Duration::from_secs(6 * 60 * 60);
/// Batches of callbacks that are applied side by side.
const APPLY_CONCURRENCY: usize = 4;
/// Calls of merchants, and of devices, that are served side by side.
const HTTP_CONCURRENCY: usize = 32;
/// Batches of hints that are asked about side by side.
const RECONCILE_CONCURRENCY: usize = 2;
const SWEEP_EVERY: Duration = Duration::from_secs(5 * 60);
/// How long a graceful stop waits for what is running, for each of its steps.
const STOP_MAX: Duration = Duration::from_secs(4);

/// Runs until SIGINT or SIGTERM; `wall` is the time that other machines' clocks show.
///
/// # Errors
/// [`StartError`].
pub async fn run(place: &Place, options: &Options, wall: Arc<dyn Clock>) -> Result<(), StartError> {
    // Whoever has seen `/health` answer may stop us, so the signals are heard before that.
    let told_to_stop = stop_signal()?;
    let limits = Limits::with_open_files(open_files::raise_limit());
    let providers = Arc::new(Registry::new(configuration::read(options.config.as_deref())?));
    let folder = DataFolder::open(&place.data)?;
    let public = bind(place.port).await?;
    // With port 0 the system chooses.
    let place = Place { port: public.local_addr()?.port(), ..place.clone() };
    let forward = Arc::new(ForwardClock::new(Arc::clone(&wall)));
    let clock: Arc<dyn Clock> = forward.clone();
    let services = Embedded::start(&folder.dynamodb(), &folder.queue(), Arc::clone(&clock)).await?;
    let kept_time = Arc::new(KeptTime::go_on(forward, Arc::clone(&services.store)).await?);
    let config = services.config();
    let clients = Clients::new(&services.sdk_config(), &config);
    let adapters = Adapters::with_clients(&clients, &config);
    let demo = accounts::load_or_make(folder.path(), &providers).await?;
    accounts::store(&demo, adapters.accounts.as_ref()).await?;
    services.endpoint().write(folder.path())?;

    let (stop, stopping) = watch::channel(false);
    let way_out = Arc::new(HttpsTransport::new(HttpsLimits::QUESTION));
    let sandbox = Arc::new(Sandbox::new(&demo, way_out));
    let functions = functions(&adapters, &providers, &sandbox, &kept_time, [&clock, &wall]);
    let mut tasks = start_triggers(&functions, &services, &config.tables, &clock, &stopping);
    let gateway = Gateway {
        functions,
        hub: Arc::clone(&services.hub),
        store: Arc::clone(&services.store),
        dynamodb: services.dynamodb.clone(),
        health: Arc::default(),
        sandbox,
        clock: wall,
        about: help::about(&place, &demo, &providers).into(),
        trusted_proxies: options.trusted_proxies.as_slice().into(),
        stopping: stopping.clone(),
    };
    let mut serving = tokio::spawn(serving::serve(public, gateway::router(gateway), limits, stopping));
    say_ready(&help::what_to_try(&place, &demo, &providers), &help::address(&place)).await?;

    tokio::select! {
        () = told_to_stop => tracing::info!("stopping"),
        ended = &mut serving => return Ok(ended.map_err(io::Error::other)?),
    }
    let _ = stop.send(true);
    // Order matters: first nothing new comes in, then what runs may end, while the services still answer.
    let _ = tokio::time::timeout(STOP_MAX, async {
        let _ = serving.await;
        services.hub.all_closed().await;
        while tasks.join_next().await.is_some() {}
    })
    .await;
    Ok(Endpoint::remove(folder.path())?)
}

async fn bind(port: u16) -> Result<TcpListener, StartError> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => StartError::PortInUse(port),
        _ => StartError::Port { port, error },
    })
}

/// The handlers with the ports that their Lambda binaries give them.
fn functions(
    adapters: &Adapters,
    providers: &Arc<Registry>,
    sandbox: &Arc<Sandbox>,
    kept_time: &Arc<KeptTime>,
    [clock, wall]: [&Arc<dyn Clock>; 2],
) -> Functions {
    macro_rules! function {
        ($crate_name:ident, |$event:pat_param, $ports:ident, $clock:ident| $call:expr) => {
            function!($crate_name::Ports::new(adapters), |$event, $ports, $clock| $call)
        };
        ($new_ports:expr, |$event:pat_param, $ports:ident, $clock:ident| $call:expr) => {{
            let (ports, clock) = (Arc::new($new_ports), Arc::clone(clock));
            Arc::new(move |$event| {
                let ($ports, $clock) = (Arc::clone(&ports), Arc::clone(&clock));
                Box::pin(async move { $call.await }) as futures_util::future::BoxFuture<'static, _>
            })
        }};
    }
    let random = Arc::new(SystemRandom::default());
    let orders_ports = Arc::new(orders_function::Ports::new(adapters, Arc::clone(providers)));
    let orders_clock = Arc::clone(clock);
    let callback_ports = Arc::new(callback_function::Ports::new(adapters, Arc::clone(providers)));
    let callback_clock = Arc::clone(wall);
    let notify_ports = Arc::new(notify_function::Ports::new(adapters));
    let (notify_clock, kept_time) = (Arc::clone(clock), Arc::clone(kept_time));
    let orders: HttpFunction = Arc::new(move |event| {
        let (ports, clock, random) =
            (Arc::clone(&orders_ports), Arc::clone(&orders_clock), Arc::clone(&random));
        Box::pin(async move { orders_function::handle(event, &ports, clock.as_ref(), random.as_ref()).await })
    });
    let connections: WebSocketFunction = function!(connections_function, |event, ports, clock| {
        connections_function::handle(event, &ports, clock.now())
    });
    Functions {
        callback: Arc::new(move |event| {
            let (ports, now) = (Arc::clone(&callback_ports), callback_clock.now());
            Box::pin(async move { callback_function::handle(event, &ports, now).await })
        }),
        orders: limited(orders, HTTP_CONCURRENCY),
        connections: limited_apart(&connections, HTTP_CONCURRENCY),
        apply: function!(
            apply_function::Ports::new(adapters, Arc::clone(providers)),
            |(event, deadline_ms), ports, clock| {
                apply_function::handle(event, &ports, clock.as_ref(), deadline_ms)
            }
        ),
        reconcile: function!(
            reconcile_function::Ports::new(
                adapters,
                Arc::clone(providers),
                Arc::clone(sandbox) as _,
                Arc::clone(clock)
            ),
            |(event, deadline_ms), ports, clock| {
                reconcile_function::handle(event, &ports, clock.as_ref(), deadline_ms)
            }
        ),
        notify: Arc::new(move |(event, deadline_ms)| {
            let (ports, clock) = (Arc::clone(&notify_ports), Arc::clone(&notify_clock));
            let kept_time = Arc::clone(&kept_time);
            Box::pin(async move {
                if let Err(error) = kept_time.keep().await {
                    tracing::warn!(%error, "the time could not be written down");
                }
                notify_function::handle(event, &ports, clock.as_ref(), deadline_ms).await
            })
        }),
    }
}

fn start_triggers(
    functions: &Functions,
    services: &Embedded,
    tables: &TableNames,
    clock: &Arc<dyn Clock>,
    stopping: &Stopping,
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for (queue, function, concurrency) in [
        (CALLBACKS_QUEUE, &functions.apply, APPLY_CONCURRENCY),
        (HINTS_QUEUE, &functions.reconcile, RECONCILE_CONCURRENCY),
    ] {
        let mapping = QueueMapping {
            store: Arc::clone(&services.store),
            queue: queue.to_owned(),
            function: Arc::clone(function),
            timeout: TRIGGER_TIMEOUT,
            clock: Arc::clone(clock),
        };
        for _ in 0..concurrency {
            tasks.spawn(triggers::queue::run(mapping.clone(), stopping.clone()));
        }
    }
    let mapping = StreamMapping {
        dynamodb: services.dynamodb.clone(),
        table: tables.orders.clone(),
        store: Arc::clone(&services.store),
        dead_letter_queue: NOTIFY_DEAD_LETTERS.to_owned(),
        function: Arc::clone(&functions.notify),
        timeout: TRIGGER_TIMEOUT,
        record_tried_max: STREAM_RECORD_TRIED_MAX,
        clock: Arc::clone(clock),
    };
    tasks.spawn(triggers::stream::run(mapping, stopping.clone()));
    tasks.spawn(sweep(services.dynamodb.clone(), Arc::clone(&services.hub), stopping.clone()));
    tasks
}

/// Deletes items whose time to live is over, as DynamoDB does in the background.
async fn sweep(dynamodb: DynamoDb, hub: Arc<Hub>, mut stopping: Stopping) {
    while !*stopping.borrow() {
        triggers::pause(&mut stopping, SWEEP_EVERY).await;
        // First, so that nobody waits on a socket that is open and in no table any more.
        hub.cut_older_than(OPEN_MAX);
        let dynamodb = dynamodb.clone();
        if let Ok(Err(error)) = tokio::task::spawn_blocking(move || dynamodb.sweep_expired()).await {
            tracing::warn!(%error, "expired items could not be deleted");
        }
    }
}

/// Prints what to try and the line that scripts wait for, once `/health` answers.
async fn say_ready(what_to_try: &str, address: &str) -> Result<(), StartError> {
    let client = reqwest::Client::builder().no_proxy().build().map_err(io::Error::other)?;
    let answer = client.get(format!("{address}/health")).send().await.map_err(io::Error::other)?;
    answer.error_for_status().map_err(io::Error::other)?;
    let mut stdout = io::stdout().lock();
    // Whoever closed our output wants no text, and still wants the service.
    let _ = writeln!(stdout, "{what_to_try}Paybell is ready at {address}").and_then(|()| stdout.flush());
    Ok(())
}

/// Listens for SIGINT and SIGTERM from now on; the future ends with the first one.
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        Ok(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        })
    }
    #[cfg(not(unix))]
    Ok(async {
        let _ = tokio::signal::ctrl_c().await;
    })
}
