//! The command line.

mod admin;
mod audit;
mod bootstrap;
mod ca;
mod codelist;
mod contract;
mod data;
mod demo;
mod doctor;
mod init;
mod output;
mod report;
mod serve;
mod validate;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

/// Exit status of a configuration that cannot be used (sysexits.h, EX_CONFIG).
pub const EX_CONFIG: u8 = 78;

#[derive(Parser)]
#[command(name = "simpul", version, about = "Exchange gateway for Satu Data", long_about = None, propagate_version = true)]
#[command(
    after_help = "Begin with `simpul demo`: three nodes on this machine run the whole flow and explain each step."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run three nodes on this machine and take a dirty file from a kecamatan to a trusted extract in the province
    #[command(
        after_help = "Examples:\n  simpul demo\n  simpul demo --once --json\n  simpul demo --dir /tmp/simpul-demo"
    )]
    Demo(demo::Options),
    /// Make the folder of a node: configuration with every default explained, key, certificate or request
    #[command(
        after_help = "Examples:\n  simpul init node --agency 64.02.diskominfo --tier kabupaten --ca ca\n  simpul init node --agency 64.02.05.kecamatan --tier kecamatan --upstream https://kukar.example:8443"
    )]
    Init(init::Options),
    /// Run a node
    #[command(after_help = "Example:\n  simpul serve --config node/simpul.toml")]
    Serve(serve::Options),
    /// Check configuration, keys, clock, disk and parent, and say what to do
    #[command(after_help = "Example:\n  simpul doctor --config node/simpul.toml")]
    Doctor(doctor::Options),
    /// A small certificate authority for an exchange
    #[command(subcommand)]
    Ca(ca::Command),
    /// Standard data contracts: list, register, compare versions, export, draft from a file
    #[command(subcommand)]
    Contract(contract::Command),
    /// Code lists that contracts point to: check, register, list, show, fetch from the parent
    #[command(subcommand, name = "codelist")]
    CodeList(codelist::Command),
    /// Check a file against a contract, without a node
    #[command(
        after_help = "Examples:\n  simpul validate datapackage.json data.csv\n  simpul validate datapackage.json data.csv --json\n  simpul validate datapackage.json data.csv --errors-csv kesalahan.csv --annotated kesalahan.xlsx --bad-rows perbaiki.csv\n\nExit status: 0 valid, 1 invalid, 2 the contract cannot be used, 3 could not run."
    )]
    Validate(validate::Options),
    /// Agencies
    #[command(subcommand)]
    Agency(admin::AgencyCommand),
    /// Clients: the systems and people of agencies
    #[command(subcommand)]
    Client(admin::ClientCommand),
    /// Agreements (PKS): who may do what with which dataset
    #[command(subcommand)]
    Agreement(admin::AgreementCommand),
    /// Connectors: bring rows from source systems on a schedule
    #[command(subcommand)]
    Connector(admin::ConnectorCommand),
    /// Deliver a file to a dataset
    #[command(
        after_help = "Examples:\n  simpul push penduduk-wilayah penduduk.csv --profile produsen.toml\n  simpul push penduduk-wilayah penduduk.csv --profile produsen.toml --dry-run"
    )]
    Push(data::PushOptions),
    /// The report of a delivery: on the screen, as a list of errors, as a marked workbook, or its bad rows by themselves
    #[command(
        after_help = "Examples:\n  simpul report 0199… --profile p.toml\n  simpul report 0199… --format csv -o kesalahan.csv --profile p.toml\n  simpul report 0199… --format rows -o perbaiki.csv --profile p.toml"
    )]
    Report(report::Options),
    /// Read records of a dataset
    #[command(
        after_help = "Example:\n  simpul records penduduk-wilayah --select kode_wilayah,jumlah --filter tahun=eq.2024 --profile p.toml"
    )]
    Records(data::RecordsOptions),
    /// Fetch everything of a dataset that you may see, as Parquet, Arrow or CSV
    #[command(after_help = "Example:\n  simpul extract penduduk-wilayah -o penduduk.parquet --profile statistik.toml")]
    Extract(data::ExtractOptions),
    /// List the datasets that you have an agreement for
    Datasets(Client),
    /// The link to the parent node
    #[command(subcommand)]
    Link(admin::LinkCommand),
    /// The audit log: show, export, verify offline
    #[command(subcommand)]
    Audit(audit::Command),
    /// Receipts: verify offline
    #[command(subcommand)]
    Receipt(audit::ReceiptCommand),
    /// Decode a foreign file for the node that starts this, under limits and without network
    #[command(hide = true)]
    Worker(crate::worker::child::Options),
    /// Print the configuration reference (Markdown)
    #[command(name = "config")]
    Config,
    /// Print the routes of the API with what each requires
    Routes {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

/// How a client command finds its node and shows who it is.
#[derive(Args, Clone)]
pub struct Client {
    /// Profile: a TOML file with the node's address, CA, certificate and key
    #[arg(long, env = "SIMPUL_PROFILE")]
    pub profile: PathBuf,
    /// Print the node's JSON as it is
    #[arg(long)]
    pub json: bool,
    /// Texts in English
    #[arg(long)]
    pub english: bool,
}

/// Parses the command line and runs the command.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    match dispatch(cli.command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("simpul: {error:#}");
            if error.downcast_ref::<crate::config::ConfigError>().is_some() {
                return ExitCode::from(EX_CONFIG);
            }
            ExitCode::FAILURE
        }
    }
}

fn dispatch(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Demo(options) => block_on(demo::run(options)),
        Command::Init(options) => init::run(&options),
        Command::Serve(options) => serve::run(&options),
        Command::Doctor(options) => block_on(doctor::run(options)),
        Command::Ca(command) => ca::run(command),
        Command::Contract(command) => contract::run(command),
        Command::CodeList(command) => codelist::run(command),
        Command::Validate(options) => Ok(validate::run(&options)),
        Command::Agency(command) => block_on(admin::agency(command)),
        Command::Client(command) => block_on(admin::client(command)),
        Command::Agreement(command) => block_on(admin::agreement(command)),
        Command::Connector(command) => block_on(admin::connector(command)),
        Command::Push(options) => block_on(data::push(options)),
        Command::Report(options) => block_on(report::run(options)),
        Command::Records(options) => block_on(data::records(options)),
        Command::Extract(options) => block_on(data::extract(options)),
        Command::Datasets(client) => block_on(data::datasets(client)),
        Command::Link(command) => block_on(admin::link(command)),
        Command::Audit(command) => audit::run(command),
        Command::Receipt(command) => audit::receipt(command),
        Command::Worker(options) => Ok(crate::worker::child::run(&options)),
        Command::Config => {
            print!("{}", crate::config::reference::markdown());
            Ok(ExitCode::SUCCESS)
        }
        Command::Routes { json } => {
            output::routes(json);
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Runs a command that talks to the network.
fn block_on(command: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(command)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Cli;

    #[test]
    fn every_command_is_well_formed() {
        Cli::command().debug_assert();
    }
}
