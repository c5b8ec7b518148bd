//! The configuration reference and the commented file that `simpul init` writes, both made from the
//! JSON Schema of [`Config`].

use std::fmt::Write as _;

use serde_json::Value;

use super::Config;

/// One key with what the reference tells about it.
struct Key<'a> {
    section: &'a str,
    name: &'a str,
    description: &'a str,
    default: Option<&'a Value>,
    range: String,
}

/// The sections in the order in which somebody reads them.
const ORDER: [&str; 7] = ["node", "listen", "tls", "token", "limits", "link", "log"];

fn schema() -> Value {
    schemars::schema_for!(Config).to_value()
}

/// Follows a `$ref`, also one inside `anyOf` (an optional section) or `allOf`.
fn resolve<'a>(schema: &'a Value, value: &'a Value) -> &'a Value {
    let candidates = [Some(value), value.pointer("/anyOf/0"), value.pointer("/allOf/0")];
    let reference = candidates.into_iter().flatten().find_map(|v| v.get("$ref")).and_then(Value::as_str);
    reference.and_then(|path| schema.pointer(path.trim_start_matches('#'))).unwrap_or(value)
}

/// Calls `visit` for every section (its name, its description, its keys).
fn sections(schema: &Value, mut visit: impl FnMut(&str, &str, Vec<Key<'_>>)) {
    for section in ORDER {
        let value = &schema["properties"][section];
        let resolved = resolve(schema, value);
        let defaults = &value["default"];
        let Some(properties) = resolved["properties"].as_object() else { continue };
        let keys = properties.iter().map(|(name, property)| Key {
            section,
            name,
            description: property["description"].as_str().unwrap_or_default(),
            default: property.get("default").or_else(|| defaults.get(name)),
            range: range(property),
        });
        visit(section, value["description"].as_str().unwrap_or_default(), keys.collect());
    }
}

fn range(property: &Value) -> String {
    let bound = |key: &str| property[key].as_f64().map(|n| format!("{n}"));
    match (bound("minimum"), bound("maximum")) {
        (Some(min), Some(max)) => format!("{min} to {max}"),
        (Some(min), None) => format!("at least {min}"),
        (None, Some(max)) => format!("at most {max}"),
        (None, None) => String::new(),
    }
}

/// The reference as Markdown.
pub fn markdown() -> String {
    let schema = schema();
    let mut out = String::from(
        "# Configuration reference\n\nGenerated from the code by `simpul config`; a test compares this file with \
         it.\nPaths are relative to the folder of the configuration file. An unknown key, a value of the wrong type or out of \
         its range\nis refused with its line before any port is bound.\n",
    );
    sections(&schema, |section, description, keys| {
        let _ = write!(
            out,
            "\n## `[{section}]`\n\n{description}\n\n| key | default | range | meaning |\n|---|---|---|---|\n"
        );
        for key in keys {
            let default = key.default.map_or_else(|| "required".to_owned(), |v| format!("`{v}`"));
            let meaning = key.description.replace('\n', " ");
            let _ = writeln!(out, "| `{}` | {default} | {} | {meaning} |", key.name, key.range);
        }
    });
    out
}

/// A configuration file in which every key is explained; `values` gives `(section.key, TOML value)` for those that differ
/// from their default, which stay commented out.
pub fn commented(values: &[(&str, String)]) -> String {
    let schema = schema();
    let given = |key: &Key<'_>| {
        let path = format!("{}.{}", key.section, key.name);
        values.iter().find(|(name, _)| *name == path).map(|(_, value)| value.clone())
    };
    let mut out = String::from("# The configuration of this node. A line that begins with # shows a default.\n");
    sections(&schema, |section, description, keys| {
        let used = section != "link" || keys.iter().any(|key| given(key).is_some());
        let hash = if used { "" } else { "# " };
        let _ = write!(out, "\n# {}\n{hash}[{section}]\n", description.replace('\n', " "));
        for key in keys {
            let range = if key.range.is_empty() { String::new() } else { format!(" ({})", key.range) };
            let _ = writeln!(out, "# {}{range}", key.description.replace('\n', " "));
            let _ = match (given(&key), key.default) {
                (Some(value), _) => writeln!(out, "{} = {value}", key.name),
                (None, Some(default)) => writeln!(out, "# {} = {default}", key.name),
                (None, None) => writeln!(out, "# {} =", key.name),
            };
        }
    });
    out
}

/// The first number in `config` that lies outside the range its key is documented with.
pub fn out_of_range(config: &Value) -> Option<(Vec<String>, String)> {
    let schema = schema();
    let mut found = None;
    sections(&schema, |section, _, keys| {
        let resolved = resolve(&schema, &schema["properties"][section]);
        for key in keys {
            let Some(number) = config[section][key.name].as_f64() else { continue };
            let property = &resolved["properties"][key.name];
            let low = property["minimum"].as_f64().is_some_and(|min| number < min);
            let high = property["maximum"].as_f64().is_some_and(|max| number > max);
            if (low || high) && found.is_none() {
                let message = format!("{section}.{} must be {}", key.name, key.range);
                found = Some((vec![section.to_owned(), key.name.to_owned()], message));
            }
        }
    });
    found
}

/// The byte offset of the value at `path` in a TOML text that parses; 0 when it is not written there.
pub fn offset_of(text: &str, path: &[String]) -> usize {
    let Ok(table) = toml::de::DeTable::parse(text) else { return 0 };
    let mut current = table.get_ref();
    let mut offset = 0;
    for key in path {
        let Some((found, value)) = current.iter().find(|(name, _)| name.get_ref().as_ref() == key.as_str()) else {
            return offset;
        };
        offset = found.span().start;
        match value.get_ref() {
            toml::de::DeValue::Table(inner) => current = inner,
            _ => return offset,
        }
    }
    offset
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_section_is_left_out() {
        let schema = schema();
        let mut all: Vec<&str> = schema["properties"].as_object().unwrap().keys().map(String::as_str).collect();
        let mut ordered = ORDER;
        all.sort_unstable();
        ordered.sort_unstable();
        assert_eq!(all, ordered);
    }

    #[test]
    fn the_reference_in_docs_is_that_of_the_code() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/CONFIG.md");
        let written = std::fs::read_to_string(path).unwrap();
        assert_eq!(written, markdown(), "write it anew: simpul config > docs/CONFIG.md");
    }

    #[test]
    fn the_commented_file_with_every_default_switched_on_is_a_configuration() {
        let values = [
            ("node.agency", "\"64.02.diskominfo\"".to_owned()),
            ("node.tier", "\"kabupaten\"".to_owned()),
            ("node.trust_domain", "\"satudata.test\"".to_owned()),
            ("link.upstream", "\"https://parent.example:8443\"".to_owned()),
        ];
        let text = commented(&values);
        let keys = text.lines().map(|line| line.strip_prefix("# ").filter(|rest| rest.contains(" = ")).unwrap_or(line));
        let all: Vec<&str> = keys.collect();
        toml::from_str::<Config>(&all.join("\n")).unwrap();
        toml::from_str::<Config>(&text).unwrap();
    }
}
