//! One connection, one read-only transaction, and the server's errors under our names.

use crate::{Config, SslMode};
use simpul_connector_api::{ConnectorError, Context, ExposeSecret, SecretString, scrub};
use sqlx::postgres::{PgArguments, PgConnectOptions, PgConnection, PgDatabaseError, PgRow, PgSslMode, PgStatement};
use sqlx::{AssertSqlSafe, ConnectOptions, Executor, SqlSafeStr};
use std::future::Future;
use std::str::FromStr;
use std::time::Duration;
use tokio::time::timeout;

/// How much longer than the server's own timeout we wait for its word about it.
const GRACE: Duration = Duration::from_secs(5);
/// How long the server keeps the transaction for a reader that does not come back, in milliseconds.
const IDLE_MILLIS: u32 = 300_000;

/// A connection inside its transaction. Dropping it ends both.
pub struct Session {
    connection: PgConnection,
    patience: Duration,
}

impl Session {
    /// Connects and begins a read-only transaction that sees one moment of the database.
    pub async fn open(config: &Config, context: &Context) -> Result<Self, ConnectorError> {
        let (options, secret) = options(config, context)?;
        let wait = Duration::from_secs(config.connect_timeout_seconds.into());
        let late = |_| ConnectorError::unreachable(format!("no answer within {} s", wait.as_secs()));
        let connected = timeout(wait, options.connect()).await.map_err(late)?;
        let connection = connected.map_err(|e| connecting(e, secret.as_ref()))?;
        let mut session = Session { connection, patience: config.statement_timeout() + GRACE };
        session.run("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY", &[]).await?;
        let millis = config.statement_timeout().as_millis().to_string();
        let settings = "SELECT set_config('statement_timeout', $1, true), set_config('lock_timeout', $1, true), \
                        set_config('idle_in_transaction_session_timeout', $2, true)";
        session.run(settings, &[Some(millis), Some(IDLE_MILLIS.to_string())]).await?;
        Ok(session)
    }

    /// Runs a statement to its end. Every parameter is text to the driver; the statement casts it.
    pub async fn run(&mut self, sql: &str, values: &[Option<String>]) -> Result<Vec<PgRow>, ConnectorError> {
        let mut query = sqlx::query_with(AssertSqlSafe(sql.to_owned()), PgArguments::default()).persistent(false);
        for value in values {
            query = query.bind(value.clone());
        }
        bounded(self.patience, query.fetch_all(&mut self.connection)).await
    }

    /// Has the server parse a statement and say what columns it would give.
    pub async fn describe(&mut self, sql: &str) -> Result<PgStatement, ConnectorError> {
        let sql = AssertSqlSafe(sql.to_owned()).into_sql_str();
        bounded(self.patience, (&mut self.connection).prepare(sql)).await
    }
}

async fn bounded<T>(
    patience: Duration,
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, ConnectorError> {
    let late = |_| ConnectorError::interrupted(format!("no answer within {} s", patience.as_secs()));
    timeout(patience, work).await.map_err(late)?.map_err(running)
}

/// The driver's options, and the secret in them.
fn options(config: &Config, context: &Context) -> Result<(PgConnectOptions, Option<SecretString>), ConnectorError> {
    let resolve = |r: &Option<_>| r.as_ref().map(|r| context.secrets.resolve(r)).transpose();
    let (mut options, secret) = match resolve(&config.url)? {
        Some(url) => (from_url(&url)?, Some(url)),
        None => {
            let password = resolve(&config.password)?;
            (from_parts(config, password.as_ref()), password)
        }
    };
    options = options.ssl_mode(match config.sslmode {
        SslMode::Disable => PgSslMode::Disable,
        SslMode::Require => PgSslMode::Require,
        SslMode::VerifyCa => PgSslMode::VerifyCa,
        SslMode::VerifyFull => PgSslMode::VerifyFull,
    });
    if let Some(ca) = &config.ca {
        options = options.ssl_root_cert(ca);
    }
    Ok((options.application_name("simpul").disable_statement_logging(), secret))
}

/// Parameters in the URL are refused: the driver logs those it does not know, value and all.
fn from_url(url: &SecretString) -> Result<PgConnectOptions, ConnectorError> {
    let wrong = |why: &str| ConnectorError::misconfigured(format!("the secret of `url` {why}"));
    if url.expose_secret().contains(['?', '#']) {
        return Err(wrong("must not have parameters; `sslmode` and `ca` stand in the configuration"));
    }
    let options = PgConnectOptions::from_str(url.expose_secret());
    options.map_err(|_| wrong("is not of the form postgres://user:password@host:port/database"))
}

fn from_parts(config: &Config, password: Option<&SecretString>) -> PgConnectOptions {
    let text = |part: &Option<String>| part.clone().unwrap_or_default();
    let options = PgConnectOptions::new_without_pgpass()
        .host(&text(&config.host))
        .port(config.port.unwrap_or(5432))
        .username(&text(&config.user))
        .database(&text(&config.database));
    match password {
        Some(password) => options.password(password.expose_secret()),
        None => options,
    }
}

/// An error before the first statement.
fn connecting(error: sqlx::Error, secret: Option<&SecretString>) -> ConnectorError {
    let clean = |text: String| scrub(&text, secret.as_slice());
    match error {
        sqlx::Error::Database(_) => running(error),
        sqlx::Error::Tls(e) => ConnectorError::misconfigured(clean(format!("TLS: {e}"))),
        sqlx::Error::Io(e) if e.kind() == std::io::ErrorKind::InvalidData => {
            ConnectorError::misconfigured(clean(format!("TLS: {e}")))
        }
        sqlx::Error::Io(e) => ConnectorError::unreachable(clean(e.to_string())),
        sqlx::Error::Configuration(_) => ConnectorError::misconfigured("the connection parameters do not fit"),
        _ => ConnectorError::unreachable("the server did not finish the greeting"),
    }
}

/// An error of a statement. The server's own words are passed on only where they speak of the statement and not of the
/// rows: those may be personal data.
fn running(error: sqlx::Error) -> ConnectorError {
    let sqlx::Error::Database(database) = &error else {
        return match error {
            sqlx::Error::Io(e) => ConnectorError::interrupted(format!("the connection was lost: {}", e.kind())),
            _ => ConnectorError::interrupted("the connection was lost"),
        };
    };
    let Some(server) = database.try_downcast_ref::<PgDatabaseError>() else {
        return ConnectorError::interrupted("the server's error could not be read");
    };
    let code = server.code();
    let said = format!("{} (SQLSTATE {code})", server.message());
    match (code, code.get(..2).unwrap_or_default()) {
        ("42501", _) | (_, "28") => ConnectorError::denied(said),
        ("57014" | "55P03", _) => {
            ConnectorError::limit(format!("a statement took longer than allowed (SQLSTATE {code})"))
        }
        ("57P03", _) | (_, "53") => ConnectorError::unreachable(said),
        ("25006" | "3D000", _) | (_, "42") => ConnectorError::misconfigured(said),
        (_, "22" | "23" | "P0") => {
            ConnectorError::source_data(format!("the server could not compute a value (SQLSTATE {code})"))
        }
        (_, "08" | "25" | "40" | "57" | "58" | "XX") => {
            ConnectorError::interrupted(format!("the server ended the transaction (SQLSTATE {code})"))
        }
        _ => ConnectorError::interrupted(format!("the server refused a statement (SQLSTATE {code})")),
    }
}
