//! A draft in words, for whoever made it.

use serde_json::Value;

use super::Draft;
use crate::report::Lang;

/// Below this a guess is named for checking.
const DOUBTFUL: f64 = 0.7;

impl Draft {
    /// What was guessed, column by column, and what to check first.
    #[must_use]
    pub fn to_text(&self, lang: Lang) -> String {
        let schema = &self.descriptor["resources"][0]["schema"];
        let empty = Vec::new();
        let fields = schema["fields"].as_array().unwrap_or(&empty);
        let mut out = match lang {
            Lang::Id => {
                format!("Draf standar data dari {} baris, {} kolom. Semua isinya tebakan.\n", self.rows, fields.len())
            }
            Lang::En => format!(
                "A draft of a contract from {} rows, {} columns. All of it is guessed.\n",
                self.rows,
                fields.len()
            ),
        };
        for (property, guess) in guesses(&self.descriptor["satudata"]) {
            out.push_str(&format!("  {property}: {}\n", guess["alasan"].as_str().unwrap_or_default()));
        }
        for field in fields {
            let text = |key: &str| field[key].as_str().unwrap_or_default();
            out.push_str(&format!("\n{}: {}", text("name"), text("type")));
            let mut marks = Vec::new();
            for key in ["format", "groupChar", "decimalChar"] {
                if !text(key).is_empty() {
                    marks.push(format!("{key} {}", text(key)));
                }
            }
            let flags = ["required", "unique"].into_iter().filter(|key| field["constraints"][key] == true);
            marks.extend(flags.map(str::to_owned));
            if field["satudata"].get("dataPribadi").is_some() {
                marks.push("dataPribadi".to_owned());
            }
            if !marks.is_empty() {
                out.push_str(&format!(" ({})", marks.join(", ")));
            }
            out.push('\n');
            for (property, guess) in guesses(&field["satudata"]) {
                let confidence = guess["keyakinan"].as_f64().unwrap_or(1.0);
                let notable = confidence < DOUBTFUL || guess.get("menyimpang").is_some() || property == "dataPribadi";
                if notable {
                    let why = guess["alasan"].as_str().unwrap_or_default();
                    out.push_str(&format!("  {property} ({:.0} %): {why}\n", confidence * 100.0));
                }
                for example in guess["contohMenyimpang"].as_array().into_iter().flatten() {
                    let value = example["nilai"].as_str().unwrap_or_default();
                    match (example["baris"].as_u64(), lang) {
                        (Some(row), Lang::Id) => out.push_str(&format!("    menyimpang: baris {row}: «{value}»\n")),
                        (Some(row), Lang::En) => out.push_str(&format!("    against it: row {row}: “{value}”\n")),
                        (None, Lang::Id) => out.push_str(&format!("    jarang: «{value}»\n")),
                        (None, Lang::En) => out.push_str(&format!("    rare: “{value}”\n")),
                    }
                }
            }
        }
        out
    }
}

/// The guesses of an extension object.
fn guesses(satudata: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let listed = satudata["tebakan"].as_object().into_iter().flatten();
    listed.filter(|(_, guess)| guess.is_object()).map(|(property, guess)| (property.as_str(), guess))
}
