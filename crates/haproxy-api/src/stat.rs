//! `show stat`: sessions, and the words HAProxy has for a server.

use std::collections::HashMap;

use crate::{Name, ServerRef};

/// Holds what `show stat` says of one server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerStat {
    pub server: ServerRef,
    /// `UP`, `UP 1/3`, `DOWN`, `DRAIN`, `MAINT`, `no check` and so on. A drained server whose check fails reads `DOWN`: the
    /// admin state is in [`crate::servers`] only.
    pub status: String,
    /// Sessions on the server at this moment.
    pub sessions: u64,
    /// Requests that wait for this server.
    pub queued: u64,
    /// What the last finished check found, such as `L7OK`; none before the first.
    pub check: Option<Check>,
    /// `backend/server` whose checks this one follows.
    pub tracks: Option<String>,
    /// A backup server is used when no other is left.
    pub backup: bool,
    /// Successes needed to be up again; none without checks.
    pub rise: Option<u32>,
}

/// Holds a finished check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// HAProxy's short word, such as `L4CON`.
    pub status: String,
    /// The code of the reply, where there was one.
    pub code: String,
    /// HAProxy's long word and the reply's beginning, such as `Layer4 connection problem` and `Connection refused`.
    pub text: String,
}

impl Check {
    /// Passed without a condition. `L7OKC` is not: it asks for no new sessions.
    pub fn is_passed(&self) -> bool {
        matches!(self.status.as_str(), "L4OK" | "L6OK" | "L7OK" | "PROCOK")
    }
}

impl std::fmt::Display for Check {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let words = [self.status.as_str(), &self.code, &self.text];
        f.write_str(
            &words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" "),
        )
    }
}

/// Reads the servers out of the table by its header; front ends, back ends and sockets are left out.
///
/// # Errors
/// Names the line and the column that could not be read.
pub fn parse(text: &str) -> Result<Vec<ServerStat>, String> {
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    let header = lines.next().unwrap_or_default();
    let names = header
        .strip_prefix("# ")
        .ok_or_else(|| format!("expected the header of \"show stat\", found \"{header}\""))?;
    let columns: HashMap<String, usize> = fields(names).into_iter().zip(0..).collect();
    // The type (0 front end, 1 back end, 2 server, 3 socket) and not the name: a server may be called FRONTEND.
    let kind = *columns.get("type").ok_or("the statistics have no column type")?;
    let rows = lines.map(|line| (line, fields(line)));
    rows.filter(|(_, row)| row.get(kind).is_some_and(|kind| kind == "2"))
        .map(|(line, row)| server(&columns, line, &row))
        .collect()
}

fn server(
    columns: &HashMap<String, usize>,
    line: &str,
    row: &[String],
) -> Result<ServerStat, String> {
    let text = |column: &str| {
        let at =
            columns.get(column).ok_or_else(|| format!("the statistics have no column {column}"))?;
        row.get(*at)
            .map(String::as_str)
            .ok_or_else(|| format!("line \"{line}\" ends before column {column}"))
    };
    let number = |column: &str| match text(column)? {
        "" => Ok(0),
        value => value.parse::<u64>().map_err(|_| {
            format!("column {column} of line \"{line}\" is \"{value}\", not a number")
        }),
    };
    let name = |column: &str| {
        Name::new(text(column)?).map_err(|error| format!("column {column}: {error}"))
    };
    let filled =
        |column: &str| text(column).ok().filter(|value| !value.is_empty()).map(str::to_owned);
    // "* " says that the next check is under way.
    let check = filled("check_status").map(|status| Check {
        status: status.trim_start_matches("* ").to_owned(),
        code: filled("check_code").unwrap_or_default(),
        text: [filled("check_desc"), filled("last_chk")]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join(": "),
    });
    Ok(ServerStat {
        server: ServerRef { backend: name("pxname")?, server: name("svname")? },
        status: text("status")?.to_owned(),
        sessions: number("scur")?,
        queued: number("qcur")?,
        check: check.filter(|check| check.status != "INI" && check.status != "UNK"),
        tracks: filled("tracked"),
        backup: number("bck")? > 0,
        rise: filled("check_rise").and_then(|rise| rise.parse().ok()),
    })
}

/// Splits one line of CSV. A field may be quoted, with a quote in it doubled (the text of a check's reply is).
fn fields(line: &str) -> Vec<String> {
    let (mut fields, mut field, mut quoted) = (Vec::new(), String::new(), false);
    let mut chars = line.trim_end().chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.next_if_eq(&'"').is_some() => field.push('"'),
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(std::mem::take(&mut field)),
            c => field.push(c),
        }
    }
    fields.push(field);
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEEN: &str = "# pxname,svname,qcur,scur,status,weight,act,bck,tracked,type,check_status,check_code,check_desc,last_chk,check_rise,\n\
        be,FRONTEND,,3,OPEN,,,,,0,,,,,,\n\
        be,s1,0,2,UP,1,1,0,,2,* L7OK,200,Layer7 check passed,,3,\n\
        be,s2,0,0,DOWN,1,1,0,,2,L4CON,,Layer4 connection problem,\"Connection \"\"refused\"\", twice\",3,\n\
        be,s3,0,0,no check,1,0,1,be/s1,2,,,,,,\n\
        be,s4,0,0,UP,1,1,0,,2,INI,,Initializing,,2,\n\
        be,BACKEND,0,2,UP,4,4,0,,1,,,,,,\n\n";

    #[test]
    fn servers_are_read_by_the_header_and_the_type() {
        let servers = parse(SEEN).unwrap();
        let [s1, s2, s3, s4] = servers.as_slice() else { panic!("{servers:?}") };
        assert!(s1.check.as_ref().unwrap().is_passed() && s1.sessions == 2 && s1.rise == Some(3));
        let refused = s2.check.as_ref().unwrap();
        assert!(!refused.is_passed());
        assert_eq!(
            refused.to_string(),
            "L4CON Layer4 connection problem: Connection \"refused\", twice"
        );
        assert_eq!((s3.tracks.as_deref(), s3.backup, &s3.check), (Some("be/s1"), true, &None));
        assert_eq!(s4.check, None, "a check that has not finished yet says nothing");
    }

    #[test]
    fn anything_else_is_no_table() {
        assert!(parse("Permission denied\n").unwrap_err().contains("Permission denied"));
        assert!(parse("# pxname,type,\nbe,2,\n").unwrap_err().contains("svname"));
    }
}
