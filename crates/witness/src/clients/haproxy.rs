//! What `HAProxy` says about its servers, as it changes.
//!
//! Reads the statistics itself instead of using the client that the modules use: evidence should not share its
//! source with what it is about.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};

use crate::event::Event;
use crate::journal::Journal;

const EVERY: Duration = Duration::from_millis(100);

/// Writes a line whenever a server of the backend changes its state, for ever; the caller ends it.
pub async fn follow(socket: String, backend: String, journal: Journal) {
    let mut known = BTreeMap::new();
    let mut tick = tokio::time::interval(EVERY);
    loop {
        tick.tick().await;
        // A load balancer that does not answer shows in the requests; its servers keep their last state here.
        let Ok(Ok(servers)) =
            tokio::time::timeout(Duration::from_secs(2), states(&socket, &backend)).await
        else {
            continue;
        };
        for (server, state) in servers {
            if known.get(&server) != Some(&state) {
                known.insert(server.clone(), state.clone());
                journal.put(Event::Server { at: journal.now(), server, state });
            }
        }
    }
}

/// Reads the state of each server: `UP`, `DOWN`, `DRAIN`, `MAINT`, `NOLB`, `no check`.
pub async fn states(socket: &str, backend: &str) -> anyhow::Result<Vec<(String, String)>> {
    let text = if socket.starts_with('/') {
        let stream =
            UnixStream::connect(socket).await.with_context(|| format!("connect to {socket}"))?;
        ask(stream).await
    } else {
        let stream =
            TcpStream::connect(socket).await.with_context(|| format!("connect to {socket}"))?;
        ask(stream).await
    };
    parse(&text.with_context(|| format!("read statistics from {socket}"))?, backend)
}

async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> anyhow::Result<String> {
    stream.write_all(b"show stat\n").await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    Ok(text)
}

/// Reads the CSV by its header. "UP 1/3" (going down) counts as UP: `HAProxy` still sends requests there.
fn parse(text: &str, backend: &str) -> anyhow::Result<Vec<(String, String)>> {
    let mut lines = text.lines();
    let header: Vec<&str> =
        lines.next().unwrap_or_default().trim_start_matches("# ").split(',').collect();
    let column = |name: &str| header.iter().position(|title| *title == name);
    let (Some(pxname), Some(svname), Some(status)) =
        (column("pxname"), column("svname"), column("status"))
    else {
        bail!("the statistics have no header with pxname, svname and status: {text:.100}");
    };
    let mut servers = Vec::new();
    for line in lines {
        let fields: Vec<&str> = line.split(',').collect();
        let field = |index: usize| fields.get(index).copied().unwrap_or_default();
        if field(pxname) != backend || matches!(field(svname), "BACKEND" | "FRONTEND") {
            continue;
        }
        servers.push((field(svname).to_string(), plain(field(status)).to_string()));
    }
    Ok(servers)
}

fn plain(status: &str) -> &str {
    if status == "no check" { status } else { status.split(' ').next().unwrap_or_default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_read_by_the_header_and_partial_checks_count_as_the_state_they_leave() {
        let text = "# pxname,svname,qcur,status\nin,FRONTEND,,OPEN\nk,cp1,0,UP\nk,cp2,0,UP 1/3\nk,cp3,0,DOWN 1/2\n\
                    k,cp4,0,no check\nk,BACKEND,0,UP\nother,x,0,UP\n";
        let read = parse(text, "k").unwrap();
        let expected = [("cp1", "UP"), ("cp2", "UP"), ("cp3", "DOWN"), ("cp4", "no check")];
        assert_eq!(read, expected.map(|(server, state)| (server.to_string(), state.to_string())));
        assert!(parse("Permission denied\n", "k").is_err());
    }
}
