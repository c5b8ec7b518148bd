//! Every route that is not public, from the table that the binary prints: nobody reaches it without a certificate and a
//! token, administration is out of reach of agency systems, and each request leaves one entry in the audit log.
//!
//! A route that is added without an example here fails [`every_route_is_known_here`].

use serde_json::{Value, json};
use simpul_tests::{Answer, Client, Demo, NodeInfo, Wire, alert_of, tls_config, unique};
use tokio::sync::OnceCell;

use crate::support::{self, dataset, descriptor, producer, rows};

const NODE: &str = "kabupaten";
/// What tells nothing about anybody. A route gets into this list by thought, not by default.
const PUBLIC: [&str; 5] =
    ["GET /health/live", "GET /health/ready", "GET /openapi.json", "GET /v1/jwks", "GET /metrics"];

/// One row of `simpul routes --json`.
#[derive(Clone, Debug)]
struct Route {
    method: String,
    path: String,
    access: String,
    action: String,
}

impl Route {
    fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

/// What a request sends besides its path.
enum Body {
    None,
    Json(Value),
    Form(&'static str),
    Csv(String),
}

/// What the examples are about: made once, and only for this module.
struct World {
    routes: Vec<Route>,
    dataset: String,
    /// A dataset whose good rows land without the bad ones.
    mixed: String,
    delivery: String,
    ended: String,
    connector: String,
    removed: String,
    folder: std::path::PathBuf,
}

impl World {
    async fn get() -> &'static Self {
        static WORLD: OnceCell<World> = OnceCell::const_new();
        WORLD.get_or_init(Self::make).await
    }

    async fn make() -> Self {
        let demo = Demo::shared();
        let listed = demo.simpul(["routes", "--json"]).await;
        let listed: Value = serde_json::from_str(&listed.stdout).expect("JSON");
        let text = |row: &Value, name: &str| row[name].as_str().expect("a text").to_owned();
        let routes = listed["routes"].as_array().expect("routes").iter().map(|row| Route {
            method: text(row, "method"),
            path: text(row, "path"),
            access: text(row, "access"),
            action: text(row, "action"),
        });
        let routes: Vec<Route> = routes.collect();
        let dataset = dataset(demo, NODE, "tambah", "tolak").await;
        let mixed = support::dataset(demo, NODE, "tambah", "karantina").await;
        let sender = producer(demo, NODE, &dataset).await;
        let answer = sender.deliver(&dataset, rows("awal", 3), "text/csv", &[]).await.wants(201);
        let delivery = text(&answer.json(), "delivery");
        let ended = demo.agree(&sender, &dataset, &["read"], json!({})).await;
        let folder = demo.dir.join(unique("masuk"));
        std::fs::create_dir(&folder).expect("a folder");
        let (connector, removed) = (unique("tetap"), unique("hilang"));
        for name in [&connector, &removed] {
            let body = json!({"kind": "files", "dataset": dataset, "config": {"folder": folder, "quiet_seconds": 1}});
            demo.admin(NODE).put(&format!("/v1/admin/connectors/{name}"), &body).await.expect(200);
        }
        Self { routes, dataset, mixed, delivery, ended, connector, removed, folder }
    }

    /// The routes that ask for a certificate at least.
    fn guarded(&self) -> impl Iterator<Item = &Route> {
        self.routes.iter().filter(|route| route.access != "public")
    }

    /// A request that `route` grants, as path and body; nothing when this test does not know the route.
    fn example(&self, route: &Route) -> Option<(String, Body)> {
        let dataset = &self.dataset;
        let agreement = || {
            json!({
                "provider": "64.02.diskominfo", "consumer": "64.02.bappeda", "dataset": dataset,
                "operations": ["read"], "purpose": "uji", "document": "UJI/1",
                "valid_from": "2026-01-01T00:00:00Z", "valid_until": "2099-01-01T00:00:00Z",
            })
        };
        let connector =
            || json!({"kind": "files", "dataset": dataset, "config": {"folder": self.folder, "quiet_seconds": 1}});
        let (path, body) = match (route.method.as_str(), route.path.as_str()) {
            ("POST", "/v1/token") => ("/v1/token".to_owned(), Body::Form("grant_type=client_credentials")),
            ("GET", "/v1/datasets") => ("/v1/datasets".to_owned(), Body::None),
            ("GET", "/v1/datasets/{dataset}") => (format!("/v1/datasets/{dataset}"), Body::None),
            ("POST", "/v1/datasets/{dataset}/deliveries") => {
                (format!("/v1/datasets/{dataset}/deliveries"), Body::Csv(rows(&unique("r"), 2)))
            }
            ("GET", "/v1/datasets/{dataset}/records") => (format!("/v1/datasets/{dataset}/records"), Body::None),
            ("GET", "/v1/datasets/{dataset}/extract") => (format!("/v1/datasets/{dataset}/extract"), Body::None),
            ("GET", "/v1/deliveries/{delivery}") => (format!("/v1/deliveries/{}", self.delivery), Body::None),
            ("GET", "/v1/deliveries/{delivery}/report") => {
                (format!("/v1/deliveries/{}/report?format=csv", self.delivery), Body::None)
            }
            ("GET", "/v1/deliveries/{delivery}/rejected") => {
                (format!("/v1/deliveries/{}/rejected", self.delivery), Body::None)
            }
            ("GET", "/v1/admin/agencies") => ("/v1/admin/agencies".to_owned(), Body::None),
            ("PUT", "/v1/admin/agencies/{agency}") => {
                (format!("/v1/admin/agencies/{}", unique("64.02.uji")), Body::Json(json!({"name": "Uji"})))
            }
            ("GET", "/v1/admin/clients") => ("/v1/admin/clients".to_owned(), Body::None),
            ("PUT", "/v1/admin/clients/{agency}/{client}") => (
                format!("/v1/admin/clients/64.02.bappeda/{}", unique("uji")),
                Body::Json(json!({"roles": ["consumer"]})),
            ),
            ("GET", "/v1/admin/agreements") => ("/v1/admin/agreements".to_owned(), Body::None),
            ("PUT", "/v1/admin/agreements/{agreement}") => {
                (format!("/v1/admin/agreements/{}", unique("uji")), Body::Json(agreement()))
            }
            ("DELETE", "/v1/admin/agreements/{agreement}") => {
                (format!("/v1/admin/agreements/{}", self.ended), Body::None)
            }
            ("GET", "/v1/admin/contracts") => ("/v1/admin/contracts".to_owned(), Body::None),
            ("POST", "/v1/admin/contracts") => {
                ("/v1/admin/contracts".to_owned(), Body::Json(descriptor(&unique("uji"), "tambah", "tolak")))
            }
            ("GET", "/v1/admin/contracts/{dataset}/{version}") => {
                (format!("/v1/admin/contracts/{dataset}/1.0.0"), Body::None)
            }
            ("GET", "/v1/admin/connectors") => ("/v1/admin/connectors".to_owned(), Body::None),
            ("PUT", "/v1/admin/connectors/{connector}") => {
                (format!("/v1/admin/connectors/{}", unique("uji")), Body::Json(connector()))
            }
            ("DELETE", "/v1/admin/connectors/{connector}") => {
                (format!("/v1/admin/connectors/{}", self.removed), Body::None)
            }
            ("POST", "/v1/admin/connectors/{connector}/test") => {
                (format!("/v1/admin/connectors/{}/test", self.connector), Body::None)
            }
            ("POST", "/v1/admin/connectors/{connector}/run") => {
                (format!("/v1/admin/connectors/{}/run", self.connector), Body::None)
            }
            ("GET", "/v1/admin/deliveries") => ("/v1/admin/deliveries".to_owned(), Body::None),
            ("GET", "/v1/admin/link") => ("/v1/admin/link".to_owned(), Body::None),
            ("GET", "/v1/audit/entries") => ("/v1/audit/entries?limit=1".to_owned(), Body::None),
            ("GET", "/v1/audit/export") => ("/v1/audit/export".to_owned(), Body::None),
            ("GET", "/v1/audit/checkpoint") => ("/v1/audit/checkpoint".to_owned(), Body::None),
            (method, path) => return lists_example(method, path),
        };
        Some((path, body))
    }

    /// Sends the example of `route` as `client`, with this token if one is given, to `base`.
    async fn send(&self, route: &Route, client: &Client, base: &str, token: Option<&str>) -> Answer {
        let (path, body) = self.example(route).expect("an example");
        let method = route.method.parse().expect("a method");
        let mut request = client.bare(method, &format!("{base}{path}"));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        request = match body {
            Body::None => request,
            Body::Json(value) => request.json(&value),
            Body::Form(form) => request.header("content-type", "application/x-www-form-urlencoded").body(form),
            Body::Csv(text) => {
                request.header("content-type", "text/csv").header("idempotency-key", unique("kunci")).body(text)
            }
        };
        client.send(request).await
    }
}

/// The example of a route of code lists.
fn lists_example(method: &str, path: &str) -> Option<(String, Body)> {
    let body = match (method, path) {
        ("GET", "/v1/code-lists" | "/v1/admin/code-lists")
        | ("GET", "/v1/code-lists/{list}/{version}" | "/v1/admin/code-lists/{list}/{version}")
        | ("POST", "/v1/admin/code-lists/fetch") => Body::None,
        ("POST", "/v1/admin/code-lists") => Body::Json(support::code_list(&unique("uji"), "1", "a,A\n")),
        _ => return None,
    };
    Some((path.replace("{list}", "wilayah").replace("{version}", "2025-1"), body))
}

/// The address that serves `route`.
fn base(node: &NodeInfo, route: &Route) -> String {
    if route.access == "administrator" { node.console.clone() } else { node.exchange.clone() }
}

/// A client of its own for a test, so that the audit log can be asked for it alone.
async fn caller(demo: &Demo, role: &str, dataset: &str) -> Client {
    let client = demo.enroll(NODE, &unique("64.02.uji"), "sistem", role).await;
    if role != "administrator" {
        demo.agree(&client, dataset, &["deliver", "read"], json!({})).await;
    }
    client
}

/// Every entry by `client`, by its identity and by the name that deliveries use.
async fn entries(demo: &Demo, client: &Client) -> Vec<Value> {
    let identity = Demo::identity(&client.agency, &client.name).to_string();
    demo.audit_entries(NODE, &format!("actor={identity}")).await
}

/// The entry about the request that `answer` answers; there must be exactly one.
fn only_entry(entries: &[Value], request: &str, what: &str) -> Value {
    let about: Vec<&Value> = entries.iter().filter(|entry| entry["details"]["request"] == json!(request)).collect();
    assert_eq!(about.len(), 1, "{what}: {about:#?}");
    about[0].clone()
}

#[tokio::test]
async fn every_route_is_known_here() {
    let world = World::get().await;
    assert!(world.routes.len() > 25, "the table is not read as it is meant");
    let public: Vec<String> = world.routes.iter().filter(|route| route.access == "public").map(Route::name).collect();
    assert_eq!(public, PUBLIC, "a route became public");
    let unknown: Vec<String> =
        world.guarded().filter(|route| world.example(route).is_none()).map(Route::name).collect();
    assert!(unknown.is_empty(), "routes without an example in this test: {unknown:?}");
}

#[tokio::test]
async fn without_a_certificate_no_route_is_reached() {
    let demo = Demo::shared();
    let world = World::get().await;
    let node = demo.node(NODE);
    for route in world.guarded() {
        let (path, _) = world.example(route).expect("an example");
        let request = format!("{} {path} HTTP/1.1\r\nhost: simpul\r\ncontent-length: 0\r\n\r\n", route.method);
        for base in [&node.exchange, &node.console] {
            let mut config = tls_config(&demo.ready.ca, None);
            config.alpn_protocols = vec![b"http/1.1".to_vec()];
            let refused = async {
                let mut wire = Wire::open(NodeInfo::address(base), config).await?;
                wire.write(request.as_bytes()).await?;
                wire.read_to_end().await
            };
            let error = refused.await.expect_err(&format!("{} at {base} answered", route.name()));
            assert_eq!(alert_of(&error).as_deref(), Some("certificate_required"), "{}: {error:?}", route.name());
        }
        // The portal shakes hands with anybody, and serves none of these.
        let mut config = tls_config(&demo.ready.ca, None);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let mut wire = Wire::open(NodeInfo::address(&node.portal), config).await.expect("a handshake");
        wire.write(request.as_bytes()).await.expect("an open connection");
        let (status, _, _) = wire.read_answer().await.expect("an answer");
        assert_eq!(status, 404, "{} at the portal", route.name());
    }
}

#[tokio::test]
async fn with_a_certificate_but_no_token_every_route_answers_401_and_records_it_once() {
    let demo = Demo::shared();
    let world = World::get().await;
    let node = demo.node(NODE);
    let member = caller(demo, "producer", &world.dataset).await;
    let stranger = demo.stranger(NODE, &unique("64.02.asing"), "sistem");
    let mut seen = Vec::new();
    for route in world.guarded() {
        let by_certificate = route.access == "certificate";
        let client = if by_certificate { &stranger } else { &member };
        let answer = world.send(route, client, &base(node, route), None).await;
        assert_eq!(answer.status, 401, "{}: {}", route.name(), answer.text());
        let challenge = answer.header("www-authenticate");
        assert!(challenge.starts_with("Bearer"), "{}: {challenge}", route.name());
        assert!(by_certificate || !challenge.contains("error="), "{}: {challenge}", route.name());
        seen.push((route, answer.json()["request"].as_str().expect("a request").to_owned(), by_certificate));
    }
    let found = [entries(demo, &member).await, entries(demo, &stranger).await].concat();
    for (route, request, by_certificate) in seen {
        let entry = only_entry(&found, &request, &route.name());
        let reason = if by_certificate { "client_unknown" } else { "token_missing" };
        let wanted = json!([route.action, "refused", reason]);
        assert_eq!(json!([entry["action"], entry["outcome"], entry["reason"]]), wanted);
    }
}

#[tokio::test]
async fn administration_is_out_of_reach_of_agency_systems_and_each_try_is_recorded_once() {
    let demo = Demo::shared();
    let world = World::get().await;
    let node = demo.node(NODE);
    let member = caller(demo, "producer", &world.dataset).await;
    let token = member.token().await;
    let mut seen = Vec::new();
    for route in world.guarded().filter(|route| route.access == "administrator") {
        let at_console = world.send(route, &member, &node.console, Some(&token)).await;
        assert_eq!(at_console.status, 403, "{}", route.name());
        let reasons = ["administrator_only", "insufficient_scope"];
        assert!(reasons.contains(&at_console.problem().as_str()), "{}: {}", route.name(), at_console.text());
        let at_exchange = world.send(route, &member, &node.exchange, Some(&token)).await;
        assert_eq!(at_exchange.status, 404, "{}", route.name());
        let request = |answer: &Answer| answer.json()["request"].as_str().expect("a request").to_owned();
        seen.push((route, request(&at_console), at_console.problem(), request(&at_exchange)));
    }
    assert!(seen.len() > 15);
    let own = entries(demo, &member).await;
    let all = demo.audit_entries(NODE, "outcome=refused").await;
    for (route, at_console, problem, at_exchange) in seen {
        let entry = only_entry(&own, &at_console, &route.name());
        assert_eq!(json!([entry["action"], entry["outcome"]]), json!([route.action, "refused"]));
        assert_eq!(entry["reason"], json!(problem), "the log and the answer tell different reasons");
        // At the wrong address nobody is asked who he is.
        let entry = only_entry(&all, &at_exchange, &route.name());
        assert_eq!(json!([entry["outcome"], entry["reason"]]), json!(["refused", "not_found"]));
    }
}

#[tokio::test]
async fn a_granted_request_leaves_exactly_one_entry_with_the_action_of_its_route() {
    let demo = Demo::shared();
    let world = World::get().await;
    let node = demo.node(NODE);
    for route in world.guarded() {
        let role = if route.access == "administrator" { "administrator" } else { "producer" };
        // A delivery is shown to its sender only.
        let delivered = route.path.starts_with("/v1/deliveries/");
        let client = caller(demo, role, if delivered { &world.mixed } else { &world.dataset }).await;
        let token = if route.access == "certificate" { None } else { Some(client.token().await) };
        let answer = if delivered {
            // One of its rows is bad, so that there is something to show.
            let body = format!("{}x,,tiga,2025\n", rows(&unique("r"), 1));
            let sent = client.deliver(&world.mixed, body, "text/csv", &[]).await.wants(201);
            let delivery = sent.json()["delivery"].as_str().expect("a delivery").to_owned();
            client.get(&route.path.replace("{delivery}", &delivery)).await
        } else {
            world.send(route, &client, &base(node, route), token.as_deref()).await
        };
        assert!((200..300).contains(&answer.status), "{}: {} {}", route.name(), answer.status, answer.text());
        // The token and the delivery that the example needed are requests of their own.
        let mut before = Vec::new();
        if token.is_some() {
            before.push("token.grant");
        }
        if delivered {
            before.push("delivery.land");
        }
        // What lands is told by the entry of the landing, which names the delivery.
        let push = route.action == "deliveries.push";
        let wanted = if push { "delivery.land" } else { route.action.as_str() };
        let mut actions: Vec<String> = entries(demo, &client)
            .await
            .iter()
            .map(|entry| entry["action"].as_str().unwrap_or_default().to_owned())
            .collect();
        for action in before {
            let at = actions.iter().position(|seen| seen == action).expect("the entry of what was needed");
            actions.remove(at);
        }
        assert_eq!(actions, [wanted], "{}", route.name());
    }
}
