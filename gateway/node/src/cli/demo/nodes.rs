//! The processes of the demo's nodes.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use tokio::process::{Child, Command};

use super::world::World;

/// The running processes.
pub struct Nodes {
    children: Vec<Process>,
}

struct Process {
    name: &'static str,
    config: PathBuf,
    log: PathBuf,
    child: Child,
}

impl Nodes {
    /// Starts every node, its log beside its folder.
    ///
    /// # Errors
    /// When a process cannot be started.
    pub fn start(world: &World) -> anyhow::Result<Self> {
        let mut children = Vec::new();
        for node in &world.nodes {
            let config = node.dir.join("simpul.toml");
            let log = world.dir.join(format!("{}.log", node.name));
            let child = spawn(&config, &log)?;
            children.push(Process { name: node.name, config, log, child });
        }
        Ok(Self { children })
    }

    /// Waits until every node says that it is ready, at most a minute.
    ///
    /// # Errors
    /// When one does not, or has ended.
    pub async fn wait_until_they_answer(&mut self, world: &World) -> anyhow::Result<()> {
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(2)).build()?;
        for (node, process) in world.nodes.iter().zip(&mut self.children) {
            let address = format!("{}/health/ready", node.metrics());
            let ready = async {
                loop {
                    if let Some(status) = process.child.try_wait()? {
                        anyhow::bail!("{} ended with {status}; see {}", process.name, process.log.display());
                    }
                    if http.get(&address).send().await.is_ok_and(|answer| answer.status().is_success()) {
                        return Ok(());
                    }
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            };
            tokio::time::timeout(Duration::from_secs(60), ready)
                .await
                .with_context(|| format!("{} does not answer; see {}", process.name, process.log.display()))??;
        }
        Ok(())
    }

    /// Starts a node again when it dies, for ever.
    pub async fn tend(&mut self) {
        loop {
            tokio::time::sleep(Duration::from_millis(300)).await;
            for process in &mut self.children {
                if let Ok(Some(status)) = process.child.try_wait() {
                    eprintln!("{} ended with {status}; starting it again", process.name);
                    match spawn(&process.config, &process.log) {
                        Ok(child) => process.child = child,
                        Err(error) => eprintln!("{error:#}"),
                    }
                }
            }
        }
    }

    /// Asks every node to stop and waits for it.
    pub async fn stop(&mut self) {
        for process in &mut self.children {
            if let Some(pid) = process.child.id().and_then(|id| rustix::process::Pid::from_raw(i32::try_from(id).ok()?))
            {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            }
        }
        for process in &mut self.children {
            if tokio::time::timeout(Duration::from_secs(40), process.child.wait()).await.is_err() {
                let _ = process.child.kill().await;
            }
        }
    }
}

/// Starts a node; its process number is in a file beside its log.
fn spawn(config: &Path, log: &Path) -> anyhow::Result<Child> {
    let file = File::options()
        .create(true)
        .append(true)
        .open(log)
        .with_context(|| format!("cannot write {}", log.display()))?;
    let child = Command::new(std::env::current_exe()?)
        .args(["serve", "--config"])
        .arg(config)
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file)
        .kill_on_drop(true)
        .spawn()
        .context("cannot start a node")?;
    let partial = log.with_extension("pid.part");
    std::fs::write(&partial, child.id().unwrap_or_default().to_string())?;
    std::fs::rename(&partial, log.with_extension("pid"))?;
    Ok(child)
}
