//! What is read, with every name as the server spells it, and the statements made of those names.

use crate::Config;
use crate::session::Session;
use simpul_connector_api::{Column, ConnectorError};
use sqlx::postgres::{PgTypeInfo, PgTypeKind};
use sqlx::{Column as _, Row, Statement, TypeInfo};
use std::collections::HashSet;

/// The table or query, its columns and its cursor.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What an operator calls it.
    name: String,
    /// What stands after FROM: a quoted name, or a query in parentheses.
    source: String,
    columns: Vec<Column>,
    /// The cursor column, quoted.
    cursor: String,
    /// The SQL type of the cursor.
    cursor_type: &'static str,
    /// An interval, as text.
    hold_back: Option<String>,
    /// The rows of a page to aim at.
    pub page_rows: u64,
}

/// An identifier between double quotes.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

impl Plan {
    /// Learns from the server what the configuration speaks of.
    pub async fn of(config: &Config, session: &mut Session) -> Result<Self, ConnectorError> {
        let (name, source) = match (&config.table, &config.query) {
            (Some(table), _) => relation(table, session).await?,
            // The line end closes a comment at the end of the query.
            (None, query) => ("query".to_owned(), format!("(\n{}\n)", query.as_deref().unwrap_or_default())),
        };
        let statement = session.describe(&format!("SELECT * FROM {source} AS t")).await?;
        let all: Vec<_> = statement.columns().iter().map(|c| (c.name().to_owned(), c.type_info().clone())).collect();
        let chosen = chosen(all, config.columns.as_deref())?;
        let cursor = chosen.iter().find(|(name, _)| *name == config.cursor);
        let (_, info) = cursor.ok_or_else(|| missing(&config.cursor, "the cursor must be one of the columns"))?;
        let cursor_type = cursor_type(&config.cursor, info)?;
        if config.hold_back_seconds.is_some() && cursor_type != "timestamptz" {
            let message = format!("`hold_back_seconds` needs a timestamptz cursor, {} is {cursor_type}", config.cursor);
            return Err(ConnectorError::misconfigured(message));
        }
        let column =
            |(name, info): (String, PgTypeInfo)| Column { name, source_type: info.name().to_ascii_lowercase() };
        Ok(Plan {
            name,
            source,
            columns: chosen.into_iter().map(column).collect(),
            cursor: quoted(&config.cursor),
            cursor_type,
            hold_back: config.hold_back_seconds.map(|s| format!("{s} seconds")),
            page_rows: config.page_rows.into(),
        })
    }

    /// What an operator calls it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The columns of a payload.
    pub fn columns(&self) -> Vec<Column> {
        self.columns.clone()
    }

    /// What the position and the rows are relative to; part of the key.
    pub fn identity(&self) -> Vec<&str> {
        let columns = self.columns.iter().map(|c| c.name.as_str());
        [self.source.as_str(), &self.cursor].into_iter().chain(columns).collect()
    }

    /// The server's estimate of all rows.
    pub async fn estimate(&self, session: &mut Session) -> Result<Option<u64>, ConnectorError> {
        let rows = session.run(&format!("EXPLAIN {}", self.page_rows_sql(None, None)), &[]).await?;
        let line = rows.first().and_then(|row| row.try_get::<String, _>(0).ok()).unwrap_or_default();
        let digits = line.split_once(" rows=").map(|(_, rest)| rest.split(' ').next().unwrap_or_default());
        Ok(digits.and_then(|d| d.parse().ok()))
    }

    /// Gives the cursor of the `LIMIT`th row after the position, or of the last one. Parameters: the rows, the hold
    /// back (if any), the position (if any).
    pub fn bound(&self, before: Option<&String>, rows: u64) -> (String, Vec<Option<String>>) {
        let mut values = vec![Some(rows.to_string())];
        let mut condition = self.after(before, &mut values);
        if let Some(interval) = &self.hold_back {
            values.push(Some(interval.clone()));
            condition += &format!(" AND t.{} <= now() - ${}::text::interval", self.cursor, values.len());
        }
        let sql = format!(
            "SELECT p.c::text AS upto FROM (SELECT t.{0} AS c FROM {1} AS t WHERE {condition} ORDER BY t.{0} LIMIT $1::text::bigint) AS p \
             ORDER BY p.c DESC LIMIT 1",
            self.cursor, self.source
        );
        (sql, values)
    }

    /// Gives number, bytes, largest row and digest of the rows up to a cursor.
    pub fn measure(&self, before: Option<&String>, upto: &str) -> (String, Vec<Option<String>>) {
        let (page, values) = self.page(before, upto);
        let sql = format!(
            "SELECT count(*)::bigint, coalesce(sum(octet_length(j) + 1), 0)::bigint, coalesce(max(octet_length(j) + 1), 0)::bigint, \
             concat_ws(':', sum(hashtextextended(j, 0)), sum(hashtextextended(j, 1))) \
             FROM (SELECT row_to_json(r)::text AS j FROM ({page}) AS r) AS s"
        );
        (sql, values)
    }

    /// Opens the rows up to a cursor, in an order that is the same each time.
    pub fn declare(&self, before: Option<&String>, upto: &str) -> (String, Vec<Option<String>>) {
        let (page, values) = self.page(before, upto);
        let sql = format!(
            "DECLARE simpul_page NO SCROLL CURSOR FOR SELECT s.j FROM \
             (SELECT r.{} AS c, row_to_json(r)::text AS j FROM ({page}) AS r) AS s ORDER BY s.c, s.j COLLATE \"C\"",
            self.cursor
        );
        (sql, values)
    }

    fn page(&self, before: Option<&String>, upto: &str) -> (String, Vec<Option<String>>) {
        let mut values = vec![Some(upto.to_owned())];
        let after = self.after(before, &mut values);
        (self.page_rows_sql(Some(&after), Some("$1")), values)
    }

    fn after(&self, before: Option<&String>, values: &mut Vec<Option<String>>) -> String {
        match before {
            None => format!("t.{} IS NOT NULL", self.cursor),
            Some(before) => {
                values.push(Some(before.clone()));
                format!("t.{} > ${}::text::{}", self.cursor, values.len(), self.cursor_type)
            }
        }
    }

    fn page_rows_sql(&self, after: Option<&str>, upto: Option<&str>) -> String {
        let columns = self.columns.iter().map(|c| format!("t.{}", quoted(&c.name))).collect::<Vec<_>>().join(", ");
        let upto = upto.map(|p| format!("t.{} <= {p}::text::{}", self.cursor, self.cursor_type));
        let conditions = after.into_iter().map(str::to_owned).chain(upto).collect::<Vec<_>>().join(" AND ");
        let filter = if conditions.is_empty() { String::new() } else { format!(" WHERE {conditions}") };
        format!("SELECT {columns} FROM {} AS t{filter}", self.source)
    }
}

/// Looks a table up and gives its name for people and for SQL.
async fn relation(table: &str, session: &mut Session) -> Result<(String, String), ConnectorError> {
    const LOOKUP: &str = "SELECT n.nspname::text, c.relname::text FROM pg_catalog.pg_class c \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.oid = pg_catalog.to_regclass($1)::oid AND c.relkind IN ('r', 'p', 'v', 'm', 'f')";
    let rows = session.run(LOOKUP, &[Some(table.to_owned())]).await?;
    let unreadable = |_| ConnectorError::interrupted("the server's catalog could not be read");
    let Some(row) = rows.first() else {
        let message = format!("there is no table or view {table}; capitals and spaces need double quotes");
        return Err(ConnectorError::misconfigured(message));
    };
    let schema: String = row.try_get(0).map_err(unreadable)?;
    let name: String = row.try_get(1).map_err(unreadable)?;
    Ok((format!("{schema}.{name}"), format!("{}.{}", quoted(&schema), quoted(&name))))
}

type Described = (String, PgTypeInfo);

/// The wanted columns in their order, or all; each once, and each of a type that has a form as text.
fn chosen(all: Vec<Described>, wanted: Option<&[String]>) -> Result<Vec<Described>, ConnectorError> {
    let chosen = match wanted {
        None => all,
        Some(wanted) => {
            let find = |name: &String| all.iter().find(|(n, _)| n == name).cloned();
            let known =
                |name: &String| find(name).ok_or_else(|| missing(name, "the source has no such column (any more)"));
            wanted.iter().map(known).collect::<Result<Vec<_>, _>>()?
        }
    };
    let mut seen = HashSet::new();
    for (name, info) in &chosen {
        if !seen.insert(name) {
            return Err(missing(name, "the name stands for two columns"));
        }
        if !has_text(info) {
            let why = format!("{} has no form as text; name the other columns in `columns`", info.name());
            return Err(missing(name, &why));
        }
    }
    Ok(chosen)
}

fn missing(column: &str, why: &str) -> ConnectorError {
    ConnectorError::misconfigured(format!("column {column}: {why}"))
}

fn has_text(info: &PgTypeInfo) -> bool {
    match info.kind() {
        PgTypeKind::Domain(inner) | PgTypeKind::Array(inner) => has_text(inner),
        PgTypeKind::Composite(_) | PgTypeKind::Pseudo => false,
        _ => !matches!(info.name(), "BYTEA" | "BYTEA[]"),
    }
}

/// The types whose values sort, compare and travel as text without loss.
fn cursor_type(column: &str, info: &PgTypeInfo) -> Result<&'static str, ConnectorError> {
    match (info.kind(), info.name()) {
        (PgTypeKind::Domain(inner), _) => cursor_type(column, inner),
        (_, "INT2") => Ok("int2"),
        (_, "INT4") => Ok("int4"),
        (_, "INT8") => Ok("int8"),
        (_, "NUMERIC") => Ok("numeric"),
        (_, "DATE") => Ok("date"),
        (_, "TIMESTAMP") => Ok("timestamp"),
        (_, "TIMESTAMPTZ") => Ok("timestamptz"),
        (_, "UUID") => Ok("uuid"),
        (_, "TEXT" | "VARCHAR") => Ok("text"),
        (_, other) => {
            Err(missing(column, &format!("{other} cannot be a cursor; use an integer, a date, a time or a text")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_quoted_name_cannot_end_early(name in "[^\0]{0,40}") {
            let quoted = quoted(&name);
            let inner = quoted.strip_prefix('"').and_then(|q| q.strip_suffix('"')).unwrap();
            prop_assert_eq!(inner.replace("\"\"", ""), name.replace('"', ""));
            prop_assert_eq!(inner.replace("\"\"", "\""), name);
        }
    }
}
