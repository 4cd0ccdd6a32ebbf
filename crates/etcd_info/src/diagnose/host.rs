//! Causes that the endpoints given and this host show, also when no list could be read.

use super::Found;
use crate::{causes::Code, local::Local, state::Endpoint};
use etcd_cluster::matching::host_and_port;

pub(super) fn all(found: &mut Found) {
    let observed = found.0;
    for (url, endpoint) in &observed.beside.endpoints {
        endpoint_given(found, url, endpoint);
    }
    if let Some(local) = &observed.beside.local {
        of_host(found, local);
    }
}

fn endpoint_given(found: &mut Found, url: &str, endpoint: &Endpoint) {
    let reading = &found.0.reading;
    let owner = reading.members.iter().any(|member| member.client_urls.iter().any(|u| u == url));
    match (&endpoint.fault, endpoint.member) {
        // the member is told of by itself
        _ if owner => {}
        (_, Some(id)) if endpoint.cluster == Some(reading.cluster_id) => {
            // by another of its addresses
            if reading.member(id).is_some() {
                return;
            }
            let text = format!("member {id} answers there, and is not listed");
            found.about(Code::NotInMemberList, Some(url), text);
        }
        (_, Some(id)) => {
            let cluster = endpoint.cluster.map(|id| id.to_string()).unwrap_or_default();
            let text = format!("member {id} of another cluster, {cluster}, answers there");
            found.about(Code::ForeignMember, Some(url), text);
        }
        (Some(fault), None) if fault.certificate().is_some() => {
            found.about(Code::Certificate, Some(url), fault.to_string());
        }
        (Some(fault), None) if !blamed_already(found, url) => {
            found.about(Code::Unreachable, Some(url), fault.to_string());
        }
        _ => {}
    }
}

/// A loopback address belongs to some member of the list: where one of them is silent already, it is that one.
fn blamed_already(found: &Found, url: &str) -> bool {
    let host = host_and_port(url).0;
    let own = host.starts_with("127.") || host == "localhost" || host == "::1";
    own && found.0.reading.members.iter().any(|m| found.has(Code::Unreachable, m.id))
}

fn of_host(found: &mut Found, local: &Local) {
    let health = local.health.as_deref().unwrap_or_default();
    if health == "RAFT NO LEADER" && !found.0.reading.linearizable {
        let text = format!("etcd says of itself: {health}");
        found.about(Code::NoLeader, Some("this host"), text);
    }
    if let Some(data) = &local.data {
        let listed = |name: &str| found.0.reading.members.iter().any(|m| m.name == name);
        if data.tombstone {
            let text = format!("{}/tombstone: its member was removed from the cluster", data.path);
            found.about(Code::NotInMemberList, Some("this host"), text);
        } else if let Some(name) = data.name.as_deref().filter(|name| !listed(name))
            && found.0.reading.linearizable
        {
            let text = format!("{} is the data of {name:?}, which is not listed", data.path);
            found.about(Code::NotInMemberList, Some("this host"), text);
        }
    }
    for unit in &local.units {
        if unit.active == "active" && unit.sub == "running" {
            continue;
        }
        let (active, sub, result) = (&unit.active, &unit.sub, &unit.result);
        let text = format!(
            "unit {} is {active} ({sub}), its last run ended as {result}, restarted {} times",
            unit.name, unit.restarts
        );
        found.about(Code::Unreachable, Some("this host"), text);
    }
}
