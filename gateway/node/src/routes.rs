//! Every route of the API in one table.
//!
//! The door takes the rules of a request from here, the description of the API (`/openapi.json`) is made from here, and a
//! test fails for a route that nobody tried without a token or whose audit entry nobody looked for.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::routing::{MethodFilter, on};
use futures::FutureExt;
use http::Method;

use crate::admin;
use crate::app::App;
use crate::door::{self, Access, Context, Entrance, Handler};
use crate::flows::{extract, ingest, lists, query, report};
use crate::refusal::{Kind, Refusal};
use crate::{console, openapi, tokens};

/// One route.
pub struct Route {
    /// The method.
    pub method: Method,
    /// The path; `{name}` is a placeholder.
    pub path: &'static str,
    /// What a request must show.
    pub access: Access,
    /// The addresses that serve it.
    pub entrances: &'static [Entrance],
    /// The action in the audit log and in metrics.
    pub action: &'static str,
    /// One line for the description of the API.
    pub summary: &'static str,
    /// What answers it.
    pub run: Handler,
}

impl Route {
    /// Whether its requests are recorded in the audit log: all but those that tell nothing about anybody.
    pub fn audited(&self) -> bool {
        self.access != Access::Public
    }
}

use Entrance::{Console, Exchange, Metrics, Portal};

const ALL: &[Entrance] = &[Exchange, Portal, Console, Metrics];
const DESCRIBED: &[Entrance] = &[Exchange, Portal, Console];
const CLIENTS: &[Entrance] = &[Exchange, Console];
const DATA: &[Entrance] = &[Exchange];
const ADMIN: &[Entrance] = &[Console];

macro_rules! route {
    ($method:ident $path:literal $access:ident $entrances:ident $action:literal $summary:literal $run:path) => {
        Route {
            method: Method::$method,
            path: $path,
            access: Access::$access,
            entrances: $entrances,
            action: $action,
            summary: $summary,
            run: |context, request| $run(context, request).boxed(),
        }
    };
}

/// The table.
#[rustfmt::skip]
pub static ROUTES: &[Route] = &[
    route!(GET  "/health/live" Public ALL "health.live" "Whether the process answers." console::health::live),
    route!(GET  "/health/ready" Public ALL "health.ready" "Whether the node can take deliveries, and if not, why." console::health::ready),
    route!(GET  "/openapi.json" Public DESCRIBED "openapi" "This description." openapi::serve),
    route!(GET  "/v1/jwks" Public DESCRIBED "jwks" "The public keys that this node signs tokens with." tokens::jwks),
    route!(POST "/v1/token" Certificate CLIENTS "token.grant" "An access token for the certificate of this connection (OAuth 2.0 client credentials, RFC 8705)." tokens::grant),

    route!(GET  "/v1/datasets" Token DATA "datasets.list" "The datasets that the caller has an agreement for." query::datasets),
    route!(GET  "/v1/datasets/{dataset}" Token DATA "datasets.show" "One dataset: contract, metadata, version." query::dataset),
    route!(POST "/v1/datasets/{dataset}/deliveries" Token DATA "deliveries.push" "Delivers rows: CSV, NDJSON, JSON, XLSX, XLS, ODS, Parquet or Arrow IPC, as it is or compressed with gzip or zstd. With ?dry_run=true nothing lands, and with Accept: application/x-ndjson the answer tells while the body is read what was found so far." ingest::push),
    route!(GET  "/v1/datasets/{dataset}/records" Token DATA "records.read" "Rows, page by page: ?select=a,b&column=op.value&limit=n&cursor=…" query::records),
    route!(GET  "/v1/datasets/{dataset}/extract" Token DATA "extract.read" "Everything that the caller may see, as Parquet, Arrow stream or CSV." extract::run),
    route!(GET  "/v1/deliveries/{delivery}" Token DATA "deliveries.show" "What became of a delivery: its state, report and receipt." ingest::show),
    route!(GET  "/v1/deliveries/{delivery}/report" Token DATA "deliveries.report" "The report of a delivery, to its sender: ?format=json, text, csv (one line for each error) or xlsx (the bad rows with marked cells), or by Accept." report::show),
    route!(GET  "/v1/deliveries/{delivery}/rejected" Token DATA "deliveries.rejected" "The bad rows of a delivery as they came, to its sender: a file to correct and send again." report::rejected),

    route!(GET  "/v1/code-lists" Token DATA "code_lists.list" "The editions of code lists that this node has, with their digests." lists::index),
    route!(GET  "/v1/code-lists/{list}/{version}" Token DATA "code_lists.read" "The document of one edition: descriptor and codes." lists::show),

    route!(GET  "/v1/admin/agencies" Administrator ADMIN "admin.agencies.list" "The registered agencies." admin::list_agencies::run),
    route!(PUT  "/v1/admin/agencies/{agency}" Administrator ADMIN "admin.agencies.put" "Registers an agency." admin::put_agency::run),
    route!(GET  "/v1/admin/clients" Administrator ADMIN "admin.clients.list" "The registered clients." admin::list_clients::run),
    route!(PUT  "/v1/admin/clients/{agency}/{client}" Administrator ADMIN "admin.clients.put" "Registers a client of an agency, changes its roles or quota, or disables it." admin::put_client::run),
    route!(GET  "/v1/admin/agreements" Administrator ADMIN "admin.agreements.list" "The agreements." admin::list_agreements::run),
    route!(PUT  "/v1/admin/agreements/{agreement}" Administrator ADMIN "admin.agreements.put" "Registers or changes an agreement." admin::put_agreement::run),
    route!(DELETE "/v1/admin/agreements/{agreement}" Administrator ADMIN "admin.agreements.end" "Ends an agreement now." admin::end_agreement::run),
    route!(GET  "/v1/admin/contracts" Administrator ADMIN "admin.contracts.list" "The registered contracts and their versions." admin::list_contracts::run),
    route!(POST "/v1/admin/contracts" Administrator ADMIN "admin.contracts.register" "Registers a version of a contract after a compatibility check." admin::register_contract::run),
    route!(GET  "/v1/admin/contracts/{dataset}/{version}" Administrator ADMIN "admin.contracts.show" "One version of a contract." admin::show_contract::run),
    route!(GET  "/v1/admin/code-lists" Administrator ADMIN "admin.code_lists.list" "The editions of code lists, registered or shipped." admin::list_code_lists::run),
    route!(POST "/v1/admin/code-lists" Administrator ADMIN "admin.code_lists.register" "Registers an edition of a code list; with ?dry_run=true it is only checked." admin::register_code_list::run),
    route!(POST "/v1/admin/code-lists/fetch" Administrator ADMIN "admin.code_lists.fetch" "Fetches from the parent, now, what is new of the lists that are used here." admin::fetch_code_lists::run),
    route!(GET  "/v1/admin/code-lists/{list}/{version}" Administrator ADMIN "admin.code_lists.show" "The document of one edition." lists::show),
    route!(GET  "/v1/admin/connectors" Administrator ADMIN "admin.connectors.list" "The connectors with their last run." admin::list_connectors::run),
    route!(PUT  "/v1/admin/connectors/{connector}" Administrator ADMIN "admin.connectors.put" "Registers or changes a connector." admin::put_connector::run),
    route!(DELETE "/v1/admin/connectors/{connector}" Administrator ADMIN "admin.connectors.delete" "Removes a connector; what it delivered stays." admin::delete_connector::run),
    route!(POST "/v1/admin/connectors/{connector}/test" Administrator ADMIN "admin.connectors.test" "Reaches the source and tells what it sees." admin::test_connector::run),
    route!(POST "/v1/admin/connectors/{connector}/run" Administrator ADMIN "admin.connectors.run" "Pulls what is new, now." admin::run_connector::run),
    route!(GET  "/v1/admin/deliveries" Administrator ADMIN "admin.deliveries.list" "The delivery journal." admin::list_deliveries::run),
    route!(GET  "/v1/admin/link" Administrator ADMIN "admin.link.show" "The link to the parent: queue, age, last contact." admin::show_link::run),
    route!(GET  "/v1/audit/entries" Administrator ADMIN "audit.show" "Audit entries, newest last: ?action=…&actor=…&outcome=…&since=…&until=…&limit=n, and with before=index older ones." admin::show_audit::run),
    route!(GET  "/v1/audit/export" Administrator ADMIN "audit.export" "The whole audit log, to be verified offline." admin::export_audit::run),
    route!(GET  "/v1/audit/checkpoint" Administrator ADMIN "audit.checkpoint" "The last signed checkpoint." admin::show_checkpoint::run),
    route!(GET  "/metrics" Public METRICS "metrics" "Figures for Prometheus." console::health::metrics),
];

const METRICS: &[Entrance] = &[Metrics];

/// What answers a path that is not in the table: after the same checks as any other.
static UNKNOWN: Route = Route {
    method: Method::GET,
    path: "",
    access: Access::Token,
    entrances: CLIENTS,
    action: "unknown.path",
    summary: "",
    run: |context, request| unknown(context, request).boxed(),
};

/// The router of `app`, the same for every entrance: `door` compares the entrance with the table.
pub fn router(app: &Arc<App>) -> Router {
    let mut router = Router::new();
    for route in ROUTES {
        let filter = match route.method {
            Method::POST => MethodFilter::POST,
            Method::PUT => MethodFilter::PUT,
            Method::DELETE => MethodFilter::DELETE,
            _ => MethodFilter::GET,
        };
        let owner = app.clone();
        let handler = move |request: Request| door::handle(owner.clone(), route, request);
        router = router.route(route.path, on(filter, handler));
    }
    let owner = app.clone();
    let wrong_method = app.clone();
    router
        .fallback(move |request: Request| door::handle(owner.clone(), &UNKNOWN, request))
        .method_not_allowed_fallback(move |request: Request| door::handle(wrong_method.clone(), &UNKNOWN, request))
}

async fn unknown(context: Context, request: Request) -> Result<axum::response::Response, Refusal> {
    let _ = context.caller()?;
    let known = ROUTES.iter().any(|route| matches(route.path, request.uri().path()));
    Err(Refusal::new(if known { Kind::MethodNotAllowed } else { Kind::NotFound }, ""))
}

/// Whether `path` has the shape of `template`.
fn matches(template: &str, path: &str) -> bool {
    let (mut wanted, mut given) = (template.split('/'), path.split('/'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return true,
            (Some(want), Some(have)) if want == have || (want.starts_with('{') && !have.is_empty()) => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_routes_share_a_method_and_path_or_an_action() {
        let paths: HashSet<_> = ROUTES.iter().map(|route| (route.method.clone(), route.path)).collect();
        let actions: HashSet<_> = ROUTES.iter().map(|route| route.action).collect();
        assert_eq!((paths.len(), actions.len()), (ROUTES.len(), ROUTES.len()));
    }

    #[test]
    fn only_what_tells_nothing_about_anybody_is_public() {
        let public: Vec<_> =
            ROUTES.iter().filter(|route| route.access == Access::Public).map(|route| route.path).collect();
        assert_eq!(public, ["/health/live", "/health/ready", "/openapi.json", "/v1/jwks", "/metrics"]);
    }

    #[test]
    fn administration_is_served_on_the_console_only() {
        let admin =
            ROUTES.iter().filter(|route| route.path.starts_with("/v1/admin") || route.path.starts_with("/v1/audit"));
        assert!(admin.into_iter().all(|route| route.access == Access::Administrator && route.entrances == ADMIN));
    }
}
