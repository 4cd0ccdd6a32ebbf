//! When a certificate ends, and whose it is.
//!
//! Two fields at fixed places of a DER structure (RFC 5280 section 4.1): a reader of some lines, where a general one would be a large part of what the
//! program may weigh. It trusts nothing: what has not the form of a certificate is an error.

use jiff::Timestamp;

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";
/// Tags of DER.
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const OBJECT_ID: u8 = 0x06;
/// 2.5.4.3.
const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];

/// What of a certificate matters here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Life {
    /// The common name of its subject; empty where it has none.
    pub subject: String,
    /// Its first moment.
    pub begins: Timestamp,
    /// Its last.
    pub ends: Timestamp,
}

/// Every certificate in a PEM text.
///
/// # Errors
/// One of them cannot be read.
pub fn lives(pem: &str) -> Result<Vec<Life>, String> {
    let blocks = pem.split(BEGIN).skip(1).filter_map(|rest| rest.split_once(END));
    blocks
        .map(|(body, _)| {
            let der = host::certificate::base64(body).ok_or("its PEM is no base64")?;
            life(&der).ok_or_else(|| "its DER has not the form of a certificate".to_owned())
        })
        .collect()
}

/// After the optional version come serial number, algorithm, issuer, validity and subject.
fn life(der: &[u8]) -> Option<Life> {
    let (certificate, _) = expect(der, SEQUENCE)?;
    let (mut rest, _) = expect(certificate, SEQUENCE)?;
    if rest.first() == Some(&VERSION) {
        rest = element(rest)?.2;
    }
    for _ in 0..3 {
        rest = element(rest)?.2;
    }
    let (validity, rest) = expect(rest, SEQUENCE)?;
    let (begins, validity) = moment(validity)?;
    let (ends, _) = moment(validity)?;
    let (subject, _) = expect(rest, SEQUENCE)?;
    Some(Life { subject: common_name(subject).unwrap_or_default(), begins, ends })
}

/// Tag and content of the element at the front, and what follows it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let first = usize::from(*der.get(1)?);
    let (length, head) = if first < 0x80 {
        (first, 2)
    } else {
        let bytes = der.get(2..2 + (first & 0x7f))?;
        let add = |sum: usize, byte: &u8| sum.checked_mul(256)?.checked_add(usize::from(*byte));
        (bytes.iter().try_fold(0, add)?, 2 + bytes.len())
    };
    let rest = der.get(head..)?;
    Some((*der.first()?, rest.get(..length)?, rest.get(length..)?))
}

fn expect(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    element(der).filter(|(found, _, _)| *found == tag).map(|(_, content, rest)| (content, rest))
}

/// `YYMMDDHHMMSSZ` until 2049, `YYYYMMDDHHMMSSZ` from then on.
fn moment(der: &[u8]) -> Option<(Timestamp, &[u8])> {
    let (tag, content, rest) = element(der)?;
    let written = std::str::from_utf8(content).ok()?;
    let written = match tag {
        UTC_TIME => {
            let century = if written.get(..2)? < "50" { "20" } else { "19" };
            format!("{century}{written}")
        }
        GENERALIZED_TIME => written.to_owned(),
        _ => return None,
    };
    let part = |from: usize, to: usize| written.get(from..to);
    let (date, time) =
        ((part(0, 4)?, part(4, 6)?, part(6, 8)?), (part(8, 10)?, part(10, 12)?, part(12, 15)?));
    let text = format!("{}-{}-{}T{}:{}:{}", date.0, date.1, date.2, time.0, time.1, time.2);
    Some((text.parse().ok()?, rest))
}

/// A name is a sequence of sets of sequences of an object id and a string.
fn common_name(mut name: &[u8]) -> Option<String> {
    while !name.is_empty() {
        let (_, mut set, rest) = element(name)?;
        while !set.is_empty() {
            let (attribute, more) = expect(set, SEQUENCE)?;
            let (id, value) = expect(attribute, OBJECT_ID)?;
            if id == COMMON_NAME {
                return String::from_utf8(element(value)?.1.to_vec()).ok();
            }
            set = more;
        }
        name = rest;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair, date_time_ymd};

    fn made(name: Option<&str>, years: (i32, i32)) -> String {
        let mut params = CertificateParams::new(vec!["cp1".to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "system:masters");
        if let Some(name) = name {
            params.distinguished_name.push(DnType::CommonName, name);
        }
        params.not_before = date_time_ymd(years.0, 1, 2);
        params.not_after = date_time_ymd(years.1, 3, 4);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().pem()
    }

    fn shown(pem: &str) -> Vec<(String, String, String)> {
        let show = |life: Life| (life.subject, life.begins.to_string(), life.ends.to_string());
        lives(pem).unwrap().into_iter().map(show).collect()
    }

    #[test]
    fn both_forms_of_a_date_are_read() {
        let text = |word: &str| word.to_owned();
        let cases = [
            ((2026, 2027), "2026-01-02T00:00:00Z", "2027-03-04T00:00:00Z"),
            ((1999, 2049), "1999-01-02T00:00:00Z", "2049-03-04T00:00:00Z"),
            ((2026, 2126), "2026-01-02T00:00:00Z", "2126-03-04T00:00:00Z"),
        ];
        for (years, begins, ends) in cases {
            let found = shown(&made(Some("kube-apiserver"), years));
            assert_eq!(found, [(text("kube-apiserver"), text(begins), text(ends))]);
        }
    }

    #[test]
    fn a_bundle_has_several_and_a_key_is_none() {
        let bundle = made(Some("one"), (2026, 2027)) + &made(None, (2026, 2028));
        let names: Vec<_> = shown(&bundle).into_iter().map(|(name, _, _)| name).collect();
        assert_eq!(names, ["one", ""]);
        assert_eq!(
            lives("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
            Ok(vec![])
        );
    }

    #[test]
    fn what_has_not_the_form_of_one_is_said_to_have_not() {
        assert!(lives(&format!("{BEGIN}\n!!\n{END}")).is_err());
        let pem = made(Some("one"), (2026, 2027));
        let body: Vec<_> = pem.lines().filter(|line| !line.starts_with("---")).collect();
        let der = host::certificate::base64(&body.join("")).unwrap();
        for length in 0..der.len().min(120) {
            assert_eq!(life(der.get(..length).unwrap()), None, "cut at {length}");
        }
    }
}
