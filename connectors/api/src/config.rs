//! Configurations are read strictly, and their errors never repeat a value.

use crate::{ConnectorError, Value};
use serde::de::DeserializeOwned;

/// Reads a configuration. A mistake is [`ConnectorError::Misconfigured`] with the path of the key and what was expected
/// there, without the value found: it may be a secret in the wrong place.
pub fn parse_config<T: DeserializeOwned>(config: Value) -> Result<T, ConnectorError> {
    serde_path_to_error::deserialize(config).map_err(|error| {
        let path = error.path().to_string();
        ConnectorError::misconfigured(format!(
            "configuration, at `{path}`: {}",
            without_value(&error.inner().to_string())
        ))
    })
}

/// serde's text with the offending value left out.
fn without_value(text: &str) -> String {
    let repeats_value = ["invalid type: ", "invalid value: ", "unknown variant "].iter().any(|p| text.starts_with(p));
    match (repeats_value, text.rfind(", expected ")) {
        (true, Some(at)) => text[at + 2..].to_owned(),
        (true, None) => "not a value that fits here".to_owned(),
        (false, _) => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SecretRef;
    use serde::Deserialize;
    use serde_json::json;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Config {
        #[expect(dead_code)]
        server: Server,
    }
    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code)]
    struct Server {
        port: u16,
        mode: Option<Mode>,
        password: Option<SecretRef>,
    }
    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Mode {
        On,
    }

    #[test]
    fn a_wrong_value_is_located_and_not_repeated() {
        for (bad, at) in [
            (json!({"server": {"port": "canary-7f3a"}}), "server.port"),
            (json!({"server": {"port": "canary-7f3a, expected x canary-7f3a"}}), "server.port"),
            (json!({"server": {"port": 1, "mode": "canary-7f3a"}}), "server.mode"),
            (json!({"server": {"port": 1, "mode": {"canary-7f3a": 1}}}), "server.mode"),
            (json!({"server": {"port": 1, "password": "canary-7f3a"}}), "server.password"),
            (json!({"server": "canary-7f3a"}), "server"),
        ] {
            let error = parse_config::<Config>(bad).unwrap_err();
            assert_eq!(error.name(), "misconfigured");
            assert!(error.message().contains(at) && !error.message().contains("canary-7f3a"), "{error}");
        }
    }

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        let error = parse_config::<Config>(json!({"server": {"port": 1, "prot": 2}})).unwrap_err();
        assert!(error.message().contains("unknown field `prot`"), "{error}");
        assert!(parse_config::<Config>(json!({"server": {"port": 1, "mode": "on"}})).is_ok());
    }
}
