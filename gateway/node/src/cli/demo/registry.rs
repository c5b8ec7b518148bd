//! What the administrators of the demo register, through the consoles.

use http::Method;
use serde_json::{Value, json};

use super::world::{Client, DATASETS, Node, World};
use crate::cli::data::connect_with;
use crate::client::{NodeClient, Profile};

/// Registers agencies, clients, contracts and agreements at every node.
///
/// # Errors
/// The first refusal.
pub async fn register(world: &World) -> anyhow::Result<()> {
    for (index, node) in world.nodes.iter().enumerate() {
        let admin = console(world, node)?;
        for name in DATASETS {
            let standard =
                simpul_schemas::standard::contract(name).ok_or_else(|| anyhow::anyhow!("no contract {name}"))?;
            let descriptor: Value = serde_json::from_str(standard.descriptor)?;
            call(&admin, Method::POST, "/v1/admin/contracts", descriptor).await?;
        }
        let own: Vec<&Client> = world.clients.iter().filter(|client| client.node == node.name).collect();
        for client in &own {
            let agency = json!({"name": client.agency});
            call(&admin, Method::PUT, &format!("/v1/admin/agencies/{}", client.agency), agency).await?;
            let path = format!("/v1/admin/clients/{}/{}", client.agency, client.client);
            call(&admin, Method::PUT, &path, json!({"roles": [client.role]})).await?;
            agreements(&admin, node, client).await?;
        }
        if let Some(child) = index.checked_sub(1).and_then(|below| world.nodes.get(below)) {
            accept_child(&admin, node, child).await?;
        }
    }
    Ok(())
}

/// The administrator's client of a node.
///
/// # Errors
/// When the profile cannot be used.
pub fn console(world: &World, node: &Node) -> anyhow::Result<NodeClient> {
    let admin = world.client(&format!("{}-admin", node.tier))?;
    let profile = Profile::load(&admin.profile)?;
    connect_with(&profile, &node.console())
}

async fn call(admin: &NodeClient, method: Method, path: &str, body: Value) -> anyhow::Result<Value> {
    Ok(admin.send(admin.request(method, path).await?.json(&body)).await?)
}

async fn agreements(admin: &NodeClient, node: &Node, client: &Client) -> anyhow::Result<()> {
    let operations = match client.role {
        "producer" => json!(["deliver", "read"]),
        "consumer" | "statistician" => json!(["read"]),
        _ => return Ok(()),
    };
    for dataset in DATASETS {
        // Personal data are hidden from whoever is not named: producers see what they delivered, others its beginning.
        let columns = personal_columns(dataset, if client.role == "producer" { "clear" } else { "masked" })?;
        let agreement = json!({
            "provider": node.agency,
            "consumer": client.agency,
            "client": client.client,
            "dataset": dataset,
            "operations": operations,
            "columns": columns,
            "purpose": "peragaan",
            "document": format!("PKS-DEMO/{}/{}", client.role, dataset),
            "valid_from": "2026-01-01T00:00:00Z",
            "valid_until": "2099-01-01T00:00:00Z",
        });
        let id = format!("{}-{dataset}", client.name);
        call(admin, Method::PUT, &format!("/v1/admin/agreements/{id}"), agreement).await?;
    }
    Ok(())
}

/// The columns that a contract marks as personal data, all seen in the same way.
fn personal_columns(dataset: &str, seen: &str) -> anyhow::Result<Value> {
    let standard =
        simpul_schemas::standard::contract(dataset).ok_or_else(|| anyhow::anyhow!("no contract {dataset}"))?;
    let descriptor: Value = serde_json::from_str(standard.descriptor)?;
    let fields =
        descriptor.pointer("/resources/0/schema/fields").and_then(Value::as_array).cloned().unwrap_or_default();
    let personal = fields.iter().filter(|field| field.pointer("/satudata/dataPribadi").is_some());
    Ok(personal.filter_map(|field| field["name"].as_str().map(|name| (name.to_owned(), json!(seen)))).collect())
}

/// The child node may forward what the agencies of its area delivered.
async fn accept_child(admin: &NodeClient, node: &Node, child: &Node) -> anyhow::Result<()> {
    call(admin, Method::PUT, &format!("/v1/admin/agencies/{}", child.agency), json!({"name": child.name})).await?;
    let path = format!("/v1/admin/clients/{}/simpul", child.agency);
    call(admin, Method::PUT, &path, json!({"roles": ["node"]})).await?;
    for dataset in DATASETS {
        let agreement = json!({
            "provider": node.agency,
            "consumer": child.agency,
            "client": "simpul",
            "dataset": dataset,
            "operations": ["forward"],
            "purpose": "penerusan data wilayah",
            "document": format!("PKS-DEMO/simpul/{dataset}"),
            "valid_from": "2026-01-01T00:00:00Z",
            "valid_until": "2099-01-01T00:00:00Z",
        });
        call(admin, Method::PUT, &format!("/v1/admin/agreements/simpul-{}-{dataset}", child.name), agreement).await?;
    }
    Ok(())
}
