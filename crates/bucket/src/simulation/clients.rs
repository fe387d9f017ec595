//! What clients ask for, and what goes wrong meanwhile.

use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};

use super::calls::{Action, Observed, Told};
use super::network::lock;
use super::node::Node;
use super::world::{Working, World};
use crate::keys;

pub(crate) const SESSIONS: [&str; 2] = ["a", "b"];
const MODELS: [&str; 2] = ["m", "n"];

/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(25);

const HOUR: Duration = Duration::from_secs(3600);

/// A day with clients, a night in which sessions are renewed or not and swept, a morning.
pub(crate) async fn run(world: &Arc<World>) {
    for session in SESSIONS {
        call(world, Action::Create, session, None).await;
        call(world, Action::Create, session, Some("m")).await;
    }
    busy(world, 10).await;
    night(world).await;
    busy(world, 4).await;
    // What is late has arrived.
    sleep(Duration::from_secs(120)).await;
    for node in 0..world.nodes.len() {
        for (session, model) in [("a", "m"), ("b", "m")] {
            let id = begin(world, Action::Step, session, Some(model));
            attempt(world, id, node, session, Some(model), Action::Step).await;
            world.end(id);
        }
    }
    // The writes of these steps as well.
    sleep(Duration::from_secs(120)).await;
    holidays(world).await;
}

/// Days on which nothing fails, one session is used, and nodes sweep: what is dead is removed.
async fn holidays(world: &Arc<World>) {
    world.network.calm();
    for _ in 0..12 {
        sleep(13 * HOUR).await;
        call(world, Action::Step, SESSIONS[0], None).await;
        let node = any_node(world);
        run_on(world, node, |node| async move { node.sweep().await }).await;
    }
}

async fn busy(world: &Arc<World>, calls: u32) {
    let trouble = tokio::spawn(trouble(Arc::clone(world)));
    let clients: Vec<_> = (0..3)
        .map(|_| tokio::spawn(client(Arc::clone(world), calls)))
        .collect();
    for client in clients {
        client.await.expect("a client does not panic");
    }
    trouble.abort();
    world.network.heal();
}

/// Cuts, stops, crashes.
async fn trouble(world: Arc<World>) {
    loop {
        let nodes = world.nodes.len();
        let (node, kind, pause, lasts) = world.network.random(|random| {
            (
                random.random_range(0..nodes),
                random.random_range(0..3),
                random.random_range(500..8_000),
                random.random_range(1_000..30_000),
            )
        });
        sleep(Duration::from_millis(pause)).await;
        let network = Arc::clone(&world.network);
        match kind {
            0 => network.cut(node, true),
            1 => network.stop(node, true),
            _ => world.nodes[node].crash(),
        }
        tokio::spawn(async move {
            sleep(Duration::from_millis(lasts)).await;
            network.cut(node, false);
            network.stop(node, false);
        });
    }
}

async fn client(world: Arc<World>, calls: u32) {
    for _ in 0..calls {
        let (kind, session, model, pause, on_model) = world.network.random(|random| {
            (
                random.random_range(0..100),
                SESSIONS[random.random_range(0..SESSIONS.len())],
                MODELS[random.random_range(0..MODELS.len())],
                random.random_range(0..1_500),
                random.random_range(0..10) < 8,
            )
        });
        sleep(Duration::from_millis(pause)).await;
        match kind {
            0..56 => call(&world, Action::Step, session, on_model.then_some(model)).await,
            56..70 => read(&world, session, model).await,
            70..82 => call(&world, Action::Create, session, Some(model)).await,
            82..87 => call(&world, Action::Delete, session, Some(model)).await,
            87..93 => call(&world, Action::Create, session, None).await,
            93..96 => call(&world, Action::Delete, session, None).await,
            _ => {
                let node = any_node(&world);
                run_on(&world, node, |node| async move { node.sweep().await }).await;
            }
        }
    }
}

/// Sessions live on if they are renewed; what was deleted is removed after a day.
async fn night(world: &Arc<World>) {
    let renewed: Vec<&str> = SESSIONS
        .into_iter()
        .filter(|_| world.network.chance(700))
        .collect();
    for _ in 0..12 {
        sleep(3 * HOUR).await;
        for session in &renewed {
            call(world, Action::Step, session, None).await;
        }
        let node = any_node(world);
        run_on(world, node, |node| async move { node.sweep().await }).await;
    }
}

fn any_node(world: &World) -> usize {
    let nodes = world.nodes.len();
    world.network.random(|random| random.random_range(0..nodes))
}

fn key(session: &str, model: Option<&str>) -> String {
    model.map_or_else(
        || keys::session(session),
        |model| keys::model(session, model),
    )
}

fn begin(world: &World, action: Action, session: &str, model: Option<&str>) -> u32 {
    world.begin(action, key(session, model))
}

/// A call that is sent to one node after another until one answers it; a call without a request id is sent once.
async fn call(
    world: &Arc<World>,
    action: Action,
    session: &'static str,
    model: Option<&'static str>,
) {
    let id = begin(world, action, session, model);
    let has_request_id = action == Action::Step && world.network.chance(750);
    let attempts = if has_request_id { 6 } else { 1 };
    for _ in 0..attempts {
        let node = any_node(world);
        let told = attempt(world, id, node, session, model, action).await;
        if matches!(told, Told::Done | Told::NotFound) {
            break;
        }
        let pause = world.network.random(|random| random.random_range(10..500));
        sleep(Duration::from_millis(pause)).await;
    }
    world.end(id);
}

async fn attempt(
    world: &Arc<World>,
    id: u32,
    node: usize,
    session: &'static str,
    model: Option<&'static str>,
    action: Action,
) -> Told {
    let working = Working {
        world: Arc::clone(world),
        call: id,
    };
    let told = run_on(world, node, move |node| async move {
        let _working = working;
        match action {
            Action::Step => node.step(session, model, id).await,
            Action::Create => node.create(session, model).await,
            Action::Delete => node.delete(session, model).await,
        }
    });
    let told = told.await.unwrap_or(Told::Unclear);
    world.tell(id, told);
    told
}

async fn read(world: &Arc<World>, session: &'static str, model: &'static str) {
    let begun = Instant::now();
    let node = any_node(world);
    let steps = run_on(world, node, move |node| async move {
        node.read(session, model).await
    })
    .await;
    if let Some(Some(steps)) = steps {
        lock(&world.reads).push(Observed {
            key: key(session, Some(model)),
            begun,
            steps,
        });
    }
}

/// Has a node do something; none if it crashes, or the client is tired of waiting.
async fn run_on<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
    world: &Arc<World>,
    node: usize,
    work: impl FnOnce(Arc<Node>) -> F,
) -> Option<T> {
    let node = Arc::clone(&world.nodes[node]);
    let work = work(Arc::clone(&node));
    let (answer, answered) = oneshot::channel();
    lock(&node.tasks).spawn(async move {
        let _ = answer.send(work.await);
    });
    timeout(PATIENCE, answered).await.ok()?.ok()
}
