//! Where the API is, and as whom it is asked.

use std::path::PathBuf;

/// An API and a token for it.
#[derive(Clone)]
pub struct Access {
    /// Name or address of any node of the cluster.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// `root@pam`.
    pub user: String,
    /// Name of the token, with or without `user!` before it.
    pub token_id: String,
    /// The token's secret.
    pub token_secret: String,
    /// The authority that signed the API's certificate; the system's where there is none.
    pub ca: Option<PathBuf>,
    /// Whether the certificate is verified.
    pub verify: bool,
}

/// What a user gave of an [`Access`]. Where something is missing, the variables of community.proxmox are asked: `PROXMOX_HOST` and so on.
#[derive(Clone, Default)]
pub struct Given {
    /// `api_host`.
    pub host: Option<String>,
    /// `api_port`.
    pub port: Option<u16>,
    /// `api_user`.
    pub user: Option<String>,
    /// `api_token_id`.
    pub token_id: Option<String>,
    /// `api_token_secret`.
    pub token_secret: Option<String>,
    /// `ca_path`.
    pub ca: Option<PathBuf>,
    /// `validate_certs`.
    pub verify: Option<bool>,
}

impl Given {
    /// Completes it from an environment.
    ///
    /// # Errors
    /// The option that is missing.
    pub fn resolve(self, env: impl Fn(&str) -> Option<String>) -> Result<Access, String> {
        let env = |name: &str| env(name).filter(|value| !value.is_empty());
        let need = |value: Option<String>, option: &str, name: &str| {
            let value = value.filter(|value| !value.is_empty()).or_else(|| env(name));
            value.ok_or_else(|| {
                format!("missing required arguments: {option} (or the environment variable {name})")
            })
        };
        let port = match (self.port, env("PROXMOX_PORT")) {
            (Some(port), _) => port,
            (None, Some(text)) => {
                text.parse().map_err(|_| format!("PROXMOX_PORT is {text:?}, which is no port"))?
            }
            (None, None) => 8006,
        };
        let off = |text: String| {
            ["0", "no", "n", "false", "f", "off"].contains(&text.to_lowercase().as_str())
        };
        Ok(Access {
            host: need(self.host, "api_host", "PROXMOX_HOST")?,
            port,
            user: self.user.or_else(|| env("PROXMOX_USER")).unwrap_or_else(|| "root@pam".into()),
            token_id: need(self.token_id, "api_token_id", "PROXMOX_TOKEN_ID")?,
            token_secret: need(self.token_secret, "api_token_secret", "PROXMOX_TOKEN_SECRET")?,
            ca: self.ca,
            verify: self.verify.unwrap_or_else(|| !env("PROXMOX_VALIDATE_CERTS").is_some_and(off)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env<'a>(pairs: &'a [(&str, &str)]) -> impl Fn(&str) -> Option<String> + 'a {
        |name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
    }

    #[test]
    fn what_is_given_goes_before_the_environment() {
        let given = Given {
            host: Some("pve1".into()),
            token_id: Some("t".into()),
            token_secret: Some("s".into()),
            ..Given::default()
        };
        let access = given
            .resolve(env(&[
                ("PROXMOX_HOST", "other"),
                ("PROXMOX_USER", "a@pve"),
                ("PROXMOX_VALIDATE_CERTS", "False"),
            ]))
            .unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(
            (access.host.as_str(), access.port, access.user.as_str(), access.verify),
            ("pve1", 8006, "a@pve", false)
        );
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = Given { host: Some("pve1".into()), ..Given::default() }.resolve(env(&[])).err();
        assert_eq!(
            error.as_deref(),
            Some(
                "missing required arguments: api_token_id (or the environment variable PROXMOX_TOKEN_ID)"
            )
        );
    }
}
