//! Certificates that must be refused: NEGATIVE.md group A, at the exchange address of a running node.
//!
//! The tests have a demo to themselves: its lowest node also trusts the issuing CAs of three areas, which the demo's root
//! certified. One test at a time speaks to it, so that every refusal can be counted.

use std::io;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use simpul_certs::ca::{Ca, CaOptions, IntermediateOptions, IssueRequest, Reason, Role, Target};
use simpul_certs::testing::{Exchange, Hostile};
use simpul_core::id::TrustDomain;
use simpul_tests::{Credential, Demo, NodeInfo, Wire, alert_of, now, tls_config, unique, wait_until};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::{Mutex, MutexGuard};

const NODE: &str = "kecamatan";
const REQUEST: &[u8] = b"GET /v1/datasets HTTP/1.1\r\nhost: simpul\r\n\r\n";
/// The time that a new list has to take effect.
const RELOADED: Duration = Duration::from_secs(5);

struct World {
    demo: Demo,
    exchange: Exchange,
    /// The issuing CA of 64.04, which A07 revokes.
    doomed: Ca,
    turn: Mutex<()>,
}

fn area(root: &Ca, dir: &std::path::Path, prefix: &str) -> Ca {
    let options = IntermediateOptions::area(format!("Penerbit {prefix}"), prefix.parse().expect("an area"));
    root.issue_intermediate(&dir.join(prefix), &options, now()).expect("an issuing CA")
}

impl World {
    /// The world, for one test at a time.
    async fn get() -> (&'static Self, MutexGuard<'static, ()>) {
        static WORLD: OnceLock<World> = OnceLock::new();
        let world = WORLD.get_or_init(Self::make);
        (world, world.turn.lock().await)
    }

    fn make() -> Self {
        let demo = Demo::own();
        let dir = demo.dir.join("penerbit");
        let root = Ca::open(&demo.ready.ca_dir, now()).expect("the CA of the demo");
        let domain = TrustDomain::new("satudata.test").expect("a trust domain");
        let stranger = Ca::init(&dir.join("asing"), &CaOptions::root(root.name(), domain), now()).expect("a CA");
        let [issuing, neighbour, doomed] = ["64.02", "64.03", "64.04"].map(|prefix| area(&root, &dir, prefix));
        let config = &demo.node(NODE).config;
        let text = std::fs::read_to_string(config).expect("the node's configuration");
        let lists = [&root, &issuing, &neighbour, &doomed].map(|ca| ca.crl_path().display().to_string());
        let line = text.lines().find(|line| line.starts_with("crl = ")).expect("the lists of the node").to_owned();
        std::fs::write(config, text.replace(&line, &format!("crl = {lists:?}"))).expect("the configuration");
        let before = demo.pid(NODE);
        demo.signal(NODE, "TERM");
        let started = Instant::now();
        while demo.pid(NODE) == before || std::net::TcpStream::connect(Self::address_of(&demo)).is_err() {
            assert!(started.elapsed() < Duration::from_secs(60), "the node did not come back\n{}", demo.log(NODE));
            std::thread::sleep(Duration::from_millis(50));
        }
        let exchange = Exchange { dir, root, issuing, neighbour, stranger };
        Self { demo, exchange, doomed, turn: Mutex::new(()) }
    }

    fn address_of(demo: &Demo) -> std::net::SocketAddr {
        NodeInfo::address(&demo.node(NODE).exchange)
    }

    /// One connection with `credential` and one request on it.
    async fn ask(&self, credential: Option<&Credential>) -> io::Result<Vec<u8>> {
        let mut config = tls_config(&self.demo.ready.ca, credential);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let mut wire = Wire::open(Self::address_of(&self.demo), config).await?;
        let request = [&REQUEST[..REQUEST.len() - 2], b"connection: close\r\n\r\n"].concat();
        // The alert may come before or after the request is written; the read has it.
        let written = wire.write(&request).await;
        let read = wire.read_to_end().await?;
        if read.is_empty() { written.and(Err(io::ErrorKind::UnexpectedEof.into())) } else { Ok(read) }
    }

    async fn refused_handshakes(&self) -> f64 {
        self.demo.metric(NODE, "simpul_tls_refused_total", &[("entrance", "exchange")]).await
    }

    async fn entries(&self) -> Vec<Value> {
        self.demo.audit_entries(NODE, "action=tls.refuse").await
    }

    /// `attempt` ends in the alert `wanted`, is counted once, and leaves one entry that tells `why`.
    async fn alerts(&self, wanted: &str, why: &str, attempt: impl Future<Output = io::Result<Vec<u8>>>) {
        let (counted, recorded) = (self.refused_handshakes().await, self.entries().await.len());
        let error = match attempt.await {
            Err(error) => error,
            Ok(answer) => panic!("answered: {}", String::from_utf8_lossy(&answer)),
        };
        assert_eq!(alert_of(&error).as_deref(), Some(wanted), "{error:?}");
        let entries = wait_until("the refusal is recorded", RELOADED, async || {
            let entries = self.entries().await;
            (entries.len() > recorded).then_some(entries)
        })
        .await;
        assert_eq!(entries.len(), recorded + 1, "{entries:#?}");
        let entry = entries.last().expect("an entry");
        assert_eq!(
            json!([entry["object"], entry["outcome"], entry["reason"]]),
            json!(["exchange", "refused", "handshake"])
        );
        let told = entry["details"]["error"].as_str().expect("the error");
        assert!(told.contains(why), "recorded as {told:?}, not {why:?}");
        assert_eq!(entry["details"]["peer"], json!("127.0.0.1"));
        assert!((self.refused_handshakes().await - counted - 1.0).abs() < 0.5, "not counted once");
    }

    /// The handshake passes, and the request is answered 403 with `code`; then the connection closes.
    async fn forbids(&self, code: &str, hostile: Hostile) {
        let credential = self.exchange.hostile(hostile, now()).expect("a hostile certificate");
        let counter = [("reason", code)];
        let counted = self.demo.metric(NODE, "gw_reject_total", &counter).await;
        let mut config = tls_config(&self.demo.ready.ca, Some(&credential));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let mut wire = Wire::open(Self::address_of(&self.demo), config).await.expect("a handshake");
        wire.write(REQUEST).await.expect("an open connection");
        let (status, _, body) = wire.read_answer().await.expect("an answer");
        let problem: Value = serde_json::from_slice(&body).expect("a problem");
        assert_eq!((status, &problem["type"]), (403, &json!(format!("urn:simpul:problem:{code}"))), "{problem}");
        assert!(wire.read_to_end().await.expect("a closed connection").is_empty(), "the connection stays open");
        let entries = self.demo.audit_entries(NODE, "action=datasets.list&outcome=refused").await;
        let about: Vec<&Value> =
            entries.iter().filter(|entry| entry["details"]["request"] == problem["request"]).collect();
        assert_eq!(about.len(), 1, "{about:#?}");
        assert_eq!(json!([about[0]["reason"], about[0]["actor"]]), json!([code, "anonymous"]));
        assert!((self.demo.metric(NODE, "gw_reject_total", &counter).await - counted - 1.0).abs() < 0.5);
    }

    fn issue(&self, ca: &Ca, who: &str) -> Credential {
        let (agency, client) = who.split_once('/').expect("agency/client");
        let issued = ca.issue(&IssueRequest::client(Demo::identity(agency, client), 30), now()).expect("a certificate");
        Credential::from_pem(&issued.certificate.chain_pem, &issued.key_pem).expect("a chain in PEM")
    }

    /// The certificate is a good one: its holder is asked for a token.
    async fn control(&self, credential: &Credential) {
        let answer = self.ask(Some(credential)).await.expect("an answer");
        assert!(answer.starts_with(b"HTTP/1.1 401"), "{}", String::from_utf8_lossy(&answer));
    }

    /// Asks until the handshake is refused: the node has read the new list.
    async fn reloaded(&self, credential: &Credential) {
        wait_until("the new list takes effect", RELOADED, async || self.ask(Some(credential)).await.err()).await;
    }
}

/// A hostile certificate that ends in an alert.
macro_rules! alert {
    ($name:ident, $($kind:ident => $alert:literal, $why:literal);+) => {
        #[tokio::test]
        async fn $name() {
            let (world, _turn) = World::get().await;
            $(
                let credential = world.exchange.hostile(Hostile::$kind, now()).expect("a hostile certificate");
                world.alerts($alert, $why, world.ask(Some(&credential))).await;
            )+
        }
    };
}

#[tokio::test]
async fn a01_without_a_certificate_the_handshake_fails() {
    let (world, _turn) = World::get().await;
    world.control(&world.issue(&world.exchange.issuing, "64.02.uji/kontrol")).await;
    world.alerts("certificate_required", "no certificates", world.ask(None)).await;
}

alert!(a02_a_certificate_of_an_unknown_root_fails_the_handshake, OtherRoot => "unknown_ca", "UnknownIssuer");
alert!(a03_an_intermediate_neither_sent_nor_configured_fails_the_handshake, IntermediateMissing => "unknown_ca", "UnknownIssuer");
alert!(a04_an_expired_certificate_fails_the_handshake, Expired => "certificate_expired", "certificate expired");
alert!(a05_a_certificate_that_is_not_yet_valid_fails_the_handshake, NotYetValid => "certificate_expired", "not valid yet");

#[tokio::test]
async fn a06_a_revoked_certificate_fails_the_handshake() {
    let (world, _turn) = World::get().await;
    let credential = world.issue(&world.exchange.issuing, "64.02.uji/dicabut");
    world.control(&credential).await;
    let target = Target::Identity(Demo::identity("64.02.uji", "dicabut"));
    world.exchange.issuing.revoke(&target, Reason::KeyCompromise, now()).expect("a revocation");
    world.reloaded(&credential).await;
    world.alerts("certificate_revoked", "Revoked", world.ask(Some(&credential))).await;
}

#[tokio::test]
async fn a07_a_certificate_under_a_revoked_intermediate_fails_the_handshake() {
    let (world, _turn) = World::get().await;
    let credential = world.issue(&world.doomed, "64.04.uji/sistem");
    world.control(&credential).await;
    let root = &world.exchange.root;
    let record = root
        .list()
        .expect("the index")
        .into_iter()
        .find(|record| record.role == Role::Ca && record.subject.contains("64.04"));
    let target = Target::Serial(record.expect("the issuing CA in the index of the root").serial);
    root.revoke(&target, Reason::KeyCompromise, now()).expect("a revocation");
    world.reloaded(&credential).await;
    world.alerts("certificate_revoked", "Revoked", world.ask(Some(&credential))).await;
}

alert!(a08_an_issuer_without_a_list_fails_the_handshake, IssuerWithoutList => "unknown_ca", "UnknownRevocationStatus");

#[tokio::test]
async fn a09_a_list_that_is_no_longer_current_fails_the_handshake() {
    let (world, _turn) = World::get().await;
    let credential = world.issue(&world.exchange.neighbour, "64.03.uji/sistem");
    world.control(&credential).await;
    world.exchange.neighbour.publish_crl(now().plus_seconds(-400 * 86_400)).expect("an old list");
    world.reloaded(&credential).await;
    world.alerts("unknown_ca", "revocation list expired", world.ask(Some(&credential))).await;
    // The clients of other issuers are not touched, and a new list heals it.
    world.control(&world.issue(&world.exchange.issuing, "64.02.uji/kontrol-9")).await;
    world.exchange.neighbour.publish_crl(now()).expect("a new list");
    wait_until("the new list takes effect", RELOADED, async || world.ask(Some(&credential)).await.ok()).await;
}

alert!(a13_a_certificate_for_servers_only_fails_the_handshake, ServerAuthOnly => "unsupported_certificate", "InvalidPurpose");
alert!(a14_a_certificate_without_extended_key_usage_fails_the_handshake, NoKeyUsage => "unsupported_certificate", "InvalidPurpose");

#[tokio::test]
async fn a15_a_certificate_without_exactly_one_identity_of_the_exchange_is_answered_403() {
    let (world, _turn) = World::get().await;
    for kind in [Hostile::NoSan, Hostile::NoUri, Hostile::TwoUris, Hostile::NotSpiffe, Hostile::WrongDomain] {
        world.forbids("identity_invalid", kind).await;
    }
}

#[tokio::test]
async fn a16_a_ca_that_names_an_agency_outside_its_area_is_answered_403() {
    let (world, _turn) = World::get().await;
    world.forbids("identity_issuer_mismatch", Hostile::RogueArea).await;
}

alert!(a17_a_ca_certificate_as_a_clients_fails_the_handshake, CaAsClient => "certificate_unknown", "CaUsedAsEndEntity");
alert!(
    a18_weak_keys_and_signatures_fail_the_handshake,
    Rsa1024 => "bad_certificate", "BadEncoding";
    Sha1 => "bad_certificate", "BadEncoding";
    CurveP192 => "bad_certificate", "BadEncoding"
);

#[tokio::test]
async fn a19_a_client_that_speaks_tls_1_2_only_is_told_the_version() {
    let (world, _turn) = World::get().await;
    // A ClientHello of TLS 1.2 with ECDHE-ECDSA-AES128-GCM, its curves and signatures, and no supported_versions.
    let extensions = [&[0, 10, 0, 4, 0, 2, 0, 23][..], &[0, 11, 0, 2, 1, 0], &[0, 13, 0, 4, 0, 2, 4, 3]].concat();
    let mut hello = vec![3, 3];
    hello.extend([7; 32]);
    hello.extend([0, 0, 4, 0xc0, 0x2b, 0, 0xff, 1, 0]);
    hello.extend(u16::try_from(extensions.len()).expect("short").to_be_bytes());
    hello.extend(extensions);
    let length = u16::try_from(hello.len()).expect("short");
    let handshake = [&[1, 0][..], &length.to_be_bytes(), &hello].concat();
    let record = [&[22, 3, 1][..], &(length + 4).to_be_bytes(), &handshake].concat();
    let (counted, recorded) = (world.refused_handshakes().await, world.entries().await.len());
    let mut stream = tokio::net::TcpStream::connect(World::address_of(&world.demo)).await.expect("a connection");
    stream.write_all(&record).await.expect("an open connection");
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await;
    read.expect("the node closes").expect("an answer");
    // Alert, fatal, protocol_version.
    assert_eq!((answer[0], &answer[5..7]), (21, &[2, 70][..]), "{answer:?}");
    wait_until("the refusal is recorded", RELOADED, async || {
        (world.entries().await.len() == recorded + 1).then_some(())
    })
    .await;
    assert!((world.refused_handshakes().await - counted - 1.0).abs() < 0.5);
}

#[tokio::test]
async fn a20_no_ticket_is_given_that_would_outlive_a_revocation() {
    let (world, _turn) = World::get().await;
    let credential = world.issue(&world.exchange.issuing, "64.02.uji/tiket");
    let mut config = tls_config(&world.demo.ready.ca, Some(&credential));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // Clones share the memory of sessions: a second connection would resume the first if it could.
    let address = World::address_of(&world.demo);
    let mut wire = Wire::open(address, config.clone()).await.expect("a handshake");
    wire.write(REQUEST).await.expect("an open connection");
    let (status, _, _) = wire.read_answer().await.expect("an answer");
    assert_eq!(status, 401);
    assert_eq!(wire.0.get_ref().1.tls13_tickets_received(), 0, "a ticket was given");
    let target = Target::Identity(Demo::identity("64.02.uji", "tiket"));
    world.exchange.issuing.revoke(&target, Reason::KeyCompromise, now()).expect("a revocation");
    world.reloaded(&credential).await;
    let again = async {
        let mut wire = Wire::open(address, config).await?;
        wire.write(REQUEST).await?;
        wire.read_to_end().await
    };
    world.alerts("certificate_revoked", "Revoked", again).await;
}

#[tokio::test]
async fn a21_a_certificate_revoked_while_its_connection_is_open_is_answered_401_within_5_s_and_closed() {
    let (world, _turn) = World::get().await;
    let name = unique("terbuka");
    let client = world.demo.enroll(NODE, "64.02.uji", &name, "consumer").await;
    let token = client.token().await;
    let request = format!("GET /v1/datasets HTTP/1.1\r\nhost: simpul\r\nauthorization: Bearer {token}\r\n\r\n");
    let mut config = tls_config(&world.demo.ready.ca, Some(&client.credential));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let mut wire = Wire::open(World::address_of(&world.demo), config).await.expect("a handshake");
    wire.write(request.as_bytes()).await.expect("an open connection");
    assert_eq!(wire.read_answer().await.expect("an answer").0, 200);
    let identity = Demo::identity("64.02.uji", &name);
    world
        .exchange
        .root
        .revoke(&Target::Identity(identity.clone()), Reason::KeyCompromise, now())
        .expect("a revocation");
    let started = Instant::now();
    let (head, body) = loop {
        assert!(started.elapsed() < RELOADED, "a revoked certificate is served for more than {RELOADED:?}");
        wire.write(request.as_bytes()).await.expect("an open connection");
        let (status, head, body) = wire.read_answer().await.expect("an answer");
        if status != 200 {
            assert_eq!(status, 401, "{head}");
            break (head, body);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert!(head.to_ascii_lowercase().contains("www-authenticate: bearer"), "{head}");
    let problem: Value = serde_json::from_slice(&body).expect("a problem");
    assert_eq!(problem["type"], json!("urn:simpul:problem:certificate_revoked"));
    assert!(wire.read_to_end().await.expect("a closed connection").is_empty(), "the connection stays open");
    let entries = world.demo.audit_entries(NODE, &format!("actor={identity}&outcome=refused")).await;
    assert!(entries.iter().any(|entry| entry["reason"] == json!("certificate_revoked")), "{entries:#?}");
}

#[tokio::test]
async fn a22_a_chain_of_200_certificates_ends_the_connection_before_it_is_read() {
    let (world, _turn) = World::get().await;
    let counted = world.refused_handshakes().await;
    let credential = world.exchange.hostile(Hostile::HugeChain, now()).expect("a hostile certificate");
    let answer = world.ask(Some(&credential)).await;
    assert!(answer.is_err(), "answered");
    wait_until("it is counted", RELOADED, async || (world.refused_handshakes().await > counted).then_some(())).await;
}
