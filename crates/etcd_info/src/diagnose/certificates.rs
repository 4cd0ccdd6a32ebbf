//! Certificates that are over, or soon will be.

use super::Found;
use crate::{causes::Code, state::Certificate};

/// Early enough to be renewed at leisure. One that lives for less than thrice as long is renewed by something, in its last third.
const NOTICE_DAYS: i64 = 30;

pub(super) fn all(found: &mut Found) {
    let observed = found.0;
    for certificate in &observed.beside.certificates {
        let Certificate { url, subject, not_after, days_left, .. } = certificate;
        let code = match *days_left {
            left if left < 0 => Code::Certificate,
            left if left < NOTICE_DAYS.min(certificate.lifetime_days / 3) => Code::CertificateEnds,
            _ => continue,
        };
        let whose = url.as_deref().unwrap_or("the client certificate that was used");
        let when = if *days_left < 0 {
            "is over since".to_owned()
        } else {
            format!("is over in {days_left} days:")
        };
        let text = format!("{whose}: certificate {subject:?} {when} {not_after}");
        let listed = |member: &&etcd_cluster::Member| {
            certificate.member_id.as_deref() == Some(&member.id.to_string())
        };
        match observed.reading.members.iter().find(listed) {
            Some(member) => found.member(code, member, text),
            None => found.about(code, Some(whose), text),
        }
    }
}
