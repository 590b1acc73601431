//! Nothing is silent for long.

use std::sync::mpsc::channel;
use std::time::Duration;

use crate::progress::{Progress, QUIET};

const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn a_long_step_gives_signs_of_life() {
    let (sender, lines) = channel();
    let progress = Progress::start(Duration::from_millis(5), move |line| drop(sender.send(line)));
    progress.say("setting up");
    progress.doing("opening a million flows".into());
    let next = || lines.recv_timeout(PATIENCE).unwrap();
    // On a slow machine a sign of what was before comes between.
    while !next().ends_with("] setting up") {}
    while !next().contains("… opening a million flows, for ") {}
    assert!(next().contains("… opening a million flows, for "));
    assert!(QUIET < Duration::from_secs(2));
}

#[test]
fn what_was_said_is_shown_before_the_end() {
    let (sender, lines) = channel();
    let progress = Progress::start(PATIENCE, move |line| drop(sender.send(line)));
    for number in 0..100 {
        progress.say(&number.to_string());
    }
    drop(progress);
    assert_eq!(lines.try_iter().count(), 100);
}
