//! Every way of presenting a token that must not work, by the case numbers of the list of refusals.

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
};
use base64::prelude::BASE64_STANDARD;
use proptest::prelude::*;
use rustls_pki_types::{PrivatePkcs8KeyDer, pem::PemObject};
use serde_json::{Value, json};

use super::*;

const NOW: i64 = 1_795_000_000;
const ISSUER: &str = "https://simpul.kukar.test";
const AUDIENCE: &str = "https://simpul.kukar.test/v1";
const CLIENT: &str = "spiffe://satudata.test/64.02.dukcapil/simpeg";

fn b64(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// One issuer with an ES256 and an EdDSA key, one client, and a hand that signs any bytes as a token.
struct Bench {
    key: SigningKey,
    ed: Ed25519KeyPair,
    certificate: Digest,
    client: Identity,
}

impl Bench {
    fn new() -> Self {
        let key = SigningKey::generate().unwrap();
        let ed = Ed25519KeyPair::generate().unwrap();
        Self { key, ed, certificate: Digest::of(b"certificate"), client: CLIENT.parse().unwrap() }
    }

    fn verifier(&self) -> Verifier {
        let ed = json!({ "kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": b64(self.ed.public_key()) });
        let set = json!({ "keys": [self.key.public_jwk(), ed] });
        Verifier::new(ISSUER, AUDIENCE, KeySet::from_jwks(set.to_string().as_bytes()).unwrap())
    }

    fn verify(&self, token: &str) -> Result<AccessToken, TokenError> {
        self.verify_at(token, NOW)
    }

    fn verify_at(&self, token: &str, now: i64) -> Result<AccessToken, TokenError> {
        self.verifier().verify(token, &self.certificate, &self.client, Timestamp::from_seconds(now))
    }

    fn claims(&self) -> Claims {
        Claims {
            iss: ISSUER.into(),
            sub: self.client.clone(),
            aud: AUDIENCE.into(),
            scope: "dataset:penduduk-wilayah push".into(),
            purpose: Some("statistik".into()),
            client_thumbprint: self.certificate,
        }
    }

    fn good(&self) -> String {
        issue(&self.key, &self.claims(), Timestamp::from_seconds(NOW), 600, "t-1").unwrap()
    }

    fn header(&self) -> Value {
        json!({ "alg": "ES256", "typ": "at+jwt", "kid": self.key.kid() })
    }

    fn payload(&self) -> Value {
        json!({
            "iss": ISSUER, "sub": CLIENT, "aud": AUDIENCE, "iat": NOW, "exp": NOW + 600, "jti": "t-1",
            "scope": "push", "cnf": { "x5t#S256": b64(self.certificate.as_bytes()) },
        })
    }

    /// r and s over `message`.
    fn es256(&self, message: &str) -> Vec<u8> {
        let pem = self.key.to_pem().unwrap();
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der.secret_pkcs8_der()).unwrap();
        pair.sign(&SystemRandom::new(), message.as_bytes()).unwrap().as_ref().to_vec()
    }

    fn es256_asn1(&self, message: &str) -> Vec<u8> {
        let pem = self.key.to_pem().unwrap();
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, der.secret_pkcs8_der()).unwrap();
        pair.sign(&SystemRandom::new(), message.as_bytes()).unwrap().as_ref().to_vec()
    }

    /// A token of exactly these bytes, correctly signed.
    fn signed(&self, header: &str, payload: &str) -> String {
        let message = format!("{}.{}", b64(header), b64(payload));
        let signature = self.es256(&message);
        format!("{message}.{}", b64(signature))
    }

    fn with_header(&self, member: &str, value: Value) -> String {
        self.signed(&changed(self.header(), member, value), &self.payload().to_string())
    }

    fn with_claim(&self, member: &str, value: Value) -> String {
        self.signed(&self.header().to_string(), &changed(self.payload(), member, value))
    }

    fn without_claim(&self, member: &str) -> String {
        let mut payload = self.payload();
        payload.as_object_mut().unwrap().remove(member).unwrap();
        self.signed(&self.header().to_string(), &payload.to_string())
    }

    /// The payload with the text of one claim's value replaced, for values that JSON libraries do not write.
    fn with_raw_claim(&self, member: &str, raw: &str) -> String {
        let payload = changed(self.payload(), member, json!("@@")).replace("\"@@\"", raw);
        self.signed(&self.header().to_string(), &payload)
    }

    /// A good token with its signature replaced by `change` of it.
    fn resigned(&self, change: impl Fn(Vec<u8>) -> Vec<u8>) -> String {
        let token = self.good();
        let (message, signature) = token.rsplit_once('.').unwrap();
        format!("{message}.{}", b64(change(compact::base64url(signature).unwrap())))
    }
}

fn changed(mut object: Value, member: &str, value: Value) -> String {
    object[member] = value;
    object.to_string()
}

/// The order of the curve P-256.
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7,
    0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// ORDER - value.
fn negated(value: &[u8]) -> Vec<u8> {
    let (mut result, mut borrow) = (vec![0; 32], 0_i16);
    for i in (0..32).rev() {
        let digit = i16::from(ORDER[i]) - i16::from(value[i]) - borrow;
        borrow = i16::from(digit < 0);
        result[i] = u8::try_from(digit + 256 * borrow).unwrap();
    }
    result
}

type Row = (&'static str, String, &'static str);

fn outer_form(b: &Bench) -> Vec<Row> {
    let good = b.good();
    let parts: Vec<&str> = good.split('.').collect();
    let (header, payload, signature) = (parts[0], parts[1], parts[2]);
    // 64 bytes leave four unused bits in the last character of their base64url.
    let last = signature.chars().last().unwrap();
    let sibling = char::from_u32(u32::from(last) + 1).unwrap();
    let stray = format!("{}{sibling}", &good[..good.len() - 1]);
    let nested = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
    let crowded = changed(b.payload(), "scope", json!("x".repeat(8 * 1024)));
    vec![
        ("B06a", format!("{header}.{payload}."), "not_compact_jws"),
        ("B06b", format!("{header}.{payload}"), "not_compact_jws"),
        ("B06c", format!("{header}{payload}.{signature}"), "not_compact_jws"),
        ("B06d", format!("{good}."), "not_compact_jws"),
        ("B06e", format!(".{good}"), "not_compact_jws"),
        ("B06f", format!("{header}..{payload}.{signature}"), "not_compact_jws"),
        ("B06g", format!("{header}.{payload}.{signature}.{signature}.{signature}"), "not_compact_jws"),
        (
            "B06h",
            json!({ "protected": header, "payload": payload, "signature": signature }).to_string(),
            "not_compact_jws",
        ),
        ("B06i", "..".into(), "not_compact_jws"),
        ("B06j", String::new(), "not_compact_jws"),
        ("B06k", format!("{header}..{signature}"), "not_compact_jws"),
        ("B07a", format!("{good}=="), "bad_base64"),
        ("B07b", format!("{header}==.{payload}.{signature}"), "bad_base64"),
        ("B07c", format!("{good} "), "bad_base64"),
        ("B07d", format!(" {good}"), "bad_base64"),
        ("B07e", format!("{good}\n"), "bad_base64"),
        ("B07f", stray, "bad_base64"),
        ("B07g", format!("{}+{}", &good[..5], &good[6..]), "bad_base64"),
        ("B08a", duplicated(b, &b.header().to_string(), r#""alg":"none""#, true), "duplicate_member"),
        ("B08b", duplicated(b, &b.header().to_string(), r#""x":1,"x":1"#, true), "duplicate_member"),
        ("B08c", duplicated(b, &b.payload().to_string(), r#""scope":"admin""#, false), "duplicate_member"),
        ("B08d", duplicated(b, &b.payload().to_string(), r#""sc\u006fpe":"admin""#, false), "duplicate_member"),
        ("B08e", duplicated(b, &b.payload().to_string(), r#""exp":9999999999"#, false), "duplicate_member"),
        ("B08f", duplicated(b, &b.payload().to_string(), r#""own":1,"own":2"#, false), "duplicate_member"),
        ("B08g", duplicated(b, &b.payload().to_string(), r#""deep":[{"a":1,"a":2}]"#, false), "duplicate_member"),
        ("B30a", b.signed(&b.header().to_string(), &crowded), "too_long"),
        ("B30b", "a".repeat(MAX_TOKEN_BYTES + 1), "too_long"),
        ("B30c", b.with_raw_claim("own", &nested(16)), "too_deep"),
        ("B30d", b.with_raw_claim("own", &nested(1000)), "too_deep"),
        ("B30e", b.signed(&format!("{{\"a\":{}}}", nested(1000)), "{}"), "too_deep"),
    ]
}

/// `object` with `members` put in front, correctly signed.
fn duplicated(b: &Bench, object: &str, members: &str, is_header: bool) -> String {
    let object = format!("{{{members},{}", &object[1..]);
    if is_header { b.signed(&object, &b.payload().to_string()) } else { b.signed(&b.header().to_string(), &object) }
}

fn algorithms_and_signatures(b: &Bench) -> Vec<Row> {
    let pem = rcgen::KeyPair::from_pem(&b.key.to_pem().unwrap()).unwrap();
    let spki = rcgen::PublicKeyData::subject_public_key_info(&pem);
    let public_pem =
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", BASE64_STANDARD.encode(&spki));
    let hs256 = |secret: &[u8]| {
        let header = changed(b.header(), "alg", json!("HS256"));
        let message = format!("{}.{}", b64(header), b64(b.payload().to_string()));
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes());
        format!("{message}.{}", b64(tag))
    };
    let sides = |r: &[u8], s: &[u8]| b.resigned(|_| [r, s].concat());
    let mut rows: Vec<Row> = ["none", "None", "NONE", "nOnE", "", "es256", "ES256 "]
        .into_iter()
        .zip(["B02a", "B02b", "B02c", "B02d", "B02e", "B02f", "B02g"])
        .map(|(alg, id)| (id, b.with_header("alg", json!(alg)), "alg_refused"))
        .collect();
    let mut without = b.header();
    without.as_object_mut().unwrap().remove("alg");
    let message = format!("{}.{}", b64(b.header().to_string()), b64(b.payload().to_string()));
    rows.extend([
        ("B02h", b.signed(&without.to_string(), &b.payload().to_string()), "alg_refused"),
        ("B02i", b.with_header("alg", json!(["ES256"])), "alg_refused"),
        ("B03a", hs256(public_pem.as_bytes()), "alg_refused"),
        ("B03b", hs256(&spki), "alg_refused"),
        ("B03c", hs256(b.key.public_jwk().to_string().as_bytes()), "alg_refused"),
        ("B03d", hs256(b""), "alg_refused"),
        ("B04a", b.with_header("alg", json!("RS256")), "alg_refused"),
        ("B04b", b.with_header("alg", json!("ES384")), "alg_refused"),
        ("B04c", b.with_header("alg", json!("EdDSA")), "alg_not_of_key"),
        ("B04d", b.with_header("kid", json!("ed")), "alg_not_of_key"),
        ("B05a", sides(&[0; 32], &[0; 32]), "signature_wrong"),
        ("B05b", sides(&ORDER, &ORDER), "signature_wrong"),
        ("B05c", b.resigned(|signature| [&ORDER[..], &signature[32..]].concat()), "signature_wrong"),
        ("B05d", b.resigned(|signature| [&signature[..32], &ORDER[..]].concat()), "signature_wrong"),
        ("B05e", b.resigned(|signature| [&[0; 32], &signature[32..]].concat()), "signature_wrong"),
        ("B05f", sides(&[0xff; 32], &[0xff; 32]), "signature_wrong"),
        ("B05g", b.resigned(|signature| [&signature[32..], &signature[..32]].concat()), "signature_wrong"),
        ("B05h", b.resigned(|signature| signature[..63].to_vec()), "signature_wrong"),
        ("B05i", b.resigned(|signature| [&signature[..], &[0]].concat()), "signature_wrong"),
        ("B05j", b.resigned(|signature| [&[0], &signature[..]].concat()), "signature_wrong"),
        ("B05k", b.resigned(|_| b.es256_asn1(&message)), "signature_wrong"),
        ("B05l", b.resigned(|_| b.es256("another message")), "signature_wrong"),
        ("B05m", b.resigned(|_| vec![0]), "signature_wrong"),
        ("B05n", b.resigned(|signature| [&signature[..], &signature[..]].concat()), "signature_wrong"),
    ]);
    rows
}

fn headers(b: &Bench) -> Vec<Row> {
    let mut rows: Vec<Row> = vec![
        ("B09a", b.with_header("crit", json!(["exp"])), "header_demand"),
        ("B09b", b.with_header("crit", json!([])), "header_demand"),
        ("B09c", b.with_header("b64", json!(false)), "header_demand"),
        ("B09d", b.with_header("zip", json!("DEF")), "header_demand"),
        ("B09e", b.with_header("crit", Value::Null), "header_demand"),
        ("B10a", b.with_header("jku", json!("https://attacker.test/jwks")), "key_in_header"),
        ("B10b", b.with_header("x5u", json!("https://attacker.test/x5u")), "key_in_header"),
        ("B10c", b.with_header("jwk", b.key.public_jwk()), "key_in_header"),
        ("B10d", b.with_header("x5c", json!(["AA=="])), "key_in_header"),
        ("B11b", b.with_header("kid", json!("unknown")), "kid_unknown"),
        ("B11c", b.with_header("kid", json!("../../dev/null")), "kid_unknown"),
        ("B11d", b.with_header("kid", json!("x' UNION SELECT 'key'--")), "kid_unknown"),
        ("B11e", b.with_header("kid", json!("k".repeat(10_000))), "too_long"),
        ("B11f", b.with_header("kid", json!("k".repeat(MAX_KID_BYTES + 1))), "kid_invalid"),
        ("B11g", b.with_header("kid", json!("")), "kid_invalid"),
        ("B11h", b.with_header("kid", json!("a\u{0}b")), "kid_invalid"),
        ("B11i", b.with_header("kid", json!(1)), "kid_invalid"),
        ("B11j", b.with_header("kid", json!(b.key.kid().to_uppercase())), "kid_unknown"),
    ];
    let typs = [json!("JWT"), json!("dpop+jwt"), json!("logout+jwt"), json!("AT+JWT"), json!(1), json!("at+jwt ")];
    let ids = ["B12a", "B12b", "B12c", "B12d", "B12e", "B12f"];
    rows.extend(ids.into_iter().zip(typs).map(|(id, typ)| (id, b.with_header("typ", typ), "typ_other")));
    for (id, member, word) in [("B11a", "kid", "kid_missing"), ("B12g", "typ", "typ_other")] {
        let mut header = b.header();
        header.as_object_mut().unwrap().remove(member);
        rows.push((id, b.signed(&header.to_string(), &b.payload().to_string()), word));
    }
    rows
}

fn times(b: &Bench) -> Vec<Row> {
    let spanning = |iat: i64, exp: i64| {
        let payload = changed(b.payload(), "iat", json!(iat));
        let payload = changed(serde_json::from_str(&payload).unwrap(), "exp", json!(exp));
        b.signed(&b.header().to_string(), &payload)
    };
    vec![
        ("B13a", b.without_claim("exp"), "exp_missing"),
        ("B13b", b.with_claim("exp", json!((NOW + 600).to_string())), "exp_invalid"),
        ("B13c", b.with_raw_claim("exp", "1e300"), "exp_invalid"),
        ("B13d", b.with_claim("exp", json!(-1)), "exp_invalid"),
        ("B13e", b.with_raw_claim("exp", "NaN"), "bad_json"),
        ("B13f", b.with_raw_claim("exp", "99999999999999999999"), "exp_invalid"),
        ("B13g", b.with_claim("exp", Value::Null), "exp_invalid"),
        ("B13h", b.with_raw_claim("exp", "1795000600.5"), "exp_invalid"),
        ("B13i", b.with_raw_claim("exp", "1e400"), "bad_json"),
        ("B13j", b.with_raw_claim("exp", "9223372036854775807"), "token_lifetime"),
        ("B13k", b.with_claim("exp", json!(0)), "expired"),
        ("B14a", spanning(NOW - 600, NOW - LEEWAY_SECONDS - 1), "expired"),
        ("B15a", spanning(NOW, NOW + MAX_LIFETIME_SECONDS + 1), "token_lifetime"),
        ("B15b", spanning(0, NOW + 1), "token_lifetime"),
        ("B15c", b.without_claim("iat"), "iat_missing"),
        ("B16a", b.with_claim("nbf", json!(NOW + LEEWAY_SECONDS + 1)), "not_yet_valid"),
        ("B16b", b.with_claim("nbf", json!("0")), "nbf_invalid"),
        ("B17a", b.with_claim("iat", json!(NOW + LEEWAY_SECONDS + 1)), "issued_in_future"),
        ("B17b", b.with_claim("iat", json!("1795000000")), "iat_invalid"),
        ("B17c", b.with_claim("iat", json!(-1)), "iat_invalid"),
    ]
}

fn parties_and_binding(b: &Bench) -> Vec<Row> {
    let mut rows = Vec::new();
    for (ids, claim, good, words) in [
        (["B18a", "B18b", "B18c", "B18d", "B18e"], "iss", ISSUER, ["iss_missing", "iss_other", "iss_invalid"]),
        (["B19a", "B19b", "B19c", "B19d", "B19e"], "aud", AUDIENCE, ["aud_missing", "aud_other", "aud_invalid"]),
        (["B20a", "B24a", "B20b", "B20c", "B24b"], "sub", CLIENT, ["sub_missing", "sub_other", "sub_invalid"]),
    ] {
        rows.extend([
            (ids[0], b.without_claim(claim), words[0]),
            (ids[1], b.with_claim(claim, json!("spiffe://satudata.test/64.03.dukcapil/simpeg")), words[1]),
            (ids[2], b.with_claim(claim, json!(1)), words[2]),
            (ids[3], b.with_claim(claim, json!([good])), words[2]),
            (ids[4], b.with_claim(claim, json!(format!("{good}/"))), words[1]),
        ]);
    }
    let bound = |thumbprint: &str| b.with_claim("cnf", json!({ "x5t#S256": thumbprint }));
    let own = b64(b.certificate.as_bytes());
    rows.extend([
        ("B21a", b.without_claim("cnf"), "cnf_missing"),
        ("B21b", b.with_claim("cnf", json!({})), "cnf_missing"),
        ("B21c", b.with_claim("cnf", json!({ "jkt": own })), "cnf_missing"),
        ("B21d", b.with_claim("cnf", json!(own)), "cnf_invalid"),
        ("B21e", b.with_claim("cnf", Value::Null), "cnf_invalid"),
        ("B22a", bound(&b64(Digest::of(b"another certificate").as_bytes())), "cnf_other"),
        ("B22b", bound(""), "cnf_invalid"),
        ("B22c", bound(&format!("{own}=")), "cnf_invalid"),
        ("B22d", bound(&b64(&b.certificate.as_bytes()[..31])), "cnf_invalid"),
        ("B22e", bound(&b.certificate.to_string()), "cnf_invalid"),
        ("B22f", b.with_claim("cnf", json!({ "x5t#S256": own, "jkt": own })), "cnf_invalid"),
        ("B22g", b.with_claim("cnf", json!({ "x5t#S256": [own] })), "cnf_invalid"),
        ("B27a", b.without_claim("jti"), "jti_missing"),
        ("B27b", b.with_claim("jti", json!("")), "jti_invalid"),
        ("B27c", b.with_claim("jti", json!(7)), "jti_invalid"),
        ("B25a", b.with_claim("scope", json!(["push"])), "scope_invalid"),
        ("B26a", b.with_claim("purpose", json!({})), "purpose_invalid"),
    ]);
    rows
}

#[test]
fn every_listed_token_is_refused_for_its_own_reason() {
    let bench = Bench::new();
    let rows: Vec<Row> = [outer_form, algorithms_and_signatures, headers, times, parties_and_binding]
        .iter()
        .flat_map(|group| group(&bench))
        .collect();
    for (id, token, expected) in &rows {
        assert_eq!(bench.verify(token).map_err(TokenError::word).err(), Some(*expected), "{id}: {token:.200}");
    }
    for case in (2..=22).chain([24, 30]) {
        assert!(rows.iter().any(|(id, ..)| id.starts_with(&format!("B{case:02}"))), "no row for B{case:02}");
    }
    let ids: std::collections::BTreeSet<_> = rows.iter().map(|(id, ..)| id).collect();
    assert_eq!(ids.len(), rows.len(), "two rows share a name");
}

#[test]
fn an_issued_token_says_what_it_was_issued_for() {
    let bench = Bench::new();
    let token = bench.verify(&bench.good()).unwrap();
    assert_eq!(token.subject, bench.client);
    assert_eq!((token.issuer.as_str(), token.jti.as_str()), (ISSUER, "t-1"));
    assert_eq!(token.purpose.as_deref(), Some("statistik"));
    assert!(token.has_scope("push") && !token.has_scope("pus") && !token.has_scope("admin"));
    assert_eq!((token.issued.seconds(), token.expires.seconds()), (NOW, NOW + 600));
    assert_eq!(claimed_issuer(&bench.good()).as_deref(), Some(ISSUER));
}

#[test]
fn a_stolen_token_is_worth_nothing_with_another_certificate_or_name() {
    let bench = Bench::new();
    let (token, now) = (bench.good(), Timestamp::from_seconds(NOW));
    let thief: Identity = "spiffe://satudata.test/64.03.dukcapil/simpeg".parse().unwrap();
    let verifier = bench.verifier();
    let with = |certificate: &Digest, identity: &Identity| {
        verifier.verify(&token, certificate, identity, now).map_err(TokenError::word).err()
    };
    assert_eq!(with(&bench.certificate, &bench.client), None);
    assert_eq!(with(&Digest::of(b"thief"), &bench.client), Some("cnf_other"));
    assert_eq!(with(&bench.certificate, &thief), Some("sub_other"));
}

#[test]
fn the_leeway_is_exact_to_the_second() {
    let bench = Bench::new();
    let token = bench.good();
    for (now, accepted) in [(NOW - 5, true), (NOW - 6, false), (NOW + 605, true), (NOW + 606, false)] {
        assert_eq!(bench.verify_at(&token, now).is_ok(), accepted, "{}", now - NOW);
    }
    assert!(bench.verify(&bench.with_claim("nbf", json!(NOW + 5))).is_ok());
    assert!(bench.verify(&bench.with_claim("exp", json!(NOW + MAX_LIFETIME_SECONDS))).is_ok());
    assert!(bench.verify(&bench.with_header("typ", json!("application/at+jwt"))).is_ok());
}

#[test]
fn a_foreign_issuer_may_sign_with_ed25519() {
    let bench = Bench::new();
    let header = json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": "ed" });
    let message = format!("{}.{}", b64(header.to_string()), b64(bench.payload().to_string()));
    let signature = bench.ed.sign(message.as_bytes()).as_ref().to_vec();
    assert!(bench.verify(&format!("{message}.{}", b64(&signature))).is_ok());
    for broken in [vec![0; 64], signature[..63].to_vec(), [&signature[32..], &signature[..32]].concat()] {
        let token = format!("{message}.{}", b64(broken));
        assert_eq!(bench.verify(&token), Err(TokenError::SignatureWrong));
    }
}

#[test]
fn a_rewritten_signature_is_the_same_token() {
    let bench = Bench::new();
    let token = bench.good();
    let (message, signature) = token.rsplit_once('.').unwrap();
    let signature = compact::base64url(signature).unwrap();
    let twin = format!("{message}.{}", b64([&signature[..32], &negated(&signature[32..])].concat()));
    assert_ne!(twin, token);
    assert_eq!(bench.verify(&twin), bench.verify(&token), "only the jti can tell that they are one");
}

#[test]
fn a_token_is_not_issued_when_it_could_not_be_accepted() {
    let bench = Bench::new();
    let issue = |claims: &Claims, lifetime, jti: &str| {
        issue(&bench.key, claims, Timestamp::from_seconds(NOW), lifetime, jti).map(drop).unwrap_err()
    };
    for lifetime in [0, -1, MAX_LIFETIME_SECONDS + 1] {
        assert_eq!(issue(&bench.claims(), lifetime, "t"), IssueError::Lifetime);
    }
    for jti in ["", "a b", "é", &"x".repeat(MAX_JTI_BYTES + 1)] {
        assert_eq!(issue(&bench.claims(), 60, jti), IssueError::Jti);
    }
    let long = Claims { scope: "x".repeat(MAX_TOKEN_BYTES), ..bench.claims() };
    assert_eq!(issue(&long, 60, "t"), IssueError::TooLong);
}

#[test]
fn another_library_accepts_our_tokens() {
    use jsonwebtoken::{DecodingKey, Validation, decode, jwk::Jwk};
    let bench = Bench::new();
    let jwk: Jwk = serde_json::from_value(bench.key.public_jwk()).unwrap();
    let mut validation = Validation::new(Algorithm::ES256);
    validation.validate_exp = false;
    validation.set_audience(&[AUDIENCE]);
    validation.set_issuer(&[ISSUER]);
    let token = decode::<Value>(bench.good(), &DecodingKey::from_jwk(&jwk).unwrap(), &validation).unwrap();
    assert_eq!(token.header.kid.as_deref(), Some(bench.key.kid()));
    assert_eq!(token.claims["client_id"], CLIENT);
}

#[test]
fn a_signing_key_reads_back_from_its_file_and_refuses_others() {
    let key = SigningKey::generate().unwrap();
    let again = SigningKey::from_pem(&key.to_pem().unwrap()).unwrap();
    assert_eq!((key.kid(), key.public_jwk()), (again.kid(), again.public_jwk()));
    let p384 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap().serialize_pem();
    assert_eq!(SigningKey::from_pem(&p384).unwrap_err(), SigningKeyError::NotP256);
    assert_eq!(SigningKey::from_pem("not a key").unwrap_err(), SigningKeyError::Pem);
    assert!(!format!("{key:?}").contains("content"), "a key must not print itself");
}

#[test]
fn a_key_is_named_by_its_thumbprint() {
    let key = SigningKey::generate().unwrap();
    let jwk = key.public_jwk();
    let text = format!(r#"{{"crv":"P-256","kty":"EC","x":{},"y":{}}}"#, jwk["x"], jwk["y"]);
    assert_eq!(key.kid(), b64(Digest::of(text.as_bytes()).as_bytes()));
}

#[test]
fn a_key_set_with_a_secret_or_an_ambiguous_name_is_refused_whole() {
    let key = SigningKey::generate().unwrap().public_jwk();
    let altered = |member: &str, value: Value| {
        let mut key = key.clone();
        key[member] = value;
        key
    };
    let set = |keys: Value| KeySet::from_jwks(json!({ "keys": keys }).to_string().as_bytes()).map(drop);
    let rows = [
        ("B34a", set(json!([key, key])), Err(KeySetError::DuplicateKid)),
        ("B34b", set(json!([key, { "kty": "oct", "k": "AA", "kid": "h" }])), Err(KeySetError::SymmetricKey)),
        ("B34c", set(json!([key, { "kty": "oct" }])), Err(KeySetError::SymmetricKey)),
        ("B34d", set(json!([altered("d", json!("AA"))])), Err(KeySetError::PrivateKey)),
        ("B34e", set(json!([key, { "kty": "RSA", "n": "AA", "e": "AQAB", "p": "AA" }])), Err(KeySetError::PrivateKey)),
        (
            "B34f",
            set(json!([key, { "kty": "RSA", "n": "AA", "e": "AQAB", "kid": key["kid"] }])),
            Err(KeySetError::DuplicateKid),
        ),
        ("B34g", set(json!([])), Err(KeySetError::NoUsableKey)),
        ("B34h", set(json!([altered("use", json!("enc"))])), Err(KeySetError::NoUsableKey)),
        ("B34i", set(json!([altered("alg", json!("HS256"))])), Err(KeySetError::NoUsableKey)),
        ("B34j", set(json!([altered("key_ops", json!(["sign"]))])), Err(KeySetError::NoUsableKey)),
        ("B34k", set(json!([altered("x", json!(b64([0; 32])))])), Err(KeySetError::InvalidKey)),
        ("B34l", set(json!([altered("x", json!(b64([1; 31])))])), Err(KeySetError::InvalidKey)),
        ("B34m", set(json!([altered("y", Value::Null)])), Err(KeySetError::InvalidKey)),
        ("B34n", set(json!([altered("kid", json!("é"))])), Err(KeySetError::InvalidKid)),
        ("B34o", set(json!([1])), Err(KeySetError::Malformed(Malformed::Json))),
        ("B34p", set(json!(vec![json!({ "kty": "RSA" }); MAX_KEYS + 1])), Err(KeySetError::TooMany)),
        ("B34q", set(json!([key, { "kty": "RSA", "kid": "r" }, { "kty": "EC", "crv": "P-384" }])), Ok(())),
    ];
    for (id, outcome, expected) in rows {
        assert_eq!(outcome, expected, "{id}");
    }
    let padded = format!("{}{}", json!({ "keys": [key] }), " ".repeat(MAX_KEY_SET_BYTES));
    for (text, fault) in [
        (padded.as_str(), Malformed::TooLong),
        (r#"{"keys":[],"keys":[]}"#, Malformed::DuplicateMember),
        (r#"{"keys":[{"kid":"a","kid":"b"}]}"#, Malformed::DuplicateMember),
        ("[]", Malformed::Json),
        ("{}", Malformed::Json),
    ] {
        assert_eq!(KeySet::from_jwks(text.as_bytes()).unwrap_err(), KeySetError::Malformed(fault));
    }
}

#[test]
fn our_key_set_reads_back() {
    let keys = [SigningKey::generate().unwrap(), SigningKey::generate().unwrap()];
    let set = KeySet::of(&keys).unwrap();
    let again = KeySet::from_jwks(set.to_jwks().to_string().as_bytes()).unwrap();
    assert_eq!(again.kids().collect::<Vec<_>>(), set.kids().collect::<Vec<_>>());
    assert!(!set.to_jwks().to_string().contains("\"d\""));
    assert_eq!(KeySet::of([]).unwrap_err(), KeySetError::NoUsableKey);
}

/// One way to damage a token.
#[derive(Clone, Debug)]
enum Damage {
    FlipBit(prop::sample::Index, u8),
    Replace(prop::sample::Index, u8),
    Insert(prop::sample::Index, char),
    Delete(prop::sample::Index),
    Truncate(prop::sample::Index),
    SwapParts(usize, usize),
    TakePart(usize),
    Repeat(prop::sample::Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    let at = any::<prop::sample::Index>;
    prop_oneof![
        6 => (at(), 0_u8..8).prop_map(|(at, bit)| Damage::FlipBit(at, bit)),
        6 => (at(), any::<u8>()).prop_map(|(at, byte)| Damage::Replace(at, byte)),
        2 => (at(), any::<char>()).prop_map(|(at, char)| Damage::Insert(at, char)),
        2 => at().prop_map(Damage::Delete),
        1 => at().prop_map(Damage::Truncate),
        1 => (0_usize..3, 0_usize..3).prop_map(|(a, b)| Damage::SwapParts(a, b)),
        2 => (0_usize..3).prop_map(Damage::TakePart),
        1 => at().prop_map(Damage::Repeat),
    ]
}

fn damaged(token: &str, other: &str, damage: &Damage) -> String {
    let mut bytes = token.as_bytes().to_vec();
    if bytes.is_empty() {
        return String::new();
    }
    let length = bytes.len();
    match damage {
        Damage::FlipBit(at, bit) => bytes[at.index(length)] ^= 1 << bit,
        Damage::Replace(at, byte) => bytes[at.index(length)] = *byte,
        Damage::Insert(at, char) => {
            let at = at.index(length);
            bytes.splice(at..at, char.to_string().into_bytes());
        }
        Damage::Delete(at) => drop(bytes.remove(at.index(length))),
        Damage::Truncate(at) => bytes.truncate(at.index(length)),
        Damage::Repeat(at) => bytes.extend_from_within(at.index(length)..),
        Damage::SwapParts(..) | Damage::TakePart(_) => {
            let mut parts: Vec<&str> = token.split('.').collect();
            let theirs: Vec<&str> = other.split('.').collect();
            match damage {
                Damage::SwapParts(a, b) if parts.len() == 3 => parts.swap(*a, *b),
                Damage::TakePart(part) if parts.len() == 3 => parts[*part] = theirs[*part],
                _ => {}
            }
            return parts.join(".");
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn no_damaged_token_is_accepted() {
    let bench = Bench::new();
    let verifier = bench.verifier();
    let now = Timestamp::from_seconds(NOW);
    let good = bench.good();
    let other = issue(&bench.key, &Claims { scope: "admin".into(), ..bench.claims() }, now, 60, "t-2").unwrap();
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(100_000) };
    proptest!(config, |(steps in prop::collection::vec(damage(), 1..4))| {
        let token = steps.iter().fold(good.clone(), |token, step| damaged(&token, &other, step));
        // Parts of the other token can add up to the whole of it.
        if token != good && token != other {
            prop_assert!(verifier.verify(&token, &bench.certificate, &bench.client, now).is_err(), "{token}");
        }
    });
}

static BENCH: std::sync::OnceLock<Bench> = std::sync::OnceLock::new();

proptest! {
    #[test]
    fn any_text_is_refused_without_a_panic(text in "\\PC{0,200}", json in "\\PC{0,60}") {
        let bench = BENCH.get_or_init(Bench::new);
        prop_assert!(bench.verify(&text).is_err());
        prop_assert!(bench.verify(&bench.signed(&bench.header().to_string(), &json)).is_err());
        prop_assert!(bench.verify(&bench.signed(&json, &json)).is_err());
        prop_assert!(KeySet::from_jwks(text.as_bytes()).is_err());
    }
}
