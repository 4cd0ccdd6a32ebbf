//! Makes and revokes what a kubeadm control-plane join needs.
//!
//! For a peer of the host that joins. Not for worker joins, whose token needs no certificates and no gate.
//!
//! The invariant: what lies in the cluster opens it for as short as possible and only when a join may begin. The token has minutes to live, the
//! certificates are encrypted with a key the cluster never sees, and both are refused while etcd must not get one more member.
//!
//! The steps: upload the certificates (by kubeadm, with the key on its standard input), create the token, wait until cluster-info is signed with it.
//! Revoking: every token made for the node, then the certificates and the token kubeadm made to limit their life.
//!
//! What can go wrong: the refusals of the gate; kubeadm's own errors. A killed run leaves secrets that expire by themselves: the
//! token after `token_ttl`, the certificates after two hours (kubeadm's `DefaultCertTokenDuration`).

mod api;
pub mod args;
mod live;
pub mod plan;
pub mod state;

use ansible_module::{Applied, BadArgs, Kind, Limit, Module, Refusal};
use args::{Args, Wanted};
use plan::Step;
use state::{Certificates, Observed, Token, View};
use std::time::{Duration, SystemTime};

pub use live::KubeadmJoinMaterial;

impl Module for KubeadmJoinMaterial {
    const NAME: &'static str = "kubeadm_join_material";
    const EXAMPLES: &'static str = include_str!("../examples.yml");
    type Args = Args;
    type Wanted = Wanted;
    type Observed = Observed;
    type Step = Step;
    type View = View;

    fn wanted(args: Args, _: SystemTime) -> Result<Wanted, BadArgs> {
        Wanted::new(args)
    }

    fn plan(wanted: &Wanted, seen: &Observed) -> Result<Vec<Step>, Refusal> {
        plan::plan(wanted, seen)
    }

    fn project(seen: &Observed, step: &Step) -> Observed {
        plan::project(seen, step)
    }

    fn view(seen: &Observed) -> View {
        let facts = seen.cluster.clone();
        View {
            token_ready: seen.token == Token::Ready { signed: true },
            certificates_ready: seen.certificates == Certificates::Ready,
            token_ids: seen.tokens.clone(),
            listed_member: seen.member,
            api_endpoint: facts.api_endpoint,
            ca_cert_hashes: facts.ca_cert_hashes,
            ca_certificate: facts.ca_certificate,
            kubernetes_version: facts.kubernetes_version,
            cluster_id: facts.cluster_id,
            etcd_endpoints: facts.etcd_endpoints,
        }
    }

    fn kind(step: &Step) -> Kind {
        if matches!(step, Step::AwaitSigned(_)) { Kind::Wait } else { Kind::Change }
    }

    fn limit(_: &Wanted, _: &Observed, _: &Step) -> Limit {
        Limit::fail(Duration::from_mins(1))
    }

    fn deadline(wanted: &Wanted) -> Duration {
        wanted.timeout
    }

    async fn open(wanted: &Wanted) -> anyhow::Result<Self> {
        Self::connect(wanted).await
    }

    async fn observe(&mut self, wanted: &Wanted) -> anyhow::Result<Observed> {
        self.read(wanted).await
    }

    async fn fence(&mut self, wanted: &Wanted) -> Result<(), Refusal> {
        live::assert_held(wanted).await
    }

    async fn apply(&mut self, step: &Step, _: &Observed) -> anyhow::Result<Applied> {
        self.send(step).await
    }
}
