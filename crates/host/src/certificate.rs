//! Certificates: the pin that kubeadm knows an authority by, when one ends, and whose it is.
//!
//! Some fields at fixed places of a DER structure (RFC 5280 section 4.1): a reader of some lines, where a general one would be a large part of what the
//! program may weigh.

use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use std::time::SystemTime;

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

/// The pins of every certificate in a PEM text: `sha256:` and the hexadecimal SHA-256 of its `SubjectPublicKeyInfo` in DER.
///
/// It is what `kubeadm join --discovery-token-ca-cert-hash` takes (RFC 7469 section 2.4, in hexadecimal): a renewed certificate
/// of the same key keeps its pin.
///
/// # Errors
/// There is no certificate in the text, or one cannot be read.
pub fn pins(pem: &str) -> Result<Vec<String>> {
    let pins = blocks(pem).map(pin).collect::<Result<Vec<_>>>()?;
    if pins.is_empty() {
        bail!("read certificate: no {BEGIN} in it");
    }
    Ok(pins)
}

fn pin(body: &str) -> Result<String> {
    let der = der(body)?;
    let key = public_key(&der).context("read certificate: its DER has not the form of one")?;
    let hex = |text: String, byte: &u8| format!("{text}{byte:02x}");
    Ok(Sha256::digest(key).iter().fold("sha256:".to_owned(), hex))
}

/// The `SubjectPublicKeyInfo` of a certificate, with its own head.
fn public_key(der: &[u8]) -> Option<&[u8]> {
    // issuer, validity and subject
    let rest = skip(signed(der)?, 3)?;
    let (_, after) = expect(rest, SEQUENCE)?;
    rest.get(..rest.len().checked_sub(after.len())?)
}

/// What follows serial number and algorithm of a certificate (RFC 5280 section 4.1): issuer, validity, subject, and the key.
fn signed(der: &[u8]) -> Option<&[u8]> {
    let (certificate, _) = expect(der, SEQUENCE)?;
    let (rest, _) = expect(certificate, SEQUENCE)?;
    skip(rest, if rest.first() == Some(&VERSION) { 3 } else { 2 })
}

/// When a certificate is valid, and whose it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Life {
    /// The common name of its subject; empty where it has none.
    pub subject: String,
    /// Its first moment.
    pub begins: Timestamp,
    /// Its last.
    pub ends: Timestamp,
}

impl Life {
    /// Whole days that are left of it; below zero when it is over.
    pub fn days_left(&self, now: SystemTime) -> i64 {
        let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        days(self.ends.as_second() - i64::try_from(now).unwrap_or(i64::MAX))
    }

    /// Whole days from its beginning to its end.
    pub fn lifetime_days(&self) -> i64 {
        days(self.ends.as_second() - self.begins.as_second())
    }
}

fn days(seconds: i64) -> i64 {
    seconds.div_euclid(86_400)
}

/// The life of every certificate in a PEM text.
///
/// # Errors
/// One of them cannot be read.
pub fn lives(pem: &str) -> Result<Vec<Life>> {
    blocks(pem).map(|body| life(&der(body)?)).collect()
}

/// The life of a certificate in DER. It trusts nothing: what has not the form of a certificate is an error.
///
/// # Errors
/// It has not.
pub fn life(der: &[u8]) -> Result<Life> {
    read_life(der).context("read certificate: its DER has not the form of one")
}

fn read_life(der: &[u8]) -> Option<Life> {
    let (validity, rest) = expect(skip(signed(der)?, 1)?, SEQUENCE)?;
    let (begins, validity) = moment(validity)?;
    let (ends, _) = moment(validity)?;
    let (subject, _) = expect(rest, SEQUENCE)?;
    Some(Life { subject: common_name(subject).unwrap_or_default(), begins, ends })
}

/// The certificates in a PEM text, still in base64.
fn blocks(pem: &str) -> impl Iterator<Item = &str> {
    pem.split(BEGIN).skip(1).filter_map(|rest| rest.split_once(END).map(|(body, _)| body))
}

fn der(body: &str) -> Result<Vec<u8>> {
    base64(body).context("read certificate: its PEM is no base64")
}

fn skip(mut der: &[u8], count: usize) -> Option<&[u8]> {
    for _ in 0..count {
        der = element(der)?.2;
    }
    Some(der)
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

/// Standard base64, white space left out. A decoder of twenty lines is cheaper than a dependency of every module on this host.
pub fn base64(text: &str) -> Option<Vec<u8>> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0_u32, 0);
    for letter in text.bytes().filter(|letter| !letter.is_ascii_whitespace() && *letter != b'=') {
        let digit = DIGITS.iter().position(|known| *known == letter)?;
        bits = bits << 6 | u32::try_from(digit).ok()?;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).ok()?);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair, date_time_ymd};

    #[test]
    fn the_pin_is_the_one_openssl_and_kubeadm_compute() {
        let pem = include_str!("../tests/ca.crt");
        let expected = include_str!("../tests/ca.pin").trim();
        assert_eq!(pins(pem).unwrap(), [expected]);
        assert_eq!(pins(&format!("# the authority\n{pem}{pem}")).unwrap(), [expected, expected]);
    }

    #[test]
    fn what_is_no_certificate_is_said_to_be_none() {
        assert!(pins("").unwrap_err().to_string().contains("no -----BEGIN CERTIFICATE-----"));
        assert!(pins(&format!("{BEGIN}\n!!\n{END}")).is_err());
        assert!(
            pins(&format!("{BEGIN}\nMAoGCCqGSM49BAMC\n{END}")).is_err(),
            "DER of something else"
        );
        let pem = include_str!("../tests/ca.crt");
        let cut: String = pem.lines().take(4).chain([END]).collect::<Vec<_>>().join("\n");
        assert!(pins(&cut).is_err(), "cut short");
    }

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
    fn days_are_counted_to_the_end_and_beyond() {
        let life = lives(&made(None, (2026, 2027))).unwrap().remove(0);
        let at = |ago: i64| {
            let seconds = life.ends.as_second() - ago * 86_400;
            SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds.try_into().unwrap())
        };
        assert_eq!(
            (life.days_left(at(5)), life.days_left(at(0)), life.days_left(at(-1))),
            (5, 0, -1)
        );
        assert_eq!(life.lifetime_days(), 426);
    }

    #[test]
    fn a_bundle_has_several_and_a_key_is_none() {
        let bundle = made(Some("one"), (2026, 2027)) + &made(None, (2026, 2028));
        let names: Vec<_> = shown(&bundle).into_iter().map(|(name, _, _)| name).collect();
        assert_eq!(names, ["one", ""]);
        let key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        assert_eq!(lives(key).unwrap(), []);
    }

    #[test]
    fn what_has_not_the_form_of_one_is_said_to_have_not() {
        assert!(lives(&format!("{BEGIN}\n!!\n{END}")).is_err());
        let pem = made(Some("one"), (2026, 2027));
        let body: Vec<_> = pem.lines().filter(|line| !line.starts_with("---")).collect();
        let der = base64(&body.join("")).unwrap();
        for length in 0..der.len().min(120) {
            assert!(life(der.get(..length).unwrap()).is_err(), "cut at {length}");
        }
    }
}
