//! A code list as one document: the descriptor with the text of its files inside, written in one way, so that its digest
//! is the same wherever it comes from.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{CodeListError, URN_PREFIX};
use crate::canonical;

/// The document of the list whose descriptor is given; `read` gives the bytes of a file that it names by `path`.
///
/// `path` becomes `data`, a text of CSV. Line ends are those of Unix and there is no byte order mark, so that a list that was
/// saved under Windows is the same list.
///
/// # Errors
/// [`CodeListError`] for a descriptor or file that cannot be read. Whether it is a code list is not asked.
pub fn document<'a>(descriptor: &str, read: impl Fn(&str) -> Option<&'a [u8]>) -> Result<String, CodeListError> {
    let mut package = parse(descriptor)?;
    for resource in package["resources"].as_array_mut().into_iter().flatten() {
        let Some(resource) = resource.as_object_mut() else { continue };
        let text = match (resource.get("path"), resource.get("data")) {
            (Some(path), None) => {
                let path = path.as_str().ok_or(CodeListError::Missing("a path that is one text"))?;
                let bytes = read(path).ok_or_else(|| CodeListError::File(path.to_owned()))?;
                std::str::from_utf8(bytes).map_err(|_| CodeListError::Encoding(path.to_owned()))?.to_owned()
            }
            (None, Some(Value::String(text))) => text.clone(),
            _ => return Err(CodeListError::Missing("a resource with either a path or data that is a text of CSV")),
        };
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text).replace("\r\n", "\n");
        resource.remove("path");
        resource.insert("data".to_owned(), text.into());
        // What the standard asks of data that stand in a text.
        resource.entry("format").or_insert_with(|| "csv".into());
    }
    Ok(canonical::write(&package))
}

/// Reads the JSON of a descriptor or document.
pub(super) fn parse(text: &str) -> Result<Value, CodeListError> {
    let text = text.trim_start_matches('\u{feff}');
    if canonical::depth(text) > canonical::MAX_DEPTH {
        return Err(CodeListError::Json(format!("more than {} levels", canonical::MAX_DEPTH)));
    }
    let package: Value = serde_json::from_str(text).map_err(|error| CodeListError::Json(error.to_string()))?;
    if package.is_object() { Ok(package) } else { Err(CodeListError::Json("not an object".to_owned())) }
}

/// The code lists that the foreign keys of a contract point to, by URN.
#[must_use]
pub fn referenced(descriptor: &Value) -> BTreeSet<String> {
    let resources = descriptor["resources"].as_array().into_iter().flatten();
    let keys = resources.filter_map(|resource| resource["schema"]["foreignKeys"].as_array()).flatten();
    let packages = keys.filter_map(|key| key["reference"]["package"].as_str());
    packages.filter(|package| package.starts_with(URN_PREFIX)).map(str::to_owned).collect()
}
