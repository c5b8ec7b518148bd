use proptest::prelude::*;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType, date_time_ymd,
};
use serde_json::json;
use simpul_core::delivery::{Mode, RowCounts};
use simpul_core::receipt::Outcome;

use super::*;

const NODE_ID: &str = "spiffe://satudata.test/64.02.diskominfo/simpul";

type Ca = CertifiedIssuer<'static, KeyPair>;

fn ca_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.not_before = date_time_ymd(2026, 1, 1);
    params.not_after = date_time_ymd(2036, 1, 1);
    params
}

fn root(name: &str) -> Ca {
    CertifiedIssuer::self_signed(ca_params(name), KeyPair::generate().unwrap()).unwrap()
}

fn below(parent: &Ca, name: &str) -> Ca {
    CertifiedIssuer::signed_by(ca_params(name), KeyPair::generate().unwrap(), parent).unwrap()
}

fn leaf_params(uris: &[&str]) -> CertificateParams {
    let mut params = CertificateParams::new(vec!["simpul.kukar.test".to_owned()]).unwrap();
    params.subject_alt_names.extend(uris.iter().map(|uri| SanType::URI((*uri).try_into().unwrap())));
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.not_before = date_time_ymd(2026, 11, 1);
    params.not_after = date_time_ymd(2026, 12, 1);
    params
}

fn leaf(issuer: &Ca, key: &SigningKey, params: &CertificateParams) -> Vec<u8> {
    let pair = KeyPair::from_pem(&key.to_pem().unwrap()).unwrap();
    params.signed_by(&pair, issuer).unwrap().der().to_vec()
}

fn der(ca: &Ca) -> Vec<u8> {
    ca.der().to_vec()
}

fn receipt() -> Receipt {
    Receipt {
        node: NODE_ID.parse().unwrap(),
        delivery: "019a".into(),
        dataset: "penduduk-wilayah".parse().unwrap(),
        contract_version: "1.0.0".into(),
        code_lists: Vec::new(),
        source: "64.02.dukcapil/simpeg".into(),
        origin: "64.02.dukcapil/simpeg".into(),
        sequence: Some(7),
        mode: Mode::Append,
        outcome: Outcome::Accepted,
        because: None,
        rows: RowCounts::default(),
        payload_sha256: Some(Digest::of(b"file")),
        table_version: Some(3),
        time: Timestamp::parse("2026-11-21T14:02:11Z").unwrap(),
        audit_index: 12,
    }
}

/// A root, an issuing CA, a node.
struct Bench {
    root: Ca,
    issuing: Ca,
    key: SigningKey,
}

impl Bench {
    fn new() -> Self {
        let root = root("root");
        let issuing = below(&root, "issuing");
        Self { root, issuing, key: SigningKey::generate().unwrap() }
    }

    fn chain(&self) -> Vec<Vec<u8>> {
        self.chain_with(&leaf_params(&[NODE_ID]))
    }

    fn chain_with(&self, params: &CertificateParams) -> Vec<Vec<u8>> {
        vec![leaf(&self.issuing, &self.key, params), der(&self.issuing), der(&self.root)]
    }

    fn good(&self) -> String {
        sign_receipt(&receipt(), &self.key, &self.chain()).unwrap()
    }

    /// Signs without any of the checks of [`sign_receipt`].
    fn signed(&self, chain: &[Vec<u8>], change: impl Fn(&mut Header), payload: &Value) -> String {
        let mut header = Header::new(Algorithm::ES256);
        header.typ = Some(TYPE.to_owned());
        header.x5c = Some(chain.iter().map(|der| BASE64_STANDARD.encode(der)).collect());
        change(&mut header);
        self.key.sign(&header, payload).unwrap()
    }

    fn content(&self) -> Value {
        serde_json::to_value(receipt()).unwrap()
    }
}

#[test]
fn a_receipt_verifies_against_its_root_long_after_its_certificates_expired() {
    let bench = Bench::new();
    let jws = bench.good();
    let verified = verify_receipt(&jws, Some(&[der(&root("another")), der(&bench.root)])).unwrap();
    assert_eq!(verified.receipt, receipt());
    assert_eq!(verified.node.to_string(), NODE_ID);
    assert_eq!(verified.root_fingerprint, Digest::of(&der(&bench.root)));
    let (_, issuing) = X509Certificate::from_der(bench.issuing.der()).unwrap();
    assert_eq!(verified.issuer, Digest::of(issuing.public_key().raw));
    assert!(verified.pinned);
    let shown = decode_unverified(&jws).unwrap();
    assert_eq!((&shown.header["typ"], &shown.payload["sequence"]), (&json!(TYPE), &json!(7)));
}

#[test]
fn without_a_root_it_verifies_to_the_root_inside_and_says_so() {
    let bench = Bench::new();
    let verified = verify_receipt(&bench.good(), None).unwrap();
    assert!(!verified.pinned);
    assert_eq!(verified.root_fingerprint, Digest::of(&der(&bench.root)));
    let short = sign_receipt(&receipt(), &bench.key, &bench.chain()[..2]).unwrap();
    assert_eq!(verify_receipt(&short, None), Err(ReceiptError::NoRoot));
    assert!(verify_receipt(&short, Some(&[der(&bench.root)])).unwrap().pinned);
}

#[test]
fn a_root_that_the_reader_does_not_know_is_refused() {
    let bench = Bench::new();
    let impostor = root("root");
    for roots in [vec![], vec![der(&impostor)], vec![b"junk".to_vec()]] {
        let outcome = verify_receipt(&bench.good(), Some(&roots));
        assert!(matches!(outcome, Err(ReceiptError::Untrusted(_))), "{outcome:?}");
    }
}

#[test]
fn the_issuer_is_the_one_of_the_path_and_not_the_next_in_the_list() {
    let bench = Bench::new();
    let rogue = below(&bench.root, "rogue");
    let chain =
        [leaf(&rogue, &bench.key, &leaf_params(&[NODE_ID])), der(&bench.issuing), der(&rogue), der(&bench.root)];
    let jws = sign_receipt(&receipt(), &bench.key, &chain).unwrap();
    let (_, rogue) = X509Certificate::from_der(rogue.der()).unwrap();
    assert_eq!(verify_receipt(&jws, None).unwrap().issuer, Digest::of(rogue.public_key().raw));
}

#[test]
fn the_root_may_issue_the_node_itself() {
    let (root, key) = (root("root"), SigningKey::generate().unwrap());
    let chain = [leaf(&root, &key, &leaf_params(&[NODE_ID])), der(&root)];
    let verified = verify_receipt(&sign_receipt(&receipt(), &key, &chain).unwrap(), None).unwrap();
    let (_, parsed) = X509Certificate::from_der(root.der()).unwrap();
    assert_eq!(verified.issuer, Digest::of(parsed.public_key().raw));
}

#[test]
fn a_certificate_that_is_not_a_nodes_cannot_sign() {
    let bench = Bench::new();
    let with = |change: &dyn Fn(&mut CertificateParams)| {
        let mut params = leaf_params(&[NODE_ID]);
        change(&mut params);
        let jws = bench.signed(&bench.chain_with(&params), |_| (), &bench.content());
        verify_receipt(&jws, Some(&[der(&bench.root)]))
    };
    assert!(with(&|_| ()).is_ok());
    let client = with(&|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]);
    assert_eq!(client, Err(ReceiptError::Leaf));
    let any = with(&|params| params.extended_key_usages.clear());
    assert_eq!(any, Err(ReceiptError::Leaf));
    let agreement = with(&|params| params.key_usages = vec![KeyUsagePurpose::KeyAgreement]);
    assert_eq!(agreement, Err(ReceiptError::Leaf));
    let two = with(&|params| params.subject_alt_names.push(SanType::URI("https://x.test".try_into().unwrap())));
    assert_eq!(two, Err(ReceiptError::Leaf));
    let nobody = with(&|params| params.subject_alt_names.clear());
    assert_eq!(nobody, Err(ReceiptError::Leaf));
    let authority = with(&|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    assert!(matches!(authority, Err(ReceiptError::Untrusted(_))), "{authority:?}");
}

#[test]
fn a_receipt_outside_the_validity_of_its_chain_is_refused() {
    let bench = Bench::new();
    for time in ["2026-10-31T23:59:59Z", "2026-12-01T00:00:01Z", "2037-01-01T00:00:00Z", "1969-12-31T00:00:00Z"] {
        let late = Receipt { time: Timestamp::parse(time).unwrap(), ..receipt() };
        let jws = sign_receipt(&late, &bench.key, &bench.chain()).unwrap();
        for roots in [None, Some(&[der(&bench.root)][..])] {
            let outcome = verify_receipt(&jws, roots);
            assert!(matches!(outcome, Err(ReceiptError::Untrusted(_))), "{time}: {outcome:?}");
        }
    }
}

#[test]
fn a_root_that_had_expired_at_the_time_is_refused() {
    let bench = Bench::new();
    let mut params = leaf_params(&[NODE_ID]);
    params.not_after = date_time_ymd(2040, 1, 1);
    let issuing = {
        let mut params = ca_params("issuing");
        params.not_after = date_time_ymd(2040, 1, 1);
        CertifiedIssuer::signed_by(params, KeyPair::generate().unwrap(), &bench.root).unwrap()
    };
    let chain = [leaf(&issuing, &bench.key, &params), der(&issuing), der(&bench.root)];
    for (time, holds) in [("2035-12-31T00:00:00Z", true), ("2036-01-02T00:00:00Z", false)] {
        let receipt = Receipt { time: Timestamp::parse(time).unwrap(), ..receipt() };
        let jws = sign_receipt(&receipt, &bench.key, &chain).unwrap();
        assert_eq!(verify_receipt(&jws, Some(&[der(&bench.root)])).is_ok(), holds, "{time}");
        assert_eq!(verify_receipt(&jws, None).is_ok(), holds, "{time}");
    }
}

#[test]
fn another_node_in_the_content_is_refused() {
    let bench = Bench::new();
    let other = Receipt { node: "spiffe://satudata.test/64.03.diskominfo/simpul".parse().unwrap(), ..receipt() };
    assert_eq!(sign_receipt(&other, &bench.key, &bench.chain()), Err(SignError::NodeNotOfLeaf));
    let jws = bench.signed(&bench.chain(), |_| (), &serde_json::to_value(other).unwrap());
    assert!(matches!(verify_receipt(&jws, None), Err(ReceiptError::NodeOther { .. })));
}

#[test]
fn a_receipt_that_could_not_be_verified_is_not_signed() {
    let bench = Bench::new();
    let chain = bench.chain();
    let another = SigningKey::generate().unwrap();
    assert_eq!(sign_receipt(&receipt(), &another, &chain), Err(SignError::LeafNotOfKey));
    assert_eq!(sign_receipt(&receipt(), &bench.key, &[]), Err(SignError::Chain));
    assert_eq!(sign_receipt(&receipt(), &bench.key, &vec![chain[0].clone(); MAX_CHAIN + 1]), Err(SignError::Chain));
    assert_eq!(sign_receipt(&receipt(), &bench.key, &[vec![0; 9]]), Err(SignError::Leaf));
}

#[test]
fn only_the_header_of_a_receipt_is_accepted() {
    let bench = Bench::new();
    let with = |change: &dyn Fn(&mut Header)| {
        verify_receipt(&bench.signed(&bench.chain(), change, &bench.content()), None).unwrap_err()
    };
    assert_eq!(with(&|header| header.typ = Some("at+jwt".into())), ReceiptError::Header);
    assert_eq!(with(&|header| header.typ = None), ReceiptError::Header);
    assert_eq!(with(&|header| header.crit = Some(vec!["exp".into()])), ReceiptError::Header);
    assert_eq!(with(&|header| header.extras.insert("b64", false)), ReceiptError::Header);
    assert_eq!(with(&|header| header.kid = Some("k".into())), ReceiptError::Header);
    assert_eq!(with(&|header| header.x5c = None), ReceiptError::Header);
    assert_eq!(with(&|header| header.x5c = Some(vec![])), ReceiptError::Chain);
    assert_eq!(with(&|header| header.x5c = Some(vec!["AA".into()])), ReceiptError::Chain);
    assert_eq!(with(&|header| header.x5c = Some(vec!["AA==".into()])), ReceiptError::Leaf);
    assert_eq!(with(&|header| header.x5c = Some(vec!["AA==".into(); MAX_CHAIN + 1])), ReceiptError::Chain);
}

#[test]
fn only_a_receipt_is_accepted_as_content() {
    let bench = Bench::new();
    let mut content = bench.content();
    content["time"] = json!("yesterday");
    for content in [content, json!({})] {
        let jws = bench.signed(&bench.chain(), |_| (), &content);
        assert_eq!(verify_receipt(&jws, None), Err(ReceiptError::Content));
    }
    let long = format!("{}.e30.AA", "a".repeat(MAX_RECEIPT_BYTES));
    assert_eq!(verify_receipt(&long, None), Err(ReceiptError::Malformed(Malformed::TooLong)));
}

#[test]
fn no_single_bit_can_be_changed() {
    let bench = Bench::new();
    let (good, roots) = (bench.good(), [der(&bench.root)]);
    assert!(verify_receipt(&good, Some(&roots)).is_ok());
    for at in 0..good.len() {
        for bit in 0..7 {
            let mut bytes = good.clone().into_bytes();
            bytes[at] ^= 1 << bit;
            let text = String::from_utf8(bytes).unwrap();
            assert!(verify_receipt(&text, Some(&roots)).is_err(), "bit {bit} of byte {at}");
        }
    }
}

/// The certificate bytes change and the header is signed anew by the right key: then the chain must refuse.
#[test]
fn no_byte_of_a_certificate_above_the_leaf_can_be_changed() {
    let bench = Bench::new();
    let (chain, roots) = (bench.chain(), [der(&bench.root)]);
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let anywhere = (0..chain[1].len(), 1..=255_u8);
    runner
        .run(&anywhere, |(at, mask)| {
            let mut chain = chain.clone();
            chain[1][at] ^= mask;
            let jws = bench.signed(&chain, |_| (), &bench.content());
            prop_assert!(verify_receipt(&jws, Some(&roots)).is_err(), "byte {at} of the issuing certificate");
            Ok(())
        })
        .unwrap();
}

proptest! {
    #[test]
    fn any_text_is_refused_without_a_panic(text in "\\PC{0,200}", der in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(verify_receipt(&text, None).is_err());
        let _ = decode_unverified(&text);
        prop_assert!(Leaf::read(&der).is_none());
        prop_assert!(!signs_itself(&der));
    }
}
