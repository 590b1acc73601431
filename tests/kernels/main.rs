//! Debian's kernels, booted: a part of the namespace tests runs inside a virtual machine on each of them ([`plan`](../../tests/kernels/plan)).
//!
//! `cargo xtask test --kernels` and `cargo xtask test --full` build what this needs: `xtask/src/kernels` says what that is.

mod bench;
mod machine;
mod results;

use bench::{Wanted, boots};

#[test]
#[ignore = "boots a virtual machine; see `cargo xtask test --kernels`"]
fn linux_6_1() {
    boots("kernels::linux_6_1", "6.1", Wanted::Exactly(6, 1));
}

#[test]
#[ignore = "boots a virtual machine; see `cargo xtask test --kernels`"]
fn linux_6_12() {
    boots("kernels::linux_6_12", "6.12", Wanted::Exactly(6, 12));
}

#[test]
#[ignore = "boots a virtual machine; see `cargo xtask test --kernels`"]
fn the_newest_of_debian() {
    boots("kernels::the_newest_of_debian", "newest", Wanted::After(6, 12));
}
