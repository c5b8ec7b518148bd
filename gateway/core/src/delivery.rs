//! The life of a delivery, and of its forwarding to the parent.
//!
//! ```text
//! Receiving ──stage──▶ Staged ──sequence──▶ Landing ──land──▶ Landed
//!     │                   │                    │
//!     ├──refuse──▶ Refused◀┴──refuse───────────┘ (only while nothing is committed)
//!     └──abandon─▶ Abandoned
//! ```
//! - **Receiving**: the key is taken and the body is being read. Nothing is promised; a restart
//!   abandons the delivery and frees its key.
//! - **Staged**: every row is checked, the accepted rows are in durable files that no reader sees.
//! - **Landing**: the sequence number is fixed. The commit to the table carries (source, sequence)
//!   as its transaction identifier, so a restart asks the table whether the commit happened.
//! - **Landed**, **Refused**: the receipt is written; the answer will never change.
//!
//! A transition consumes the state and an illegal one is an error value: the store writes what a
//! transition returns and nothing else.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::id::DatasetId;
use crate::time::Timestamp;

/// How the rows of a delivery join the dataset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The rows are added: events.
    Append,
    /// The rows take the place of what the same origin delivered for the same period.
    Replace,
}

/// How many rows a delivery had and what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowCounts {
    /// Data rows read.
    pub total: u64,
    /// Rows that meet the contract.
    pub accepted: u64,
    /// Rows that do not.
    pub refused: u64,
}

/// What is known of a delivery from its first byte on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// Its name at this node: a UUID version 7 in text form.
    pub id: String,
    /// The dataset it is for.
    pub dataset: DatasetId,
    /// The version of the contract that it is checked against.
    pub contract_version: String,
    /// Who delivered: `agency/client` of the certificate, or `konektor/<id>` for a pull.
    pub source: String,
    /// Who delivered first: for a forwarded delivery `agency/client` at the child, else `source`.
    pub origin: String,
    /// The sender's own number within (source, dataset), for a forwarded delivery.
    pub source_sequence: Option<u64>,
    /// The sender's key for this delivery, unique within (source, dataset).
    pub idempotency_key: String,
    /// How its rows join the dataset.
    pub mode: Mode,
    /// The table version that readers saw when the delivery began; a replacement of the same
    /// period that landed since then is a conflict.
    pub base_version: u64,
    /// When it began.
    pub received_at: Timestamp,
}

/// One durable data file that is not yet part of the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StagedFile {
    /// Path relative to the folder of the table, `/` between parts.
    pub path: String,
    /// Value of the partition column `_period`; absent in an `append` dataset.
    pub period: Option<String>,
    /// Rows in it.
    pub rows: u64,
    /// Bytes on disk.
    pub bytes: u64,
    /// The file's statistics in the form of the Delta protocol (a JSON object as text).
    pub stats: String,
}

/// The result of validation, all of it durable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Staged {
    /// The rows.
    pub counts: RowCounts,
    /// SHA-256 of the body after its content coding is removed: the digest of the sender's file.
    pub payload: Digest,
    /// The accepted rows.
    pub files: Vec<StagedFile>,
}

impl Staged {
    /// The periods that the delivery replaces, sorted, each once.
    #[must_use]
    pub fn periods(&self) -> Vec<String> {
        let mut periods: Vec<String> = self.files.iter().filter_map(|file| file.period.clone()).collect();
        periods.sort();
        periods.dedup();
        periods
    }
}

/// Why a delivery was refused, in one stable word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusedBecause {
    /// Rows break the contract, and the contract's policy is to refuse the whole delivery, or no
    /// row was good.
    Rows,
    /// The file as a whole cannot be read as the contract says.
    File,
    /// Another delivery replaced the same period first.
    Conflict,
    /// The sender's sequence number is older than one that has landed.
    Stale,
}

/// Where a delivery stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum State {
    /// The body is being read.
    Receiving,
    /// Validated and durable, invisible.
    Staged(Staged),
    /// Its sequence number is fixed; the commit may or may not have happened.
    Landing {
        /// What will be committed.
        staged: Staged,
        /// The number within (source, dataset): the version of the table's transaction identifier.
        sequence: u64,
    },
    /// Committed, with its receipt.
    Landed {
        /// The rows.
        counts: RowCounts,
        /// The digest of the sender's file.
        payload: Digest,
        /// The number within (source, dataset).
        sequence: u64,
        /// The version of the table that first shows the rows.
        table_version: u64,
        /// The periods that it replaced.
        periods: Vec<String>,
        /// The receipt, a compact JWS.
        receipt: String,
    },
    /// Nothing was committed and nothing will be.
    Refused {
        /// Why.
        because: RefusedBecause,
        /// The rows, as far as they were read.
        counts: RowCounts,
        /// The digest of the sender's file, if it was read to its end.
        payload: Option<Digest>,
        /// The receipt, a compact JWS.
        receipt: String,
    },
    /// The body never arrived whole. The key is free again.
    Abandoned,
}

/// A transition that the life of a delivery does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a delivery that is {from} cannot {transition}")]
pub struct IllegalTransition {
    /// The state it is in.
    pub from: &'static str,
    /// What was tried.
    pub transition: &'static str,
}

impl State {
    /// The state in one word, as the store's index and the API write it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Receiving => "receiving",
            Self::Staged(_) => "staged",
            Self::Landing { .. } => "landing",
            Self::Landed { .. } => "landed",
            Self::Refused { .. } => "refused",
            Self::Abandoned => "abandoned",
        }
    }

    /// Whether nothing will change any more.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::Landed { .. } | Self::Refused { .. } | Self::Abandoned)
    }

    /// The whole body is read, checked and durable.
    ///
    /// # Errors
    /// Unless the delivery is receiving.
    pub fn stage(self, staged: Staged) -> Result<Self, IllegalTransition> {
        match self {
            Self::Receiving => Ok(Self::Staged(staged)),
            other => Err(other.illegal("stage")),
        }
    }

    /// Its place in the order of its source is fixed.
    ///
    /// # Errors
    /// Unless the delivery is staged.
    pub fn sequence(self, sequence: u64) -> Result<Self, IllegalTransition> {
        match self {
            Self::Staged(staged) => Ok(Self::Landing { staged, sequence }),
            other => Err(other.illegal("take a sequence number")),
        }
    }

    /// The table shows the rows.
    ///
    /// # Errors
    /// Unless the delivery is landing.
    pub fn land(self, table_version: u64, receipt: String) -> Result<Self, IllegalTransition> {
        match self {
            Self::Landing { staged, sequence } => Ok(Self::Landed {
                counts: staged.counts,
                payload: staged.payload,
                sequence,
                table_version,
                periods: staged.periods(),
                receipt,
            }),
            other => Err(other.illegal("land")),
        }
    }

    /// Nothing of it will ever be visible. The caller knows that nothing is committed.
    ///
    /// # Errors
    /// If the delivery is final.
    pub fn refuse(
        self,
        because: RefusedBecause,
        counts: RowCounts,
        payload: Option<Digest>,
        receipt: String,
    ) -> Result<Self, IllegalTransition> {
        match self {
            Self::Receiving | Self::Staged(_) | Self::Landing { .. } => {
                Ok(Self::Refused { because, counts, payload, receipt })
            }
            other => Err(other.illegal("be refused")),
        }
    }

    /// The body broke off, or the node stopped while it was read.
    ///
    /// # Errors
    /// Unless the delivery is receiving.
    pub fn abandon(self) -> Result<Self, IllegalTransition> {
        match self {
            Self::Receiving => Ok(Self::Abandoned),
            other => Err(other.illegal("be abandoned")),
        }
    }

    const fn illegal(&self, transition: &'static str) -> IllegalTransition {
        IllegalTransition { from: self.name(), transition }
    }
}

/// Where the forwarding of a landed delivery to the parent stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum ForwardState {
    /// To be sent, at once or after a pause.
    Queued {
        /// Attempts that failed so far.
        attempts: u32,
        /// Not before this instant.
        not_before: Timestamp,
        /// What the last attempt met, for `link status`.
        last_error: Option<String>,
    },
    /// The parent has it; its receipt is held here.
    Acknowledged {
        /// The parent's receipt, a compact JWS.
        receipt: String,
    },
    /// The parent refuses it for good; a person has to look.
    Refused {
        /// The parent's problem type and title.
        problem: String,
    },
}

impl ForwardState {
    /// The state in one word.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Queued { .. } => "queued",
            Self::Acknowledged { .. } => "acknowledged",
            Self::Refused { .. } => "refused",
        }
    }

    /// The parent answered with a receipt. The same receipt twice is no change.
    ///
    /// # Errors
    /// If the forward is already final with another answer.
    pub fn acknowledge(self, receipt: String) -> Result<Self, IllegalTransition> {
        match self {
            Self::Queued { .. } => Ok(Self::Acknowledged { receipt }),
            Self::Acknowledged { receipt: held } if held == receipt => Ok(Self::Acknowledged { receipt }),
            other => Err(IllegalTransition { from: other.name(), transition: "be acknowledged" }),
        }
    }

    /// An attempt failed in a way that another one may mend.
    ///
    /// # Errors
    /// If the forward is final.
    pub fn postpone(self, not_before: Timestamp, error: String) -> Result<Self, IllegalTransition> {
        match self {
            Self::Queued { attempts, .. } => {
                Ok(Self::Queued { attempts: attempts.saturating_add(1), not_before, last_error: Some(error) })
            }
            other => Err(IllegalTransition { from: other.name(), transition: "be postponed" }),
        }
    }

    /// The parent refuses it for good.
    ///
    /// # Errors
    /// If the forward is final.
    pub fn refuse(self, problem: String) -> Result<Self, IllegalTransition> {
        match self {
            Self::Queued { .. } => Ok(Self::Refused { problem }),
            other => Err(IllegalTransition { from: other.name(), transition: "be refused" }),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn staged() -> Staged {
        Staged {
            counts: RowCounts { total: 3, accepted: 2, refused: 1 },
            payload: Digest::of(b"x"),
            files: vec![StagedFile {
                path: "a.parquet".to_owned(),
                period: Some("2024".to_owned()),
                rows: 2,
                bytes: 10,
                stats: "{}".to_owned(),
            }],
        }
    }

    #[test]
    fn the_straight_way_ends_landed_with_what_was_staged() {
        let state = State::Receiving.stage(staged()).unwrap().sequence(7).unwrap().land(3, "jws".to_owned()).unwrap();
        let State::Landed { counts, sequence, table_version, periods, .. } = state else { panic!("{state:?}") };
        assert_eq!((counts.accepted, sequence, table_version, periods.as_slice()), (2, 7, 3, &["2024".to_owned()][..]));
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Stage,
        Sequence,
        Land,
        Refuse,
        Abandon,
    }

    fn step(state: State, step: Step) -> Result<State, IllegalTransition> {
        match step {
            Step::Stage => state.stage(staged()),
            Step::Sequence => state.sequence(1),
            Step::Land => state.land(1, "jws".to_owned()),
            Step::Refuse => state.refuse(RefusedBecause::Rows, RowCounts::default(), None, "jws".to_owned()),
            Step::Abandon => state.abandon(),
        }
    }

    proptest! {
        #[test]
        fn whatever_is_tried_a_final_state_stays_and_landing_comes_only_from_staged(
            steps in prop::collection::vec(
                prop_oneof![
                    Just(Step::Stage), Just(Step::Sequence), Just(Step::Land), Just(Step::Refuse), Just(Step::Abandon)
                ],
                0..12,
            )
        ) {
            let mut state = State::Receiving;
            let mut seen = vec![state.name()];
            for next in steps {
                let before = state.clone();
                match step(state, next) {
                    Ok(after) => {
                        prop_assert!(!before.is_final());
                        seen.push(after.name());
                        state = after;
                    }
                    Err(_) => state = before,
                }
            }
            if seen.contains(&"landed") {
                prop_assert_eq!(seen, ["receiving", "staged", "landing", "landed"]);
            }
        }

        #[test]
        fn a_state_reads_back_from_the_journal(sequence in any::<u64>()) {
            let state = State::Landing { staged: staged(), sequence };
            let text = serde_json::to_string(&state).unwrap();
            prop_assert_eq!(serde_json::from_str::<State>(&text).unwrap(), state);
        }
    }

    #[test]
    fn a_forward_is_acknowledged_once_and_the_same_answer_again_is_no_change() {
        let queued = ForwardState::Queued { attempts: 0, not_before: Timestamp::from_millis(0), last_error: None };
        let held = queued.clone().acknowledge("a".to_owned()).unwrap();
        assert_eq!(held.clone().acknowledge("a".to_owned()).unwrap(), held);
        assert!(held.clone().acknowledge("b".to_owned()).is_err());
        assert!(held.postpone(Timestamp::from_millis(1), "x".to_owned()).is_err());
        assert!(queued.refuse("p".to_owned()).unwrap().acknowledge("a".to_owned()).is_err());
    }
}
