//! The bench's own tests: what it notices, and what it says of figures. The bench itself is a program without a test harness.
// Only a part of each file is used here.
#![allow(dead_code)]

#[path = "rounds/cell.rs"]
mod cell;
mod choices;
mod clock;
mod compare;
#[path = "tcp/contents.rs"]
mod contents;
#[path = "tcp/counters.rs"]
mod counters;
mod counts;
mod figure;
mod files;
#[path = "micro/structures/filled.rs"]
mod filled;
mod html;
mod looks;
mod network;
mod parts;
mod path;
#[path = "run/progress.rs"]
mod progress;
mod report;
mod retries;
mod signs;
mod statistics;
mod structure;
mod targets;
#[path = "tcp/tests.rs"]
mod tcp;
mod verdicts;
mod voids;

use gateway_tests::bench::{choice, subject, workload};
