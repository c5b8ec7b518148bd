//! The refusals of group A and E over real handshakes, in memory and on loopback.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::{fs, thread};

use rustls::client::ClientConfig;
use rustls::server::ServerConfig;
use rustls::{AlertDescription, CertificateError, ClientConnection, HandshakeKind, ServerConnection};
use rustls_pki_types::ServerName;
use simpul_core::time::Timestamp;
use tempfile::TempDir;

use crate::ca::{Ca, IssueRequest, Reason, Target};
use crate::error::CertError;
use crate::identity::AreaPrefix;
use crate::testing::{Exchange, Hostile, Refusal, TestClock, anonymous_client, identity};
use crate::tls::{ClientOptions, Listener, OwnCertificate, ServerTls, TlsFiles, client_config_with_clock};
use crate::trust::{TrustFiles, TrustStore};

const DAY: i64 = 86_400;
const NAME: &str = "64.02.dukcapil/simpeg";

struct World {
    exchange: Exchange,
    files: TlsFiles,
    tls: ServerTls,
    clock: Arc<TestClock>,
    now: Timestamp,
    _dir: TempDir,
}

/// A node of 64.02 under a clock; it begins at the real time, which the plain test clients use.
fn world() -> World {
    let now = Timestamp::from_millis(chrono::Utc::now().timestamp_millis());
    let dir = tempfile::tempdir().unwrap();
    let exchange = Exchange::new(dir.path(), now).unwrap();
    let files = exchange.node_files("simpul", 90, now).unwrap();
    let clock = TestClock::at(now);
    let tls = ServerTls::load_with_clock(files.clone(), clock.clone()).unwrap();
    World { exchange, files, tls, clock, now, _dir: dir }
}

struct Shaken {
    server: ServerConnection,
    client: ClientConnection,
    server_error: Option<rustls::Error>,
    client_error: Option<rustls::Error>,
}

impl Shaken {
    fn alert(&self) -> Option<AlertDescription> {
        match self.client_error {
            Some(rustls::Error::AlertReceived(alert)) => Some(alert),
            _ => None,
        }
    }
}

/// Carries bytes both ways until nobody has any more to send.
fn shake(server: Arc<ServerConfig>, client: Arc<ClientConfig>) -> Shaken {
    let mut server = ServerConnection::new(server).unwrap();
    let mut client = ClientConnection::new(client, ServerName::try_from("localhost").unwrap()).unwrap();
    let (mut server_error, mut client_error) = (None, None);
    loop {
        let mut flight = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut flight).unwrap();
        }
        let mut bytes = flight.as_slice();
        while !bytes.is_empty() && server_error.is_none() {
            server.read_tls(&mut bytes).unwrap();
            server_error = server.process_new_packets().err();
        }
        let mut answer = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut answer).unwrap();
        }
        if flight.is_empty() && answer.is_empty() {
            return Shaken { server, client, server_error, client_error };
        }
        let mut bytes = answer.as_slice();
        while !bytes.is_empty() && client_error.is_none() {
            client.read_tls(&mut bytes).unwrap();
            client_error = client.process_new_packets().err();
        }
    }
}

fn alert_name(alert: AlertDescription) -> &'static str {
    match alert {
        AlertDescription::UnknownCA => "unknown_ca",
        AlertDescription::CertificateExpired => "certificate_expired",
        AlertDescription::UnsupportedCertificate => "unsupported_certificate",
        AlertDescription::CertificateUnknown => "certificate_unknown",
        AlertDescription::BadCertificate => "bad_certificate",
        _ => "another",
    }
}

impl World {
    fn shake_with(&self, client: ClientConfig) -> Shaken {
        shake(self.tls.config(Listener::Exchange), Arc::new(client))
    }

    fn shake_as(&self, who: &str) -> Shaken {
        let credential = self.exchange.client(who, self.now).unwrap();
        self.shake_with(credential.client_config(&self.exchange.root).unwrap())
    }

    fn revoke(&self, ca: &Ca, who: &str, now: Timestamp) {
        ca.revoke(&Target::Identity(identity(who).unwrap()), Reason::KeyCompromise, now).unwrap();
    }
}

#[test]
fn a_good_client_is_known_by_its_identity() {
    let world = world();
    let shaken = world.shake_as(NAME);
    assert_eq!((&shaken.server_error, &shaken.client_error), (&None, &None));
    assert_eq!(shaken.server.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
    assert_eq!(shaken.server.alpn_protocol(), Some(b"h2".as_slice()));
    let group = shaken.server.negotiated_key_exchange_group().unwrap().name();
    assert_eq!(group, rustls::NamedGroup::X25519MLKEM768);
    let peer = world.tls.identify(shaken.server.peer_certificates().unwrap()).unwrap();
    assert_eq!(peer.identity, identity(NAME).unwrap());
    assert_eq!(peer.issuer, world.exchange.issuing.id());
    assert_eq!(peer.path.len(), 2);
    assert_eq!(peer.x5t_s256().len(), 43);
    let record = world.exchange.issuing.list().unwrap().pop().unwrap();
    assert_eq!((record.serial, record.thumbprint), (peer.serial.clone(), peer.thumbprint));
    world.tls.check_open(&peer).unwrap();
}

/// A02 to A05, A08, A13 to A18, A22.
#[test]
fn every_hostile_certificate_is_refused_in_the_way_written_down() {
    let world = world();
    let mut wrong = Vec::new();
    for kind in Hostile::ALL {
        let credential = world.exchange.hostile(kind, world.now).unwrap();
        let shaken = world.shake_with(credential.client_config(&world.exchange.root).unwrap());
        let seen = match (&shaken.server_error, shaken.alert()) {
            (Some(_), Some(alert)) => Refusal::Alert(alert_name(alert)),
            (Some(_), None) => Refusal::Closed,
            (None, None) => match world.tls.identify(shaken.server.peer_certificates().unwrap()) {
                Err(error) => Refusal::Code(error.refusal().unwrap()),
                Ok(peer) => panic!("{kind:?} is accepted as {}", peer.identity),
            },
            other => panic!("{kind:?}: {other:?}"),
        };
        if seen != kind.refusal() {
            wrong.push((kind, seen, shaken.server_error));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a01_a_client_without_certificate_is_refused_except_at_the_portal() {
    let world = world();
    let client = Arc::new(anonymous_client(&world.exchange.root).unwrap());
    for listener in [Listener::Exchange, Listener::Console] {
        let shaken = shake(world.tls.config(listener), client.clone());
        assert_eq!(shaken.server_error, Some(rustls::Error::NoCertificatesPresented));
        assert_eq!(shaken.alert(), Some(AlertDescription::CertificateRequired));
    }
    let shaken = shake(world.tls.config(Listener::Portal), client);
    assert_eq!((shaken.server_error, shaken.client_error), (None, None));
    let expired = world.exchange.hostile(Hostile::Expired, world.now).unwrap();
    let expired = Arc::new(expired.client_config(&world.exchange.root).unwrap());
    assert_eq!(shake(world.tls.config(Listener::Portal), expired).alert(), Some(AlertDescription::CertificateExpired));
}

#[test]
fn a06_a_revoked_client_is_refused_after_the_reload() {
    let world = world();
    let credential = world.exchange.client(NAME, world.now).unwrap();
    let client = || credential.client_config(&world.exchange.root).unwrap();
    assert_eq!(world.shake_with(client()).server_error, None);
    world.revoke(&world.exchange.issuing, NAME, world.now);
    assert!(world.tls.reload_if_changed().unwrap());
    assert!(!world.tls.reload_if_changed().unwrap());
    let shaken = world.shake_with(client());
    assert_eq!(shaken.server_error, Some(CertificateError::Revoked.into()));
    assert_eq!(shaken.alert(), Some(AlertDescription::CertificateRevoked));
}

#[test]
fn a07_everyone_under_a_revoked_issuing_ca_is_refused() {
    let world = world();
    let issued = world
        .exchange
        .neighbour
        .issue(&IssueRequest::client(identity("64.03.dukcapil/simpeg").unwrap(), 30), world.now)
        .unwrap();
    let credential = crate::testing::Credential::from_pem(&issued.certificate.chain_pem, &issued.key_pem).unwrap();
    let client = || credential.client_config(&world.exchange.root).unwrap();
    let shaken = world.shake_with(client());
    let peer = world.tls.identify(shaken.server.peer_certificates().unwrap()).unwrap();
    let serial =
        world.exchange.root.list().unwrap().into_iter().find(|r| r.subject == "Penerbit 64.03").unwrap().serial;
    world.exchange.root.revoke(&Target::Serial(serial.clone()), Reason::CessationOfOperation, world.now).unwrap();
    world.tls.reload().unwrap();
    assert_eq!(world.shake_with(client()).alert(), Some(AlertDescription::CertificateRevoked));
    assert!(matches!(world.tls.check_open(&peer), Err(CertError::Revoked { serial: s }) if s == serial));
    assert_eq!(world.shake_as(NAME).server_error, None);
}

#[test]
fn a09_nobody_gets_in_once_the_revocation_list_is_over_and_a_new_list_heals_it() {
    let world = world();
    let credential = world.exchange.client(NAME, world.now).unwrap();
    let client = || credential.client_config(&world.exchange.root).unwrap();
    let shaken = world.shake_with(client());
    let peer = world.tls.identify(shaken.server.peer_certificates().unwrap()).unwrap();
    let later = world.now.plus_seconds(60 * DAY);
    world.clock.set(later);
    let shaken = world.shake_with(client());
    let error = shaken.server_error.clone().unwrap();
    assert!(
        matches!(error, rustls::Error::InvalidCertificate(CertificateError::ExpiredRevocationListContext { .. })),
        "{error:?}"
    );
    assert_eq!(shaken.alert(), Some(AlertDescription::UnknownCA));
    assert!(matches!(world.tls.check_open(&peer), Err(CertError::Outlived { .. })));
    let status = world.tls.status().unwrap();
    assert!(status.is_degraded());
    assert!(status.warnings().iter().any(|line| line.contains("Penerbit 64.02")), "{:?}", status.warnings());
    assert!(world.exchange.issuing.refresh_crl(later).unwrap());
    world.tls.reload().unwrap();
    assert_eq!(world.shake_with(client()).server_error, None);
    world.tls.check_open(&peer).unwrap();
}

#[test]
fn a09_a_node_whose_list_is_over_still_starts_and_says_so() {
    let world = world();
    world.clock.set(world.now.plus_seconds(61 * DAY));
    let tls = ServerTls::load_with_clock(world.files.clone(), world.clock.clone()).unwrap();
    assert!(tls.status().unwrap().is_degraded());
}

#[test]
fn a10_a_broken_list_never_replaces_the_good_one() {
    let world = world();
    let path = world.exchange.issuing.crl_path();
    let good = fs::read(&path).unwrap();
    let epoch = world.tls.revocation_epoch();
    let cut = &good[..good.len() / 2];
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    for bad in [b"".as_slice(), cut, b"\n\n", &flipped, b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"] {
        fs::write(&path, bad).unwrap();
        assert!(world.tls.reload().is_err());
        assert_eq!(world.shake_as(NAME).server_error, None);
    }
    fs::remove_file(&path).unwrap();
    assert!(matches!(world.tls.reload_if_changed(), Err(CertError::Read { .. })));
    // Without the list at start, the node does not start.
    assert!(ServerTls::load(world.files.clone()).is_err());
    let status = world.tls.status().unwrap();
    assert!(status.is_degraded() && status.last_failure.is_some());
    assert_eq!(world.tls.revocation_epoch(), epoch);
}

#[test]
fn a10_a_list_in_force_may_not_be_left_out() {
    let world = world();
    let trust = &world.files.trust;
    let store = TrustStore::load(trust).unwrap();
    let fewer = TrustFiles { crls: trust.crls[..2].to_vec(), ..trust.clone() };
    assert!(matches!(TrustStore::load_after(&fewer, &store), Err(CertError::CrlGone { .. })));
    let none = TrustFiles { crls: Vec::new(), ..trust.clone() };
    assert!(matches!(TrustStore::load(&none).unwrap().check_serves(), Err(CertError::NoCrl)));
    let unpinned = TrustFiles { issuers: None, ..trust.clone() };
    assert!(matches!(TrustStore::load(&unpinned).unwrap().check_serves(), Err(CertError::NoIssuers)));
}

#[test]
fn a11_a_list_signed_by_a_namesake_is_refused_at_load() {
    let world = world();
    fs::copy(world.exchange.stranger.crl_path(), world.exchange.root.crl_path()).unwrap();
    assert!(matches!(world.tls.reload(), Err(CertError::CrlSignature { .. })));
    let mut trust = world.files.trust.clone();
    trust.bundle = world.exchange.issuing.bundle_path();
    assert!(matches!(TrustStore::load(&trust), Err(CertError::CrlSignature { .. })));
    trust.crls = vec![world.exchange.neighbour.crl_path()];
    assert!(matches!(TrustStore::load(&trust), Err(CertError::CrlUnknownIssuer { .. })));
}

#[test]
fn a11_two_cas_of_one_name_cannot_both_have_a_list() {
    let world = world();
    let mut bundle = fs::read(&world.files.trust.bundle).unwrap();
    bundle.extend(fs::read(world.exchange.stranger.bundle_path()).unwrap());
    let mut trust = world.files.trust.clone();
    trust.bundle = world.exchange.dir.join("both.pem");
    fs::write(&trust.bundle, bundle).unwrap();
    trust.crls.push(world.exchange.stranger.crl_path());
    assert!(matches!(TrustStore::load(&trust), Err(CertError::CrlAmbiguous { .. })));
}

#[test]
fn a12_an_older_list_is_never_taken_back() {
    let world = world();
    let credential = world.exchange.client(NAME, world.now).unwrap();
    let path = world.exchange.issuing.crl_path();
    let old = fs::read(&path).unwrap();
    world.revoke(&world.exchange.issuing, NAME, world.now);
    world.tls.reload().unwrap();
    fs::write(&path, old).unwrap();
    let error = world.tls.reload().unwrap_err();
    assert!(
        matches!(&error, CertError::CrlRollback { loaded, offered, .. } if loaded == "2" && offered == "1"),
        "{error}"
    );
    let shaken = world.shake_with(credential.client_config(&world.exchange.root).unwrap());
    assert_eq!(shaken.alert(), Some(AlertDescription::CertificateRevoked));
}

#[test]
fn a19_a_client_that_speaks_only_tls_1_2_is_refused() {
    let world = world();
    let mut server = ServerConnection::new(world.tls.config(Listener::Exchange)).unwrap();
    // Version 3.3, 32 random bytes, no session, one suite (ECDHE-ECDSA-AES128-GCM), no compression;
    // extensions: P-256, ECDSA with SHA-256.
    let mut hello = vec![3, 3];
    hello.extend([7; 32]);
    hello.extend([0, 0, 2, 0xc0, 0x2b, 1, 0]);
    let extensions = [0, 10, 0, 4, 0, 2, 0, 23, 0, 13, 0, 4, 0, 2, 4, 3];
    hello.extend([0, extensions.len() as u8]);
    hello.extend(extensions);
    let mut record = vec![22, 3, 1, 0, (hello.len() + 4) as u8, 1, 0, 0, hello.len() as u8];
    record.extend(hello);
    server.read_tls(&mut record.as_slice()).unwrap();
    let error = server.process_new_packets().unwrap_err();
    assert!(matches!(error, rustls::Error::PeerIncompatible(_)), "{error:?}");
    let mut answer = Vec::new();
    server.write_tls(&mut answer).unwrap();
    assert_eq!(answer, [21, 3, 3, 0, 2, 2, 70], "a fatal protocol_version alert");
}

#[test]
fn a20_no_session_is_ever_resumed() {
    let world = world();
    let credential = world.exchange.client(NAME, world.now).unwrap();
    // This client would resume if it were given a ticket.
    let client = Arc::new(credential.client_config(&world.exchange.root).unwrap());
    for _ in 0..2 {
        let mut shaken = shake(world.tls.config(Listener::Exchange), client.clone());
        assert_eq!(shaken.server.handshake_kind(), Some(HandshakeKind::Full));
        assert_eq!(shaken.client.process_new_packets().unwrap().plaintext_bytes_to_read(), 0);
        assert_eq!(shaken.client.tls13_tickets_received(), 0);
    }
    world.revoke(&world.exchange.issuing, NAME, world.now);
    world.tls.reload().unwrap();
    let shaken = shake(world.tls.config(Listener::Exchange), client);
    assert_eq!(shaken.alert(), Some(AlertDescription::CertificateRevoked));
}

#[test]
fn a21_a_revocation_reaches_an_open_connection() {
    let world = world();
    let shaken = world.shake_as(NAME);
    let peer = world.tls.identify(shaken.server.peer_certificates().unwrap()).unwrap();
    let other = world.shake_as("64.02.bappeda/sipd");
    let other = world.tls.identify(other.server.peer_certificates().unwrap()).unwrap();
    let epoch = world.tls.revocation_epoch();
    assert!(!world.tls.is_revoked(&peer.issuer, &peer.serial));
    world.tls.check_open(&peer).unwrap();
    world.revoke(&world.exchange.issuing, NAME, world.now);
    world.tls.reload().unwrap();
    assert_eq!(world.tls.revocation_epoch(), epoch + 1);
    assert!(world.tls.is_revoked(&peer.issuer, &peer.serial));
    let error = world.tls.check_open(&peer).unwrap_err();
    assert_eq!(error.refusal(), Some("certificate_revoked"));
    world.tls.check_open(&other).unwrap();
}

#[test]
fn a_pin_that_is_withdrawn_reaches_an_open_connection() {
    let world = world();
    let shaken = world.shake_as(NAME);
    let peer = world.tls.identify(shaken.server.peer_certificates().unwrap()).unwrap();
    let path = world.files.trust.issuers.clone().unwrap();
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("\"64.02\"", "\"64.02\", \"64.04\"")).unwrap();
    world.tls.reload().unwrap();
    world.tls.check_open(&peer).unwrap();
    // The node's own certificate comes from the same CA: that is said, and the pins are in force.
    fs::write(&path, text.replace("\"64.02\"", "\"64.04\"")).unwrap();
    assert!(matches!(world.tls.reload(), Err(CertError::OwnRefused { .. })));
    let error = world.tls.check_open(&peer).unwrap_err();
    assert_eq!(error.refusal(), Some("identity_issuer_mismatch"));
}

#[test]
fn a_remembered_chain_is_refused_again_once_it_has_expired() {
    let world = world();
    let credential = world.exchange.client(NAME, world.now).unwrap();
    let client = || credential.client_config(&world.exchange.root).unwrap();
    let shaken = world.shake_with(client());
    let peer = world.tls.identify(shaken.server.peer_certificates().unwrap()).unwrap();
    // Both lists hold longer than the certificate in this test.
    world.clock.set(world.now.plus_seconds(50 * DAY));
    world.exchange.issuing.publish_crl(world.clock.now()).unwrap();
    world.exchange.neighbour.publish_crl(world.clock.now()).unwrap();
    world.tls.reload().unwrap();
    assert_eq!(world.shake_with(client()).server_error, None);
    world.clock.set(world.now.plus_seconds(90 * DAY + 1));
    assert_eq!(world.shake_with(client()).alert(), Some(AlertDescription::CertificateExpired));
    assert_eq!(world.tls.check_open(&peer).unwrap_err().refusal(), Some("certificate_expired"));
    world.clock.set(world.now.plus_seconds(-30 * DAY));
    assert_eq!(world.shake_with(client()).alert(), Some(AlertDescription::CertificateExpired), "not yet valid");
}

#[test]
fn a22_a_huge_chain_is_refused_before_64_kib_are_read() {
    let world = world();
    let credential = world.exchange.hostile(Hostile::HugeChain, world.now).unwrap();
    let config = Arc::new(credential.client_config(&world.exchange.root).unwrap());
    let mut client = ClientConnection::new(config, ServerName::try_from("localhost").unwrap()).unwrap();
    let mut server = ServerConnection::new(world.tls.config(Listener::Exchange)).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    server.read_tls(&mut bytes.as_slice()).unwrap();
    server.process_new_packets().unwrap();
    bytes.clear();
    while server.wants_write() {
        server.write_tls(&mut bytes).unwrap();
    }
    client.read_tls(&mut bytes.as_slice()).unwrap();
    client.process_new_packets().unwrap();
    let mut flight = Vec::new();
    while client.wants_write() {
        client.write_tls(&mut flight).unwrap();
    }
    assert!(flight.len() > 80_000, "the chain is huge: {} bytes", flight.len());
    let mut left = flight.as_slice();
    let error = loop {
        server.read_tls(&mut left).unwrap();
        if let Err(error) = server.process_new_packets() {
            break error;
        }
    };
    assert_eq!(error, rustls::Error::InvalidMessage(rustls::InvalidMessage::HandshakePayloadTooLarge));
    assert!(flight.len() - left.len() <= 65_536, "{} bytes were read", flight.len() - left.len());
}

#[test]
fn e02_e03_e04_e05_the_own_files_are_checked_before_they_are_used() {
    use std::os::unix::fs::PermissionsExt;
    let world = world();
    let load = |files: &TlsFiles| ServerTls::load_with_clock(files.clone(), world.clock.clone());
    let other = world.exchange.node_files("lain", 30, world.now).unwrap();
    let crossed = TlsFiles { key: other.key.clone(), ..world.files.clone() };
    assert!(matches!(load(&crossed), Err(CertError::KeyMismatch { .. })));
    fs::set_permissions(&other.key, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(load(&other), Err(CertError::KeyExposed { .. })));
    let empty = world.exchange.dir.join("empty.pem");
    fs::write(&empty, "").unwrap();
    let mut files = world.files.clone();
    files.trust.bundle = empty;
    assert!(matches!(load(&files), Err(CertError::EmptyBundle(_))));
    files.trust.bundle = world.files.cert.clone();
    assert!(matches!(load(&files), Err(CertError::NotACa { .. })));
    for at in [world.now.plus_seconds(91 * DAY), world.now.plus_seconds(-DAY)] {
        world.clock.set(at);
        assert!(matches!(load(&world.files), Err(CertError::OwnNotValid { .. })));
    }
}

#[test]
fn e03_a_reload_with_a_key_of_another_certificate_changes_nothing() {
    let world = world();
    let other = world.exchange.node_files("lain", 30, world.now).unwrap();
    fs::copy(&other.key, &world.files.key).unwrap();
    assert!(matches!(world.tls.reload(), Err(CertError::KeyMismatch { .. })));
    assert_eq!(world.shake_as(NAME).server_error, None);
    fs::copy(&other.cert, &world.files.cert).unwrap();
    world.tls.reload().unwrap();
    assert_eq!(world.tls.identity(), identity("64.02.diskominfo/lain").unwrap());
}

#[test]
fn a_mistake_in_the_own_certificate_does_not_keep_a_revocation_from_taking_effect() {
    let world = world();
    let credential = world.exchange.client(NAME, world.now).unwrap();
    let client = || credential.client_config(&world.exchange.root).unwrap();
    let epoch = world.tls.revocation_epoch();
    fs::remove_file(&world.files.cert).unwrap();
    world.revoke(&world.exchange.issuing, NAME, world.now);
    assert!(matches!(world.tls.reload(), Err(CertError::Read { .. })));
    assert_eq!(world.tls.revocation_epoch(), epoch + 1);
    assert_eq!(world.shake_with(client()).alert(), Some(AlertDescription::CertificateRevoked));
    assert!(world.tls.status().unwrap().is_degraded());

    let other = world.exchange.node_files("lain", 30, world.now).unwrap();
    fs::copy(other.cert, &world.files.cert).unwrap();
    fs::copy(other.key, &world.files.key).unwrap();
    assert!(world.tls.reload_if_changed().unwrap());
    assert!(!world.tls.status().unwrap().is_degraded());
    // The node's own certificate is revoked: the list that says so is in force all the same.
    world.revoke(&world.exchange.issuing, "64.02.diskominfo/lain", world.now);
    world.revoke(&world.exchange.issuing, "64.02.diskominfo/simpul", world.now);
    assert!(matches!(world.tls.reload(), Err(CertError::OwnRefused { .. })));
    assert_eq!(world.tls.revocation_epoch(), epoch + 3);
    assert!(!world.tls.reload_if_changed().unwrap(), "what was refused and did not change is not tried again");
}

#[test]
fn a_node_calls_with_its_own_certificate_and_the_trust_in_force() {
    let world = world();
    let call = |who: &str| {
        let expected = Some(identity(who).unwrap());
        shake(world.tls.config(Listener::Exchange), world.tls.client_config(expected).unwrap())
    };
    let shaken = call("64.02.diskominfo/simpul");
    let peer = world.tls.identify(shaken.server.peer_certificates().unwrap()).unwrap();
    assert_eq!(peer.identity, world.tls.identity());
    assert!(call("64.02.diskominfo/lain").client_error.is_some());
}

mod hostile_bytes {
    use proptest::prelude::*;
    use proptest::sample::Index;
    use rustls_pki_types::CertificateDer;

    use super::*;
    use crate::trust::Usage;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

        #[test]
        fn no_changed_byte_of_a_certificate_gets_in(at: Index, change in 1_u8.., above: bool) {
            static WORLD: std::sync::LazyLock<(World, TrustStore, Vec<CertificateDer<'static>>)> =
                std::sync::LazyLock::new(|| {
                    let world = world();
                    let chain = world.exchange.client(NAME, world.now).unwrap().chain;
                    let store = TrustStore::load(&world.files.trust).unwrap();
                    (world, store, chain)
                });
            let (world, store, chain) = &*WORLD;
            let mut leaf = chain[0].to_vec();
            let at = at.index(leaf.len());
            leaf[at] ^= change;
            let mut changed = vec![CertificateDer::from(leaf)];
            if above {
                changed.extend_from_slice(&chain[1..]);
            }
            prop_assert!(store.identify(&changed, Usage::Client, world.now).is_err(), "byte {at}");
        }

        #[test]
        fn no_changed_byte_of_a_list_is_loaded(at: Index, change in 1_u8..) {
            static LIST: std::sync::LazyLock<(World, Vec<u8>)> = std::sync::LazyLock::new(|| {
                let world = world();
                world.exchange.client(NAME, world.now).unwrap();
                world.revoke(&world.exchange.issuing, NAME, world.now);
                let pem = fs::read(world.exchange.issuing.crl_path()).unwrap();
                let der = <rustls_pki_types::CertificateRevocationListDer<'_> as rustls_pki_types::pem::PemObject>
                    ::from_pem_slice(&pem).unwrap();
                (world, der.to_vec())
            });
            let (world, der) = &*LIST;
            let mut der = der.clone();
            let at = at.index(der.len());
            der[at] ^= change;
            prop_assert!(crate::trust::load_crl_for_test(&world.files.trust.bundle, &der).is_err(), "byte {at}");
        }

        #[test]
        fn any_files_are_refused_without_a_panic(bundle: Vec<u8>, list: Vec<u8>, pins: Vec<u8>) {
            let dir = tempfile::tempdir().unwrap();
            let [bundle, list, pins] = [("b", bundle), ("l", list), ("p", pins)].map(|(name, bytes)| {
                let path = dir.path().join(name);
                fs::write(&path, bytes).unwrap();
                path
            });
            let trust_domain = "satudata.test".parse().unwrap();
            let files = TrustFiles { bundle, crls: vec![list], issuers: Some(pins), trust_domain };
            prop_assert!(TrustStore::load(&files).is_err());
        }
    }
}

#[test]
fn e04_a_certificate_that_peers_would_refuse_is_refused_at_load() {
    let world = world();
    let request = IssueRequest::client(identity("64.02.diskominfo/klien").unwrap(), 30);
    let (cert, key) =
        world.exchange.issuing.issue(&request, world.now).unwrap().write(&world.exchange.dir, "klien").unwrap();
    let files = TlsFiles { cert, key, trust: world.files.trust.clone() };
    let error = ServerTls::load_with_clock(files, world.clock.clone()).unwrap_err();
    assert!(matches!(error, CertError::OwnRefused { .. }), "a client certificate cannot serve: {error}");
}

#[test]
fn a_caller_checks_name_identity_and_revocation_of_the_node() {
    let world = world();
    let issued = world.exchange.issuing.issue(&IssueRequest::client(identity(NAME).unwrap(), 30), world.now).unwrap();
    let (cert, key) = issued.write(&world.exchange.dir, "caller").unwrap();
    let own = OwnCertificate::load(&cert, &key, world.now).unwrap();
    let call = |trust: &TrustFiles, expected: Option<&str>, own: Option<OwnCertificate>, listener| {
        let trust = Arc::new(TrustStore::load(trust).unwrap());
        let options = ClientOptions { trust, own, expected: expected.map(|text| identity(text).unwrap()) };
        shake(world.tls.config(listener), client_config_with_clock(options, world.clock.clone()).unwrap())
    };
    let full = &world.files.trust;
    let profile = TrustFiles { crls: Vec::new(), issuers: None, ..full.clone() };
    for trust in [full, &profile] {
        for expected in [None, Some("64.02.diskominfo/simpul")] {
            let shaken = call(trust, expected, Some(own.clone()), Listener::Exchange);
            assert_eq!((shaken.server_error, shaken.client_error), (None, None));
        }
        let shaken = call(trust, Some("64.02.diskominfo/lain"), Some(own.clone()), Listener::Exchange);
        let refused = CertificateError::ApplicationVerificationFailure;
        assert_eq!(shaken.client_error, Some(rustls::Error::InvalidCertificate(refused)));
        assert_eq!(call(trust, None, None, Listener::Portal).client_error, None);
    }
    let stranger = TrustFiles { bundle: world.exchange.stranger.bundle_path(), ..profile.clone() };
    let shaken = call(&stranger, None, None, Listener::Portal);
    assert_eq!(shaken.client_error, Some(CertificateError::UnknownIssuer.into()));
    world.revoke(&world.exchange.issuing, "64.02.diskominfo/simpul", world.now);
    let shaken = call(full, None, Some(own), Listener::Exchange);
    assert_eq!(shaken.client_error, Some(CertificateError::Revoked.into()));
}

#[test]
fn a_server_name_that_the_certificate_does_not_carry_is_refused() {
    let world = world();
    let trust = Arc::new(TrustStore::load(&world.files.trust).unwrap());
    let options = ClientOptions { trust, own: None, expected: None };
    let config = client_config_with_clock(options, world.clock.clone()).unwrap();
    let mut client = ClientConnection::new(config, ServerName::try_from("provinsi.test").unwrap()).unwrap();
    let mut server = ServerConnection::new(world.tls.config(Listener::Portal)).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    server.read_tls(&mut bytes.as_slice()).unwrap();
    server.process_new_packets().unwrap();
    bytes.clear();
    while server.wants_write() {
        server.write_tls(&mut bytes).unwrap();
    }
    client.read_tls(&mut bytes.as_slice()).unwrap();
    assert_eq!(client.process_new_packets().unwrap_err(), CertificateError::NotValidForName.into());
}

/// Fifty reloads while four callers open connections on loopback and hold others open.
#[test]
fn reloads_under_load_fail_no_handshake_and_drop_no_connection() {
    let world = world();
    let client = Arc::new(world.exchange.client(NAME, world.now).unwrap().client_config(&world.exchange.root).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, close, served) = (AtomicBool::new(false), AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        scope.spawn(|| {
            for stream in listener.incoming() {
                if close.load(Ordering::SeqCst) {
                    break;
                }
                scope.spawn(|| echo(stream.unwrap(), world.tls.config(Listener::Exchange)));
            }
        });
        let callers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut held = connect(address, &client);
                    while !stop.load(Ordering::SeqCst) {
                        ask(&mut held);
                        ask(&mut connect(address, &client));
                        served.fetch_add(1, Ordering::SeqCst);
                    }
                })
            })
            .collect();
        for _ in 0..50 {
            let before = served.load(Ordering::SeqCst);
            world.exchange.issuing.publish_crl(world.now).unwrap();
            world.tls.reload().unwrap();
            while served.load(Ordering::SeqCst) == before && !callers.iter().any(thread::ScopedJoinHandle::is_finished)
            {
                thread::yield_now();
            }
        }
        stop.store(true, Ordering::SeqCst);
        for caller in callers {
            caller.join().unwrap();
        }
        // Only now: a caller that was still connecting must have been served.
        close.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(address);
    });
    assert!(served.load(Ordering::SeqCst) >= 50);
    assert_eq!(world.tls.revocation_epoch(), 51);
}

type Stream = rustls::StreamOwned<ClientConnection, TcpStream>;

fn connect(address: std::net::SocketAddr, config: &Arc<ClientConfig>) -> Stream {
    let client = ClientConnection::new(config.clone(), ServerName::try_from("localhost").unwrap()).unwrap();
    rustls::StreamOwned::new(client, TcpStream::connect(address).unwrap())
}

fn ask(stream: &mut Stream) {
    stream.write_all(b"ping").unwrap();
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"ping");
}

fn echo(stream: TcpStream, config: Arc<ServerConfig>) {
    let mut stream = rustls::StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
    let mut bytes = [0; 4];
    while stream.read_exact(&mut bytes).is_ok() {
        stream.write_all(&bytes).unwrap();
    }
}

#[test]
fn a_ca_issues_nothing_outside_its_areas_its_exchange_or_its_time() {
    let world = world();
    let ca = &world.exchange.issuing;
    for who in ["64.03.dukcapil/x", "64.dinkes/x"] {
        let request = IssueRequest::client(identity(who).unwrap(), 30);
        assert!(matches!(ca.issue(&request, world.now), Err(CertError::OutsidePrefix { .. })), "{who}");
    }
    let mut foreign = IssueRequest::client(identity(NAME).unwrap(), 30);
    foreign.identity.trust_domain = "satudata.example".parse().unwrap();
    assert!(matches!(ca.issue(&foreign, world.now), Err(CertError::OutsidePrefix { .. })));
    let request = |days| IssueRequest::client(identity(NAME).unwrap(), days);
    assert!(matches!(ca.issue(&request(0), world.now), Err(CertError::BadValidity { .. })));
    assert!(matches!(ca.issue(&request(2_000), world.now), Err(CertError::OutlivesCa { .. })));
    let deeper = crate::ca::IntermediateOptions::area("Cucu", "64.02.05".parse().unwrap());
    let dir = world.exchange.dir.join("cucu");
    assert!(matches!(ca.issue_intermediate(&dir, &deeper, world.now), Err(CertError::OutsidePrefix { .. })));
    let names = IssueRequest::node(identity(NAME).unwrap(), vec!["bad name".to_owned()], Vec::new(), 30);
    assert!(matches!(ca.issue(&names, world.now), Err(CertError::BadName { .. })));
    assert!(matches!(
        Ca::init(
            &world.exchange.dir.join("root"),
            &crate::ca::CaOptions::root("X", "x.test".parse().unwrap()),
            world.now
        ),
        Err(CertError::Exists(_))
    ));
    assert_eq!(*ca.prefix(), "64.02".parse::<AreaPrefix>().unwrap());
}

#[test]
fn e16_a_request_gets_what_the_ca_decides_and_not_what_it_asks_for() {
    let world = world();
    let key = rcgen::KeyPair::generate().unwrap();
    let mut asked = rcgen::CertificateParams::new(vec!["evil.test".to_owned()]).unwrap();
    asked.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    asked.subject_alt_names.push(rcgen::SanType::URI("spiffe://satudata.test/64.03.bkd/x".try_into().unwrap()));
    let csr = asked.serialize_request(&key).unwrap().pem().unwrap();
    let request = IssueRequest::client(identity(NAME).unwrap(), 30);
    let signed = world.exchange.issuing.sign_csr(&csr, &request, world.now).unwrap();
    let credential = crate::testing::Credential::from_pem(&signed.chain_pem, &key.serialize_pem()).unwrap();
    let cert = crate::x509::parse(&credential.chain[0]).unwrap();
    assert!(!cert.is_ca());
    assert_eq!(cert.subject_alternative_name().unwrap().unwrap().value.general_names.len(), 1);
    let shaken = world.shake_with(credential.client_config(&world.exchange.root).unwrap());
    let peer = world.tls.identify(shaken.server.peer_certificates().unwrap()).unwrap();
    assert_eq!(peer.identity, identity(NAME).unwrap());

    let mut other = csr.clone();
    let middle = other.len() / 2;
    let swapped = if &other[middle..=middle] == "A" { "B" } else { "A" };
    other.replace_range(middle..=middle, swapped);
    for bad in ["", "x", &other] {
        let refused = world.exchange.issuing.sign_csr(bad, &request, world.now);
        assert!(matches!(refused, Err(CertError::BadRequest(_) | CertError::WeakKey(_))), "{refused:?}");
    }
}

#[test]
fn a_revocation_that_was_recorded_but_not_published_is_published_at_the_next_opening() {
    let world = world();
    let dir = world.exchange.dir.join("kab-6402");
    world.exchange.client(NAME, world.now).unwrap();
    let before = fs::read(dir.join("crl.pem")).unwrap();
    world.revoke(&world.exchange.issuing, NAME, world.now);
    fs::write(dir.join("crl.pem"), before).unwrap();
    let ca = Ca::open(&dir, world.now).unwrap();
    let (number, _) = crate::x509::crl_number_and_end(ca.crl().unwrap().as_bytes()).unwrap();
    assert_eq!(number, 2);
    let again = fs::read(dir.join("crl.pem")).unwrap();
    Ca::open(&dir, world.now).unwrap();
    assert_eq!(fs::read(dir.join("crl.pem")).unwrap(), again, "opening twice writes once");
    let nothing = ca.revoke(&Target::Identity(identity(NAME).unwrap()), Reason::Superseded, world.now);
    assert!(matches!(nothing, Err(CertError::NothingToRevoke(_))));
}

#[test]
fn two_at_once_issue_without_losing_a_record() {
    let world = world();
    let dir = world.exchange.dir.join("kab-6402");
    let before = world.exchange.issuing.list().unwrap().len();
    thread::scope(|scope| {
        for worker in 0..4 {
            let (dir, now) = (&dir, world.now);
            scope.spawn(move || {
                let ca = Ca::open(dir, now).unwrap();
                for n in 0..5 {
                    let who = identity(&format!("64.02.dukcapil/s{worker}x{n}")).unwrap();
                    ca.issue(&IssueRequest::client(who, 30), now).unwrap();
                }
            });
        }
    });
    let records = world.exchange.issuing.list().unwrap();
    assert_eq!(records.len(), before + 20);
    let serials: std::collections::HashSet<_> = records.iter().map(|record| &record.serial).collect();
    assert_eq!(serials.len(), records.len());
}
