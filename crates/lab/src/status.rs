//! What runs, for people.

use crate::plan::{self, Host};
use crate::{cluster, network, paths, pve, storage, vm};
use serde_json::Value;

/// Returns a table of the lab.
pub fn table() -> String {
    if !network::exists(plan::NAMESPACE) {
        return "the lab is down\n".to_owned();
    }
    let nodes = cluster::kubectl(&["get", "nodes", "-o", "json"])
        .ok()
        .and_then(|said| serde_json::from_str(&said).ok());
    let stat = cluster::haproxy("show stat").unwrap_or_default();
    let mut rows =
        vec![["host", "address", "power", "network", "node", "haproxy", "disk"].map(str::to_owned)];
    rows.extend(plan::hosts().map(|host| row(host, nodes.as_ref(), &stat)));
    let power = if pve::is_up() { "on" } else { "off" };
    rows.push(["pve", plan::PVE_ADDRESS, power, connection("pve"), "", "", ""].map(str::to_owned));
    let used = storage::used().unwrap_or_else(|| "nothing".to_owned());
    format!("{}\nstorage takes {used}; files in {}\n", layout(&rows), paths::RUN)
}

fn row(host: Host, nodes: Option<&Value>, stat: &str) -> [String; 7] {
    let on = vm::is_on(host).unwrap_or(false);
    let node = if host.vmid.is_some() { node_status(nodes, host.name) } else { "" };
    let disk = vm::last_disk(host)
        .ok()
        .and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
    [
        host.name.to_owned(),
        host.address(),
        if on { "on" } else { "off" }.to_owned(),
        if on { connection(host.name) } else { "" }.to_owned(),
        node.to_owned(),
        cluster::server_status(stat, host.name).unwrap_or_default().to_owned(),
        disk.unwrap_or_default(),
    ]
}

fn connection(host: &str) -> &'static str {
    if network::is_connected(host) { "connected" } else { "cut" }
}

fn node_status(nodes: Option<&Value>, name: &str) -> &'static str {
    let Some(items) = nodes.and_then(|nodes| nodes.get("items")).and_then(Value::as_array) else {
        return "unknown";
    };
    let text = |value: &Value, pointer: &str| {
        value.pointer(pointer).and_then(Value::as_str).map(str::to_owned)
    };
    let Some(node) =
        items.iter().find(|node| text(node, "/metadata/name").as_deref() == Some(name))
    else {
        return "absent";
    };
    let conditions = node.pointer("/status/conditions").and_then(Value::as_array);
    let ready = conditions
        .and_then(|all| all.iter().find(|one| text(one, "/type").as_deref() == Some("Ready")));
    match ready.and_then(|one| text(one, "/status")).as_deref() {
        Some("True") => "Ready",
        _ => "NotReady",
    }
}

fn layout(rows: &[[String; 7]]) -> String {
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(String::len).max().unwrap_or(0)
    };
    let line = |row: &[String; 7]| {
        let cells: Vec<String> =
            row.iter().enumerate().map(|(at, cell)| format!("{cell:<0$}", width(at))).collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let row = |first: &str| [first, "a", "", "", "", "", "z"].map(str::to_owned);
        assert_eq!(layout(&[row("x"), row("long")]), "x     a          z\nlong  a          z\n");
    }

    #[test]
    fn a_node_that_is_not_there_is_absent_and_not_unready() {
        let nodes = json!({"items": [{"metadata": {"name": "cp1"}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}]});
        assert_eq!(node_status(Some(&nodes), "cp1"), "Ready");
        assert_eq!(node_status(Some(&nodes), "cp2"), "absent");
        assert_eq!(node_status(None, "cp2"), "unknown");
    }
}
