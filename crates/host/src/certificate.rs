//! Certificates by the pin that kubeadm knows an authority by.

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";
/// ASN.1 tags of DER: a sequence, an integer, and the version of a certificate.
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;

/// The pins of every certificate in a PEM text: `sha256:` and the hexadecimal SHA-256 of its `SubjectPublicKeyInfo` in DER.
///
/// It is what `kubeadm join --discovery-token-ca-cert-hash` takes (RFC 7469 section 2.4, in hexadecimal): a renewed certificate
/// of the same key keeps its pin.
///
/// # Errors
/// There is no certificate in the text, or one cannot be read.
pub fn pins(pem: &str) -> Result<Vec<String>> {
    let blocks: Vec<&str> = pem
        .split(BEGIN)
        .skip(1)
        .filter_map(|rest| rest.split_once(END).map(|(body, _)| body))
        .collect();
    if blocks.is_empty() {
        bail!("read certificate: no {BEGIN} in it");
    }
    blocks.into_iter().map(pin).collect()
}

fn pin(body: &str) -> Result<String> {
    let der = base64(body).context("read certificate: its PEM is no base64")?;
    let key = public_key(&der).context("read certificate: its DER has not the form of one")?;
    let hex = |text: String, byte: &u8| format!("{text}{byte:02x}");
    Ok(Sha256::digest(key).iter().fold("sha256:".to_owned(), hex))
}

/// The `SubjectPublicKeyInfo` of a certificate, with its own head (RFC 5280 section 4.1): after the optional version come serial number, algorithm,
/// issuer, validity and subject.
fn public_key(der: &[u8]) -> Option<&[u8]> {
    let (certificate, _) = value(der, SEQUENCE)?;
    let (mut rest, _) = value(certificate, SEQUENCE)?;
    if rest.first() == Some(&VERSION) {
        rest = skip(rest)?;
    }
    for _ in 0..5 {
        rest = skip(rest)?;
    }
    let (_, after) = value(rest, SEQUENCE)?;
    rest.get(..rest.len().checked_sub(after.len())?)
}

/// The content of the element of this tag at the front, and what follows it.
fn value(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    if der.first() != Some(&tag) {
        return None;
    }
    let first = usize::from(*der.get(1)?);
    let (length, head) = if first < 0x80 {
        (first, 2)
    } else {
        let bytes = der.get(2..2 + (first & 0x7f))?;
        let length = bytes
            .iter()
            .try_fold(0_usize, |sum, byte| sum.checked_mul(256)?.checked_add(usize::from(*byte)))?;
        (length, 2 + bytes.len())
    };
    let rest = der.get(head..)?;
    Some((rest.get(..length)?, rest.get(length..)?))
}

fn skip(der: &[u8]) -> Option<&[u8]> {
    value(der, *der.first()?).map(|(_, after)| after)
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
}
