//! Flags that many commands share.

use std::str::FromStr;

use clap::Args;

use crate::cli::args::parse_flag_pair;
use crate::cli::duration::GoDuration;
use crate::cli::ui::Stop;

/// How to reach the server; each falls back to an environment variable.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "HTTP Options")]
pub(crate) struct HttpFlags {
    /// Address of the server. The default is `https://127.0.0.1:8200`. This can also be specified
    /// via the `VAULT_ADDR` environment variable.
    #[arg(long)]
    pub(crate) address: Option<String>,

    /// Address of a proxying agent, which takes precedence over -address. This can also be
    /// specified via the `VAULT_AGENT_ADDR` environment variable.
    #[arg(long)]
    pub(crate) agent_address: Option<String>,

    /// File with the PEM certificates that the server's certificate must lead to. This can also
    /// be specified via the `VAULT_CACERT` environment variable.
    #[arg(long)]
    pub(crate) ca_cert: Option<String>,

    /// Directory of PEM files with certificates that the server's certificate must lead to. This
    /// can also be specified via the `VAULT_CAPATH` environment variable.
    #[arg(long)]
    pub(crate) ca_path: Option<String>,

    /// File with the PEM certificate to present to the server; needs -client-key too. This can
    /// also be specified via the `VAULT_CLIENT_CERT` environment variable.
    #[arg(long)]
    pub(crate) client_cert: Option<String>,

    /// File with the PEM private key of -client-cert. This can also be specified via the
    /// `VAULT_CLIENT_KEY` environment variable.
    #[arg(long)]
    pub(crate) client_key: Option<String>,

    /// Do not follow the one redirect that is otherwise followed. This can also be specified via
    /// the `VAULT_DISABLE_REDIRECTS` environment variable.
    #[arg(long)]
    pub(crate) disable_redirects: bool,

    /// Header to add to every request; can be given several times. Headers whose name starts with
    /// X-Vault- are refused.
    #[arg(long, value_name = "key=value", value_parser = parse_flag_pair)]
    pub(crate) header: Vec<(String, String)>,

    /// Credentials for a second factor, sent as X-Vault-MFA; can be given several times. This can
    /// also be specified via the `VAULT_MFA` environment variable.
    #[arg(long)]
    pub(crate) mfa: Vec<String>,

    /// Namespace of the request. This can also be specified via the `VAULT_NAMESPACE` environment
    /// variable.
    #[arg(long, alias = "ns")]
    pub(crate) namespace: Option<String>,

    /// Never ask on the terminal.
    #[arg(long)]
    pub(crate) non_interactive: bool,

    /// Print the equivalent call of curl instead of sending the request.
    #[arg(long)]
    pub(crate) output_curl_string: bool,

    /// Print the policy that the request needs instead of sending it.
    #[arg(long)]
    pub(crate) output_policy: bool,

    /// Name to expect in the server's certificate and to send as SNI. This can also be specified
    /// via the `VAULT_TLS_SERVER_NAME` environment variable.
    #[arg(long)]
    pub(crate) tls_server_name: Option<String>,

    /// Accept any certificate of the server. Whoever sits in between can then read and change
    /// everything. This can also be specified via the `VAULT_SKIP_VERIFY` environment variable.
    #[arg(long)]
    pub(crate) tls_skip_verify: bool,

    /// Have the answer wrapped in a single-use token that lives this long; "signet unwrap" fetches
    /// it. This can also be specified via the `VAULT_WRAP_TTL` environment variable.
    #[arg(long, value_name = "duration", value_parser = GoDuration::parse)]
    pub(crate) wrap_ttl: Option<GoDuration>,
}

#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Output Options")]
pub(crate) struct FormatFlag {
    /// Print the result as "table", "json", "yaml" or, for "signet read", "raw". The default is
    /// table. This can also be specified via the `VAULT_FORMAT` environment variable.
    #[arg(long)]
    pub(crate) format: Option<String>,
}

#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Output Options")]
pub(crate) struct FieldFlag {
    /// Print only this field, without a closing newline unless on a terminal.
    #[arg(long)]
    pub(crate) field: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    Raw,
    Table,
    Yaml,
}

impl FromStr for Format {
    type Err = Stop;

    fn from_str(text: &str) -> Result<Self, Stop> {
        match text.to_lowercase().as_str() {
            "json" => Ok(Self::Json),
            "raw" => Ok(Self::Raw),
            "table" => Ok(Self::Table),
            "yaml" | "yml" => Ok(Self::Yaml),
            _ => Err(Stop::usage(format!("Invalid output format: {text}"))),
        }
    }
}

/// Checks how many arguments there are, in the words of Vault's tool.
pub(crate) fn expect_arguments(
    arguments: &[String],
    least: usize,
    most: usize,
) -> Result<(), Stop> {
    let count = arguments.len();
    let expected = if least == most {
        least.to_string()
    } else {
        format!("{least}-{most}")
    };
    if count < least {
        return Err(Stop::usage(format!(
            "Not enough arguments (expected {expected}, got {count})"
        )));
    }
    if count > most {
        return Err(Stop::usage(format!(
            "Too many arguments (expected {expected}, got {count})"
        )));
    }
    Ok(())
}

/// The only argument.
pub(crate) fn one_argument(arguments: &[String]) -> Result<&str, Stop> {
    expect_arguments(arguments, 1, 1)?;
    Ok(arguments.first().map(String::as_str).unwrap_or_default())
}

/// Both arguments.
pub(crate) fn two_arguments(arguments: &[String]) -> Result<(&str, &str), Stop> {
    match arguments {
        [first, second] => Ok((first, second)),
        _ => Err(expect_arguments(arguments, 2, 2)
            .err()
            .unwrap_or(Stop::Quiet(1))),
    }
}

/// A path as requests use it: no blanks around, no slash at either end.
pub(crate) fn sanitize_path(path: &str) -> String {
    path.trim().trim_matches('/').to_owned()
}

/// A mount's path, which ends in a slash.
pub(crate) fn mount_path(path: &str) -> String {
    format!("{}/", sanitize_path(path))
}
