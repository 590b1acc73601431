//! The bench's own tests: what it notices, and what it says of figures. The bench itself is a program without a test harness.
// Only a part of each file is used here.
#![allow(dead_code)]

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
mod report;
mod statistics;
mod structure;
mod subject;
mod targets;
#[path = "tcp/tests.rs"]
mod tcp;
mod verdicts;
mod voids;
mod workload;
