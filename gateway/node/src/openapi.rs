//! The description of the API (OpenAPI 3.1), made from the route table.

use std::sync::LazyLock;

use axum::extract::Request;
use axum::response::Response;
use http::Method;
use utoipa::openapi::path::{HttpMethod, OperationBuilder, ParameterBuilder, ParameterIn};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, ContentBuilder, InfoBuilder, OpenApi, OpenApiBuilder, PathItem, PathsBuilder, Required,
    ResponseBuilder,
};

use crate::answer;
use crate::door::{Access, Context};
use crate::refusal::Refusal;
use crate::routes::{ROUTES, Route};

static DESCRIPTION: LazyLock<OpenApi> = LazyLock::new(describe);

/// `GET /openapi.json`
pub async fn serve(_context: Context, _request: Request) -> Result<Response, Refusal> {
    Ok(answer::json(&*DESCRIPTION))
}

fn describe() -> OpenApi {
    let mut paths = PathsBuilder::new();
    for route in ROUTES {
        let method = match route.method {
            Method::POST => HttpMethod::Post,
            Method::PUT => HttpMethod::Put,
            Method::DELETE => HttpMethod::Delete,
            _ => HttpMethod::Get,
        };
        paths = paths.path(route.path, PathItem::new(method, operation(route)));
    }
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
    OpenApiBuilder::new()
        .info(
            InfoBuilder::new()
                .title("Simpul")
                .version(env!("CARGO_PKG_VERSION"))
                .description(Some(
                    "Inter-agency data exchange. Every address but those without security requires mutual TLS 1.3; a token is \
                     bound to the certificate it was given to. Refusals are application/problem+json (RFC 9457).",
                ))
                .build(),
        )
        .paths(paths.build())
        .components(Some(ComponentsBuilder::new().security_scheme("token", SecurityScheme::Http(bearer)).build()))
        .build()
}

fn operation(route: &Route) -> utoipa::openapi::path::Operation {
    let mut operation = OperationBuilder::new()
        .operation_id(Some(route.action))
        .summary(Some(route.summary))
        .tag(route.action.split('.').next().unwrap_or_default())
        .response("200", ResponseBuilder::new().description("Done.").build());
    for name in placeholders(route.path) {
        let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Path).required(Required::True);
        operation = operation.parameter(parameter.build());
    }
    if matches!(route.access, Access::Token | Access::Administrator) {
        operation = operation.security(SecurityRequirement::new("token", Vec::<String>::new()));
    }
    let problem = |text: &str| {
        ResponseBuilder::new()
            .description(text)
            .content("application/problem+json", ContentBuilder::new().build())
            .build()
    };
    if route.access != Access::Public {
        operation = operation
            .response("401", problem("No certificate or token that holds."))
            .response("403", problem("No agreement, role or scope allows it."))
            .response("429", problem("The quota is exceeded."));
    }
    operation.build()
}

fn placeholders(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}
