//! `simpul demo`: three nodes on this machine, and a dirty file of a kecamatan that becomes a trusted extract in the
//! province.
//!
//! 1. [`world`] lays out folders: a dev CA, three nodes, their clients with profiles.
//! 2. [`nodes`] starts a process for each node, and starts it again should it die.
//! 3. [`registry`] registers agencies, clients, contracts and agreements through the consoles.
//! 4. [`flow`] runs the flow, each step a call of the public API, and tells what it does.
//! 5. `ready.json` appears, and the nodes keep serving until Ctrl-C.

mod flow;
mod nodes;
mod registry;
mod world;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use self::world::World;
use super::serve::stop_signal;

#[derive(Args)]
pub struct Options {
    /// Folder for everything that the demo makes; without it a new one among the temporary files
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Exit after the flow
    #[arg(long)]
    once: bool,
    /// Last line on standard output: one JSON object with the counts of each step
    #[arg(long)]
    json: bool,
}

/// What tells the steps: to standard output, or to standard error when that is for JSON.
#[derive(Clone, Copy)]
pub struct Teller {
    to_stderr: bool,
}

impl Teller {
    /// Tells one line.
    pub fn say(self, text: impl AsRef<str>) {
        if self.to_stderr {
            eprintln!("{}", text.as_ref());
        } else {
            println!("{}", text.as_ref());
        }
    }
}

/// Runs the demo.
pub async fn run(options: Options) -> anyhow::Result<ExitCode> {
    let teller = Teller { to_stderr: options.json };
    let dir = options.dir.clone().unwrap_or_else(|| {
        std::env::temp_dir().join(format!("simpul-demo-{}", chrono::Utc::now().format("%Y%m%d-%H%M%S")))
    });
    let world = World::lay_out(&dir)?;
    teller.say(format!("The demo lives in {}", world.dir.display()));
    let mut nodes = nodes::Nodes::start(&world)?;
    let outcome = steps(&world, &mut nodes, teller).await;
    let summary = match outcome {
        Ok(summary) => summary,
        Err(error) => {
            nodes.stop().await;
            return Err(error.context(format!("the logs are in {}", world.dir.display())));
        }
    };
    world.announce()?;
    if !options.once {
        farewell(&world, teller);
        if options.json {
            println!("{summary}");
        }
        tokio::select! {
            result = stop_signal() => result?,
            () = nodes.tend() => {}
        }
    }
    nodes.stop().await;
    if options.json && options.once {
        println!("{}", json!(summary));
    }
    Ok(ExitCode::SUCCESS)
}

async fn steps(world: &World, nodes: &mut nodes::Nodes, teller: Teller) -> anyhow::Result<serde_json::Value> {
    nodes.wait_until_they_answer(world).await?;
    teller.say("Three nodes answer: kecamatan Muara Badak → kabupaten Kutai Kartanegara → provinsi Kalimantan Timur.");
    registry::register(world).await?;
    teller.say("Agencies, systems, contracts and agreements (PKS) are registered. Without an agreement nobody reads or delivers.");
    flow::run(world, teller).await
}

fn farewell(world: &World, teller: Teller) {
    teller.say("\nThe nodes keep serving:");
    for node in &world.nodes {
        teller.say(format!(
            "  {:<18} exchange {}  console {}  metrics {}/metrics",
            node.name,
            node.exchange(),
            node.console(),
            node.metrics()
        ));
    }
    let profile = |name: &str| {
        world
            .clients
            .iter()
            .find(|client| client.name == name)
            .map_or(String::new(), |client| client.profile.display().to_string())
    };
    teller.say("\nTry, in another terminal:");
    teller.say(format!("  simpul datasets --profile {}", profile("provinsi-statistik")));
    teller.say(format!(
        "  simpul extract penduduk-wilayah -o penduduk.parquet --profile {}",
        profile("provinsi-statistik")
    ));
    teller.say(format!(
        "  simpul push penduduk-wilayah {} --profile {}",
        world.sample_path("contoh-kotor.csv").display(),
        profile("kecamatan-produsen")
    ));
    teller.say(format!("  simpul link status --profile {}", profile("kecamatan-admin")));
    teller.say(format!("  simpul audit export -o audit.txt --profile {}", profile("kabupaten-admin")));
    teller.say("\nCtrl-C stops everything.");
}
