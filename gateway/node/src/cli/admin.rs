//! The commands of administrators. Each is one call of the console's API.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Subcommand;
use http::Method;
use serde_json::{Value, json};

use super::data::connect;
use super::{Client, output};

#[derive(Subcommand)]
pub enum AgencyCommand {
    /// List the registered agencies
    List(Client),
    /// Register an agency
    #[command(
        after_help = "Example:\n  simpul agency put 64.02.dukcapil --name \"Dinas Dukcapil Kutai Kartanegara\" --profile admin.toml"
    )]
    Put {
        /// Agency code
        code: String,
        /// Name
        #[arg(long)]
        name: String,
        /// Disable it: none of its clients gets in any more
        #[arg(long)]
        disable: bool,
        #[command(flatten)]
        client: Client,
    },
}

#[derive(Subcommand)]
pub enum ClientCommand {
    /// List the registered clients
    List(Client),
    /// Register a client of an agency
    #[command(after_help = "Example:\n  simpul client put 64.02.dukcapil siak --role producer --profile admin.toml")]
    Put {
        /// Agency code
        agency: String,
        /// Client name
        name: String,
        /// Role (repeatable): administrator, producer, consumer, statistician, node
        #[arg(long, required = true)]
        role: Vec<String>,
        /// Requests a second, on average; needs --burst
        #[arg(long, requires = "burst")]
        per_second: Option<u32>,
        /// Requests at once
        #[arg(long, requires = "per_second")]
        burst: Option<u32>,
        /// Disable it
        #[arg(long)]
        disable: bool,
        #[command(flatten)]
        client: Client,
    },
}

#[derive(Subcommand)]
pub enum AgreementCommand {
    /// List the agreements
    List(Client),
    /// Register an agreement from a JSON file, or change it
    #[command(
        after_help = "Example file:\n  {\"provider\": \"64.02.dukcapil\", \"consumer\": \"64.bps\", \"dataset\": \"penduduk-wilayah\", \"operations\": [\"read\"],\n   \"columns\": {\"nik\": \"masked\"}, \"default_visibility\": \"clear\", \"rows\": [\"kode_wilayah=like.64.02*\"],\n   \"purpose\": \"statistik resmi\", \"document\": \"PKS 12/2026\", \"valid_from\": \"2026-01-01T00:00:00Z\", \"valid_until\": \"2027-01-01T00:00:00Z\"}"
    )]
    Put {
        /// Name of the agreement
        id: String,
        /// JSON file
        file: PathBuf,
        #[command(flatten)]
        client: Client,
    },
    /// End an agreement now
    End {
        /// Name of the agreement
        id: String,
        #[command(flatten)]
        client: Client,
    },
}

#[derive(Subcommand)]
pub enum ConnectorCommand {
    /// List the connectors, and the kinds there are with an example configuration
    List(Client),
    /// Register a connector from a TOML or JSON file with kind, dataset, config and schedule
    #[command(
        after_help = "Example file:\n  kind = \"files\"\n  dataset = \"penduduk-wilayah\"\n  schedule = \"*/5 * * * *\"\n  [config]\n  folder = \"/srv/kiriman\""
    )]
    Put {
        /// Name of the connector
        id: String,
        /// TOML or JSON file
        file: PathBuf,
        #[command(flatten)]
        client: Client,
    },
    /// Reach the source and tell what it sees
    Test {
        /// Name of the connector
        id: String,
        #[command(flatten)]
        client: Client,
    },
    /// Pull what is new, now
    Run {
        /// Name of the connector
        id: String,
        #[command(flatten)]
        client: Client,
    },
    /// Remove a connector; what it delivered stays
    Delete {
        /// Name of the connector
        id: String,
        #[command(flatten)]
        client: Client,
    },
}

#[derive(Subcommand)]
pub enum LinkCommand {
    /// Queue, age and last contact of the link to the parent
    Status(Client),
}

pub(super) async fn call(client: &Client, method: Method, path: &str, body: Option<Value>) -> anyhow::Result<Value> {
    let node = connect(client, true)?;
    let mut request = node.request(method, path).await?;
    if let Some(body) = body {
        request = request.json(&body);
    }
    Ok(node.send(request).await?)
}

/// Prints what came back: a line for people, JSON for programs.
pub(super) fn told(client: &Client, answer: &Value, line: &str) -> ExitCode {
    if client.json {
        println!("{answer}");
    } else {
        println!("{line}");
    }
    ExitCode::SUCCESS
}

pub(super) async fn listed(
    client: &Client,
    path: &str,
    name: &str,
    columns: &[(&str, &str)],
) -> anyhow::Result<ExitCode> {
    let answer = call(client, Method::GET, path, None).await?;
    if client.json {
        println!("{answer}");
    } else {
        output::list(&answer, name, columns);
    }
    Ok(ExitCode::SUCCESS)
}

/// `simpul agency`
pub async fn agency(command: AgencyCommand) -> anyhow::Result<ExitCode> {
    match command {
        AgencyCommand::List(client) => {
            let columns = [("agency", "/code"), ("name", "/name"), ("enabled", "/enabled")];
            listed(&client, "/v1/admin/agencies", "agencies", &columns).await
        }
        AgencyCommand::Put { code, name, disable, client } => {
            let body = json!({"name": name, "enabled": !disable});
            let answer = call(&client, Method::PUT, &format!("/v1/admin/agencies/{code}"), Some(body)).await?;
            Ok(told(&client, &answer, &format!("{code} is registered")))
        }
    }
}

/// `simpul client`
pub async fn client(command: ClientCommand) -> anyhow::Result<ExitCode> {
    match command {
        ClientCommand::List(client) => {
            let columns = [("agency", "/agency"), ("client", "/client"), ("roles", "/roles"), ("enabled", "/enabled")];
            listed(&client, "/v1/admin/clients", "clients", &columns).await
        }
        ClientCommand::Put { agency, name, role, per_second, burst, disable, client } => {
            let quota =
                per_second.zip(burst).map(|(per_second, burst)| json!({"per_second": per_second, "burst": burst}));
            let body = json!({"roles": role, "enabled": !disable, "quota": quota});
            let path = format!("/v1/admin/clients/{agency}/{name}");
            let answer = call(&client, Method::PUT, &path, Some(body)).await?;
            Ok(told(&client, &answer, &format!("{agency}/{name} is registered")))
        }
    }
}

/// `simpul agreement`
pub async fn agreement(command: AgreementCommand) -> anyhow::Result<ExitCode> {
    match command {
        AgreementCommand::List(client) => {
            let columns = [
                ("agreement", "/id"),
                ("consumer", "/consumer"),
                ("dataset", "/dataset"),
                ("operations", "/operations"),
                ("until", "/valid_until"),
                ("document", "/document"),
            ];
            listed(&client, "/v1/admin/agreements", "agreements", &columns).await
        }
        AgreementCommand::Put { id, file, client } => {
            let body = read_document(&file)?;
            let answer = call(&client, Method::PUT, &format!("/v1/admin/agreements/{id}"), Some(body)).await?;
            Ok(told(&client, &answer, &format!("{id} is registered")))
        }
        AgreementCommand::End { id, client } => {
            let answer = call(&client, Method::DELETE, &format!("/v1/admin/agreements/{id}"), None).await?;
            Ok(told(&client, &answer, &format!("{id} has ended")))
        }
    }
}

/// `simpul connector`
pub async fn connector(command: ConnectorCommand) -> anyhow::Result<ExitCode> {
    match command {
        ConnectorCommand::List(client) => {
            let answer = call(&client, Method::GET, "/v1/admin/connectors", None).await?;
            if client.json {
                println!("{answer}");
                return Ok(ExitCode::SUCCESS);
            }
            let columns = [
                ("connector", "/connector/id"),
                ("kind", "/connector/kind"),
                ("dataset", "/connector/dataset"),
                ("schedule", "/connector/schedule"),
                ("last run", "/last_run/finished_at"),
                ("outcome", "/last_run/outcome"),
            ];
            output::list(&answer, "connectors", &columns);
            println!();
            output::list(&answer, "kinds", &[("kind", "/kind"), ("what", "/describe")]);
            Ok(ExitCode::SUCCESS)
        }
        ConnectorCommand::Put { id, file, client } => {
            let body = read_document(&file)?;
            let answer = call(&client, Method::PUT, &format!("/v1/admin/connectors/{id}"), Some(body)).await?;
            Ok(told(&client, &answer, &format!("{id} is registered; try: simpul connector test {id}")))
        }
        ConnectorCommand::Test { id, client } => {
            let answer = call(&client, Method::POST, &format!("/v1/admin/connectors/{id}/test"), None).await?;
            let text = answer.pointer("/report/summary").or(answer.get("message")).and_then(Value::as_str);
            told(&client, &answer, text.unwrap_or_default());
            Ok(if answer["ok"] == json!(true) { ExitCode::SUCCESS } else { ExitCode::from(1) })
        }
        ConnectorCommand::Run { id, client } => {
            let answer = call(&client, Method::POST, &format!("/v1/admin/connectors/{id}/run"), None).await?;
            let outcome = answer["outcome"].as_str().unwrap_or_default().to_owned();
            let count = answer["deliveries"].as_array().map_or(0, Vec::len);
            let message = answer["message"].as_str().unwrap_or_default();
            told(&client, &answer, &format!("{outcome}: {count} deliveries {message}"));
            Ok(if outcome == "failed" { ExitCode::from(1) } else { ExitCode::SUCCESS })
        }
        ConnectorCommand::Delete { id, client } => {
            let answer = call(&client, Method::DELETE, &format!("/v1/admin/connectors/{id}"), None).await?;
            Ok(told(&client, &answer, &format!("{id} is removed")))
        }
    }
}

/// `simpul link`
pub async fn link(command: LinkCommand) -> anyhow::Result<ExitCode> {
    let LinkCommand::Status(client) = command;
    let answer = call(&client, Method::GET, "/v1/admin/link", None).await?;
    if client.json {
        println!("{answer}");
        return Ok(ExitCode::SUCCESS);
    }
    let link = &answer["link"];
    if link.is_null() {
        println!("this node has no parent");
        return Ok(ExitCode::SUCCESS);
    }
    let rows = [
        "upstream",
        "queued",
        "queued_bytes",
        "oldest_age_s",
        "refused",
        "last_contact_at",
        "last_ack_at",
        "last_error",
    ];
    output::table(
        &["link", ""],
        rows.map(|key| {
            let value = &link[key];
            let text = value
                .as_str()
                .map_or_else(|| if value.is_null() { String::new() } else { value.to_string() }, str::to_owned);
            vec![key.to_owned(), text]
        }),
    );
    Ok(ExitCode::SUCCESS)
}

/// Reads a JSON or TOML file.
fn read_document(path: &Path) -> anyhow::Result<Value> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let context = || format!("{}", path.display());
    if path.extension().is_some_and(|ending| ending == "toml") {
        return toml::from_str(&text).with_context(context);
    }
    serde_json::from_str(&text).with_context(context)
}
