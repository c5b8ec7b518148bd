//! `simpul init`: the folder of a node.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use simpul_certs::ca::{Ca, IssueRequest};
use simpul_core::id::{AgencyCode, ClientName, Identity, TrustDomain};

use super::bootstrap::NodeFolder;
use super::{ca, output};

#[derive(Args)]
pub struct Options {
    /// Folder to make
    dir: PathBuf,
    /// Code of the agency that runs the node, such as 64.02.diskominfo
    #[arg(long)]
    agency: AgencyCode,
    /// Tier of the node
    #[arg(long, value_enum)]
    tier: TierName,
    /// Exchange address of the parent node
    #[arg(long)]
    upstream: Option<String>,
    /// Client name under which the node acts
    #[arg(long, default_value = "simpul")]
    client: ClientName,
    /// Trust domain of the exchange; with --ca it is the CA's
    #[arg(long, default_value = "satudata.test")]
    trust_domain: TrustDomain,
    /// Folder of a CA on this machine that issues the certificate; without it a key and a request are made
    #[arg(long)]
    ca: Option<PathBuf>,
    /// Host name or address under which the node is reached (repeatable)
    #[arg(long, default_values = ["localhost", "127.0.0.1"])]
    host: Vec<String>,
    /// First administrator, as agency/client
    #[arg(long)]
    administrator: Option<String>,
    /// Datasets whose deliveries go to the parent (repeatable)
    #[arg(long)]
    forward: Vec<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum TierName {
    Kecamatan,
    Kabupaten,
    Provinsi,
}

/// Makes the folder and tells what to do next.
pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let ca_dir = match &options.ca {
        Some(dir) => Some(dir.canonicalize().with_context(|| format!("there is no CA in {}", dir.display()))?),
        None => None,
    };
    let opened = ca_dir.as_deref().map(|dir| Ca::open(dir, output::now())).transpose()?;
    let trust_domain = opened.as_ref().map_or_else(|| options.trust_domain.clone(), |ca| ca.trust_domain().clone());
    let folder = NodeFolder {
        agency: options.agency.clone(),
        tier: match options.tier {
            TierName::Kecamatan => "kecamatan",
            TierName::Kabupaten => "kabupaten",
            TierName::Provinsi => "provinsi",
        },
        trust_domain: trust_domain.clone(),
        client: options.client.clone(),
        upstream: options.upstream.clone(),
        forward: options.forward.clone(),
        administrators: options.administrator.iter().cloned().collect(),
        ports: None,
        // The CA's files are used where they are, so that a revocation on this machine takes effect at once.
        trust: ca_dir,
        burst: None,
    };
    folder.write(&options.dir)?;
    let identity = Identity { trust_domain, agency: options.agency.clone(), client: options.client.clone() };
    let (dns, ips) = ca::hosts(&options.host);
    let pki = options.dir.join("pki");
    match &opened {
        Some(ca) => {
            let issued = ca.issue(&IssueRequest::node(identity.clone(), dns, ips, 90), output::now())?;
            issued.write(&pki, "node")?;
            println!("{identity}\nRun it:  simpul serve --config {}", options.dir.join("simpul.toml").display());
        }
        None => {
            let request = simpul_certs::request::new(&identity, &dns, &ips)?;
            simpul_certs::files::write_secret(&pki.join("node.key"), request.key_pem.as_bytes())?;
            simpul_certs::files::write_atomic(&pki.join("node.csr"), request.csr_pem.as_bytes())?;
            println!("{identity}");
            println!(
                "Send {} to the exchange's CA: simpul ca issue CA --agency {} --client {} --node --csr node.csr --out node",
                pki.join("node.csr").display(),
                options.agency,
                options.client
            );
            println!("Put what comes back into {}: node.crt, ca.crt, crl.pem, issuers.json", pki.display());
        }
    }
    Ok(ExitCode::SUCCESS)
}
