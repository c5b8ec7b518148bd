//! `simpul ca`: a small certificate authority in a folder.

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use simpul_certs::ca::{Ca, CaOptions, IntermediateOptions, IssueRequest, Reason, Target};
use simpul_certs::identity::AreaPrefix;
use simpul_core::id::{AgencyCode, ClientName, Identity, TrustDomain};

use super::output;

#[derive(Subcommand)]
pub enum Command {
    /// Make a root CA
    #[command(after_help = "Example:\n  simpul ca init ca --trust-domain satudata.kaltim.go.id")]
    Init(Init),
    /// Make an issuing CA that may name one area only
    #[command(after_help = "Example:\n  simpul ca intermediate ca ca-kukar --area 64.02")]
    Intermediate(Intermediate),
    /// Issue a certificate with a new key, or sign a request
    #[command(
        after_help = "Examples:\n  simpul ca issue ca --agency 64.02.dukcapil --client siak --out siak\n  simpul ca issue ca --agency 64.02.diskominfo --client simpul --node --host kukar.example --out node\n  simpul ca issue ca --agency 64.02.dukcapil --client siak --csr siak.csr --out siak"
    )]
    Issue(Issue),
    /// Revoke the certificates of an identity, or one by its serial number
    #[command(
        after_help = "Examples:\n  simpul ca revoke ca --agency 64.02.dukcapil --client siak\n  simpul ca revoke ca --serial 5f3a…"
    )]
    Revoke(Revoke),
    /// List what was issued
    List {
        /// Folder of the CA
        dir: PathBuf,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Publish the revocation list anew if less than half of its time is left
    Refresh {
        /// Folder of the CA
        dir: PathBuf,
    },
}

#[derive(Args)]
pub struct Init {
    /// Folder to make
    dir: PathBuf,
    /// The domain that every identity of the exchange shares
    #[arg(long)]
    trust_domain: TrustDomain,
    /// Name of the CA
    #[arg(long, default_value = "Simpul root")]
    name: String,
    /// Validity in days
    #[arg(long, default_value_t = 3650)]
    days: u32,
}

#[derive(Args)]
pub struct Intermediate {
    /// Folder of the CA above
    parent: PathBuf,
    /// Folder to make
    dir: PathBuf,
    /// The area whose agencies it may name, such as 64.02
    #[arg(long)]
    area: AreaPrefix,
    /// Name of the CA
    #[arg(long)]
    name: Option<String>,
}

#[derive(Args)]
pub struct Issue {
    /// Folder of the CA
    dir: PathBuf,
    /// Agency code, such as 64.02.dukcapil
    #[arg(long)]
    agency: AgencyCode,
    /// Client name within the agency
    #[arg(long)]
    client: ClientName,
    /// For a node: it serves and speaks to other nodes
    #[arg(long)]
    node: bool,
    /// Host name or address of a node (repeatable)
    #[arg(long, requires = "node")]
    host: Vec<String>,
    /// Validity in days
    #[arg(long, default_value_t = 90)]
    days: u32,
    /// Sign this request (PEM) instead of making a key; the names that it asks for are ignored
    #[arg(long)]
    csr: Option<PathBuf>,
    /// Path of the files without ending: OUT.crt and OUT.key
    #[arg(long, short)]
    out: PathBuf,
}

#[derive(Args)]
pub struct Revoke {
    /// Folder of the CA
    dir: PathBuf,
    /// Agency code of the identity
    #[arg(long, requires = "client", required_unless_present = "serial")]
    agency: Option<AgencyCode>,
    /// Client name of the identity
    #[arg(long)]
    client: Option<ClientName>,
    /// Serial number in hexadecimal
    #[arg(long, conflicts_with = "agency")]
    serial: Option<String>,
    /// Why
    #[arg(long, value_enum, default_value = "unspecified")]
    reason: Why,
}

#[derive(Clone, Copy, ValueEnum)]
enum Why {
    Unspecified,
    KeyCompromise,
    Superseded,
    CessationOfOperation,
}

/// Runs one operation of the CA.
pub fn run(command: Command) -> anyhow::Result<ExitCode> {
    let now = output::now();
    match command {
        Command::Init(options) => {
            let mut root = CaOptions::root(options.name, options.trust_domain);
            root.days = options.days;
            let ca = Ca::init(&options.dir, &root, now)?;
            println!("CA «{}» is ready in {}", ca.name(), options.dir.display());
            println!("Keep ca.key offline. Nodes need bundle.pem, crl.pem and issuers.json.");
        }
        Command::Intermediate(options) => {
            let name = options.name.unwrap_or_else(|| format!("Simpul {}", options.area));
            let parent = Ca::open(&options.parent, now)?;
            let ca = parent.issue_intermediate(&options.dir, &IntermediateOptions::area(name, options.area), now)?;
            println!(
                "Issuing CA «{}» is ready in {}; it may name agencies of {} only",
                ca.name(),
                options.dir.display(),
                ca.prefix()
            );
        }
        Command::Issue(options) => issue(&options)?,
        Command::Revoke(options) => revoke(&options)?,
        Command::List { dir, json } => list(&Ca::open(&dir, now)?, json)?,
        Command::Refresh { dir } => {
            let done = Ca::open(&dir, now)?.refresh_crl(now)?;
            println!("{}", if done { "published anew" } else { "the list holds for more than half of its time" });
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn issue(options: &Issue) -> anyhow::Result<()> {
    let now = output::now();
    let ca = Ca::open(&options.dir, now)?;
    let identity = Identity {
        trust_domain: ca.trust_domain().clone(),
        agency: options.agency.clone(),
        client: options.client.clone(),
    };
    let request = if options.node {
        let (dns, ips) = hosts(&options.host);
        IssueRequest::node(identity.clone(), dns, ips, options.days)
    } else {
        IssueRequest::client(identity.clone(), options.days)
    };
    let name = options.out.file_name().and_then(|name| name.to_str()).unwrap_or("certificate").to_owned();
    let folder = options.out.parent().map(PathBuf::from).unwrap_or_default();
    if let Some(csr) = &options.csr {
        let signed = ca.sign_csr(&std::fs::read_to_string(csr)?, &request, now)?;
        let path = folder.join(format!("{name}.crt"));
        simpul_certs::files::write_atomic(&path, signed.chain_pem.as_bytes())?;
        println!("{identity}\n{}, serial {}, until {}", path.display(), signed.serial, signed.not_after);
        return Ok(());
    }
    let issued = ca.issue(&request, now)?;
    let (certificate, key) = issued.write(&folder, &name)?;
    let (serial, end) = (issued.certificate.serial.to_string(), issued.certificate.not_after);
    println!("{identity}\n{} and {}, serial {serial}, until {end}", certificate.display(), key.display());
    Ok(())
}

/// Host names and addresses, told apart.
pub fn hosts(hosts: &[String]) -> (Vec<String>, Vec<IpAddr>) {
    let mut ips: Vec<IpAddr> = Vec::new();
    let mut dns = Vec::new();
    for host in hosts {
        match host.parse() {
            Ok(ip) => ips.push(ip),
            Err(_) => dns.push(host.clone()),
        }
    }
    (dns, ips)
}

fn revoke(options: &Revoke) -> anyhow::Result<()> {
    let now = output::now();
    let ca = Ca::open(&options.dir, now)?;
    let target = match (&options.serial, &options.agency, &options.client) {
        (Some(serial), _, _) => Target::Serial(serial.parse()?),
        (None, Some(agency), Some(client)) => Target::Identity(Identity {
            trust_domain: ca.trust_domain().clone(),
            agency: agency.clone(),
            client: client.clone(),
        }),
        _ => anyhow::bail!("name what to revoke: --serial, or --agency and --client"),
    };
    let reason = match options.reason {
        Why::Unspecified => Reason::Unspecified,
        Why::KeyCompromise => Reason::KeyCompromise,
        Why::Superseded => Reason::Superseded,
        Why::CessationOfOperation => Reason::CessationOfOperation,
    };
    let count = ca.revoke(&target, reason, now)?;
    println!("{count} revoked; {} is published. Nodes take it over when it reaches them.", ca.crl_path().display());
    Ok(())
}

fn list(ca: &Ca, json: bool) -> anyhow::Result<()> {
    let records = ca.list()?;
    if json {
        println!("{}", serde_json::json!({"certificates": records}));
        return Ok(());
    }
    let rows = records.iter().map(|record| {
        let state =
            record.revoked.as_ref().map_or_else(|| "valid".to_owned(), |revoked| format!("revoked {}", revoked.at));
        vec![record.serial.to_string(), record.subject.clone(), record.not_after.to_string(), state]
    });
    output::table(&["serial", "subject", "until", "state"], rows);
    Ok(())
}
