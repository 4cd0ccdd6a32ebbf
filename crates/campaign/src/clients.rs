//! Clients of a cluster: writers whose every acknowledged key must stay, and players of a few registers.

use crate::{
    cluster::Access,
    history::{Call, Kind},
};
use anyhow::Context;
use etcd_client::{Client, Compare, CompareOp, GetResponse, Txn, TxnOp, TxnOpResponse};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
    time::{Duration, Instant},
};
use tokio::task::{JoinHandle, spawn_local};

/// Later nobody waits for an answer: what came of the call is unknown then.
const PATIENCE: Duration = Duration::from_secs(2);
/// What lies before the keys of writers.
pub const PREFIX: &str = "campaign/written/";
const WRITERS: usize = 2;
const PLAYERS: usize = 5;
const REGISTERS: usize = 3;
/// Between two calls of a client: two cores are to play, write, and be a cluster.
const PAUSE: Duration = Duration::from_millis(15);

/// A write that was acknowledged.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Acknowledged {
    /// Its key.
    pub key: String,
    /// When its answer came.
    pub at: Instant,
}

/// What all clients share.
#[derive(Clone)]
struct Common {
    access: Access,
    urls: Rc<Vec<String>>,
    began: Instant,
    stop: Rc<Cell<bool>>,
    acknowledged: Rc<RefCell<Vec<Acknowledged>>>,
    history: Rc<RefCell<Vec<Call>>>,
}

/// Clients at work.
pub struct Clients {
    common: Common,
    tasks: Vec<JoinHandle<anyhow::Result<()>>>,
}

impl Clients {
    /// Starts them, on this thread.
    pub fn start(access: Access, urls: Vec<String>) -> Self {
        let common = Common {
            access,
            urls: Rc::new(urls),
            began: Instant::now(),
            stop: Rc::default(),
            acknowledged: Rc::default(),
            history: Rc::default(),
        };
        let writers = (0..WRITERS).map(|own| spawn_local(write(common.clone(), own)));
        let players = (0..PLAYERS).map(|own| spawn_local(play(common.clone(), own)));
        let tasks = writers.chain(players).collect();
        Self { common, tasks }
    }

    /// How many writes were acknowledged so far.
    pub fn written(&self) -> usize {
        self.common.acknowledged.borrow().len()
    }

    /// Ends them: what was acknowledged, and what players saw.
    pub async fn end(self) -> anyhow::Result<(Vec<Acknowledged>, Vec<Call>)> {
        self.common.stop.set(true);
        for task in self.tasks {
            task.await.context("a client ended by itself")??;
        }
        Ok((self.common.acknowledged.take(), self.common.history.take()))
    }
}

/// Writes one key after the other, each through the next member.
async fn write(common: Common, own: usize) -> anyhow::Result<()> {
    let mut clients = vec![];
    for url in common.urls.iter() {
        clients.push(common.access.client(url).await?);
    }
    let all = clients.len().max(1);
    for number in 0_usize.. {
        if common.stop.get() {
            break;
        }
        let Some(client) = clients.get_mut((number + own) % all) else { break };
        let key = format!("{PREFIX}{own}/{number:06}");
        let put = tokio::time::timeout(PATIENCE, client.put(key.clone(), vec![b'x'; 512], None));
        if matches!(put.await, Ok(Ok(_))) {
            common.acknowledged.borrow_mut().push(Acknowledged { key, at: Instant::now() });
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

/// Reads, writes and swaps registers through one member.
async fn play(common: Common, own: usize) -> anyhow::Result<()> {
    let url = common.urls.get(own % common.urls.len().max(1)).context("there is nobody to ask")?;
    let mut client = common.access.client(url).await?;
    // what this client saw last in each register
    let mut known: BTreeMap<String, String> = BTreeMap::new();
    for number in 0_usize.. {
        if common.stop.get() {
            break;
        }
        let key = format!("campaign/register/{}", (number / 3 + own) % REGISTERS);
        let kind = match (number + own) % 3 {
            0 => Kind::Get,
            1 => Kind::Cas,
            _ => Kind::Put,
        };
        let mut call = Call {
            client: own,
            expect: known.get(&key).cloned().unwrap_or_default(),
            value: if kind == Kind::Get { String::new() } else { format!("{own}.{number}") },
            key,
            kind,
            called: nanoseconds(common.began),
            returned: None,
            output: String::new(),
            swapped: false,
        };
        let answer = tokio::time::timeout(PATIENCE, ask(&mut client, &mut call)).await;
        if matches!(answer, Ok(Ok(()))) {
            call.returned = Some(nanoseconds(common.began));
            let now = match kind {
                Kind::Get => call.output.clone(),
                Kind::Cas if !call.swapped => call.output.clone(),
                Kind::Put | Kind::Cas => call.value.clone(),
            };
            known.insert(call.key.clone(), now);
        }
        let unknown = call.returned.is_none();
        common.history.borrow_mut().push(call);
        tokio::time::sleep(if unknown { PAUSE * 10 } else { PAUSE }).await;
    }
    Ok(())
}

async fn ask(client: &mut Client, call: &mut Call) -> Result<(), etcd_client::Error> {
    let key = call.key.clone();
    match call.kind {
        Kind::Get => call.output = held(&client.get(key, None).await?),
        Kind::Put => drop(client.put(key, call.value.clone(), None).await?),
        Kind::Cas => {
            let holds = if call.expect.is_empty() {
                Compare::version(key.clone(), CompareOp::Equal, 0)
            } else {
                Compare::value(key.clone(), CompareOp::Equal, call.expect.clone())
            };
            let swap = Txn::new()
                .when([holds])
                .and_then([TxnOp::put(key.clone(), call.value.clone(), None)])
                .or_else([TxnOp::get(key, None)]);
            let answer = client.txn(swap).await?;
            call.swapped = answer.succeeded();
            if let Some(TxnOpResponse::Get(read)) = answer.op_responses().first() {
                call.output = held(read);
            }
        }
    }
    Ok(())
}

fn held(read: &GetResponse) -> String {
    read.kvs()
        .first()
        .map(|kv| String::from_utf8_lossy(kv.value()).into_owned())
        .unwrap_or_default()
}

fn nanoseconds(since: Instant) -> i64 {
    i64::try_from(since.elapsed().as_nanos()).unwrap_or(i64::MAX)
}
