//! `login`: gets a token and keeps it for later commands.

use std::collections::BTreeMap;

use clap::Args;
use serde_json::{Map, Value, json};

use crate::cli::Cli;
use crate::cli::args::parse_texts;
use crate::cli::call::Call;
use crate::cli::client::Client;
use crate::cli::flags::{FieldFlag, Format, FormatFlag, HttpFlags};
use crate::cli::output::print_secret;
use crate::cli::secret::{Auth, Secret};
use crate::cli::token_helper;
use crate::cli::ui::{LINE_WIDTH, Outcome, Stop, wrap};

/// Logs in and keeps the token for later commands
///
/// Without -method the argument is a token; it is asked for when absent.
///
///     $ signet login
///     $ signet login -method=userpass username=alice
///     $ signet login -method=cert -client-cert=me.pem -client-key=me-key.pem
///
/// The token is kept in the file ~/.vault-token. Answers that are wrapped by -wrap-ttl are
/// unwrapped, except with -no-store or -token-only.
#[derive(Args, Debug)]
#[command(verbatim_doc_comment)]
pub(crate) struct Login {
    #[command(flatten)]
    http: HttpFlags,
    #[command(flatten)]
    format: FormatFlag,
    #[command(flatten)]
    field: FieldFlag,
    /// Type of the auth method: "token", "userpass", "ldap", "cert", "kubernetes" or "jwt". The
    /// default is token.
    #[arg(long, default_value = "token", hide_default_value = true)]
    method: String,
    /// Print nothing; the token is kept.
    #[arg(long)]
    no_print: bool,
    /// Do not keep the token.
    #[arg(long)]
    no_store: bool,
    /// Path of the auth method. The default is its type.
    #[arg(long)]
    path: Option<String>,
    /// Print the token and nothing else; do not keep it.
    #[arg(long)]
    token_only: bool,
    #[arg(value_name = "[AUTH K=V...]", num_args = 0..)]
    arguments: Vec<String>,
}

impl Login {
    pub(crate) fn run(&self, cli: &mut Cli<'_, '_>) -> Outcome {
        let format = cli.format(&self.format)?;
        let fields = self.fields(cli)?;
        let client = cli.client(&self.http)?;
        let mut secret = self.authenticate(cli, client, fields)?;
        let no_store = self.no_store || self.token_only;
        if secret.wrap_info.is_some() {
            if no_store {
                let field = if self.token_only {
                    Some("wrapping_token")
                } else {
                    self.field.field.as_deref()
                };
                return print_secret(cli.ui, &cli.brand, format, field, &secret);
            }
            secret = unwrap_login(cli, &self.http, &secret)?;
        }
        let auth = secret.auth.as_ref().ok_or_else(|| {
            Stop::failed("Vault returned a secret, but the secret has no authentication information attached. This should never happen and is likely a bug.")
        })?;
        if self.token_only {
            return print_secret(cli.ui, &cli.brand, Format::Table, Some("token"), &secret);
        }
        self.keep(cli, &auth.client_token)?;
        if self.no_print {
            return Ok(());
        }
        let field = self.field.field.as_deref();
        if field.is_none() && format == Format::Table {
            let welcome = format!(
                "Success! You are now authenticated. The token information displayed below is \
                 already stored in the token helper. You do NOT need to run \"{} login\" again. \
                 Future {} requests will automatically use this token.",
                cli.brand.command, cli.brand.product
            );
            cli.ui.line(format!("{}\n", wrap(&welcome, LINE_WIDTH)));
        }
        print_secret(cli.ui, &cli.brand, format, field, &secret)
    }

    /// The pairs of the command line; a lone word without `=` is the token.
    fn fields(&self, cli: &mut Cli<'_, '_>) -> Result<BTreeMap<String, String>, Stop> {
        if self.method == "token"
            && let [argument] = self.arguments.as_slice()
            && !argument.contains('=')
        {
            let token = if argument == "-" {
                let bytes = cli
                    .ui
                    .read_input()
                    .map_err(|error| bad_configuration(&error))?;
                String::from_utf8_lossy(&bytes).trim().to_owned()
            } else {
                argument.clone()
            };
            return Ok(BTreeMap::from([("token".to_owned(), token)]));
        }
        parse_texts(&self.arguments, cli.ui)
            .map(|pairs| pairs.into_iter().collect())
            .map_err(|error| bad_configuration(&error))
    }

    fn authenticate(
        &self,
        cli: &mut Cli<'_, '_>,
        client: Client,
        fields: BTreeMap<String, String>,
    ) -> Result<Secret, Stop> {
        let mount = self
            .path
            .as_deref()
            .unwrap_or(&self.method)
            .trim_matches('/')
            .to_owned();
        match self.method.as_str() {
            "cert" => {
                let name = fields.get("name").cloned().unwrap_or_default();
                let call = Call::put(format!("auth/{mount}/login"), &json!({"name": name}));
                anonymous(client, &call)
            }
            "jwt" | "kubernetes" => {
                let call = self.signed_token_call(cli, &mount, fields)?;
                anonymous(client, &call)
            }
            "ldap" | "userpass" => {
                let call = self.password_call(cli, &mount, fields)?;
                anonymous(client, &call)
            }
            "token" => {
                let token = match fields.get("token") {
                    Some(token) => token.trim().to_owned(),
                    None => self.ask(cli, "Token (will be hidden): ")?,
                };
                own_token(client, &token)
            }
            other => Err(unknown_method(cli, other)),
        }
    }

    fn signed_token_call(
        &self,
        cli: &mut Cli<'_, '_>,
        mount: &str,
        mut fields: BTreeMap<String, String>,
    ) -> Result<Call, Stop> {
        if self.method == "kubernetes" && !fields.contains_key("role") {
            return Err(Stop::failed(
                "Error authenticating: 'role' must be supplied",
            ));
        }
        let jwt = match fields.remove("jwt") {
            Some(jwt) => jwt,
            None => self.ask(cli, "JWT (will be hidden): ")?,
        };
        let mut body: Map<String, Value> = fields
            .into_iter()
            .map(|(name, value)| (name, Value::from(value)))
            .collect();
        body.insert("jwt".to_owned(), Value::from(jwt.trim()));
        Ok(Call::put(format!("auth/{mount}/login"), &body))
    }

    fn password_call(
        &self,
        cli: &mut Cli<'_, '_>,
        mount: &str,
        fields: BTreeMap<String, String>,
    ) -> Result<Call, Stop> {
        let username = match fields.get("username") {
            Some(name) => name.clone(),
            None if self.method == "ldap" => cli
                .environment
                .variable("LOGNAME")
                .or_else(|| cli.environment.variable("USER"))
                .unwrap_or_default()
                .to_owned(),
            None => String::new(),
        };
        if username.is_empty() {
            return Err(Stop::failed(
                "Error authenticating: 'username' must be specified",
            ));
        }
        let password = match fields.get("password") {
            Some(password) => password.clone(),
            None => self.ask(cli, "Password (will be hidden): ")?,
        };
        let mut body: Map<String, Value> = fields
            .into_iter()
            .filter(|(name, _)| name != "username")
            .map(|(name, value)| (name, Value::from(value)))
            .collect();
        body.insert("password".to_owned(), Value::from(password));
        Ok(Call::put(format!("auth/{mount}/login/{username}"), &body))
    }

    fn ask(&self, cli: &mut Cli<'_, '_>, prompt: &str) -> Result<String, Stop> {
        if self.http.non_interactive {
            return Err(Stop::usage(
                "Error authenticating: a secret is missing and -non-interactive forbids to ask for it",
            ));
        }
        let answer = cli.ui.ask_hidden(prompt).map_err(|error| {
            let text = format!(
                "Error authenticating: An error occurred attempting to ask for a secret. The raw \
                 error message is shown below, but usually this is because you attempted to pipe \
                 a value into the command or you are executing outside of a terminal (tty). The \
                 raw error was: {error}"
            );
            Stop::failed(wrap(&text, LINE_WIDTH))
        })?;
        Ok(answer.as_str().to_owned())
    }

    fn keep(&self, cli: &mut Cli<'_, '_>, token: &str) -> Outcome {
        let variable = format!("{}_TOKEN", cli.brand.variables);
        if self.no_store {
            let text = format!(
                "The token was not stored in token helper. Set the {variable} environment variable \
                 or pass the token below with each request to Vault."
            );
            cli.ui.warn(format!("{}\n", wrap(&text, LINE_WIDTH)));
            return Ok(());
        }
        token_helper::store(cli.environment, token)?;
        if cli.environment.setting("TOKEN").is_some() {
            let text = format!(
                "WARNING! The {variable} environment variable is set! The value of this variable \
                 will take precedence; if this is unwanted please unset {variable} or update its \
                 value accordingly."
            );
            cli.ui.warn(format!("{}\n", wrap(&text, LINE_WIDTH)));
        }
        Ok(())
    }
}

/// How to log in by this method, if this program knows it.
pub(crate) fn help_of(method: &str) -> Option<&'static str> {
    Some(match method {
        "cert" => CERT_HELP,
        "jwt" => JWT_HELP,
        "kubernetes" => KUBERNETES_HELP,
        "ldap" => LDAP_HELP,
        "token" => TOKEN_HELP,
        "userpass" => USERPASS_HELP,
        _ => return None,
    })
}

/// A login, which carries no token of its own.
fn anonymous(client: Client, call: &Call) -> Result<Secret, Stop> {
    client
        .with_token(None)
        .secret(call)
        .map_err(|error| error.stop("Error authenticating"))?
        .ok_or_else(|| {
            Stop::failed("Error authenticating: empty response from credential provider")
        })
}

/// Looks the token up, which proves that it is good.
fn own_token(client: Client, token: &str) -> Result<Secret, Stop> {
    let secret = client
        .with_token(Some(token))
        .without_wrapping()
        .secret(&Call::get("auth/token/lookup-self"))
        .map_err(|error| error.stop("Error authenticating: error looking up token"))?
        .ok_or_else(|| Stop::failed("Error authenticating: empty response from lookup-self"))?;
    let text = |name| secret.text(name).unwrap_or_default().to_owned();
    let number = |name| {
        secret
            .field(name)
            .and_then(Value::as_i64)
            .unwrap_or_default()
    };
    let policies = secret.texts("policies").unwrap_or_default();
    let identity_policies = secret.texts("identity_policies");
    let mut all = policies.clone();
    all.extend(identity_policies.iter().flatten().cloned());
    all.sort();
    all.dedup();
    Ok(Secret {
        auth: Some(Auth {
            client_token: token.to_owned(),
            accessor: text("accessor"),
            policies: Some(all),
            token_policies: Some(policies),
            identity_policies,
            metadata: secret.field("meta").and_then(Value::as_object).cloned(),
            entity_id: String::new(),
            lease_duration: number("ttl"),
            renewable: secret
                .field("renewable")
                .and_then(Value::as_bool)
                .unwrap_or_default(),
            ..Auth::default()
        }),
        ..Secret::default()
    })
}

fn unwrap_login(cli: &Cli<'_, '_>, http: &HttpFlags, wrapped: &Secret) -> Result<Secret, Stop> {
    let token = wrapped.wrap_info.as_ref().map(|info| info.token.as_str());
    cli.client(http)?
        .without_wrapping()
        .with_token(token)
        .secret(&Call::put("sys/wrapping/unwrap", &Value::Null))
        .map_err(|error| error.stop("Error unwrapping token"))?
        .ok_or_else(|| Stop::failed("Error unwrapping token: empty response"))
}

fn unknown_method(cli: &Cli<'_, '_>, method: &str) -> Stop {
    let text = format!(
        "Unknown auth method: {method}. Use \"{} auth list\" to see the complete list of auth \
         methods. Additionally, some auth methods are only available via the HTTP API.",
        cli.brand.command
    );
    Stop::Usage(wrap(&text, LINE_WIDTH))
}

fn bad_configuration(error: &dyn std::fmt::Display) -> Stop {
    Stop::usage(format!("Error parsing configuration: {error}"))
}

const CERT_HELP: &str = "Usage: signet login -method=cert [CONFIG K=V...]

  Logs in with the client certificate of the TLS connection:

      $ signet login -method=cert -client-cert=me.pem -client-key=me-key.pem

Configuration:

  name=<string>
      Role to log in against. The default is to try all roles.";

const JWT_HELP: &str = "Usage: signet login -method=jwt [CONFIG K=V...]

  Logs in with a token that an issuer has signed, such as the id token of a CI job:

      $ signet login -method=jwt role=ci jwt=@token

Configuration:

  jwt=<string>
      The token; it is asked for when absent.

  role=<string>
      Role to log in against. The default is that of the auth method.";

const KUBERNETES_HELP: &str = "Usage: signet login -method=kubernetes [CONFIG K=V...]

  Logs in with the token of a Kubernetes service account:

      $ signet login -method=kubernetes role=web \\
          jwt=@/var/run/secrets/kubernetes.io/serviceaccount/token

Configuration:

  jwt=<string>
      The token; it is asked for when absent.

  role=<string>
      Role to log in against.";

const LDAP_HELP: &str = "Usage: signet login -method=ldap [CONFIG K=V...]

  Logs in with a name and password of a directory:

      $ signet login -method=ldap username=alice

Configuration:

  password=<string>
      Password; it is asked for when absent.

  username=<string>
      Name of the user. The default is the name on this machine.";

const TOKEN_HELP: &str = "Usage: signet login TOKEN [CONFIG K=V...]

  Keeps a token for later commands, after looking it up:

      $ signet login

Configuration:

  token=<string>
      The token; it is asked for when absent.";

const USERPASS_HELP: &str = "Usage: signet login -method=userpass [CONFIG K=V...]

  Logs in with a name and password that the server keeps:

      $ signet login -method=userpass username=alice

Configuration:

  password=<string>
      Password; it is asked for when absent.

  username=<string>
      Name of the user.";
