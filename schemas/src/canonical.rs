//! JSON text in one form: members sorted, no spaces, each value written one way.

use serde_json::Value;

/// How deep foreign JSON may nest.
pub(crate) const MAX_DEPTH: usize = 64;

/// Reads JSON that nests at most [`MAX_DEPTH`] deep.
pub(crate) fn parse(text: &str) -> Option<Value> {
    if depth(text) > MAX_DEPTH {
        return None;
    }
    serde_json::from_str(text).ok()
}

/// How deep brackets nest in the text of a JSON value; brackets in strings do not count.
pub(crate) fn depth(text: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let mut in_string = false;
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' if in_string => {
                bytes.next();
            }
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// The canonical text.
pub(crate) fn write(value: &Value) -> String {
    let mut out = String::new();
    write_into(value, &mut out);
    out
}

fn write_into(value: &Value, out: &mut String) {
    match value {
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_into(item, out);
            }
            out.push(']');
        }
        Value::Object(members) => {
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_by(|a, b| a.0.cmp(b.0));
            out.push('{');
            for (index, (key, item)) in sorted.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_string(key, out);
                out.push(':');
                write_into(item, out);
            }
            out.push('}');
        }
        Value::String(text) => write_string(text, out),
        Value::Number(number) => match number.as_f64() {
            // 1, 1.0 and 1e0 are one number.
            Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < 1e15 => {
                out.push_str(&(float as i64).to_string());
            }
            _ => out.push_str(&number.to_string()),
        },
        Value::Null | Value::Bool(_) => out.push_str(&value.to_string()),
    }
}

/// A JSON string with its quotes and escapes.
pub(crate) fn write_string(text: &str, out: &mut String) {
    use std::fmt::Write as _;
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_have_equal_text_and_deep_ones_none() {
        let form = |text: &str| write(&parse(text).unwrap());
        assert_eq!(form(r#"{"b":[ 1.0, 1e0 ],"a":"\u0041\n"}"#), r#"{"a":"A\n","b":[1,1]}"#);
        assert!(parse(&"[".repeat(65)).is_none());
        assert_eq!(depth(r#"{"[[[":["]"]}"#), 2);
    }
}
