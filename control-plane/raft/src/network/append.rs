//! A pipelined stream of entries and its answers.
//!
//! The stream lives as long as the leadership, mostly idle. Idle is fine; entries that were sent and not answered are not:
//! the oldest of them bounds how long a dead connection goes unnoticed.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use futures_util::{Stream, StreamExt, stream};
use ncore_proto::raft::v1 as pb;
use openraft::raft::{AppendEntriesRequest, StreamAppendError, StreamAppendResult};
use parking_lot::Mutex;
use tokio::time::{self, Instant};
use tonic::{Status, Streaming};

use super::client::malformed;
use crate::{
    convert,
    types::{RpcError, TypeConfig},
};

/// When each unanswered request was sent, oldest first.
#[derive(Debug, Clone, Default)]
pub(super) struct Outstanding {
    sent: Arc<Mutex<VecDeque<Instant>>>,
}

/// The requests as messages, each noted as outstanding when the connection takes it.
pub(super) fn requests(
    input: impl Stream<Item = AppendEntriesRequest<TypeConfig>> + Send + 'static,
    route: pb::Route,
) -> (impl Stream<Item = pb::AppendRequest> + Send + 'static, Outstanding) {
    let outstanding = Outstanding::default();
    let noted = outstanding.clone();
    let messages = input.map(move |request| {
        noted.sent.lock().push_back(Instant::now());
        pb::AppendRequest {
            route: Some(route.clone()),
            vote: Some(convert::vote_to(&request.vote)),
            previous: request.prev_log_id.as_ref().map(convert::log_id_to),
            entries: request.entries.iter().map(convert::entry_to).collect(),
            committed: request.leader_commit.as_ref().map(convert::log_id_to),
        }
    });
    (messages, outstanding)
}

/// The answers as openraft wants them. Ends with the first error, conflict or higher vote.
pub(super) fn replies<'s>(
    answers: Streaming<pb::AppendReply>,
    outstanding: Outstanding,
    limit: Duration,
    failed: impl Fn(&Status) -> RpcError + Send + Copy + 's,
    timed_out: impl Fn() -> RpcError + Send + Copy + 's,
) -> impl Stream<Item = Result<StreamAppendResult<TypeConfig>, RpcError>> + Send + 's {
    stream::unfold(Some(answers), move |answers| {
        let outstanding = outstanding.clone();
        async move {
            let mut answers = answers?;
            let reply = loop {
                match time::timeout(limit, answers.message()).await {
                    Ok(reply) => break reply,
                    Err(_) if outstanding.oldest_is_older_than(limit) => return Some((Err(timed_out()), None)),
                    Err(_) => {}
                }
            };
            match reply {
                Ok(None) => None,
                Err(status) => Some((Err(failed(&status)), None)),
                Ok(Some(reply)) => {
                    outstanding.sent.lock().pop_front();
                    let result = append_result(reply);
                    let more = matches!(result, Ok(Ok(_))).then_some(answers);
                    Some((result, more))
                }
            }
        }
    })
}

impl Outstanding {
    fn oldest_is_older_than(&self, limit: Duration) -> bool {
        self.sent.lock().front().is_some_and(|sent| sent.elapsed() >= limit)
    }
}

fn append_result(reply: pb::AppendReply) -> Result<StreamAppendResult<TypeConfig>, RpcError> {
    Ok(match reply.outcome.ok_or_else(malformed)? {
        pb::append_reply::Outcome::Matched(matched) => Ok(matched.last.map(convert::log_id_from)),
        pb::append_reply::Outcome::Conflict(at) => Err(StreamAppendError::Conflict(convert::log_id_from(at))),
        pb::append_reply::Outcome::HigherVote(vote) => Err(StreamAppendError::HigherVote(convert::vote_from(vote))),
    })
}
