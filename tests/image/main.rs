//! The appliance: the built image boots as a virtual machine and does its work. `cargo xtask test` builds what this needs, and `cargo xtask
//! image --test` tells the same stories with a table.

use std::sync::Arc;

use gateway_tests::appliance::Image;
use gateway_tests::appliance::story::{self, Tale};
use gateway_tests::skip;

fn tell(test: &str, tale: Tale) {
    if !skip::may_use_namespaces(test) {
        return;
    }
    let Some(image) = Image::of_environment() else {
        return skip::skip(
            test,
            "no image: GATEWAY_IMAGE and GATEWAY_IMAGE_WORKSHOP are not set; `cargo xtask image --test` builds and boots one",
        );
    };
    let story = story::tell(&image, tale, &Arc::default(), |line| println!("{}: {}", line.what, line.seen)).unwrap();
    println!("{story}");
}

#[test]
fn the_image_boots_and_forwards() {
    tell("image::the_image_boots_and_forwards", Tale::Forwards);
}

#[test]
#[ignore = "minutes of emulation"]
fn a_machine_lives_through_changes_mistakes_a_restart_a_reboot_and_a_move() {
    tell("image::a_machine_lives_through_changes_mistakes_a_restart_a_reboot_and_a_move", Tale::Life);
}

#[test]
#[ignore = "minutes of emulation"]
fn uefi_config_drive_config_map_and_secret() {
    tell("image::uefi_config_drive_config_map_and_secret", Tale::Sources);
}

#[test]
#[ignore = "minutes of emulation"]
fn the_kernels_command_line_is_the_last_resort() {
    tell("image::the_kernels_command_line_is_the_last_resort", Tale::LastResort);
}
