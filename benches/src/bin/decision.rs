//! The access decision: an ES256 token and a thousand agreements, with what the door remembers and without.

use std::collections::{BTreeMap, HashMap};
use std::hint::black_box;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use simpul_benches::{Figures, Usage};
use simpul_certs::token::{self, AccessToken, Claims, KeySet, SigningKey, Verifier};
use simpul_core::access::{self, Request};
use simpul_core::agreement::{Agreement, Operation, Visibility};
use simpul_core::digest::Digest;
use simpul_core::id::{DatasetId, Identity};
use simpul_core::time::Timestamp;
use simpul_store::Store;
use simpul_store::registry::Agency;

const NODE: &str = "spiffe://satudata.test/64.02.05.diskominfo/simpul";
const CLIENT: &str = "spiffe://satudata.test/64.bps/statistik";

/// Measures a decision: token, then agreement.
#[derive(Parser)]
struct Options {
    /// Agreements at the node.
    #[arg(long, default_value_t = 1000)]
    agreements: usize,
    /// Decisions of each kind; those that read the registry are a hundredth of it.
    #[arg(long, default_value_t = 20_000)]
    count: u32,
    /// One line of JSON instead of a table.
    #[arg(long)]
    json: bool,
}

struct Scene {
    verifier: Verifier,
    token: String,
    thumbprint: Digest,
    identity: Identity,
    dataset: DatasetId,
    agreements: Vec<Agreement>,
    now: Timestamp,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let options = Options::parse();
    let scene = scene(options.agreements)?;
    let mut figures = Figures::new(format!("token and agreement, {} agreements", options.agreements));
    let own: Vec<Agreement> = scene.agreements.iter().filter(|agreement| scene.is_own(agreement)).cloned().collect();
    ensure!(!own.is_empty(), "an agreement of the client");
    let mut known = HashMap::from([(Digest::of(scene.token.as_bytes()), scene.verify()?)]);

    each(&mut figures, "token verified (ES256)", options.count, || scene.verify().map(drop))?;
    each(&mut figures, "token remembered", options.count, || scene.remembered(&mut known))?;
    each(&mut figures, "agreement among all", options.count, || scene.decide(&scene.agreements))?;
    each(&mut figures, "agreement among those of client and dataset", options.count, || scene.decide(&own))?;
    each(&mut figures, "decision, nothing remembered, all agreements", options.count, || {
        scene.verify()?;
        scene.decide(&scene.agreements)
    })?;
    each(&mut figures, "decision, token and agreements remembered", options.count, || {
        scene.remembered(&mut known)?;
        scene.decide(&own)
    })?;
    registry(&mut figures, &scene, options.count / 100).await?;
    figures.print(options.json);
    Ok(())
}

/// As the door does it: the agreements of client and dataset from the registry, at every request.
async fn registry(figures: &mut Figures, scene: &Scene, count: u32) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let store = Store::connect(&format!("sqlite:{}", folder.path().join("simpul.db").display())).await?;
    for code in ["64.02.05.diskominfo", "64.bps"] {
        let agency = Agency {
            code: code.parse()?,
            name: code.to_owned(),
            kind: String::new(),
            enabled: true,
            created_at: scene.now,
        };
        store.put_agency(&agency).await?;
    }
    for agreement in &scene.agreements {
        store.put_agreement(agreement, scene.now, CLIENT).await?;
    }
    let (before, started) = (Usage::own()?, Instant::now());
    for _ in 0..count {
        let found = store.agreements_for(&scene.identity.agency, &scene.dataset).await?;
        scene.decide(&found)?;
    }
    let (wall, cpu) = (started.elapsed().as_secs_f64(), Usage::own()?.cpu_since(&before));
    figures.add("agreement from the registry (SQLite)", wall * 1e6 / f64::from(count), "µs");
    figures.add("agreement from the registry (SQLite), CPU", cpu * 1e6 / f64::from(count), "µs");
    Ok(())
}

fn each(figures: &mut Figures, name: &str, count: u32, mut work: impl FnMut() -> Result<()>) -> Result<()> {
    for _ in 0..count / 10 {
        work()?;
    }
    let started = Instant::now();
    for _ in 0..count {
        work()?;
    }
    figures.add(name, started.elapsed().as_secs_f64() * 1e6 / f64::from(count), "µs");
    Ok(())
}

impl Scene {
    fn verify(&self) -> Result<AccessToken> {
        Ok(self.verifier.verify(black_box(&self.token), &self.thumbprint, &self.identity, self.now)?)
    }

    /// As the door does it on a connection that showed the token before.
    fn remembered(&self, known: &mut HashMap<Digest, AccessToken>) -> Result<()> {
        let found = known.get(&Digest::of(black_box(&self.token).as_bytes())).context("a remembered token")?;
        ensure!(self.now.seconds() < found.expires.seconds(), "the token has expired");
        black_box(found.clone());
        Ok(())
    }

    fn decide(&self, agreements: &[Agreement]) -> Result<()> {
        let request = Request { identity: &self.identity, operation: Operation::Read, dataset: &self.dataset };
        black_box(access::decide(&request, black_box(agreements), self.now)?);
        Ok(())
    }

    fn is_own(&self, agreement: &Agreement) -> bool {
        agreement.consumer == self.identity.agency && agreement.dataset == self.dataset
    }
}

/// Agreements over a hundred datasets, every second one of the client's agency; the one that grants is the last.
fn scene(count: usize) -> Result<Scene> {
    let (node, identity, key) = (NODE.to_owned(), CLIENT.parse::<Identity>()?, SigningKey::generate()?);
    let since = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let now = Timestamp::from_seconds(i64::try_from(since)?);
    let thumbprint = Digest::of(b"the certificate");
    let dataset: DatasetId = format!("data-{}", (count - 1) % 100).parse()?;
    let claims = Claims {
        iss: node.clone(),
        sub: identity.clone(),
        aud: node.clone(),
        scope: Operation::Read.scope(&dataset),
        purpose: None,
        client_thumbprint: thumbprint,
    };
    let token = token::issue(&key, &claims, now, 600, "satu")?;
    let agreements = (0..count).map(|index| agreement(index, now)).collect::<Result<_>>()?;
    let verifier = Verifier::new(node.clone(), node, KeySet::of([&key])?);
    Ok(Scene { verifier, token, thumbprint, identity, dataset, agreements, now })
}

fn agreement(index: usize, now: Timestamp) -> Result<Agreement> {
    let consumer = if index % 2 == 1 { "64.bps" } else { "64.02.05.diskominfo" };
    Ok(Agreement {
        id: format!("pks-{index}").parse()?,
        provider: "64.02.05.diskominfo".parse()?,
        consumer: consumer.parse()?,
        client: None,
        dataset: format!("data-{}", index % 100).parse()?,
        operations: vec![Operation::Read],
        columns: BTreeMap::from([("nik".to_owned(), Visibility::Masked)]),
        default_visibility: Visibility::Clear,
        rows: vec!["kode=like.64*".parse()?],
        purpose: "statistik".to_owned(),
        document: format!("PKS/{index}/2026"),
        valid_from: now.plus_seconds(-86_400),
        valid_until: now.plus_seconds(86_400),
        quota: None,
    })
}
