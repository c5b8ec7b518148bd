//! The account of a request: what its audit entry will say, and whether it is written.
//!
//! A handler that changes something calls [`Account::record`] after its checks and before its effect: if the entry cannot be
//! written, the act does not happen. A handler that only reads leaves the entry to the door, which writes it before the
//! answer leaves.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use simpul_core::audit::{ANONYMOUS, Detail, EntryDraft, Outcome, SYSTEM};
use simpul_core::id::Identity;
use simpul_store::audit_log::{Appended, AuditError};
use tracing::info;

use crate::app::App;
use crate::door::Entrance;
use crate::refusal::{Kind, Refusal};

/// Free bytes with which an audit log that met a full disk goes on.
const SPACE_TO_GO_ON: u64 = 1 << 20;

/// What is known so far about the entry of one request.
#[derive(Clone)]
pub struct Account(Arc<Inner>);

struct Inner {
    kept: bool,
    /// An entry says that the act was about to happen.
    announced: AtomicBool,
    /// An entry says how it ended.
    over: AtomicBool,
    draft: Mutex<EntryDraft>,
}

impl Account {
    /// The account of a request to `route`.
    pub fn open(route: &crate::routes::Route, request: &str) -> Self {
        let draft = EntryDraft::new(ANONYMOUS, route.action, "", Outcome::Granted).with("request", request);
        Self(Arc::new(Inner {
            kept: route.audited(),
            announced: AtomicBool::new(false),
            over: AtomicBool::new(false),
            draft: Mutex::new(draft),
        }))
    }

    fn draft(&self) -> MutexGuard<'_, EntryDraft> {
        self.0.draft.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of the request.
    pub fn request(&self) -> String {
        match self.draft().details.get("request") {
            Some(Detail::Text(request)) => request.clone(),
            _ => String::new(),
        }
    }

    /// Where the request came from.
    pub fn from(&self, peer: SocketAddr) {
        self.note("peer", peer.ip().to_string());
    }

    /// Who asks.
    pub fn by(&self, identity: &Identity) {
        self.draft().actor = identity.to_string();
    }

    /// What the request is about: a dataset, an agreement.
    pub fn about(&self, object: &str) {
        object.clone_into(&mut self.draft().object);
    }

    /// The agreement that allows it.
    pub fn under(&self, agreement: &str) {
        self.note("agreement", agreement);
    }

    /// Adds a detail to the entry.
    pub fn note(&self, key: &str, value: impl Into<Detail>) {
        self.draft().details.insert(key.to_owned(), value.into());
    }

    /// Writes the entry now, before the act. The index of the entry is what receipts name.
    ///
    /// # Errors
    /// 503 or 507 when the entry is not durable; the act must not happen.
    pub async fn record(&self, app: &App) -> Result<u64, Refusal> {
        let index = self.write(app, Outcome::Granted, "").await?;
        self.0.announced.store(true, Ordering::SeqCst);
        Ok(index)
    }

    /// Takes note that an entry in the log already says how this act ended.
    pub fn recorded(&self) {
        self.0.over.store(true, Ordering::SeqCst);
    }

    /// Writes what is still to be written when the request is over.
    ///
    /// # Errors
    /// 503 or 507 when the entry is not durable.
    pub async fn settle(&self, app: &App, outcome: Outcome, reason: &str) -> Result<(), Refusal> {
        if self.0.over.load(Ordering::SeqCst) {
            return Ok(());
        }
        let outcome = match (outcome, self.0.announced.load(Ordering::SeqCst)) {
            (Outcome::Granted, true) => return Ok(()),
            (Outcome::Refused, true) => Outcome::Failed,
            (outcome, _) => outcome,
        };
        // What nobody can be held to is recorded one by one only up to a rate, so that a stranger cannot fill the disk.
        let stranger = outcome == Outcome::Refused && self.draft().actor == ANONYMOUS;
        if !self.0.kept || (stranger && !app.limits.stranger()) {
            return Ok(());
        }
        self.write(app, outcome, reason).await.map(|_| ())
    }

    async fn write(&self, app: &App, outcome: Outcome, reason: &str) -> Result<u64, Refusal> {
        let mut draft = self.draft().clone();
        draft.outcome = outcome;
        reason.clone_into(&mut draft.reason);
        append(app, draft).await
    }
}

/// Appends an entry that belongs to no request, such as a landing or a forward. A log that met a full disk goes on as soon as
/// there is space again.
///
/// # Errors
/// 503 or 507 when the entry is not durable.
pub async fn append(app: &App, draft: EntryDraft) -> Result<u64, Refusal> {
    let appended = match app.audit.append(draft.clone(), app.now()).await {
        Err(AuditError::NoSpace) => append_again(app, draft).await,
        appended => appended,
    };
    match appended {
        Ok(appended) => Ok(appended.index),
        Err(AuditError::NoSpace) => {
            Err(Refusal::new(Kind::NoSpace, "the audit log cannot be written").because("audit: no space"))
        }
        Err(error) => Err(Refusal::new(Kind::Unavailable, "the audit log cannot be written").because(error)),
    }
}

/// The log takes nothing after a failed write until it is opened again. What failed for want of space was cut off then, so
/// another attempt writes it once. A disk that fails in any other way is left alone: nobody knows what it holds.
async fn append_again(app: &App, draft: EntryDraft) -> Result<Appended, AuditError> {
    // One caller opens the log, those behind it find it open.
    static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    if app.free_bytes().is_some_and(|free| free < SPACE_TO_GO_ON) {
        return Err(AuditError::NoSpace);
    }
    let _turn = TURN.lock().await;
    match app.audit.append(draft.clone(), app.now()).await {
        Err(AuditError::NoSpace) => {
            let opened = app.audit.reopen().await?;
            info!(entries = opened.entries, "the audit log goes on: there is space again");
            app.audit.append(draft, app.now()).await
        }
        appended => appended,
    }
}

/// An entry of the node itself.
pub fn own(action: &str, object: &str, outcome: Outcome) -> EntryDraft {
    EntryDraft::new(SYSTEM, action, object, outcome)
}

/// Records a refused handshake.
pub async fn handshake_refused(app: &App, entrance: Entrance, peer: SocketAddr, reason: &str) {
    refused_at_the_door(app, "tls.refuse", entrance, peer, (ANONYMOUS.to_owned(), "handshake", reason)).await;
}

/// Records a connection that the HTTP layer ended because of what came over it: the reason's word and its text.
pub async fn connection_refused(
    app: &App,
    entrance: Entrance,
    peer: SocketAddr,
    actor: Option<&Identity>,
    (word, text): (&str, &str),
) {
    let actor = actor.map_or_else(|| ANONYMOUS.to_owned(), ToString::to_string);
    refused_at_the_door(app, "http.refuse", entrance, peer, (actor, word, text)).await;
}

/// At most a few a second are written one by one, so that a flood cannot fill the disk; the counters have them all.
async fn refused_at_the_door(
    app: &App,
    action: &str,
    entrance: Entrance,
    peer: SocketAddr,
    (actor, word, text): (String, &str, &str),
) {
    if !app.limits.stranger() {
        return;
    }
    let draft = EntryDraft::new(actor, action, entrance.as_str(), Outcome::Refused)
        .because(word)
        .with("peer", peer.ip().to_string())
        .with("error", text);
    if let Err(refusal) = append(app, draft).await {
        tracing::error!(action, internal = refusal.internal, "a refusal at the door could not be recorded");
    }
}
