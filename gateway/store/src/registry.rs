//! Who is registered and what is agreed: agencies, clients, agreements; and the settings of the node.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use simpul_core::agreement::{Agreement, Quota};
use simpul_core::id::{AgencyCode, AgreementId, ClientName, DatasetId, Identity};
use simpul_core::time::Timestamp;

use crate::Store;
use crate::db::{Row, Tx, at_most, from_json, to_json, values};
use crate::error::{Result, StoreError};
use crate::journal::MAX_NAME;

/// The longest agreement, in bytes of JSON.
pub const MAX_AGREEMENT: usize = 1 << 20;
/// The longest setting, in bytes.
pub const MAX_SETTING: usize = 1 << 20;

/// An organisation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agency {
    /// Its code.
    pub code: AgencyCode,
    /// Its name, as people write it.
    pub name: String,
    /// What it is, in one word: `dinas`, `puskesmas`, `bps`, …
    pub kind: String,
    /// Whether its clients are let in.
    pub enabled: bool,
    /// When it was first registered.
    pub created_at: Timestamp,
}

/// What a client does at the node. A role opens operations of the node, never a dataset: only an
/// agreement does that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Registers agencies, clients, agreements, contracts, connectors.
    Administrator,
    /// Delivers.
    Producer,
    /// Reads records.
    Consumer,
    /// Pulls extracts.
    Statistician,
    /// Is a node of another tier.
    Node,
}

/// A system or person of an agency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// The agency.
    pub agency: AgencyCode,
    /// Its name within the agency.
    pub client: ClientName,
    /// What it does here.
    pub roles: BTreeSet<Role>,
    /// Whether it is let in, if its agency is.
    pub enabled: bool,
    /// How many requests it may make; absent: the node's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<Quota>,
    /// When it was first registered.
    pub created_at: Timestamp,
}

/// One revision of an agreement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AgreementRevision {
    /// 1 for the first.
    pub revision: u64,
    /// The agreement as it was from then on.
    pub agreement: Agreement,
    /// When it was changed.
    pub changed_at: Timestamp,
    /// Who changed it.
    pub changed_by: String,
}

impl Store {
    /// Registers an agency, or changes name, kind and `enabled` of a registered one; its first
    /// `created_at` stays.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] for a name or kind above [`MAX_NAME`].
    pub async fn put_agency(&self, agency: &Agency) -> Result<()> {
        at_most("the name of an agency", agency.name.len(), MAX_NAME)?;
        at_most("the kind of an agency", agency.kind.len(), MAX_NAME)?;
        let sql = "INSERT INTO agencies (code, name, kind, enabled, created_at) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (code) DO UPDATE SET name = excluded.name, kind = excluded.kind, enabled = excluded.enabled";
        let values =
            values![agency.code.as_str(), &*agency.name, &*agency.kind, agency.enabled, agency.created_at.millis()];
        self.db.run(sql, values).await?;
        Ok(())
    }

    /// The agency `code`.
    ///
    /// # Errors
    /// Only if the store cannot be read.
    pub async fn agency(&self, code: &AgencyCode) -> Result<Option<Agency>> {
        let row = self.db.row("SELECT * FROM agencies WHERE code = $1", values![code.as_str()]).await?;
        row.map(|row| agency(&row)).transpose()
    }

    /// All agencies by code.
    ///
    /// # Errors
    /// Only if the store cannot be read.
    pub async fn agencies(&self) -> Result<Vec<Agency>> {
        let rows = self.db.rows("SELECT * FROM agencies ORDER BY code", values![]).await?;
        rows.iter().map(agency).collect()
    }

    /// Lets no client of the agency in any more; its record stays.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn disable_agency(&self, code: &AgencyCode) -> Result<()> {
        let sql = "UPDATE agencies SET enabled = 0 WHERE code = $1";
        let changed = self.db.run(sql, values![code.as_str()]).await?;
        if changed == 0 { Err(StoreError::not_found("agency", code)) } else { Ok(()) }
    }

    /// Registers a client of a registered agency, or changes roles, quota and `enabled` of a
    /// registered one; its first `created_at` stays.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] without the agency.
    pub async fn put_client(&self, client: &Client) -> Result<()> {
        let quota = client.quota.as_ref().map(to_json).transpose()?;
        let sql = "INSERT INTO clients (agency, client, roles, enabled, quota, created_at)
             SELECT code, $2, $3, $4, $5, $6 FROM agencies WHERE code = $1
             ON CONFLICT (agency, client) DO UPDATE
                 SET roles = excluded.roles, enabled = excluded.enabled, quota = excluded.quota";
        let values = values![
            client.agency.as_str(),
            client.client.as_str(),
            to_json(&client.roles)?,
            client.enabled,
            quota,
            client.created_at.millis(),
        ];
        let stored = self.db.run(sql, values).await?;
        if stored == 0 { Err(StoreError::not_found("agency", &client.agency)) } else { Ok(()) }
    }

    /// A client as it is registered, enabled or not.
    ///
    /// # Errors
    /// Only if the store cannot be read.
    pub async fn registered_client(&self, agency: &AgencyCode, name: &ClientName) -> Result<Option<Client>> {
        let sql = "SELECT * FROM clients WHERE agency = $1 AND client = $2";
        let row = self.db.row(sql, values![agency.as_str(), name.as_str()]).await?;
        row.map(|row| client(&row)).transpose()
    }

    /// The client behind `identity`, if both it and its agency are enabled. The trust domain is the
    /// door's to check: a node belongs to one.
    ///
    /// # Errors
    /// Only if the store cannot be read.
    pub async fn client(&self, identity: &Identity) -> Result<Option<Client>> {
        let row = self
            .db
            .row(
                "SELECT c.* FROM clients c JOIN agencies a ON a.code = c.agency
                 WHERE c.agency = $1 AND c.client = $2 AND c.enabled = 1 AND a.enabled = 1",
                values![identity.agency.as_str(), identity.client.as_str()],
            )
            .await?;
        row.map(|row| client(&row)).transpose()
    }

    /// All clients by agency and name.
    ///
    /// # Errors
    /// Only if the store cannot be read.
    pub async fn clients(&self) -> Result<Vec<Client>> {
        let rows = self.db.rows("SELECT * FROM clients ORDER BY agency, client", values![]).await?;
        rows.iter().map(client).collect()
    }

    /// Lets the client in no more; its record stays.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn disable_client(&self, agency: &AgencyCode, name: &ClientName) -> Result<()> {
        let sql = "UPDATE clients SET enabled = 0 WHERE agency = $1 AND client = $2";
        let changed = self.db.run(sql, values![agency.as_str(), name.as_str()]).await?;
        if changed == 0 { Err(StoreError::not_found("client", format!("{agency}/{name}"))) } else { Ok(()) }
    }

    /// Registers an agreement, or a new revision of a registered one. The same content again makes
    /// no revision. Answers the revision in force.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] above [`MAX_AGREEMENT`].
    pub async fn put_agreement(&self, agreement: &Agreement, at: Timestamp, by: &str) -> Result<u64> {
        let mut tx = self.db.write().await?;
        let revision = revise(&mut tx, agreement, at, by).await?;
        tx.commit().await?;
        Ok(revision)
    }

    /// The agreement `id`, in force or not.
    ///
    /// # Errors
    /// Only if the store cannot be read.
    pub async fn agreement(&self, id: &AgreementId) -> Result<Option<Agreement>> {
        let row = self.db.row("SELECT body FROM agreements WHERE id = $1", values![id.as_str()]).await?;
        row.map(|row| row.json("body")).transpose()
    }

    /// All agreements by id, in force or not.
    ///
    /// # Errors
    /// Only if the store cannot be read.
    pub async fn agreements(&self) -> Result<Vec<Agreement>> {
        let rows = self.db.rows("SELECT body FROM agreements ORDER BY id", values![]).await?;
        rows.iter().map(|row| row.json("body")).collect()
    }

    /// The agreements under which `consumer` may do something with `dataset`, in force or not: what the
    /// access decision takes.
    ///
    /// # Errors
    /// Only if the store cannot be read.
    pub async fn agreements_for(&self, consumer: &AgencyCode, dataset: &DatasetId) -> Result<Vec<Agreement>> {
        let sql = "SELECT body FROM agreements WHERE consumer = $1 AND dataset = $2 ORDER BY id";
        let rows = self.db.rows(sql, values![consumer.as_str(), dataset.as_str()]).await?;
        rows.iter().map(|row| row.json("body")).collect()
    }

    /// Ends the agreement at `now`, as a new revision; one that has ended already stays as it is.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn revoke_agreement(&self, id: &AgreementId, now: Timestamp, by: &str) -> Result<Agreement> {
        let mut tx = self.db.write().await?;
        let row = tx.row("SELECT body FROM agreements WHERE id = $1", values![id.as_str()]).await?;
        let row = row.ok_or_else(|| StoreError::not_found("agreement", id))?;
        let mut agreement: Agreement = row.json("body")?;
        agreement.valid_until = agreement.valid_until.min(now);
        revise(&mut tx, &agreement, now, by).await?;
        tx.commit().await?;
        Ok(agreement)
    }

    /// Every revision of the agreement, oldest first; empty for an unknown one.
    ///
    /// # Errors
    /// Only if the store cannot be read.
    pub async fn agreement_history(&self, id: &AgreementId) -> Result<Vec<AgreementRevision>> {
        let sql = "SELECT * FROM agreement_history WHERE id = $1 ORDER BY revision";
        let rows = self.db.rows(sql, values![id.as_str()]).await?;
        let revision = |row: &Row| {
            Ok(AgreementRevision {
                revision: row.count("revision")?,
                agreement: row.json("body")?,
                changed_at: row.at("changed_at")?,
                changed_by: row.text("changed_by")?,
            })
        };
        rows.iter().map(revision).collect()
    }

    /// Keeps `content` under `name`, in the place of what was there.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] above [`MAX_NAME`] and [`MAX_SETTING`].
    pub async fn put_setting(&self, name: &str, content: &str) -> Result<()> {
        at_most("the name of a setting", name.len(), MAX_NAME)?;
        at_most("a setting", content.len(), MAX_SETTING)?;
        let sql = "INSERT INTO settings (name, content) VALUES ($1, $2)
             ON CONFLICT (name) DO UPDATE SET content = excluded.content";
        self.db.run(sql, values![name, content]).await?;
        Ok(())
    }

    /// What is kept under `name`.
    ///
    /// # Errors
    /// Only if the store cannot be read.
    pub async fn setting(&self, name: &str) -> Result<Option<String>> {
        let row = self.db.row("SELECT content FROM settings WHERE name = $1", values![name]).await?;
        row.map(|row| row.text("content")).transpose()
    }

    /// Forgets what is kept under `name`, if anything is.
    ///
    /// # Errors
    /// Only if the store cannot be written.
    pub async fn delete_setting(&self, name: &str) -> Result<()> {
        self.db.run("DELETE FROM settings WHERE name = $1", values![name]).await?;
        Ok(())
    }
}

async fn revise(tx: &mut Tx, agreement: &Agreement, at: Timestamp, by: &str) -> Result<u64> {
    let body = to_json(agreement)?;
    at_most("an agreement", body.len(), MAX_AGREEMENT)?;
    at_most("the name of who changes it", by.len(), MAX_NAME)?;
    let id = agreement.id.as_str();
    let row = tx.row("SELECT revision, body FROM agreements WHERE id = $1", values![id]).await?;
    let mut revision = 1;
    if let Some(row) = row {
        revision = row.int("revision")?;
        if row.json::<Agreement>("body")? == *agreement {
            return row.count("revision");
        }
        revision += 1;
    }
    tx.run(
        "INSERT INTO agreements (id, revision, consumer, dataset, body) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (id) DO UPDATE SET revision = excluded.revision, consumer = excluded.consumer,
             dataset = excluded.dataset, body = excluded.body",
        values![id, revision, agreement.consumer.as_str(), agreement.dataset.as_str(), &*body],
    )
    .await?;
    tx.run(
        "INSERT INTO agreement_history (id, revision, body, changed_at, changed_by) VALUES ($1, $2, $3, $4, $5)",
        values![id, revision, body, at.millis(), by],
    )
    .await?;
    Ok(revision.unsigned_abs())
}

fn agency(row: &Row) -> Result<Agency> {
    Ok(Agency {
        code: row.name("code")?,
        name: row.text("name")?,
        kind: row.text("kind")?,
        enabled: row.truth("enabled")?,
        created_at: row.at("created_at")?,
    })
}

fn client(row: &Row) -> Result<Client> {
    Ok(Client {
        agency: row.name("agency")?,
        client: row.name("client")?,
        roles: row.json("roles")?,
        enabled: row.truth("enabled")?,
        quota: row.maybe_text("quota")?.map(|text| from_json("quota", &text)).transpose()?,
        created_at: row.at("created_at")?,
    })
}
