//! `show servers state`: what was asked of each server, and what its checks say.
//!
//! Format and constants: doc/management.txt ("show servers state"), include/haproxy/server-t.h, include/haproxy/check-t.h.

use std::collections::HashMap;
use std::time::Duration;

use crate::{Name, ServerRef};

/// Holds one line of `show servers state`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerState {
    pub server: ServerRef,
    /// Address as HAProxy uses it, `-` where it has none.
    pub address: String,
    pub port: u16,
    pub op: OpState,
    pub admin: AdminState,
    /// The weight in force; with 0 no new connection is balanced to the server.
    pub weight: u32,
    /// How long ago `op` or `admin` changed, to the second.
    pub unchanged: Duration,
    pub result: CheckResult,
    /// Counts successes up to `rise` while the server is down, from `rise` to `rise + fall - 1` while it is up.
    pub health: u32,
    pub check: CheckState,
}

/// Says whether HAProxy takes a server to be running (`srv_op_state`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpState {
    Stopped,
    /// Up, with its weight still growing (`slowstart`).
    Starting,
    Running,
    /// Up for those who are bound to it (`disable-on-404`).
    Stopping,
}

/// Holds the bits of `srv_admin_state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct AdminState(pub u32);

impl AdminState {
    const FORCED_MAINT: u32 = 0x01;
    const INHERITED_MAINT: u32 = 0x02;
    const FORCED_DRAIN: u32 = 0x08;
    const INHERITED_DRAIN: u32 = 0x10;
    const RESOLUTION_MAINT: u32 = 0x20;

    /// Somebody put it into maintenance, by command or by `disabled`.
    ///
    /// The bit 0x04 ("from the configuration") is no evidence: it stays set after `set server .. state ready`.
    pub fn is_maint_forced(self) -> bool {
        self.0 & Self::FORCED_MAINT != 0
    }

    /// In maintenance because the server it tracks is.
    pub fn is_maint_inherited(self) -> bool {
        self.0 & Self::INHERITED_MAINT != 0
    }

    /// In maintenance because its name does not resolve.
    pub fn is_unresolved(self) -> bool {
        self.0 & Self::RESOLUTION_MAINT != 0
    }

    /// Somebody set it to drain.
    pub fn is_drain_forced(self) -> bool {
        self.0 & Self::FORCED_DRAIN != 0
    }

    /// Drains because the server it tracks does, or because its agent said so.
    pub fn is_drain_inherited(self) -> bool {
        self.0 & Self::INHERITED_DRAIN != 0
    }
}

/// Says what the last check found (`srv_check_result`); `Unknown` too while a check is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckResult {
    Unknown,
    Neutral,
    Failed,
    Passed,
    /// Passed, and no new sessions please.
    CondPassed,
}

/// Holds the bits of `srv_check_state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct CheckState(pub u32);

impl CheckState {
    /// The server line says `check`.
    pub fn is_configured(self) -> bool {
        self.0 & 0x02 != 0
    }

    /// Checks were not switched off (`disable health`).
    pub fn is_enabled(self) -> bool {
        self.0 & 0x04 != 0
    }

    /// Checks rest, because the server is in maintenance.
    pub fn is_paused(self) -> bool {
        self.0 & 0x08 != 0
    }
}

/// Reads the table by its header.
///
/// # Errors
/// Names the line and the column that could not be read.
pub fn parse(text: &str) -> Result<Vec<ServerState>, String> {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    match lines.next() {
        Some("1") => {}
        other => {
            return Err(format!(
                "expected format 1 of the server state, found \"{}\"",
                other.unwrap_or("nothing")
            ));
        }
    }
    let header = lines
        .next()
        .and_then(|line| line.strip_prefix('#'))
        .ok_or("the server state has no header line")?;
    let columns: HashMap<&str, usize> = header.split_ascii_whitespace().zip(0..).collect();
    lines.map(|line| row(&columns, line)).collect()
}

fn row(columns: &HashMap<&str, usize>, line: &str) -> Result<ServerState, String> {
    let values: Vec<&str> = line.split_ascii_whitespace().collect();
    let text = |column: &str| {
        let at = columns
            .get(column)
            .ok_or_else(|| format!("the server state has no column {column}"))?;
        values
            .get(*at)
            .copied()
            .ok_or_else(|| format!("line \"{line}\" ends before column {column}"))
    };
    let number = |column: &str| {
        let value = text(column)?;
        value
            .parse::<u32>()
            .map_err(|_| format!("column {column} of line \"{line}\" is \"{value}\", not a number"))
    };
    let name = |column: &str| {
        Name::new(text(column)?).map_err(|error| format!("column {column}: {error}"))
    };
    Ok(ServerState {
        server: ServerRef { backend: name("be_name")?, server: name("srv_name")? },
        address: text("srv_addr")?.to_owned(),
        port: text("srv_port").ok().and_then(|port| port.parse().ok()).unwrap_or(0),
        op: op_state(number("srv_op_state")?)?,
        admin: AdminState(number("srv_admin_state")?),
        weight: number("srv_uweight")?,
        unchanged: Duration::from_secs(u64::from(number("srv_time_since_last_change")?)),
        result: check_result(number("srv_check_result")?),
        health: number("srv_check_health")?,
        check: CheckState(number("srv_check_state")?),
    })
}

fn op_state(value: u32) -> Result<OpState, String> {
    match value {
        0 => Ok(OpState::Stopped),
        1 => Ok(OpState::Starting),
        2 => Ok(OpState::Running),
        3 => Ok(OpState::Stopping),
        other => Err(format!("srv_op_state is {other}, expected 0 to 3")),
    }
}

fn check_result(value: u32) -> CheckResult {
    match value {
        1 => CheckResult::Neutral,
        2 => CheckResult::Failed,
        3 => CheckResult::Passed,
        4 => CheckResult::CondPassed,
        _ => CheckResult::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEEN: &str = "1\n\
        # be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight srv_iweight srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl srv_check_port srv_check_addr srv_agent_addr srv_agent_port\n\
        2 be 1 s1 127.0.0.1 2 0 1 1 1 15 3 4 6 0 0 0 - 17081 - 0 0 - - 0\n\
        2 be 3 s3 127.0.0.1 0 5 1 1 2 1 0 0 14 0 0 0 - 17083 - 0 0 - - 0\n\
        2 be 4 s4 127.0.0.1 2 4 1 1 2 1 0 3 0 0 0 0 - 17081 - 0 0 - - 0\n\n";

    #[test]
    fn the_table_of_2_6_is_read() {
        let servers = parse(SEEN).unwrap();
        let [s1, s3, s4] = servers.as_slice() else { panic!("{servers:?}") };
        assert_eq!(
            (s1.op, s1.result, s1.health, s1.port),
            (OpState::Running, CheckResult::Passed, 4, 17081)
        );
        assert!(s1.check.is_configured() && s1.check.is_enabled() && !s1.check.is_paused());
        assert!(s3.admin.is_maint_forced() && s3.check.is_paused() && s3.op == OpState::Stopped);
        assert!(
            !s4.admin.is_maint_forced() && !s4.check.is_configured(),
            "0x04 alone is not maintenance"
        );
    }

    #[test]
    fn columns_are_found_by_name_in_any_order() {
        let text = "1\n# srv_name be_name srv_new srv_addr srv_op_state srv_admin_state srv_uweight srv_time_since_last_change srv_check_result srv_check_health srv_check_state\n\
            s1 be x 127.0.0.1 0 8 1 7 2 0 6\n";
        let servers = parse(text).unwrap();
        assert!(
            servers[0].admin.is_drain_forced()
                && servers[0].server.to_string() == "be/s1"
                && servers[0].port == 0
        );
    }

    #[test]
    fn what_is_not_a_server_state_is_said_to_be_none() {
        assert!(parse("Permission denied\n").unwrap_err().contains("Permission denied"));
        assert!(parse("1\n# be_name\n2\n").unwrap_err().contains("srv_name"));
        assert!(parse("1\n").unwrap_err().contains("header"));
        assert!(
            parse(&SEEN.replace("s1 127.0.0.1 2", "s1 127.0.0.1 9"))
                .unwrap_err()
                .contains("srv_op_state is 9")
        );
    }
}
