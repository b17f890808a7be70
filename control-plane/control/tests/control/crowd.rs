//! Many changes at once: each ends, and the node goes on.

use std::{sync::mpsc, thread, time::Duration};

use ncore_control::{Change, ControlPlane, new_request_id};
use ncore_model::Outcome;
use tokio::{runtime::Builder, task::JoinSet};

use crate::harness::{PATIENCE, Setup, TestNode, add_client};

/// Tasks that ask for one change after the other, and how many each.
const TASKS: usize = 64;
const CHANGES: usize = 80;
/// Some hundred changes a second are made on the slowest machine.
const DEADLINE: Duration = Duration::from_secs(120);

/// A runtime whose threads all wait for each other runs no timers either, so the watch is kept from outside.
#[test]
fn many_changes_at_once_all_end() {
    let (report, ended) = mpsc::channel();
    thread::spawn(move || {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
        runtime.block_on(crowd());
        report.send(()).expect("somebody waits");
    });
    // An error also if the crowd panicked, which has said why.
    ended.recv_timeout(DEADLINE).expect("every change ends");
}

async fn crowd() {
    let node = TestNode::first(Setup::default()).await;
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let control = node.control.clone();
        tasks.spawn(async move {
            for number in 0..CHANGES {
                let command = add_client(&format!("{task}-{number}"));
                let change = Change { request: new_request_id(), idempotency: None, command, deadline: PATIENCE };
                let committed = control.propose(change).await.expect("committed");
                assert!(matches!(committed.outcome, Outcome::ClientAdded(_)));
                // Whoever waits for what is there goes the same way.
                control.wait_for(committed.revision, PATIENCE).await.expect("it is there");
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.expect("no task panics");
    }
    node.stop().await;
}
