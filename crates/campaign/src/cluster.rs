//! A cluster of real etcd processes, each with a network and a disk of its own.

use crate::{lane, lane::Host, member::Member, pki::Pki};
use anyhow::{Context, bail};
use etcd_client::{Certificate, Client, ConnectOptions, Identity, MemberAddOptions, TlsOptions};
use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// How long anything may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_mins(1);
/// The host number of the first member.
const FIRST: u8 = 11;

/// Programs of one version of etcd.
#[derive(Clone)]
pub struct Programs {
    /// The server.
    pub etcd: PathBuf,
    /// The tool.
    pub etcdutl: PathBuf,
}

/// A cluster.
pub struct Cluster {
    lane: u8,
    pki: Pki,
    /// Its programs.
    pub programs: Programs,
    /// Everybody who ever belonged to it, in the order of their names.
    pub members: Vec<Member>,
}

impl Cluster {
    /// Starts so many members; one of them may have a clock that is off, and the program for it.
    pub async fn start(
        lane: u8,
        size: usize,
        programs: Programs,
        clock: Option<(usize, i64, PathBuf)>,
    ) -> anyhow::Result<Self> {
        lane::open(lane)?;
        let pki = Pki::new(&lane::dir(lane).join("pki"))?;
        let mut own = Self { lane, pki, programs, members: vec![] };
        for _ in 0..size {
            own.enlist()?;
        }
        if let Some((at, seconds, program)) = clock
            && let Some(member) = own.members.get_mut(at)
        {
            member.misset(seconds, program);
        }
        let all: Vec<usize> = (0..size).collect();
        for at in &all {
            own.launch(*at, &all, "new")?;
        }
        own.all_serve(&all).await?;
        Ok(own)
    }

    fn enlist(&mut self) -> anyhow::Result<usize> {
        let at = self.members.len();
        let host = Host::new(self.lane, FIRST + u8::try_from(at)?)?;
        let etcd = self.programs.etcd.clone();
        self.members.push(Member::new(&format!("cp{}", at + 1), host, etcd, &self.pki)?);
        Ok(at)
    }

    fn launch(&mut self, at: usize, listed: &[usize], state: &str) -> anyhow::Result<()> {
        let one = |member: &Member| format!("{}={}", member.name, member.peer_url());
        let initial: Vec<String> =
            listed.iter().filter_map(|at| self.members.get(*at)).map(one).collect();
        let (pki, members) = (&self.pki, &mut self.members);
        let member = members.get_mut(at).context("there is no such member")?;
        member.start(pki, &initial.join(","), state)
    }

    /// Starts a member on its data, or as one that was added.
    pub fn restart(&mut self, at: usize, listed: &[usize]) -> anyhow::Result<()> {
        self.launch(at, listed, "existing")
    }

    /// Adds a learner and starts it; its index.
    pub async fn add_learner(&mut self) -> anyhow::Result<usize> {
        let at = self.enlist()?;
        let url = self.members.get(at).map(Member::peer_url).unwrap_or_default();
        let until = Instant::now() + PATIENCE;
        let mut listed: Vec<usize> = (0..at).collect();
        // etcd wants its connections to be five seconds old
        while let Err(error) = self
            .client(0)
            .await?
            .member_add([&url], Some(MemberAddOptions::new().with_is_learner()))
            .await
        {
            if Instant::now() > until {
                bail!("failed to add a learner: {error}");
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        listed.push(at);
        self.launch(at, &listed, "existing")?;
        Ok(at)
    }

    /// Waits until each of these serves linearizable reads.
    pub async fn all_serve(&mut self, which: &[usize]) -> anyhow::Result<()> {
        let until = Instant::now() + PATIENCE;
        for at in which {
            let mut client = self.client(*at).await?;
            loop {
                let read =
                    tokio::time::timeout(Duration::from_secs(2), client.get("r", None)).await;
                if matches!(read, Ok(Ok(_))) {
                    break;
                }
                let member = self.members.get_mut(*at).context("there is no such member")?;
                if Instant::now() > until || !member.runs() {
                    bail!(
                        "member {} serves no linearizable reads: {}",
                        member.name,
                        member.log_end()
                    );
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        Ok(())
    }

    /// A client of one member, which waits for nobody long.
    pub async fn client(&self, at: usize) -> anyhow::Result<Client> {
        let url = self.members.get(at).context("there is no such member")?.url();
        self.access()?.client(&url).await
    }

    /// What a client needs.
    pub fn access(&self) -> anyhow::Result<Access> {
        let identity = Identity::from_pem(
            fs::read(self.pki.cert("client"))?,
            fs::read(self.pki.key("client"))?,
        );
        let ca = Certificate::from_pem(fs::read(self.pki.ca())?);
        Ok(Access(TlsOptions::new().ca_certificate(ca).identity(identity)))
    }

    /// The client URLs of all members.
    pub fn urls(&self) -> Vec<String> {
        self.members.iter().map(Member::url).collect()
    }

    /// Paths of authority, certificate and key.
    pub fn files(&self) -> [PathBuf; 3] {
        [self.pki.ca(), self.pki.cert("client"), self.pki.key("client")]
    }

    /// Where certificates lie.
    pub fn pki_dir(&self) -> &Path {
        self.pki.dir()
    }

    /// Where files of the round lie that belong to no member.
    pub fn scratch(&self) -> PathBuf {
        lane::dir(self.lane)
    }

    /// Asks one member after the other, again and again, until one tells.
    async fn told<T>(
        &self,
        nobody: &'static str,
        ask: impl AsyncFn(usize) -> Option<T>,
    ) -> anyhow::Result<T> {
        let until = Instant::now() + PATIENCE;
        loop {
            for at in 0..self.members.len() {
                if let Some(told) = ask(at).await {
                    return Ok(told);
                }
            }
            if Instant::now() > until {
                bail!(nobody);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Who leads, as the first says that answers.
    pub async fn leader(&self) -> anyhow::Result<usize> {
        self.told("nobody leads", async |at| self.leader_by(at).await).await
    }

    /// Who leads, as this one says.
    pub async fn leader_by(&self, at: usize) -> Option<usize> {
        let mut client = self.client(at).await.ok()?;
        let second = Duration::from_secs(1);
        let status = tokio::time::timeout(second, client.status()).await.ok()?.ok()?;
        let list = tokio::time::timeout(second, client.member_list()).await.ok()?.ok()?;
        let leader = list.members().iter().find(|member| member.id() == status.leader())?;
        self.members.iter().position(|member| member.name == leader.name())
    }

    /// Who is listed, with a vote or without: a linearizable reading of one that answers.
    pub async fn listed(&self) -> anyhow::Result<Vec<(usize, bool)>> {
        let nobody = "nobody tells the member list by a linearizable read";
        self.told(nobody, async |at| self.listed_by(at).await).await
    }

    async fn listed_by(&self, at: usize) -> Option<Vec<(usize, bool)>> {
        let mut client = self.client(at).await.ok()?;
        let second = Duration::from_secs(1);
        tokio::time::timeout(second, client.get("r", None)).await.ok()?.ok()?;
        let list = tokio::time::timeout(second, client.member_list()).await.ok()?.ok()?;
        let place = |member: &etcd_client::Member| {
            let own = |own: &Member| member.peer_urls().contains(&own.peer_url());
            Some((self.members.iter().position(own)?, member.is_learner()))
        };
        let mut listed: Vec<_> = list.members().iter().filter_map(place).collect();
        listed.sort_unstable();
        // whom we do not know would be nobody's
        (listed.len() == list.members().len()).then_some(listed)
    }
}

impl Drop for Cluster {
    /// Processes first: a namespace lives as long as they do.
    fn drop(&mut self) {
        self.members.clear();
        lane::close(self.lane);
    }
}

/// Authority and certificate of a client.
#[derive(Clone)]
pub struct Access(TlsOptions);

impl Access {
    /// Opens a client to one URL.
    pub async fn client(&self, url: &str) -> anyhow::Result<Client> {
        let options = ConnectOptions::new()
            .with_tls(self.0.clone())
            .with_connect_timeout(Duration::from_secs(1))
            .with_keep_alive(Duration::from_secs(1), Duration::from_secs(2));
        Ok(Client::connect([url], Some(options)).await?)
    }
}
