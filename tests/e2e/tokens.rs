//! Tokens that must be refused: NEGATIVE.md group B, over HTTP against a running node.
//!
//! The forger here has everything but the right: the node's own signing key. So each token is wrong in one way only, and a
//! control shows that the frame around it is right.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use aws_lc_rs::{hmac, signature};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use reqwest::Method;
use serde_json::{Value, json};
use simpul_certs::token::SigningKey;
use simpul_tests::{Answer, Client, Demo, Wire, alert_of, now, tls_config, unique, wait_until};

use crate::support::{dataset, producer};

const NODE: &str = "kabupaten";

/// The node's key, and the parts of a token that the node would take.
struct Forge {
    key: EcdsaKeyPair,
    pem: String,
    header: Value,
    claims: Value,
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

impl Forge {
    /// Learns from a genuine token of `client`.
    async fn of(demo: &Demo, client: &Client) -> Self {
        let pem = std::fs::read_to_string(demo.node(NODE).data().join("token.key")).expect("the node's token key");
        let der: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
        let der = BASE64_STANDARD.decode(der).expect("a key in PEM");
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der).expect("a P-256 key");
        let genuine = client.token().await;
        let part = |index: usize| -> Value {
            let text = genuine.split('.').nth(index).expect("three parts");
            serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(text).expect("base64url")).expect("JSON")
        };
        Self { key, pem, header: part(0), claims: part(1) }
    }

    /// Signs these texts as they are.
    fn sign(&self, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", b64(header), b64(claims));
        let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes()).expect("a signature");
        format!("{signed}.{}", b64(signature))
    }

    /// The genuine token with the header changed.
    fn header(&self, change: impl FnOnce(&mut serde_json::Map<String, Value>)) -> String {
        let mut header = self.header.clone();
        change(header.as_object_mut().expect("an object"));
        self.sign(&header.to_string(), &self.claims.to_string())
    }

    /// The genuine token with the claims changed.
    fn claims(&self, change: impl FnOnce(&mut serde_json::Map<String, Value>)) -> String {
        let mut claims = self.claims.clone();
        change(claims.as_object_mut().expect("an object"));
        self.sign(&self.header.to_string(), &claims.to_string())
    }

    /// The genuine token with one claim set, or removed when `value` is null.
    fn claim(&self, name: &str, value: Value) -> String {
        self.claims(|claims| match value {
            Value::Null => drop(claims.remove(name)),
            value => drop(claims.insert(name.to_owned(), value)),
        })
    }

    /// The genuine token with its JSON of claims replaced in one place.
    fn claims_text(&self, from: &str, to: &str) -> String {
        let text = self.claims.to_string();
        assert!(text.contains(from), "{from} is not in the claims");
        self.sign(&self.header.to_string(), &text.replacen(from, to, 1))
    }

    fn good(&self) -> String {
        self.sign(&self.header.to_string(), &self.claims.to_string())
    }
}

/// The client of these tests; nobody else uses it, so its entries in the audit log are ours.
struct World {
    client: Client,
    dataset: String,
    forge: Forge,
}

impl World {
    async fn new() -> Self {
        let demo = Demo::shared();
        let dataset = dataset(demo, NODE, "tambah", "tolak").await;
        let client = producer(demo, NODE, &dataset).await;
        let forge = Forge::of(demo, &client).await;
        Self { client, dataset, forge }
    }

    async fn present(&self, token: &str) -> Answer {
        let request = self.client.bare(Method::GET, "/v1/datasets").header("authorization", format!("Bearer {token}"));
        self.client.send(request).await
    }

    /// Presents each token, and checks the answer, what it gives away, and the reason in the audit log.
    async fn refuses(&self, id: &str, cases: Vec<(&str, String, &[&str])>) {
        let demo = Demo::shared();
        self.present(&self.forge.good()).await.expect(200);
        let mut seen = Vec::new();
        for (what, token, reasons) in cases {
            let answer = self.present(&token).await;
            let said = format!("{id} {what}: {} {}", answer.status, answer.text());
            assert_eq!(answer.status, 401, "{said}");
            let challenge = answer.header("www-authenticate");
            assert_eq!(challenge, "Bearer realm=\"simpul\", error=\"invalid_token\"", "{said}");
            let mut body = answer.json();
            let request = body["request"].take().as_str().expect("a request").to_owned();
            // Every refused token gets the same words: nothing tells the forger how far it came.
            let same = json!({
                "type": "urn:simpul:problem:invalid_token", "title": "Token akses tidak berlaku", "status": 401,
                "request": null, "errors": [],
            });
            assert_eq!(body, same, "{said}");
            seen.push((said, request, reasons));
        }
        let actor = Demo::identity(&self.client.agency, &self.client.name).to_string();
        let entries = demo.audit_entries(NODE, &format!("actor={actor}&outcome=refused")).await;
        for (said, request, reasons) in seen {
            let about: Vec<&Value> =
                entries.iter().filter(|entry| entry["details"]["request"] == json!(request)).collect();
            assert_eq!(about.len(), 1, "{said}: {about:?}");
            let reason = about[0]["reason"].as_str().expect("a reason");
            assert!(reasons.contains(&reason), "{said}: recorded as {reason}, not {reasons:?}");
            assert!(
                demo.metric(NODE, "gw_reject_total", &[("reason", reason)]).await >= 1.0,
                "{reason} is not counted"
            );
        }
    }
}

fn seconds() -> i64 {
    now().seconds()
}

#[tokio::test]
async fn b01_no_token_is_answered_401_without_an_error_code() {
    let world = World::new().await;
    for value in [None, Some("Basic dXNlcjpwYXNz"), Some("Bearer")] {
        let mut request = world.client.bare(Method::GET, "/v1/datasets");
        if let Some(value) = value {
            request = request.header("authorization", value);
        }
        let answer = world.client.send(request).await.wants(401);
        assert_eq!(answer.problem(), "token_missing", "{value:?}");
        assert_eq!(answer.header("www-authenticate"), "Bearer realm=\"simpul\"", "{value:?}");
    }
}

#[tokio::test]
async fn b02_tokens_without_an_algorithm_are_refused() {
    let world = World::new().await;
    let mut cases: Vec<(&str, String, &[&str])> = Vec::new();
    for alg in ["none", "None", "NONE", "nOnE", "", "es256"] {
        let token = world.forge.header(|header| drop(header.insert("alg".to_owned(), json!(alg))));
        let bare = format!("{}.", token.rsplit_once('.').expect("three parts").0);
        cases.push(("with a signature", token, &["alg_refused"]));
        cases.push(("without a signature", bare, &["not_compact_jws"]));
    }
    cases.push(("no alg", world.forge.header(|header| drop(header.remove("alg"))), &["alg_refused"]));
    cases.push((
        "a list",
        world.forge.header(|header| drop(header.insert("alg".to_owned(), json!(["ES256"])))),
        &["alg_refused"],
    ));
    world.refuses("B02", cases).await;
}

#[tokio::test]
async fn b03_the_public_key_is_no_shared_secret() {
    let world = World::new().await;
    let public = SigningKey::from_pem(&world.forge.pem).expect("the key").public_jwk();
    let point = world.forge.key.public_key().as_ref().to_vec();
    let mut header = world.forge.header.clone();
    header["alg"] = json!("HS256");
    let signed = format!("{}.{}", b64(header.to_string()), b64(world.forge.claims.to_string()));
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", BASE64_STANDARD.encode(&point));
    let jwk = public.to_string();
    let secrets = [("JWK", jwk.as_bytes()), ("PEM", pem.as_bytes()), ("point", point.as_slice()), ("empty", b"")];
    let cases = secrets.map(|(what, secret)| {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed.as_bytes());
        (what, format!("{signed}.{}", b64(tag)), &["alg_refused"][..])
    });
    world.refuses("B03", cases.to_vec()).await;
}

#[tokio::test]
async fn b04_an_rsa_token_to_an_elliptic_key_is_refused() {
    let world = World::new().await;
    let with = |alg: &str| world.forge.header(|header| drop(header.insert("alg".to_owned(), json!(alg))));
    let refused: &[&str] = &["alg_refused", "alg_not_of_key"];
    let cases = ["RS256", "PS256", "ES384", "ES256K", "EdDSA", "HS512"].map(|alg| (alg, with(alg), refused));
    world.refuses("B04", cases.to_vec()).await;
}

#[tokio::test]
async fn b05_psychic_signatures_are_refused() {
    const N: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad,
        0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];
    let world = World::new().await;
    let good = world.forge.good();
    let (signed, genuine) = good.rsplit_once('.').expect("three parts");
    let genuine = BASE64_URL_SAFE_NO_PAD.decode(genuine).expect("base64url");
    let (r, s) = genuine.split_at(32);
    let zero = [0; 32];
    let cases = [
        ("r = s = 0", [zero, zero].concat()),
        ("r = 0", [&zero, s].concat()),
        ("s = 0", [r, &zero].concat()),
        ("r = n", [&N, s].concat()),
        ("s = n", [r, &N].concat()),
        ("r = s = n", [N, N].concat()),
        ("one bit", [&[r[0] ^ 1], &r[1..], s].concat()),
        ("short", genuine[..63].to_vec()),
        ("long", [&genuine[..], &[0]].concat()),
        ("another token's", world.forge.key.sign(&SystemRandom::new(), b"x").expect("a signature").as_ref().to_vec()),
    ];
    let cases = cases.map(|(what, bytes)| (what, format!("{signed}.{}", b64(bytes)), &["signature_wrong"][..]));
    world.refuses("B05", cases.to_vec()).await;
}

#[tokio::test]
async fn b06_other_serializations_are_refused() {
    let world = World::new().await;
    let good = world.forge.good();
    let (signed, tail) = good.rsplit_once('.').expect("three parts");
    let (header, claims) = signed.split_once('.').expect("two parts");
    let flattened = json!({"payload": claims, "protected": header, "signature": tail}).to_string();
    let form: &[&str] = &["not_compact_jws", "bad_base64"];
    let cases = vec![
        ("empty signature", format!("{signed}."), form),
        ("missing dot", format!("{header}{claims}.{tail}"), form),
        ("no dot", good.replace('.', ""), form),
        ("extra dot", format!("{good}."), form),
        ("dot before", format!(".{good}"), form),
        ("five parts", format!("{header}.{claims}.{tail}.{tail}.{tail}"), form),
        ("JSON", flattened, form),
        ("nothing but dots", "..".to_owned(), form),
        ("a word", "abc".to_owned(), form),
    ];
    world.refuses("B06", cases).await;
}

#[tokio::test]
async fn b07_other_spellings_of_base64_are_refused() {
    let world = World::new().await;
    let good = world.forge.good();
    let (signed, tail) = good.rsplit_once('.').expect("three parts");
    let (header, claims) = signed.split_once('.').expect("two parts");
    // A signature of 64 bytes leaves four bits of the last letter unused.
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let last = ALPHABET.iter().position(|letter| Some(*letter) == tail.bytes().last()).expect("a letter");
    let loose = format!("{}{}", &tail[..tail.len() - 1], char::from(ALPHABET[last | 1]));
    assert_ne!(loose, tail);
    // The payload is not looked at before the signature, which covers its letters as they came.
    let form: &[&str] = &["bad_base64", "signature_wrong"];
    let cases = vec![
        ("padding", format!("{good}=="), form),
        ("padding inside", format!("{header}=.{claims}.{tail}"), form),
        ("a space", format!("{header}. {claims}.{tail}"), form),
        ("a tab", format!("{header}.\t{claims}.{tail}"), form),
        ("trailing bits", format!("{signed}.{loose}"), form),
        ("standard alphabet", format!("{header}.{claims}.{}+/", &tail[..tail.len() - 2]), form),
        ("a space before", format!(" {good}"), form),
    ];
    world.refuses("B07", cases).await;
}

#[tokio::test]
async fn b08_members_that_come_twice_are_refused() {
    let world = World::new().await;
    let (header, claims) = (world.forge.header.to_string(), world.forge.claims.to_string());
    let twice = |text: &str, member: &str| text.replacen('{', &format!("{{{member},"), 1);
    let reason: &[&str] = &["duplicate_member"];
    let cases = vec![
        ("alg", world.forge.sign(&twice(&header, "\"alg\":\"none\""), &claims), reason),
        ("typ", world.forge.sign(&twice(&header, "\"typ\":\"at+jwt\""), &claims), reason),
        ("scope", world.forge.sign(&header, &twice(&claims, "\"scope\":\"admin\"")), reason),
        (
            "sub",
            world.forge.sign(&header, &twice(&claims, "\"sub\":\"spiffe://satudata.test/64.diskominfo/admin\"")),
            reason,
        ),
        ("a claim of its own", world.forge.sign(&header, &twice(&claims, "\"x\":1,\"x\":2")), reason),
        ("inside cnf", world.forge.claims_text("\"cnf\":{", "\"cnf\":{\"x5t#S256\":\"x\","), reason),
        ("escaped", world.forge.sign(&header, &twice(&claims, "\"\\u0073cope\":\"admin\"")), reason),
    ];
    world.refuses("B08", cases).await;
}

#[tokio::test]
async fn b09_headers_that_demand_something_are_refused() {
    let world = World::new().await;
    let with = |name: &str, value: Value| world.forge.header(|header| drop(header.insert(name.to_owned(), value)));
    let reason: &[&str] = &["header_demand"];
    let cases = vec![
        ("crit", with("crit", json!(["exp"])), reason),
        ("empty crit", with("crit", json!([])), reason),
        ("crit with a demand", with("crit", json!(["b64"])), reason),
        ("b64", with("b64", json!(false)), reason),
        ("zip", with("zip", json!("DEF")), reason),
        ("enc", with("enc", json!("A256GCM")), reason),
        ("cty", with("cty", json!("JWT")), reason),
    ];
    world.refuses("B09", cases).await;
}

#[tokio::test]
async fn b10_a_token_brings_no_key_and_the_node_fetches_none() {
    let world = World::new().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/jwks", listener.local_addr().expect("an address"));
    let fetched = Arc::new(AtomicUsize::new(0));
    let count = fetched.clone();
    let watch = tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    let public = SigningKey::from_pem(&world.forge.pem).expect("the key").public_jwk();
    let with = |name: &str, value: Value| world.forge.header(|header| drop(header.insert(name.to_owned(), value)));
    let reason: &[&str] = &["key_in_header"];
    let cases = vec![
        ("jku", with("jku", json!(url)), reason),
        ("x5u", with("x5u", json!(url)), reason),
        ("jwk", with("jwk", public), reason),
        ("x5c", with("x5c", json!(["MIIB"])), reason),
    ];
    world.refuses("B10", cases).await;
    assert_eq!(fetched.load(Ordering::SeqCst), 0, "the node fetched a key that a token named");
    watch.abort();
}

#[tokio::test]
async fn b11_keys_of_other_names_are_refused() {
    let world = World::new().await;
    let with = |value: Value| world.forge.header(|header| drop(header.insert("kid".to_owned(), value)));
    let missing = world.forge.header(|header| drop(header.remove("kid")));
    let cases: Vec<(&str, String, &[&str])> = vec![
        ("missing", missing, &["kid_missing"]),
        ("unknown", with(json!("another")), &["kid_unknown"]),
        ("a path", with(json!("../../dev/null")), &["kid_unknown", "kid_invalid"]),
        ("SQL", with(json!("x' OR '1'='1' --")), &["kid_invalid", "kid_unknown"]),
        ("empty", with(json!("")), &["kid_invalid"]),
        ("a number", with(json!(1)), &["kid_invalid"]),
        ("10 kB", with(json!("k".repeat(10_000))), &["too_long"]),
        ("2 kB", with(json!("k".repeat(2_000))), &["kid_invalid"]),
    ];
    world.refuses("B11", cases).await;
}

#[tokio::test]
async fn b12_tokens_of_another_type_are_refused() {
    let world = World::new().await;
    let with = |value: &str| world.forge.header(|header| drop(header.insert("typ".to_owned(), json!(value))));
    let reason: &[&str] = &["typ_other"];
    let mut cases: Vec<(&str, String, &[&str])> =
        ["JWT", "dpop+jwt", "logout+jwt", "secevent+jwt", "", "AT+JWT"].map(|typ| (typ, with(typ), reason)).to_vec();
    cases.push(("missing", world.forge.header(|header| drop(header.remove("typ"))), reason));
    world.refuses("B12", cases).await;
}

#[tokio::test]
async fn b13_an_expiry_that_is_none_is_refused() {
    let world = World::new().await;
    let exp = format!("\"exp\":{}", world.forge.claims["exp"]);
    let text = |to: &str| world.forge.claims_text(&exp, to);
    let invalid: &[&str] = &["exp_invalid"];
    let cases: Vec<(&str, String, &[&str])> = vec![
        ("missing", world.forge.claim("exp", Value::Null), &["exp_missing"]),
        ("null", text("\"exp\":null"), invalid),
        ("a text", text("\"exp\":\"4102444800\""), invalid),
        ("1e300", text("\"exp\":1e300"), invalid),
        ("1e999", text("\"exp\":1e999"), &["exp_invalid", "bad_json"]),
        ("-1", text("\"exp\":-1"), invalid),
        ("a fraction", text("\"exp\":4102444800.5"), invalid),
        ("too large", text("\"exp\":99999999999999999999"), invalid),
        ("NaN", text("\"exp\":NaN"), &["bad_json"]),
    ];
    world.refuses("B13", cases).await;
}

#[tokio::test]
async fn b14_an_expired_token_is_refused_after_a_leeway_of_5_s() {
    let world = World::new().await;
    let ending = |age: i64| {
        world.forge.claims(|claims| {
            let end = seconds() - age;
            for (name, value) in [("exp", end), ("iat", end - 60), ("nbf", end - 60)] {
                claims.insert(name.to_owned(), json!(value));
            }
        })
    };
    world.present(&ending(2)).await.expect(200);
    let reason: &[&str] = &["expired"];
    world
        .refuses(
            "B14",
            vec![
                ("6 s ago", ending(6), reason),
                ("a minute ago", ending(59), reason),
                ("in 1970", ending(seconds() - 100), reason),
            ],
        )
        .await;
}

#[tokio::test]
async fn b15_a_token_that_lives_longer_than_an_hour_is_refused() {
    let world = World::new().await;
    let living = |life: i64| {
        world.forge.claims(|claims| {
            let start = seconds();
            for (name, value) in [("exp", start + life), ("iat", start), ("nbf", start)] {
                claims.insert(name.to_owned(), json!(value));
            }
        })
    };
    world.present(&living(3600)).await.expect(200);
    let reason: &[&str] = &["token_lifetime"];
    world
        .refuses(
            "B15",
            vec![("an hour and a second", living(3601), reason), ("a century", living(3_153_600_000), reason)],
        )
        .await;
}

#[tokio::test]
async fn b16_a_token_before_its_time_is_refused() {
    let world = World::new().await;
    let reason: &[&str] = &["not_yet_valid"];
    let early = world.forge.claim("nbf", json!(seconds() + 60));
    let text = world.forge.claim("nbf", json!("soon"));
    world.refuses("B16", vec![("in a minute", early, reason), ("a text", text, &["nbf_invalid"])]).await;
}

#[tokio::test]
async fn b17_a_token_issued_in_the_future_is_refused() {
    let world = World::new().await;
    let early = world.forge.claim("iat", json!(seconds() + 60));
    let missing = world.forge.claim("iat", Value::Null);
    let cases: Vec<(&str, String, &[&str])> =
        vec![("in a minute", early, &["issued_in_future"]), ("missing", missing, &["iat_missing"])];
    world.refuses("B17", cases).await;
}

/// Wrong values of a claim that names a node.
fn wrong_names(
    forge: &Forge,
    claim: &'static str,
    reasons: [&'static [&'static str]; 3],
) -> Vec<(&'static str, String, &'static [&'static str])> {
    let own = forge.claims[claim].clone();
    let [missing, other, invalid] = reasons;
    vec![
        ("missing", forge.claim(claim, Value::Null), missing),
        ("another node", forge.claim(claim, json!("spiffe://satudata.test/64.diskominfo/simpul")), other),
        ("empty", forge.claim(claim, json!("")), other),
        ("longer", forge.claim(claim, json!(format!("{}/", own.as_str().expect("a text")))), other),
        ("a number", forge.claim(claim, json!(1)), invalid),
        ("a list", forge.claim(claim, json!([own])), invalid),
        ("an object", forge.claim(claim, json!({"a": own})), invalid),
    ]
}

#[tokio::test]
async fn b18_a_token_of_another_issuer_is_refused() {
    let world = World::new().await;
    let cases = wrong_names(&world.forge, "iss", [&["iss_missing"], &["iss_other"], &["iss_invalid"]]);
    world.refuses("B18", cases).await;
}

#[tokio::test]
async fn b19_a_token_for_another_node_is_refused() {
    let world = World::new().await;
    let cases = wrong_names(&world.forge, "aud", [&["aud_missing"], &["aud_other"], &["aud_invalid"]]);
    world.refuses("B19", cases).await;
}

#[tokio::test]
async fn b20_a_token_of_nobody_an_unknown_or_a_disabled_client_is_refused() {
    let demo = Demo::shared();
    let world = World::new().await;
    let cases = wrong_names(&world.forge, "sub", [&["sub_missing"], &["sub_other", "sub_invalid"], &["sub_invalid"]]);
    world.refuses("B20", cases).await;

    // A certificate of the exchange whose holder no node knows: it gets no token, and one forged for it does not help.
    let stranger = demo.stranger(NODE, &unique("64.02.asing"), "sistem");
    let thumbprint = simpul_core::digest::Digest::of(&stranger.credential.chain[0]);
    let forged = world.forge.claims(|claims| {
        claims.insert("sub".to_owned(), json!(Demo::identity(&stranger.agency, "sistem").to_string()));
        claims.insert("cnf".to_owned(), json!({"x5t#S256": b64(thumbprint.as_bytes())}));
    });
    let answer = stranger.send(stranger.bare(Method::GET, "/v1/datasets").bearer_auth(&forged)).await.wants(401);
    assert_eq!(answer.problem(), "invalid_token");
    assert_recorded(demo, &stranger, &answer, "client_unknown").await;

    let path = format!("/v1/admin/clients/{}/sistem", world.client.agency);
    world.client.renew().await;
    demo.admin(NODE).put(&path, &json!({"roles": ["producer"], "enabled": false})).await.expect(200);
    let answer = world.client.get("/v1/datasets").await.wants(401);
    assert_eq!(answer.problem(), "invalid_token");
    assert_recorded(demo, &world.client, &answer, "client_unknown").await;
}

async fn assert_recorded(demo: &Demo, client: &Client, answer: &Answer, reason: &str) {
    let actor = Demo::identity(&client.agency, &client.name).to_string();
    let request = answer.json()["request"].clone();
    let entries = demo.audit_entries(NODE, &format!("actor={actor}&outcome=refused")).await;
    let about: Vec<&Value> = entries.iter().filter(|entry| entry["details"]["request"] == request).collect();
    assert_eq!(about.len(), 1, "{about:?}");
    assert_eq!(about[0]["reason"], json!(reason));
}

#[tokio::test]
async fn b21_a_token_that_is_bound_to_no_certificate_is_refused() {
    let world = World::new().await;
    let own = world.forge.claims["cnf"]["x5t#S256"].clone();
    let missing: &[&str] = &["cnf_missing"];
    let invalid: &[&str] = &["cnf_invalid"];
    let cases = vec![
        ("no cnf", world.forge.claim("cnf", Value::Null), missing),
        ("empty", world.forge.claim("cnf", json!({})), missing),
        ("a DPoP key", world.forge.claim("cnf", json!({"jkt": own})), missing),
        ("a text", world.forge.claim("cnf", own.clone()), invalid),
        ("two bindings", world.forge.claim("cnf", json!({"x5t#S256": own, "jkt": "x"})), invalid),
        ("short", world.forge.claim("cnf", json!({"x5t#S256": "AAAA"})), invalid),
        ("a list", world.forge.claim("cnf", json!({"x5t#S256": [own]})), invalid),
    ];
    world.refuses("B21", cases).await;
}

#[tokio::test]
async fn b22_a_stolen_token_is_worth_nothing_without_its_certificate() {
    let world = World::new().await;
    let other = World::new().await;
    let stolen = other.client.token().await;
    other.present(&stolen).await.expect(200);
    let forged = world.forge.claim("cnf", other.forge.claims["cnf"].clone());
    world.refuses("B22", vec![("stolen", stolen, &["cnf_other"]), ("bound to another", forged, &["cnf_other"])]).await;
}

#[tokio::test]
async fn b23_a_token_of_a_revoked_certificate_is_refused_on_the_open_connection_and_a_new_one_is_not_made() {
    let demo = Demo::shared();
    let world = World::new().await;
    let token = world.client.token().await;
    world.present(&token).await.expect(200);
    let target = simpul_certs::ca::Target::Identity(Demo::identity(&world.client.agency, "sistem"));
    demo.with_ca(|ca| ca.revoke(&target, simpul_certs::ca::Reason::KeyCompromise, now())).expect("a revocation");
    let refused = wait_until("the node knows the list", std::time::Duration::from_secs(5), async || {
        let sent = world.client.bare(Method::GET, "/v1/datasets").bearer_auth(&token).send().await.ok()?;
        let answer = Answer::read(sent).await.ok()?;
        (answer.status != 200).then_some(answer)
    })
    .await;
    assert_eq!((refused.status, refused.problem().as_str()), (401, "certificate_revoked"));
    assert!(refused.header("www-authenticate").contains("invalid_token"));
    assert_recorded(demo, &world.client, &refused, "certificate_revoked").await;
    let config = tls_config(&demo.ready.ca, Some(&world.client.credential));
    let anew = async {
        let mut wire = Wire::open(simpul_tests::NodeInfo::address(&demo.node(NODE).exchange), config).await?;
        wire.read_to_end().await
    };
    assert_eq!(alert_of(&anew.await.expect_err("a handshake")).as_deref(), Some("certificate_revoked"));
}

#[tokio::test]
async fn b24_a_token_for_another_identity_than_the_certificates_is_refused() {
    let world = World::new().await;
    let sub = |text: &str| world.forge.claim("sub", json!(text));
    let sibling = format!("spiffe://satudata.test/{}/lain", world.client.agency);
    let reason: &[&str] = &["sub_other"];
    let cases = vec![
        ("the administrator", sub("spiffe://satudata.test/64.02.diskominfo/admin"), reason),
        ("another client of the agency", sub(&sibling), reason),
        ("another exchange", sub(&format!("spiffe://satudata.example/{}/sistem", world.client.agency)), reason),
    ];
    world.refuses("B24", cases).await;
}

#[tokio::test]
async fn b25_a_token_without_the_scope_is_answered_403_insufficient_scope() {
    let world = World::new().await;
    let form = [("grant_type", "client_credentials"), ("scope", &format!("read:{}", world.dataset))];
    let answer = world.client.send(world.client.bare(Method::POST, "/v1/token").form(&form)).await.wants(200);
    let narrow = answer.json()["access_token"].as_str().expect("a token").to_owned();
    let records = format!("/v1/datasets/{}/records", world.dataset);
    world.client.send(world.client.bare(Method::GET, &records).bearer_auth(&narrow)).await.expect(200);
    let push = world
        .client
        .bare(Method::POST, &format!("/v1/datasets/{}/deliveries", world.dataset))
        .bearer_auth(&narrow)
        .header("content-type", "text/csv")
        .header("idempotency-key", unique("kunci"))
        .body("kode,nama,nilai,tahun\na,b,1,2025\n");
    let refused = world.client.send(push).await.wants(403);
    assert_eq!(refused.problem(), "insufficient_scope");
    let challenge = refused.header("www-authenticate");
    assert!(challenge.contains("insufficient_scope") && challenge.contains("deliver:"), "{challenge}");
    // A scope that no agreement gives is not granted, not even in part.
    let form = [("grant_type", "client_credentials"), ("scope", &format!("read:{} admin", world.dataset))];
    let refused = world.client.send(world.client.bare(Method::POST, "/v1/token").form(&form)).await.wants(400);
    assert_eq!(refused.json()["error"], json!("invalid_scope"));
}

#[tokio::test]
async fn b29_a_token_in_the_address_is_answered_400_even_when_it_is_good() {
    let world = World::new().await;
    let token = world.client.token().await;
    for query in [format!("access_token={token}"), format!("limit=1&ACCESS_TOKEN={token}"), "access_token".to_owned()] {
        let request = world.client.request(Method::GET, &format!("/v1/datasets?{query}")).await;
        let answer = world.client.send(request).await.wants(400);
        assert_eq!(answer.problem(), "token_in_query");
        assert!(!answer.text().contains(&token), "the token is echoed");
    }
    assert!(!Demo::shared().log(NODE).contains(&token), "the token is in the log");
}

#[tokio::test]
async fn b30_large_and_deep_tokens_are_refused() {
    let world = World::new().await;
    let nested = |depth: usize| {
        let text = format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        let value: Value = serde_json::from_str(&text).expect("JSON");
        world.forge.claim("x", value)
    };
    world.present(&nested(10)).await.expect(200);
    let cases: Vec<(&str, String, &[&str])> = vec![
        ("more than 8 KiB", world.forge.claim("x", json!("a".repeat(7_000))), &["too_long"]),
        ("9000 letters", "a".repeat(9_000), &["too_long"]),
        ("17 levels", nested(17), &["too_deep"]),
        ("100 levels", nested(100), &["too_deep"]),
        ("deep header", world.forge.sign(&"[".repeat(2_000), "{}"), &["too_deep", "bad_json"]),
    ];
    world.refuses("B30", cases).await;
}

#[tokio::test]
async fn b31_two_authorization_headers_are_answered_400() {
    let world = World::new().await;
    let token = world.client.token().await;
    for second in [format!("Bearer {token}"), "Basic dXNlcjpwYXNz".to_owned()] {
        let request = world.client.request(Method::GET, "/v1/datasets").await.header("authorization", second);
        assert_eq!(world.client.send(request).await.wants(400).problem(), "two_authorizations");
    }
}

#[tokio::test]
async fn b32_nobody_gets_a_token_in_anothers_name() {
    let demo = Demo::shared();
    let world = World::new().await;
    let ask =
        async |form: &[(&str, &str)]| world.client.send(world.client.bare(Method::POST, "/v1/token").form(form)).await;
    let own = format!("{}/sistem", world.client.agency);
    ask(&[("grant_type", "client_credentials"), ("client_id", &own)]).await.expect(200);
    for other in ["64.02.diskominfo/admin", "spiffe://satudata.test/64.02.diskominfo/admin", "*", "x' OR '1'='1"] {
        let answer = ask(&[("grant_type", "client_credentials"), ("client_id", other)]).await.wants(401);
        assert_eq!((answer.problem().as_str(), &answer.json()["error"]), ("invalid_client", &json!("invalid_client")));
        assert!(answer.header("www-authenticate").starts_with("Bearer"));
        assert_recorded(demo, &world.client, &answer, "client_id_mismatch").await;
    }
    let other_grant = ask(&[("grant_type", "password")]).await.wants(400);
    assert_eq!(other_grant.json()["error"], json!("unsupported_grant_type"));
    assert_eq!(ask(&[]).await.wants(400).json()["error"], json!("invalid_request"));
}

#[tokio::test]
async fn the_published_key_verifies_the_nodes_tokens_and_no_private_part_is_published() {
    let world = World::new().await;
    let answer = world.client.send(world.client.bare(Method::GET, "/v1/jwks")).await.wants(200);
    let key = answer.json()["keys"][0].clone();
    assert!(key.get("d").is_none(), "the private key is published: {key}");
    let part = |name: &str| BASE64_URL_SAFE_NO_PAD.decode(key[name].as_str().expect("a text")).expect("base64url");
    let point = [vec![4], part("x"), part("y")].concat();
    let token = world.client.token().await;
    let (signed, tail) = token.rsplit_once('.').expect("three parts");
    let tail = BASE64_URL_SAFE_NO_PAD.decode(tail).expect("base64url");
    let public = signature::UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point);
    public.verify(signed.as_bytes(), &tail).expect("the signature of the node");
}
