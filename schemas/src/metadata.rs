//! What the standard asks of a package and its resources beside their schemas.
//!
//! A contract is compiled from one resource and does not need this; a package that somebody wants
//! checked is held to all of it (Data Package and Data Resource, version 2, and the profiles of
//! version 1 where they agree).

use hashbrown::HashSet;
use serde_json::{Map, Value};

use crate::contract::{Contract, ENCODING_ERROR, REFERENCE_ERROR};
use crate::descriptor::{DescriptorError, Props};
use crate::reference::NoReferences;

/// Every fault of the package around the table that is checked.
pub(crate) fn faults(descriptor: &Value) -> Vec<DescriptorError> {
    let mut errors = Vec::new();
    let Some(package) = descriptor.as_object() else { return errors };
    let mut props = Props::new(package, "package-error", String::new(), &mut errors);
    for text in ["$schema", "profile", "name", "id", "homepage", "version", "image", "description"] {
        props.string(text);
    }
    created(&mut props);
    props.strings("keywords");
    origins(&mut props);
    let resources = props.list("resources").unwrap_or_default();
    let tabular = package.get("profile").and_then(Value::as_str) == Some("tabular-data-package")
        && !package.contains_key("$schema");
    let mut names = HashSet::new();
    for (index, resource) in resources.iter().enumerate() {
        let Value::Object(resource) = resource else { continue };
        let mut props = Props::new(resource, "resource-error", format!("/resources/{index}"), &mut errors);
        if let Some(name) = resource.get("name").and_then(Value::as_str)
            && !names.insert(name)
        {
            props.fault("name", format!("nama «{name}» dua kali"), format!("the name “{name}” stands twice"));
        }
        if tabular && resource.get("profile").and_then(Value::as_str) != Some("tabular-data-resource") {
            props.fault(
                "profile",
                "profil tabular-data-package meminta tabular-data-resource",
                "the profile tabular-data-package asks for tabular-data-resource",
            );
        }
        self::resource(&mut props, resource);
        neighbour(descriptor, index, resource, &mut errors);
    }
    errors
}

fn resource(props: &mut Props<'_, '_>, resource: &Map<String, Value>) {
    if !resource.contains_key("name") {
        props.fault("name", "sumber daya tanpa «name»", "a resource without “name”");
    }
    for text in ["$schema", "profile", "type", "title", "description", "format", "mediatype", "hash"] {
        props.string(text);
    }
    if resource.contains_key("bytes") {
        props.count("bytes");
    }
    origins(props);
    match (resource.get("path"), resource.get("data")) {
        (None, None) => props.fault("", "tidak ada «path» atau «data»", "there is neither “path” nor “data”"),
        (Some(_), Some(_)) => props.fault("", "«path» dan «data» bersama", "both “path” and “data” are given"),
        (None, Some(_)) => {}
        (Some(path), None) => match path {
            Value::String(path) => safe(props, path),
            Value::Array(paths) if !paths.is_empty() && paths.iter().all(Value::is_string) => {
                for path in paths.iter().filter_map(Value::as_str) {
                    safe(props, path);
                }
            }
            _ => props.fault("path", "«path» harus teks atau larik teks", "“path” is a string or an array of strings"),
        },
    }
}

/// Paths stay beside the descriptor or below it.
fn safe(props: &mut Props<'_, '_>, path: &str) {
    let remote = path.starts_with("http://") || path.starts_with("https://");
    let outside = path.starts_with(['/', '~', '\\']) || path.split(['/', '\\']).any(|part| part == "..");
    if path.is_empty() || outside && !remote {
        props.fault("path", format!("«{path}» di luar folder paket"), format!("“{path}” leaves the package's folder"));
    }
}

/// A date and time of RFC 3339.
fn created(props: &mut Props<'_, '_>) {
    let Some(text) = props.string("created") else { return };
    if crate::lexical::temporal::iso_datetime(&text.to_ascii_uppercase()).is_none_or(|stamp| !stamp.zoned) {
        props.fault("created", "«created» harus tanggal dan jam RFC 3339", "“created” is a date and time of RFC 3339");
    }
}

/// Licences, sources and contributors.
fn origins(props: &mut Props<'_, '_>) {
    for (name, needs) in [("licenses", &["name", "path"][..]), ("sources", &[]), ("contributors", &[])] {
        for item in props.list(name).unwrap_or_default() {
            let Value::Object(item) = item else {
                props.fault(name, "isinya harus objek", "it holds objects");
                continue;
            };
            if !needs.is_empty() && !needs.iter().any(|need| item.get(*need).is_some_and(Value::is_string)) {
                props.fault(name, "perlu «name» atau «path»", "“name” or “path” is needed");
            }
            for text in ["name", "path", "title", "email"] {
                if item.get(text).is_some_and(|value| !value.is_string()) {
                    props.fault(name, format!("«{text}» harus teks"), format!("“{text}” has to be a string"));
                }
            }
        }
    }
}

/// The schema of another table of the package; its references are asked when it is checked itself.
fn neighbour(descriptor: &Value, index: usize, resource: &Map<String, Value>, errors: &mut Vec<DescriptorError>) {
    if index == 0 || !resource.get("schema").is_some_and(Value::is_object) {
        return;
    }
    if let Err(found) = Contract::compile_resource(descriptor, index, &NoReferences) {
        let own = |error: &DescriptorError| {
            error.kind != REFERENCE_ERROR && error.kind != ENCODING_ERROR && error.path.starts_with("/resources/")
        };
        errors.extend(found.into_iter().filter(own));
    }
}
